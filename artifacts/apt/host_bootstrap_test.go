//go:build clients

package apt

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

// tool is a host that has a program, too.
func tool(t *testing.T, program string) *host {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: apt-get install %[1]s", program)
	}
	return newHost(t)
}

// keyring writes the keyring that the registry hands out, as gpg has it.
func (h *host) keyring(t *testing.T, from *house) (path string) {
	t.Helper()
	h.Write(t, "key.asc", from.get("/apt/key.asc").want(200).body)
	h.OK(t, "gpg", "--batch", "--yes", "--no-options", "--no-default-keyring", "--homedir", h.Path("."), "--dearmor", "-o", "ring.gpg", "key.asc")
	return h.Path("ring.gpg")
}

// system stocks a suite with what debootstrap takes for a system, none of which is true. One package is in another component, and one for no system at all.
func system(h *house) {
	h.t.Helper()
	pkg := func(name, version, arch, priority, depends string) []byte {
		files := map[string]string{"usr/share/" + name + "/version-" + arch: version + "\n"}
		if name == "base-files" { // debootstrap makes what it needs in folders that this package has
			files["dev/none"], files["etc/none"] = "", ""
		}
		return debtest.Build(debtest.Spec{
			Package: name, Version: version, Arch: arch, Depends: depends, Compression: "xz", More: "Section: admin\nPriority: " + priority + "\n",
			Files: files,
		})
	}
	h.add("cloud/base/system", "1.0.0",
		pkg("base-files", "1:12.4+deb12u5~x1", "amd64", "required", "lib-base (>= 2)"),
		pkg("base-files", "1:12.4+deb12u5~x1", "arm64", "required", "lib-base (>= 2)"),
		pkg("base-data", "3", "all", "required", ""), pkg("lib-base", "2.0-1", "amd64", "optional", ""), pkg("lib-base", "2.0-1", "arm64", "optional", ""),
		pkg("apt", "2.6.1", "amd64", "important", ""), pkg("left-out", "1.0", "amd64", "optional", ""))
	h.add("cloud/dmp/agent", "1.0.0", pkg("agent", "0.9", "all", "optional", ""))
	h.promote("cloud/base/system", "1.0.0", prod)
	h.promote("cloud/dmp/agent", "1.0.0", prod)
}

// debootstrap runs it for the suite with a keyring. It says what went wrong in a log of its own.
func (h *host) debootstrap(t *testing.T, from *house, keyring, target string, flags ...string) (string, error) {
	t.Helper()
	args := append([]string{
		"debootstrap", "--verbose", "--arch=amd64", "--variant=minbase", "--components=base,dmp", "--include=agent", "--keyring=" + keyring,
	}, flags...)
	out, err := h.Run(t, "", append(args, "cloud-prod", h.Path(target), from.server.URL+"/apt", "/usr/share/debootstrap/scripts/sid")...)
	log, _ := os.ReadFile(h.Path(target + "/debootstrap/debootstrap.log"))
	return out + string(log), err
}

func TestHost_debootstrap_takes_a_suite(t *testing.T) {
	h, host := onDisk(t), tool(t, "debootstrap")
	system(h)
	asked := h.watched()
	keyring := host.keyring(t, h)
	if out, err := host.debootstrap(t, h, keyring, "loaded", "--download-only"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := map[string]string{
		"base-files": "base-files_1%3a12.4+deb12u5~x1_amd64.deb", "base-data": "base-data_3_all.deb", "lib-base": "lib-base_2.0-1_amd64.deb",
		"apt": "apt_2.6.1_amd64.deb", "agent": "agent_0.9_all.deb",
	}
	files, err := os.ReadDir(host.Path("loaded/var/cache/apt/archives"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".deb") {
			got = append(got, f.Name())
		}
	}
	if len(got) != len(want) {
		t.Errorf("debootstrap has %q, want %q", got, want)
	}
	for name, file := range want {
		if out := host.OK(t, "dpkg-deb", "-f", "loaded/var/cache/apt/archives/"+file, "Package"); out != name+"\n" {
			t.Errorf("%s is of the package %q", file, out)
		}
	}
	if got := asked.since(); contains(got, "404 ") || !contains(got, "200 /apt/dists/cloud-prod/InRelease") {
		t.Errorf("debootstrap asks for %q", got)
	}
}

// The first of its two stages makes a tree of the packages, of which the second one would make a system, were there more in them than a file.
func TestHost_debootstrap_unpacks_a_suite(t *testing.T) {
	h, host := onDisk(t), tool(t, "debootstrap")
	system(h)
	if out, err := host.debootstrap(t, h, host.keyring(t, h), "made", "--foreign"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for file, want := range map[string]string{
		"made/usr/share/base-files/version-amd64": "1:12.4+deb12u5~x1\n",
		"made/usr/share/base-data/version-all":    "3\n",
		"made/usr/share/lib-base/version-amd64":   "2.0-1\n",
		"made/debootstrap/mirror":                 h.server.URL + "/apt\n",
		"made/debootstrap/base":                   "agent apt \n",
	} {
		if text, err := os.ReadFile(host.Path(file)); err != nil || string(text) != want {
			t.Errorf("%s has %q, %v, want %q", file, text, err, want)
		}
	}
}

func TestHost_debootstrap_refuses_what_others_signed(t *testing.T) {
	h, other, host := onDisk(t), build(t), tool(t, "debootstrap")
	system(h)
	out, err := host.debootstrap(t, h, host.keyring(t, other), "made", "--download-only")
	if err == nil || !strings.Contains(out, "Release signed by unknown key") {
		t.Errorf("with the key of another registry: %v\n%s", err, out)
	}
}
