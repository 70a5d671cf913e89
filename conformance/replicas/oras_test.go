//go:build backends

package replicas

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestClients_log_in_push_and_pull at whichever replica they meet, and follow links to the bucket. S3 refuses requests that carry another authorization beside the
// link's own, so that a pull that works shows that none is carried there.
func TestClients_log_in_push_and_pull(t *testing.T) {
	h := start(t, newStores(t), 3, "")
	manage(t, h.at(0), "", "POST", "users", fields{"name": "root", "password": "correct horse battery"}, nil)
	for n := range h.replicas {
		soon(t, told, "the first user is known", func() bool {
			return h.at(n).Do(t, "GET", "/v2/", nil, "Authorization", basic("root", "correct horse battery")).Status == 200
		})
	}
	dir := t.TempDir()
	content := wire.Random(7 << 20)
	if err := os.WriteFile(filepath.Join(dir, "layer.bin"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(h.url, "http://")
	ref := host + "/check/clients:1.0"
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(program.Root(), ".cache", "tools", name), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "DOCKER_CONFIG="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, out, h.logs())
		}
	}
	run("oras", "login", "--plain-http", "-u", "root", "-p", "correct horse battery", host)
	run("oras", "push", "--plain-http", ref, "layer.bin:application/octet-stream")
	for range h.replicas {
		run("oras", "pull", "--plain-http", "-o", "pulled", ref)
		got, err := os.ReadFile(filepath.Join(dir, "pulled", "layer.bin"))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("oras pulled %d bytes, %v, want the %d that were pushed", len(got), err, len(content))
		}
		if err := os.RemoveAll(filepath.Join(dir, "pulled")); err != nil {
			t.Fatal(err)
		}
	}
	run("crane", "copy", "--insecure", ref, host+"/check/copied:1.0")
	run("crane", "validate", "--insecure", "--remote", host+"/check/copied:1.0")
	// A link is made for whoever may read the blob, and for nobody else.
	d := wire.Descriptor("", content).Digest
	h.front.Do(t, "GET", wire.BlobPath("check/clients", d), nil).Want(t, 401)
	redirected(t, h, wire.BlobPath("check/clients", d), content, "Authorization", basic("root", "correct horse battery"))
	h.verify(t)
}
