package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
)

// TestOpenDenied forbids to write in one folder after the other.
func TestOpenDenied(t *testing.T) {
	for closed, complaint := range map[string]string{
		"data":         "data/uploads cannot be made",
		"data/uploads": "data/uploads cannot be written",
		"data/blobs":   "data/blobs cannot be written",
	} {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if closed != "data" {
			open(t, filepath.Join(root, "data"))
		}
		before := census(t, root)
		closeFolder(t, root, closed)
		var err error
		asNobody(func() { _, err = disk.Open(filepath.Join(root, "data")) })
		requireLine(t, err, "data folder "+root+"/"+complaint+": permission denied")
		if after := census(t, root); after != before {
			t.Errorf("there was\n%s\nand is\n%s", before, after)
		}
	}
}

// TestCommitDenied shows that a commit that cannot write leaves the upload for a better time.
func TestCommitDenied(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	d := digest.FromString("content")
	if _, err := push(s, "a", []byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, "b", 0, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	shelf := "blobs/sha256/" + d.Encoded()[:2]
	closeFolder(t, root, shelf)
	var err error
	asNobody(func() { err = s.Commit(ctx, "b", d) })
	if !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "commit upload b as "+string(d)+": ") {
		t.Fatalf("commit: %v", err)
	}
	if _, err := s.Stat(ctx, d); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("stat: %v", err)
	}
	if err := os.Chmod(filepath.Join(root, shelf), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, "b", d); err != nil {
		t.Fatal(err)
	}
}

const nobody = 65534

// asNobody runs do without the rights of the administrator, before whom no folder is closed. For any other user it changes nothing.
func asNobody(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever, so that the thread ends with the goroutine
		if os.Geteuid() == 0 {
			syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		}
		do()
	}()
	<-done
}

// closeFolder gives all folders and files under root to nobody, except that in the closed one nothing may be made or removed.
func closeFolder(t *testing.T, root, closed string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(root), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || os.Geteuid() != 0 {
			return err
		}
		return os.Chown(path, nobody, -1)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, closed), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(root, closed), 0o700) })
}

// census tells what lies under root.
func census(t *testing.T, root string) string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(paths, "\n")
}
