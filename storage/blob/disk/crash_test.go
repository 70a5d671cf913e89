package disk_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob/disk"
)

// TestCrash kills a pusher at random moments. Whatever it had acknowledged must be there, and whatever is there must match its digest.
// A kill leaves the kernel's memory alone, so that this is about the order of steps; that they are synced is told by their count.
func TestCrash(t *testing.T) {
	const kills = 50
	dir := t.TempDir()
	verified := map[string]bool{} // a file under blobs never changes, so that each is read once
	acknowledged := 0
	for range kills {
		digests := crash(t, dir)
		acknowledged += len(digests)
		s := open(t, dir)
		for _, d := range digests {
			rc, err := s.Open(context.Background(), d, 0)
			if err != nil {
				t.Fatalf("an acknowledged commit is gone: %v", err)
			}
			rc.Close()
		}
		verifyFiles(t, filepath.Join(dir, "blobs"), verified)
		for pending, err := range s.Uploads(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Abort(context.Background(), pending.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	verifyFiles(t, filepath.Join(dir, "blobs"), map[string]bool{})
	t.Logf("%d kills, %d commits acknowledged, %d found", kills, acknowledged, len(verified))
	if acknowledged < kills {
		t.Fatalf("only %d commits in %d lives: the kills came too early to tell anything", acknowledged, kills)
	}
}

// crash starts a pusher, kills it at some moment after its first commit, and returns what it acknowledged.
func crash(t *testing.T, dir string) []digest.Digest {
	t.Helper()
	cmd := child("crash", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var digests []digest.Digest
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // a line without its end was cut by the kill
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(digests) == 0 {
			time.AfterFunc(time.Duration(rand.Int64N(int64(40*time.Millisecond))), func() { cmd.Process.Kill() })
		}
		digests = append(digests, digest.Digest(strings.TrimSpace(line)))
	}
	cmd.Wait() // it was killed, and says so
	if len(digests) == 0 {
		t.Fatal("the pusher ended by itself")
	}
	return digests
}

// verifyFiles reads what lies under blobs, by itself and not through the store, and requires that each file matches its name.
func verifyFiles(t *testing.T, blobs string, verified map[string]bool) {
	t.Helper()
	err := filepath.WalkDir(blobs, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || verified[path] {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if got := digest.FromBytes(content).Encoded(); got != entry.Name() {
			t.Errorf("%s holds %d bytes of %s", path, len(content), got)
		}
		verified[path] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pushForever pushes random content of all sizes from four goroutines, and prints each digest once it is committed.
func pushForever(dir string) error {
	s, err := disk.Open(dir)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range 4 {
		go func() {
			for j := 0; ; j++ {
				size := rand.IntN(1 << (4 + rand.IntN(16)))
				content := make([]byte, size)
				rand.NewChaCha8([32]byte{byte(rand.Int()), byte(rand.Int()), byte(rand.Int()), byte(rand.Int())}).Read(content)
				d, err := push(s, fmt.Sprintf("upload-%d-%d", i, j), content)
				if err != nil {
					failed <- err
				}
				fmt.Println(d)
			}
		}()
	}
	return <-failed
}
