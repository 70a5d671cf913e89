//go:build clients

package suite

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

// archive serves snapshots as a registry does: one at a time, and the files of all by their hashes.
type archive struct {
	*httptest.Server

	mu      sync.Mutex
	now     *Snapshot
	old     map[string]File // by their hashes
	pool    map[string][]byte
	key     []byte
	log     []string
	without map[string]bool // paths that are not there
	after   map[string]func()
}

func serve(t *testing.T) *archive {
	t.Helper()
	a := &archive{old: map[string]File{}, pool: map[string][]byte{}, without: map[string]bool{}, after: map[string]func(){}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *archive) base() string { return a.URL + "/apt" }

func (a *archive) publish(s *Snapshot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = s
	for _, f := range s.Files {
		a.old[f.SHA256] = f
	}
}

// asked returns the paths asked for since the last call.
func (a *archive) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	log := a.log
	a.log = nil
	return log
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, "/apt/")
	a.log = append(a.log, strings.TrimPrefix(r.URL.EscapedPath(), "/apt/"))
	content, date, ok := a.find(path)
	after := a.after[path]
	a.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
	} else {
		http.ServeContent(w, r, "", date, bytes.NewReader(content))
	}
	if after != nil {
		after()
	}
}

func (a *archive) find(path string) ([]byte, time.Time, bool) {
	if a.without[path] {
		return nil, time.Time{}, false
	}
	if path == "key.asc" {
		return a.key, noon, a.key != nil
	}
	if body, ok := a.pool[path]; ok {
		return body, noon, true
	}
	name, ok := strings.CutPrefix(path, "dists/"+a.now.Suite+"/")
	if !ok {
		return nil, time.Time{}, false
	}
	f, ok := a.now.Find(name)
	if hash, _, by := ByHash(name); by && !ok {
		f, ok = a.old[hash]
	}
	return f.Content, a.now.Date, ok
}

// add makes a true package and puts it into the pool.
func (a *archive) add(name, version, architecture string) Package {
	spec := debtest.Spec{
		Package: name, Version: version, Arch: architecture, Compression: "gz", More: "Multi-Arch: foreign\n",
		Files: map[string]string{"usr/share/" + name + "/version-" + architecture: version + "\n"},
	}
	body := debtest.Build(spec)
	p := pkg(name, version, architecture)
	p.Control, p.Size, p.SHA256 = strings.TrimSuffix(spec.Text(), "\n"), int64(len(body)), sum(body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pool[p.Filename] = body
	return p
}

// host is a Debian system in a folder, with an apt that knows nothing of the machine's own.
type host struct{ dir string }

func newHost(t *testing.T) *host {
	t.Helper()
	for _, program := range []string{"apt-get", "apt-cache", "dpkg", "gpgv"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: these tests need Debian", program)
		}
	}
	h := &host{dir: t.TempDir()}
	for _, folder := range []string{
		"etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "etc/apt/keyrings",
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt",
	} {
		if err := os.MkdirAll(h.path(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, "var/lib/dpkg/status", "")
	h.write(t, "apt.conf", fmt.Sprintf(`
Dir "%[1]s";
Dir::State::status "%[1]s/var/lib/dpkg/status";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
APT::Get::Assume-Yes "true";
APT::Update::Error-Mode "any";
Acquire::Check-Valid-Until "true";
Acquire::Check-Date "true";
Acquire::Languages { "en"; };
Acquire::Retries "0";
Acquire::http::Proxy "DIRECT";
Acquire::http::Timeout "20";
DPkg::Options { "--root=%[1]s"; "--force-not-root"; "--force-script-chrootless"; };
`, h.dir))
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// trust writes the source and the keyring of an archive.
func (h *host) trust(t *testing.T, a *archive, keys ...*key) {
	t.Helper()
	ring, err := keyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "etc/apt/keyrings/entrepot.asc", string(ring))
	h.write(t, "etc/apt/sources.list.d/entrepot.sources", fmt.Sprintf("Types: deb\nURIs: %s\nSuites: cloud-prod\nComponents: dmp\nSigned-By: %s\n",
		a.base(), h.path("etc/apt/keyrings/entrepot.asc")))
}

func (h *host) env() []string {
	return []string{"APT_CONFIG=" + h.path("apt.conf"), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=" + h.dir}
}

// run runs a program of apt.
func (h *host) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Dir = h.env(), h.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (h *host) ok(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.run(t, args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// refuses makes sure that a program fails, and says why.
func (h *host) refuses(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := h.run(t, args...)
	if err == nil || !strings.Contains(out, why) {
		t.Errorf("%q: %v, want it to fail with %q\n%s", args, err, why, out)
	}
}

// updated runs apt-get update, which must have nothing to complain of.
func (h *host) updated(t *testing.T) {
	t.Helper()
	if out := h.ok(t, "apt-get", "update"); strings.Contains(out, "W:") || strings.Contains(out, "E:") || strings.Contains(out, "N:") {
		t.Errorf("apt-get update complains: %s", out)
	}
}

var versionLine = regexp.MustCompile(`(?m)^ (?:\*\*\*|   ) (\S+) (-?\d+)$`)

// policy returns what apt would install, and which versions it knows.
func (h *host) policy(t *testing.T, name string) (candidate string, versions []string) {
	t.Helper()
	out := h.ok(t, "apt-cache", "policy", name)
	for _, m := range versionLine.FindAllStringSubmatch(out, -1) {
		versions = append(versions, m[1])
	}
	_, rest, _ := strings.Cut(out, "Candidate: ")
	candidate, _, _ = strings.Cut(rest, "\n")
	return candidate, versions
}

// has tells which version of a package is installed, by the file that came with it.
func (h *host) has(t *testing.T, name, architecture string) string {
	t.Helper()
	text, err := os.ReadFile(h.path("usr/share/" + name + "/version-" + architecture))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// contains tells whether any path contains a text.
func contains(paths []string, text string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return strings.Contains(p, text) })
}
