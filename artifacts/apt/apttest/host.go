//go:build clients

// Package apttest is a Debian system in a folder, for tests that let apt itself judge what is served to it:
//
//	h := apttest.NewHost(t)
//	h.Write(t, "etc/apt/sources.list.d/x.sources", "Types: deb\n…")
//	h.Updated(t)
//	h.OK(t, "apt-get", "install", "hello")
//	candidate, known := h.Policy(t, "hello")
//
// Its apt knows nothing of the machine's own, and leaves no trace outside the folder. It needs the programs of Debian, and root for dpkg.
package apttest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// patience is how long a program may take.
const patience = 2 * time.Minute

// Host is the system.
type Host struct{ dir string }

// NewHost returns one for amd64 and arm64 on which nothing is installed.
func NewHost(t *testing.T) *Host {
	t.Helper()
	for _, program := range []string{"apt-get", "apt-cache", "dpkg", "gpgv"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: these tests need Debian", program)
		}
	}
	h := &Host{dir: t.TempDir()}
	for _, folder := range []string{
		"etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/auth.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d",
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt",
	} {
		if err := os.MkdirAll(h.Path(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.Write(t, "var/lib/dpkg/status", "")
	h.Write(t, "apt.conf", fmt.Sprintf(`
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

// Path is where a file of the host lies on the machine.
func (h *Host) Path(name string) string { return filepath.Join(h.dir, name) }

// Write writes a file of the host, and makes its folder.
func (h *Host) Write(t *testing.T, name, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(h.Path(name)), 0o755)
	if err == nil {
		err = os.WriteFile(h.Path(name), []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Read returns a file of the host.
func (h *Host) Read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(h.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// SetUp runs a script of a suite as people do, with curl -fsS URL | sh. The names of its keyrings are those of the machine, and this host is a folder: its
// sources are changed to say so.
func (h *Host) SetUp(t *testing.T, script string) (string, error) {
	t.Helper()
	out, err := h.Run(t, script, "sh")
	if err != nil {
		return out, err
	}
	sources, err := filepath.Glob(h.Path("etc/apt/sources.list.d/*.sources"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources are written: %v\n%s", err, out)
	}
	for _, path := range sources {
		name := strings.TrimPrefix(path, h.dir)
		h.Write(t, name, strings.Replace(h.Read(t, name), "Signed-By: /etc/apt/", "Signed-By: "+h.Path("etc/apt")+"/", 1))
	}
	return out, nil
}

// Env is the environment of the host's programs.
func (h *Host) Env(t *testing.T) []string {
	return []string{
		"APT_CONFIG=" + h.Path("apt.conf"), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"HOME=" + h.dir, "DESTDIR=" + h.dir, "TMPDIR=" + t.TempDir(),
	}
}

// Run runs a program as on the host, and returns all that it prints.
func (h *Host) Run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Env = h.dir, strings.NewReader(stdin), h.Env(t)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// OK makes sure that a program succeeds.
func (h *Host) OK(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.Run(t, "", args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// Refuses makes sure that a program fails, and says why.
func (h *Host) Refuses(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := h.Run(t, "", args...)
	if err == nil || !strings.Contains(out, why) {
		t.Errorf("%q: %v, want it to fail with %q\n%s", args, err, why, out)
	}
}

// Updated runs apt-get update, which must have nothing to complain of.
func (h *Host) Updated(t *testing.T) {
	t.Helper()
	if out := h.OK(t, "apt-get", "update"); strings.Contains(out, "W:") || strings.Contains(out, "E:") || strings.Contains(out, "N:") {
		t.Errorf("apt-get update complains: %s", out)
	}
}

var versionLine = regexp.MustCompile(`(?m)^ (?:\*\*\*|   ) (\S+) (-?\d+)$`)

// Policy returns what apt would install, and which versions it knows.
func (h *Host) Policy(t *testing.T, name string) (candidate string, versions []string) {
	t.Helper()
	out := h.OK(t, "apt-cache", "policy", name)
	for _, m := range versionLine.FindAllStringSubmatch(out, -1) {
		versions = append(versions, m[1])
	}
	_, rest, _ := strings.Cut(out, "Candidate: ")
	candidate, _, _ = strings.Cut(rest, "\n")
	return candidate, versions
}

// Has tells which version of a package is installed, by the file that came with it: usr/share/NAME/version-ARCHITECTURE.
func (h *Host) Has(t *testing.T, name, architecture string) string {
	t.Helper()
	text, err := os.ReadFile(h.Path("usr/share/" + name + "/version-" + architecture))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
