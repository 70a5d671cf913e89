//go:build clients

package apt

import (
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
)

// watch notes which paths clients ask for, with the answers.
type watch struct {
	mu    sync.Mutex
	asked []string // "200 /apt/…", as it came over the wire
}

// watched serves the house by another server, which notes what it is asked, and does something before it answers.
func (h *house) watched(before ...func(path string)) *watch {
	w := &watch{}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		for _, f := range before {
			f(r.URL.Path)
		}
		status := &statusOf{ResponseWriter: out, status: 200}
		h.handler.ServeHTTP(status, r)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked = append(w.asked, fmt.Sprint(status.status, " ", r.URL.EscapedPath()))
	}))
	h.t.Cleanup(server.Close)
	h.server.URL = server.URL
	return w
}

type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// since returns what was asked for since the last call.
func (w *watch) since() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

func contains(all []string, text string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) })
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
		"etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/auth.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d",
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
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a program as on that host.
func (h *host) run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdin = h.dir, strings.NewReader(stdin)
	cmd.Env = []string{
		"APT_CONFIG=" + h.path("apt.conf"), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"HOME=" + h.dir, "DESTDIR=" + h.dir, "TMPDIR=" + t.TempDir(),
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (h *host) ok(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.run(t, "", args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// refuses makes sure that a program fails, and says why.
func (h *host) refuses(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := h.run(t, "", args...)
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

// setup runs the script of a suite as people do: curl -fsS URL | sh.
func (h *host) setup(t *testing.T, from *house, suite string) (string, error) {
	t.Helper()
	script := from.get("/apt/setup.sh?suite=" + suite).want(200).body
	out, err := h.run(t, script, "sh")
	if err == nil {
		// The path of the keyring is one of the machine, and this host is a folder.
		name := "etc/apt/sources.list.d/entrepot-" + suite + ".sources"
		text, err := os.ReadFile(h.path(name))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		h.write(t, name, strings.Replace(string(text), "/etc/apt/keyrings", h.path("etc/apt/keyrings"), 1))
	}
	return out, err
}

func (h *host) isSetUp(t *testing.T, from *house, suite string) {
	t.Helper()
	if out, err := h.setup(t, from, suite); err != nil {
		t.Fatalf("set up: %v\n%s", err, out)
	}
}

// login lets apt log in as apt_auth.conf(5) has it.
func (h *host) login(t *testing.T, from *house, name string) {
	t.Helper()
	h.write(t, "etc/apt/auth.conf.d/entrepot.conf", fmt.Sprintf("machine %s/apt\nlogin %s\npassword %[2]s\n", from.server.URL, name))
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
