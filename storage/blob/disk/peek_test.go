package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// tree tells all that is in a folder: names, modes, sizes, when they changed, and bytes.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprint(path, " ", info.Mode(), " ", info.ModTime())
		if info.Mode().IsRegular() {
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(body), body)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPeek reads what is there, and leaves everything as it was.
func TestPeek(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("some content")
	d, linked, piped := digest.FromBytes(content), digest.FromString("link"), digest.FromString("folder")
	_, err1 := s.Append(t.Context(), "one", 0, bytes.NewReader(content))
	err2 := s.Commit(t.Context(), "one", d)
	_, err3 := s.Append(t.Context(), "unfinished", 0, bytes.NewReader(content))
	if err := errors.Join(err1, err2, err3, os.MkdirAll(s.blobPath(piped), 0o700), os.MkdirAll(s.shelfPath(linked), 0o700), os.Symlink(s.blobPath(d), s.blobPath(linked))); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	peer := Peek(dir)
	for offset, want := range map[int64]string{0: "some content", 5: "content", 100: ""} {
		rc, err := peer.Open(t.Context(), d, offset)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		rc.Close()
		if string(got) != want || err != nil {
			t.Errorf("from %d: %q, %v; want %q", offset, got, err, want)
		}
	}
	if info, err := peer.Stat(t.Context(), d); err != nil || info.Digest != d || info.Size != int64(len(content)) || info.Modified.IsZero() {
		t.Errorf("%+v, %v", info, err)
	}
	for _, none := range []digest.Digest{digest.FromString("nothing"), digest.SHA512.FromString("nothing")} {
		if _, err := peer.Open(t.Context(), none, 0); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: %v, want %v", none, err, blob.ErrNotFound)
		}
	}
	for _, bad := range []digest.Digest{"sha256:../../x", linked, piped} {
		if _, err := peer.Open(t.Context(), bad, 0); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: %v, want it to be refused", bad, err)
		}
	}
	if _, err := peer.Open(t.Context(), d, -1); err == nil {
		t.Error("an offset below zero is taken")
	}
	if after := tree(t, dir); !slices.Equal(before, after) {
		t.Errorf("the folder was\n%s\nand is\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if _, more := peer.(blob.Store); more {
		t.Error("it could write")
	}
}

// TestPeek_at_nothing: a disk that is not mounted is told from content that is not there, and nothing is made in its place.
func TestPeek_at_nothing(t *testing.T) {
	dir := t.TempDir()
	for _, at := range []string{filepath.Join(dir, "absent"), dir} {
		_, err := Peek(at).Open(t.Context(), digest.FromString("x"), 0)
		if err == nil || errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), "is it mounted?") {
			t.Errorf("%v, want to be told that the folder is not one", err)
		}
	}
	if all := tree(t, dir); len(all) != 1 {
		t.Errorf("made: %v", all)
	}
}
