package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/storage/blob/disk"
)

// TestOpenTwice shows that a probe leaves nothing.
func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	open(t, dir)
	for _, folder := range []string{"uploads", "blobs/sha256", "blobs/sha512"} {
		if entries, err := os.ReadDir(filepath.Join(dir, folder)); err != nil || len(entries) > 0 {
			t.Errorf("%s holds %v, %v", folder, entries, err)
		}
	}
}

func TestOpenRefusesFileInPlace(t *testing.T) {
	for _, place := range []string{"data", "data/blobs", "data/uploads", "data/blobs/sha256"} {
		root := t.TempDir()
		file := filepath.Join(root, place)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := disk.Open(filepath.Join(root, "data"))
		requireLine(t, err, "data folder "+file+" cannot be made: a file is in its place")
		if content, err := os.ReadFile(file); string(content) != "precious" {
			t.Errorf("%q, %v", content, err)
		}
	}
}

func requireLine(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want || strings.Contains(want, "\n") {
		t.Errorf("%v\nwant %s", err, want)
	}
}
