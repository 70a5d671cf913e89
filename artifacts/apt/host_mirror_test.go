//go:build clients

package apt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// toMirror stocks a suite with packages of all the names that are hard to write into a path, and returns their hashes by the names of their files.
func toMirror(h *house) map[string]string {
	h.t.Helper()
	hashes := map[string]string{}
	for component, packages := range map[string]map[string][]byte{
		service: {
			"hello_1.0~rc1+b2_amd64.deb": hello("hello", "1:1.0~rc1+b2", "amd64"), "hello_1.0~rc1+b2_arm64.deb": hello("hello", "1:1.0~rc1+b2", "arm64"),
			"hello-data_1.0_all.deb": hello("hello-data", "1.0", "all"), "g++-x_1+2~3_amd64.deb": hello("g++-x", "1+2~3", "amd64"),
		},
		"cloud/ops/probe": {"probe_1.0_all.deb": hello("probe", "1.0", "all")},
	} {
		for file, content := range packages {
			h.add(component, "1.0.0", content)
			hashes[file] = sum(string(content))
		}
		h.promote(component, "1.0.0", prod)
	}
	return hashes
}

// keyID returns the id of the key that signs: the end of its fingerprint.
func (h *house) keyID() string {
	h.t.Helper()
	if _, err := h.keys.Signers(h.ctx); err != nil {
		h.t.Fatal(err)
	}
	keys, err := h.keys.List(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	fingerprint := keys[len(keys)-1].Fingerprint
	return fingerprint[len(fingerprint)-16:]
}

// packagesIn returns the hashes of the packages below a folder by the names of their files.
func packagesIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	hashes := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".deb" {
			return err
		}
		content, err := os.ReadFile(path)
		hash := sha256.Sum256(content)
		hashes[filepath.Base(path)] = hex.EncodeToString(hash[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// mirrored checks that a folder has these packages, and that they are what they were.
func mirrored(t *testing.T, folder string, want map[string]string) {
	t.Helper()
	got := packagesIn(t, folder)
	for _, file := range slices.Sorted(maps.Keys(want)) {
		if got[file] != want[file] {
			t.Errorf("%s has the hash %q in the mirror, want %q", file, got[file], want[file])
		}
	}
	if len(got) != len(want) {
		t.Errorf("in the mirror there is %q", slices.Sorted(maps.Keys(got)))
	}
}

// trusts imports the keyring of a registry, as who mirrors it does.
func (h *host) trusts(t *testing.T, from *house) {
	t.Helper()
	if err := os.MkdirAll(h.Path(".gnupg"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.Write(t, "key.asc", from.get("/apt/key.asc").want(200).body)
	h.OK(t, "gpg", "--batch", "--import", "key.asc")
	t.Cleanup(func() {
		kill := exec.Command("gpgconf", "--homedir", h.Path(".gnupg"), "--kill", "all")
		if out, err := kill.CombinedOutput(); err != nil {
			t.Errorf("end the servants of gpg: %v\n%s", err, out)
		}
	})
}

func TestHost_reprepro_mirrors_a_suite(t *testing.T) {
	h, other, host := onDisk(t), build(t), tool(t, "reprepro")
	want := toMirror(h)
	host.trusts(t, h)
	host.trusts(t, other)
	if err := os.Mkdir(host.Path("conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	host.Write(t, "conf/distributions", "Codename: mirror\nArchitectures: amd64 arm64\nComponents: dmp ops\nUpdate: entrepot\n")
	updates := func(key string) string {
		return fmt.Sprintf("Name: entrepot\nMethod: %s/apt\nSuite: cloud-prod\nComponents: dmp ops\nArchitectures: amd64 arm64\nVerifyRelease: %s\n",
			h.server.URL, key)
	}
	host.Write(t, "conf/updates", updates(other.keyID()))
	host.Refuses(t, "Not enough signatures found", "reprepro", "update")

	host.Write(t, "conf/updates", updates(h.keyID()))
	host.OK(t, "reprepro", "update")
	mirrored(t, host.Path("pool"), want)
	host.OK(t, "reprepro", "checkpool")
	list := host.OK(t, "reprepro", "list", "mirror")
	if !strings.Contains(list, "mirror|dmp|arm64: hello 1:1.0~rc1+b2") || !strings.Contains(list, "mirror|ops|amd64: probe 1.0") {
		t.Errorf("reprepro lists %s", list)
	}
	// What is promoted later comes with the next update, in the place of what was there: reprepro keeps one version of a package.
	later := hello("hello", "1:2.0-1", "amd64")
	h.add(service, "2.0.0", later)
	h.promote(service, "2.0.0", prod)
	host.OK(t, "reprepro", "update")
	if got := packagesIn(t, host.Path("pool"))["hello_2.0-1_amd64.deb"]; got != sum(string(later)) {
		t.Errorf("after a promotion the mirror has the hash %q for it", got)
	}
}

func TestHost_aptly_mirrors_a_suite(t *testing.T) {
	h, other, host := onDisk(t), build(t), tool(t, "aptly")
	want := toMirror(h)
	host.Write(t, "aptly.conf", fmt.Sprintf(`{"rootDir": %q, "architectures": ["amd64", "arm64"], "downloadConcurrency": 2}`, host.Path("aptly")))
	aptly := func(args ...string) []string { return append([]string{"aptly", "-config=aptly.conf"}, args...) }
	create := aptly("mirror", "create", "-keyring="+host.keyring(t, other), "cloud", h.server.URL+"/apt", "cloud-prod")
	host.Refuses(t, "verification of detached signature failed", create...)
	ring := host.keyring(t, h)
	host.OK(t, create...)
	host.OK(t, aptly("mirror", "update", "-keyring="+ring, "cloud")...)
	publish := func(snapshot, prefix string) {
		host.OK(t, aptly("snapshot", "create", snapshot, "from", "mirror", "cloud")...)
		host.OK(t, aptly("publish", "snapshot", "-skip-signing", "-distribution=mirror", snapshot, prefix)...)
	}
	publish("first", "first")
	mirrored(t, host.Path("aptly/public/first/pool"), want)

	later := hello("hello", "1:2.0-1", "amd64")
	h.add(service, "2.0.0", later)
	h.promote(service, "2.0.0", prod)
	host.OK(t, aptly("mirror", "update", "-keyring="+ring, "cloud")...)
	publish("second", "second")
	mirrored(t, host.Path("aptly/public/second/pool"), map[string]string{ // the version before is listed still, as far as the new one has the same packages
		"hello_2.0-1_amd64.deb": sum(string(later)), "hello_1.0~rc1+b2_amd64.deb": want["hello_1.0~rc1+b2_amd64.deb"], "probe_1.0_all.deb": want["probe_1.0_all.deb"],
	})
}
