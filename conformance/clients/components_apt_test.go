//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// host is a Debian machine in a folder, whose apt knows nothing of the real machine's.
type host struct{ *session }

// newHost makes one. ca is the file of the authority that its apt trusts; empty means none.
func newHost(t *testing.T, ca string) *host {
	t.Helper()
	h := &host{newSession(t)}
	for _, folder := range []string{
		"etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/auth.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "tmp",
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt",
	} {
		if err := os.MkdirAll(filepath.Join(h.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.write("var/lib/dpkg/status", "")
	trust := ""
	if ca != "" {
		trust = `Acquire::https::CAInfo "` + ca + `";`
	}
	h.write("apt.conf", strings.ReplaceAll(`Dir "DIR";
Dir::State::status "DIR/var/lib/dpkg/status";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Sandbox::User "root";
APT::Get::Assume-Yes "true";
APT::Update::Error-Mode "any";
Acquire::Check-Valid-Until "true";
Acquire::Check-Date "true";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Proxy "DIRECT";
Acquire::https::Proxy "DIRECT";
DPkg::Options { "--root=DIR"; "--force-not-root"; "--force-script-chrootless"; };
`, "DIR", h.dir)+trust)
	h.env = append(h.env, "APT_CONFIG="+h.dir+"/apt.conf", "DESTDIR="+h.dir, "TMPDIR="+h.dir+"/tmp", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	return h
}

// isSetUp takes packages from a suite, as people are told to: what curl fetches is run by a shell.
func (h *host) isSetUp(base, suite, curl string) {
	h.t.Helper()
	h.types(client(h.t, "curl") + " -fsS " + curl + " '" + base + "/apt/setup.sh?suite=" + suite + "' | sh")
	h.rebase(suite)
}

// rebase writes where the keyring lies, since this machine is a folder.
func (h *host) rebase(suite string) {
	h.t.Helper()
	source := h.source(suite)
	h.write(source, strings.Replace(h.read(source), "Signed-By: /etc/apt/keyrings", "Signed-By: "+h.dir+"/etc/apt/keyrings", 1))
}

// source is the file of the one registry that the host takes a suite from.
func (h *host) source(suite string) string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "etc/apt/sources.list.d/entrepot-*_"+suite+".sources"))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("%q are sources of %s, want one; %v", found, suite, err)
	}
	return strings.TrimPrefix(found[0], h.dir+"/")
}

// apt types a line that begins with apt-get, which must succeed and have nothing to complain of.
func (h *host) apt(line string) string {
	h.t.Helper()
	out := h.types("apt-get " + line)
	for _, complaint := range []string{"W:", "E:", "N:"} {
		if strings.Contains(out, complaint) {
			h.t.Fatalf("apt-get %s complains:\n%s", line, out)
		}
	}
	return out
}

// refuses types a line that has to fail, and returns what is said.
func (h *host) refuses(line string) string {
	h.t.Helper()
	out, err := h.shell(line)
	if err == nil {
		h.t.Fatalf("$ %s\n%sit succeeded and should not have", line, out)
	}
	return out
}

// has fails the test unless a package is installed in this version: dpkg says so, and the file that came with it.
func (h *host) has(name, version string) {
	h.t.Helper()
	equal(h.t, h.types("dpkg-query --admindir="+h.dir+"/var/lib/dpkg -W -f '${Version} ${db:Status-Status}' "+name), version+" installed")
	equal(h.t, h.read("usr/share/"+name+"/version"), version)
}
