//go:build clients

package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// debian names the package that each engine comes in. Every other client is built by `make tools`.
var debian = map[string]string{
	"buildah":    "buildah",
	"containerd": "containerd",
	"ctr":        "containerd",
	"curl":       "curl",
	"docker":     "docker.io",
	"dockerd":    "docker.io",
	"podman":     "podman",
	"skopeo":     "skopeo",
}

// client returns the path of a client; a client that is missing fails the test with the line that installs it.
func client(t *testing.T, name string) string {
	t.Helper()
	if name == "entrepot" {
		return program.Build(t)
	}
	pkg, packaged := debian[name]
	if pkg == "containerd" && newest() {
		path := filepath.Join(program.Root(), ".cache", "tools", "containerd2", name)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("containerd 2 is missing: make tools-extra")
		}
		return path
	}
	if !packaged {
		path := filepath.Join(program.Root(), ".cache", "tools", name)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s is missing: make tools", name)
		}
		return path
	}
	// The packaged one before any other on the PATH: a client and its engine have to be of one release.
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install --no-install-recommends %s", name, pkg)
	}
	return path
}
