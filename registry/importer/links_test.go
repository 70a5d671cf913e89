package importer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// newLinked is an empty registry in a folder, that links what it can.
func newLinked(t *testing.T) (to *Local, dir string) {
	t.Helper()
	dir = t.TempDir()
	store, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	links := NewLinks(store, func(upload string) string { return filepath.Join(dir, "uploads", upload) })
	reg, err := registry.Open(t.Context(), registry.Config{Blobs: links, Index: kv.NewMemory(), Uploads: kv.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	return &Local{Registry: reg, Links: links}, dir
}

// isShared tells whether a blob's file here is the source's own.
func isShared(t *testing.T, f tree, dir string, d digest.Digest) bool {
	t.Helper()
	there, err := os.Stat(f.data(d))
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Stat(filepath.Join(dir, "blobs", "sha256", d.Encoded()[:2], d.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(there, here)
}

func TestLinks_share_what_is_ours_alone_and_copy_the_rest(t *testing.T) {
	f := newTree(t)
	_, own := f.image("team/app", "own", "own")
	_, open := f.image("team/app", "open", "open")
	if err := os.Chmod(f.data(open.Digest), 0o666); err != nil {
		t.Fatal(err)
	}
	to, dir := newLinked(t)
	report := runAll(t, Config{From: f.open(), To: to})
	told(t, report)
	linked := 1
	if runtime.GOOS == "windows" {
		linked = 0
	}
	if report.Linked != linked {
		t.Errorf("%d blobs were linked, want %d", report.Linked, linked)
	}
	if isShared(t, f, dir, own.Digest) != (linked == 1) {
		t.Error("a file that nobody else may write to was copied")
	}
	if isShared(t, f, dir, open.Digest) {
		t.Error("a file that others may write to was linked: they could change what is under its digest")
	}
	for text, d := range map[string]digest.Digest{"own ": own.Digest, "open ": open.Digest} {
		if got := read(t, to, "team/app", d); got != strings.Repeat(text, 10_000) {
			t.Errorf("layer %s has %d bytes, want those of the source", d, len(got))
		}
	}
}

// A file that is not what its name says is found out, gets no name here, and is left as it is.
func TestLinks_let_go_of_damaged_files(t *testing.T) {
	f := newTree(t)
	_, layer := f.image("team/app", "1.0", "one")
	damaged := bytes.Repeat([]byte("0ne "), 10_000) // as long
	if err := os.WriteFile(f.data(layer.Digest), damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	to, dir := newLinked(t)
	told(t, runAll(t, Config{From: f.open(), To: to}), registry.DigestInvalid)
	if after, err := os.ReadFile(f.data(layer.Digest)); err != nil || !bytes.Equal(after, damaged) {
		t.Errorf("the source's file has %d bytes now (%v), want it as it was", len(after), err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "uploads"))
	if err != nil || len(left) > 0 {
		t.Errorf("uploads are left: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs", "sha256", layer.Digest.Encoded()[:2], layer.Digest.Encoded())); err == nil {
		t.Error("the damaged file is content now")
	}
}

// Where reading breaks off, no name is left by which somebody could append to the source's own file.
func TestLinks_broken_reading_leaves_no_name(t *testing.T) {
	f := newTree(t)
	_, layer := f.image("team/app", "1.0", "one")
	to, dir := newLinked(t)
	file, err := os.Open(f.data(layer.Digest))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	to.Links.offer(layer.Digest, file)
	broken := errors.New("broken")
	upload := blob.Named("upload", layer.Digest)
	if size, err := to.Links.Append(t.Context(), upload, 0, io.MultiReader(io.LimitReader(file, 100), iotest.ErrReader(broken))); size != 0 || !errors.Is(err, broken) {
		t.Errorf("Append: %d, %v, want nothing and what broke", size, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "uploads", upload)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the upload: %v, want that there is none", err)
	}
}

// Deleting what came leaves the source whole, and the other way round.
func TestLinks_are_names_apart(t *testing.T) {
	f := newTree(t)
	_, layer := f.image("team/app", "1.0", "one")
	to, dir := newLinked(t)
	told(t, runAll(t, Config{From: f.open(), To: to}))
	if err := os.RemoveAll(f.at()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, to, "team/app", layer.Digest); len(got) != 40_000 {
		t.Errorf("after the source's folder was deleted the layer in %s has %d bytes, want 40000", dir, len(got))
	}
}

func TestNote_says_from_where_and_how_much(t *testing.T) {
	index := kv.NewMemory()
	ctx := journal.By(t.Context(), journal.Actor{Name: "user:alice"})
	if err := Note(ctx, index, "folder:/old", Report{Repositories: 2, Came: Tally{Tags: 3}, Failures: []Failure{{}}, More: 4}); err != nil {
		t.Fatal(err)
	}
	j, found := journal.New(index), 0
	if _, err := j.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	for line, err := range j.Tail(ctx, 0, 10) {
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"import"`, "folder:/old", "user:alice", "2 repositories, 3 tags", "5 failures"} {
			if !strings.Contains(line.Text(), want) {
				t.Errorf("the journal says %s, want %q in it", line.Text(), want)
			}
		}
		found++
	}
	if found != 1 {
		t.Errorf("the journal has %d lines, want 1", found)
	}
}
