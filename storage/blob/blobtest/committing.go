package blobtest

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

var committing = []promise{
	{"a commit makes content readable and ends the upload", func(t *testing.T, s blob.Store) {
		content := []byte("content")
		d := put(t, s, content)
		requireContent(t, s, d, content)
		if pending := uploads(t, s); len(pending) > 0 {
			t.Fatalf("uploads left: %v", pending)
		}
	}},
	{"what was not committed is not content", func(t *testing.T, s blob.Store) {
		appendBytes(t, s, newName(), 0, []byte("content"))
		requireAbsent(t, s, digest.FromString("content"))
		if content := list(t, s); len(content) > 0 {
			t.Fatalf("listed: %v", content)
		}
	}},
	{"a second commit does not know the upload and harms nothing", func(t *testing.T, s blob.Store) {
		name, d := newName(), digest.FromString("content")
		appendBytes(t, s, name, 0, []byte("content"))
		commit(t, s, name, d)
		requireError(t, "commit", s.Commit(background, name, d), blob.ErrUploadUnknown)
		requireError(t, "commit", s.Commit(background, newName(), digest.FromString("other")), blob.ErrUploadUnknown)
		_, err := s.Resume(background, name, 0)
		requireError(t, "resume", err, blob.ErrUploadUnknown)
		requireContent(t, s, d, []byte("content"))
		requireAbsent(t, s, digest.FromString("other"))
	}},
	{"a name may be used again after its commit, and the content stays as it was", func(t *testing.T, s blob.Store) {
		name, d := newName(), digest.FromString("content")
		appendBytes(t, s, name, 0, []byte("content"))
		commit(t, s, name, d)
		appendBytes(t, s, name, 0, []byte("another"))
		requireContent(t, s, d, []byte("content"))
	}},
	{"a refused commit leaves the upload as it was", func(t *testing.T, s blob.Store) {
		name := newName()
		appendBytes(t, s, name, 0, []byte("content"))
		if err := s.Commit(background, name, "sha256:short"); err == nil {
			t.Fatal("commit under a digest that is none")
		}
		requireUpload(t, s, name, []byte("content"))
		commit(t, s, name, digest.FromString("content"))
		requireContent(t, s, digest.FromString("content"), []byte("content"))
	}},
	{"empty content is content", func(t *testing.T, s blob.Store) {
		d := put(t, s, nil)
		requireContent(t, s, d, nil)
		if content := list(t, s); len(content) != 1 || content[d] != 0 {
			t.Fatalf("listed: %v", content)
		}
	}},
	{"content may lie under its sha512", func(t *testing.T, s blob.Store) {
		name, content := newName(), []byte("content")
		d := digest.SHA512.FromBytes(content)
		appendBytes(t, s, name, 0, content)
		commit(t, s, name, d)
		requireContent(t, s, d, content)
		requireAbsent(t, s, digest.FromBytes(content))
		if found := list(t, s); len(found) != 1 || found[d] != int64(len(content)) {
			t.Fatalf("listed: %v", found)
		}
	}},
	{"an upload may be named by the digest it will have", func(t *testing.T, s blob.Store) {
		for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			d := alg.FromString("content")
			name := blob.Named(newName(), d)
			appendBytes(t, s, name, 0, []byte("con"))
			requireAbsent(t, s, d)
			appendBytes(t, s, name, 3, []byte("tent"))
			requireUpload(t, s, name, []byte("content"))
			if pending := uploads(t, s); pending[name] != 7 || len(pending) != 1 {
				t.Fatalf("uploads: %v, want %s", pending, name)
			}
			commit(t, s, name, d)
			requireContent(t, s, d, []byte("content"))
		}
	}},
	{"an upload named by one digest and aborted leaves no content", func(t *testing.T, s blob.Store) {
		d := digest.FromString("content")
		name := blob.Named(newName(), d)
		appendBytes(t, s, name, 0, []byte("content"))
		if err := s.Abort(background, name); err != nil {
			t.Fatalf("abort: %v", err)
		}
		requireAbsent(t, s, d)
		requireEmpty(t, s)
	}},
	{"content is dated by its commit", func(t *testing.T, s blob.Store) {
		// Media count time coarsely and have clocks of their own.
		const slack = 5 * time.Second
		began := time.Now()
		d := put(t, s, []byte("content"))
		info, err := s.Stat(background, d)
		if err != nil || info.Modified.Before(began.Add(-slack)) || info.Modified.After(time.Now().Add(slack)) {
			t.Fatalf("stat: %+v, %v", info, err)
		}
	}},
	{"a commit replaces content in one step, and who reads goes on", func(t *testing.T, s blob.Store) {
		// Drivers do not hash, which lets the test tell the old from the new. In earnest this is the repair of rotten content.
		old, young := bytes.Repeat([]byte("o"), 1<<20), bytes.Repeat([]byte("y"), 1<<20)
		d := put(t, s, old)
		open := openAt(t, s, d, 0)
		head := make([]byte, 1000)
		if _, err := io.ReadFull(open, head); err != nil {
			t.Fatalf("read: %v", err)
		}
		replaced := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for done := false; !done; {
					select {
					case <-replaced:
						done = true
					default:
					}
					if got := drain(t, openAt(t, s, d, 0)); !bytes.Equal(got, old) && !bytes.Equal(got, young) {
						panic("a reader found neither the old nor the new content")
					}
				}
			})
		}
		name := newName()
		appendBytes(t, s, name, 0, young)
		commit(t, s, name, d)
		close(replaced)
		readers.Wait()
		requireBytes(t, append(head, drain(t, open)...), old)
		requireContent(t, s, d, young)
	}},
	{"the same content may be committed by many at once", func(t *testing.T, s blob.Store) {
		content := noiseBytes(7, 50_000)
		d := digest.FromBytes(content)
		var pushers sync.WaitGroup
		failures := make([]error, 16)
		for i := range failures {
			pushers.Go(func() {
				name := newName()
				if _, failures[i] = s.Append(background, name, 0, bytes.NewReader(content)); failures[i] == nil {
					failures[i] = s.Commit(background, name, d)
				}
			})
		}
		pushers.Wait()
		if err := errors.Join(failures...); err != nil {
			t.Fatal(err)
		}
		requireContent(t, s, d, content)
		if found := list(t, s); len(found) != 1 {
			t.Fatalf("listed: %v", found)
		}
	}},
}
