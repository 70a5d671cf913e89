package blobtest

import (
	"io"
	"maps"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// RunReopen holds a driver on disk to what a restart may not change. open opens the store in dir, for the first time or again; a store
// with a Close method is closed before.
func RunReopen(t *testing.T, open func(t testing.TB, dir string) blob.Store) {
	t.Run("uploads and content survive reopening", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		reopen := func() {
			t.Helper()
			if c, ok := s.(io.Closer); ok {
				if err := c.Close(); err != nil {
					t.Fatalf("close: %v", err)
				}
			}
			s = open(t, dir)
		}

		kept, deleted := put(t, s, []byte("kept")), put(t, s, []byte("deleted"))
		if err := s.Delete(background, deleted); err != nil {
			t.Fatalf("delete: %v", err)
		}
		name, aborted, content := newName(), newName(), noiseBytes(20, 500_000)
		appendBytes(t, s, name, 0, content[:300_000])
		appendBytes(t, s, aborted, 0, content)
		if err := s.Abort(background, aborted); err != nil {
			t.Fatalf("abort: %v", err)
		}

		reopen()
		requireContent(t, s, kept, []byte("kept"))
		requireAbsent(t, s, deleted)
		if got := uploads(t, s); !maps.Equal(got, map[string]int64{name: 300_000}) {
			t.Fatalf("uploads: %v", got)
		}
		requireUpload(t, s, name, content[:300_000])
		appendBytes(t, s, name, 200_000, content[200_000:])

		reopen()
		commit(t, s, name, digest.FromBytes(content))

		reopen()
		requireContent(t, s, digest.FromBytes(content), content)
		want := map[digest.Digest]int64{kept: 4, digest.FromBytes(content): 500_000}
		if got := list(t, s); !maps.Equal(got, want) {
			t.Fatalf("listed %v, want %v", got, want)
		}
		if left := uploads(t, s); len(left) > 0 {
			t.Fatalf("uploads left: %v", left)
		}
	})
}
