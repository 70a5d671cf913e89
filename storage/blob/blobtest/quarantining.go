package blobtest

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// quarantining is for stores that are a [blob.Quarantiner]; others have nothing to show.
var quarantining = []promise{
	{"what is put aside is gone, and may be stored and put aside again", func(t *testing.T, s blob.Store) {
		q, able := s.(blob.Quarantiner)
		if !able {
			return
		}
		d, other := put(t, s, []byte("content")), put(t, s, []byte("other"))
		for range 2 {
			if place, err := q.Quarantine(background, d); err != nil || place == "" {
				t.Fatalf("put aside: %q, %v; want to be told where", place, err)
			}
			requireAbsent(t, s, d)
			if got := list(t, s); len(got) != 1 {
				t.Fatalf("listed: %v, want the other one", got)
			}
			put(t, s, []byte("content"))
			requireContent(t, s, d, []byte("content"))
		}
		requireContent(t, s, other, []byte("other"))
		if left := uploads(t, s); len(left) != 0 {
			t.Fatalf("uploads: %v", left)
		}
	}},
	{"nothing cannot be put aside", func(t *testing.T, s blob.Store) {
		q, able := s.(blob.Quarantiner)
		if !able {
			return
		}
		if _, err := q.Quarantine(background, digest.FromString("nothing")); !errors.Is(err, blob.ErrNotFound) {
			t.Fatalf("%v, want %v", err, blob.ErrNotFound)
		}
		if _, err := q.Quarantine(background, "sha256:../../x"); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Fatalf("%v, want what is no digest to be refused", err)
		}
	}},
}
