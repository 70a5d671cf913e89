package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

var ctx = context.Background()

// TestLayout shows what lies where, and that nobody else may look.
func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	s := open(t, dir)
	d, err := push(s, "a", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, "unfinished", 0, strings.NewReader("con")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded(): "content",
		"uploads/unfinished": "con",
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if open := info.Mode().Perm() & 0o077; open != 0 {
			t.Errorf("%s may be used by others: %v", path, info.Mode())
		}
		if entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		if string(content) != want[name] || len(content) == 0 {
			t.Errorf("%s holds %q, want %q", name, content, want[name])
		}
		delete(want, name)
		return err
	})
	if err != nil || len(want) > 0 {
		t.Fatalf("%v, missing %v", err, want)
	}
}

// TestOpenGivesFile holds Open to what a server needs for sendfile.
func TestOpenGivesFile(t *testing.T) {
	s := open(t, t.TempDir())
	d, err := push(s, "a", []byte("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	rc, err := s.Open(ctx, d, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	f, ok := rc.(*os.File)
	if !ok {
		t.Fatalf("a %T", rc)
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 4 {
		t.Fatalf("at %d, %v", at, err)
	}
}

// TestStrays shows that what is not ours is neither listed nor touched.
func TestStrays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d, err := push(s, "a", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	hex := d.Encoded()
	shelf := filepath.Join(dir, "blobs", "sha256", hex[:2])
	elsewhere := filepath.Join(dir, "blobs", "sha256", "zz")
	for _, folder := range []string{elsewhere, filepath.Join(dir, "uploads", "folder"), filepath.Join(shelf, strings.Repeat("a", 64))} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	strays := []string{
		filepath.Join(dir, "README"), filepath.Join(dir, "blobs", hex), filepath.Join(dir, "blobs", "sha256", hex), filepath.Join(shelf, ".DS_Store"),
		filepath.Join(shelf, hex[:60]), filepath.Join(shelf, hex+"~"), filepath.Join(elsewhere, hex), filepath.Join(dir, "uploads", ".hidden"),
		filepath.Join(dir, "uploads", "UPPER"),
	}
	for _, stray := range strays {
		if err := os.WriteFile(stray, []byte("stray"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	for info, err := range s.List(ctx) {
		if err != nil || info.Digest != d {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
	for pending, err := range s.Uploads(ctx) {
		t.Errorf("upload %+v, %v", pending, err)
	}
	for _, stray := range strays {
		if _, err := os.Stat(stray); err != nil {
			t.Error(err)
		}
	}
}

// TestLinksAreNotFollowed lays symbolic links where the store looks for files.
func TestLinksAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	d, err := push(s, "a", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "blobs", "sha256", d.Encoded()[:2], d.Encoded())
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{file, filepath.Join(dir, "uploads", "link")} {
		if err := os.Symlink(outside, link); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Open(ctx, d, 0); err == nil {
		t.Error("content was opened through a link")
	}
	if _, err := s.Append(ctx, "link", 0, strings.NewReader("x")); err == nil {
		t.Error("an upload was written through a link")
	}
	if _, err := s.Resume(ctx, "link", 0); err == nil {
		t.Error("an upload was resumed through a link")
	}
	if err := s.Commit(ctx, "link", d); err == nil {
		t.Error("a link was committed")
	}
	for info, err := range s.List(ctx) {
		t.Errorf("listed %+v, %v", info, err)
	}
	if content, err := os.ReadFile(outside); string(content) != "secret" {
		t.Errorf("outside: %q, %v", content, err)
	}
}

// TestShelfTidiedUp takes away, under a running store, a folder that became empty.
func TestShelfTidiedUp(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d, err := push(s, "a", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, d); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "blobs", "sha256", d.Encoded()[:2])); err != nil {
		t.Fatal(err)
	}
	if _, err := push(s, "b", []byte("content")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, d); err != nil {
		t.Fatal(err)
	}
}

// TestModifiedIsTheCommit lets an upload rest for a month before its commit.
func TestModifiedIsTheCommit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Append(ctx, "a", 0, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	month := time.Now().AddDate(0, -1, 0)
	if err := os.Chtimes(filepath.Join(dir, "uploads", "a"), month, month); err != nil {
		t.Fatal(err)
	}
	for pending, err := range s.Uploads(ctx) {
		if err != nil || pending.Modified.Sub(month).Abs() > time.Second {
			t.Errorf("%+v, %v", pending, err)
		}
	}
	if err := s.Commit(ctx, "a", digest.FromString("content")); err != nil {
		t.Fatal(err)
	}
	info, err := s.Stat(ctx, digest.FromString("content"))
	if err != nil || time.Since(info.Modified).Abs() > time.Minute {
		t.Fatalf("%+v, %v", info, err)
	}
}

// TestFollow reads what a slow source has given, while it is still giving.
func TestFollow(t *testing.T) {
	s := open(t, t.TempDir())
	src, client := io.Pipe()
	appended := make(chan error, 1)
	go func() {
		_, err := s.Append(ctx, "a", 0, src)
		appended <- err
	}()
	var sent []byte
	for i := range 20 {
		portion := fmt.Appendf(nil, "portion %d of a slow client\n", i)
		client.Write(portion)
		client.Write(nil) // taken by the next Read, before which the portion was written
		sent = append(sent, portion...)
		rc, err := s.Resume(ctx, "a", 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		rc.Close()
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("followed %d bytes of %d, %v", len(got), len(sent), err)
		}
	}
	client.Close()
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
}

func TestFree(t *testing.T) {
	if free, err := open(t, t.TempDir()).Free(); err != nil || free == 0 {
		t.Fatalf("%d, %v", free, err)
	}
}
