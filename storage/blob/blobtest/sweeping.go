package blobtest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

var sweeping = []promise{
	{"an empty store lists nothing", func(t *testing.T, s blob.Store) { requireEmpty(t, s) }},
	{"a list is complete, and may be left early", func(t *testing.T, s blob.Store) {
		want := map[digest.Digest]int64{}
		for i := range 2000 {
			content := fmt.Appendf(nil, "content %d", i)
			want[put(t, s, content)] = int64(len(content))
		}
		appendBytes(t, s, newName(), 0, []byte("unfinished"))
		if got := list(t, s); !maps.Equal(got, want) {
			t.Fatalf("listed %d, want %d", len(got), len(want))
		}
		seen := 0
		for range s.List(background) {
			if seen++; seen == 10 {
				break
			}
		}
		if seen != 10 {
			t.Fatalf("seen %d, want 10", seen)
		}
	}},
	{"what a list yields may be deleted at once", func(t *testing.T, s blob.Store) {
		for i := range 300 {
			put(t, s, fmt.Appendf(nil, "content %d", i))
		}
		for info, err := range s.List(background) {
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			if err := s.Delete(background, info.Digest); err != nil {
				t.Fatalf("delete: %v", err)
			}
		}
		requireEmpty(t, s)
	}},
	{"uploads are listed until they end", func(t *testing.T, s blob.Store) {
		began := time.Now()
		want := map[string]int64{}
		for i := range 300 {
			name := newName()
			appendBytes(t, s, name, 0, bytes.Repeat([]byte("x"), i))
			want[name] = int64(i)
		}
		put(t, s, []byte("finished"))
		if got := uploads(t, s); !maps.Equal(got, want) {
			t.Fatalf("listed %d, want %d", len(got), len(want))
		}
		for pending, err := range s.Uploads(background) {
			if err != nil {
				t.Fatalf("uploads: %v", err)
			}
			if age := pending.Modified.Sub(began).Abs(); age > time.Minute {
				t.Fatalf("modified %v from when it was begun", age)
			}
			if err := s.Abort(background, pending.Name); err != nil {
				t.Fatalf("abort: %v", err)
			}
		}
		if left := uploads(t, s); len(left) > 0 {
			t.Fatalf("left: %v", left)
		}
	}},
	{"deleted content is gone, and deleting it again is no error", func(t *testing.T, s blob.Store) {
		d, other := put(t, s, []byte("content")), put(t, s, []byte("other"))
		for range 2 {
			if err := s.Delete(background, d); err != nil {
				t.Fatalf("delete: %v", err)
			}
			requireAbsent(t, s, d)
		}
		requireContent(t, s, other, []byte("other"))
		put(t, s, []byte("content"))
		requireContent(t, s, d, []byte("content"))
	}},
	{"who reads what is deleted goes on to the end", func(t *testing.T, s blob.Store) {
		content := noiseBytes(10, 1<<20)
		d := put(t, s, content)
		rc := openAt(t, s, d, 0)
		head := make([]byte, 1000)
		if _, err := io.ReadFull(rc, head); err != nil {
			t.Fatalf("read: %v", err)
		}
		if err := s.Delete(background, d); err != nil {
			t.Fatalf("delete: %v", err)
		}
		requireAbsent(t, s, d)
		requireBytes(t, append(head, drain(t, rc)...), content)
	}},
}
