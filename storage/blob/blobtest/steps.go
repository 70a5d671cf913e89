package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
)

// The steps that most tests are made of. They take a rapid.TB, which a *testing.T and a *rapid.T both are, and end the test on any
// surprise.

var background = context.Background()

// errSource is an error that only a source can have made.
var errSource = errors.New("the client went away")

var names atomic.Int64

// newName returns a name of an upload that no test has used before.
func newName() string { return fmt.Sprintf("upload-%d", names.Add(1)) }

// noise returns size bytes that follow from seed and look like nothing.
func noise(seed uint64, size int64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), size)
}

func noiseBytes(seed uint64, size int64) []byte {
	content, _ := io.ReadAll(noise(seed, size))
	return content
}

// appendBytes appends content and requires that the upload ends with it.
func appendBytes(t rapid.TB, s blob.Store, name string, offset int64, content []byte) {
	t.Helper()
	size, err := s.Append(background, name, offset, bytes.NewReader(content))
	if want := offset + int64(len(content)); err != nil || size != want {
		t.Fatalf("append %d bytes at %d: size %d, %v; want %d", len(content), offset, size, err, want)
	}
}

func commit(t rapid.TB, s blob.Store, name string, d digest.Digest) {
	t.Helper()
	if err := s.Commit(background, name, d); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// put stores content under its sha256.
func put(t rapid.TB, s blob.Store, content []byte) digest.Digest {
	t.Helper()
	name, d := newName(), digest.FromBytes(content)
	appendBytes(t, s, name, 0, content)
	commit(t, s, name, d)
	return d
}

// drain reads rc to its end and closes it.
func drain(t rapid.TB, rc io.ReadCloser) []byte {
	t.Helper()
	content, err := io.ReadAll(rc)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if err := rc.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	return content
}

func openAt(t rapid.TB, s blob.Store, d digest.Digest, offset int64) io.ReadCloser {
	t.Helper()
	rc, err := s.Open(background, d, offset)
	if err != nil {
		t.Fatalf("open at %d: %v", offset, err)
	}
	return rc
}

// requireContent requires that d holds want, by Open and by Stat.
func requireContent(t rapid.TB, s blob.Store, d digest.Digest, want []byte) {
	t.Helper()
	requireBytes(t, drain(t, openAt(t, s, d, 0)), want)
	info, err := s.Stat(background, d)
	if err != nil || info.Size != int64(len(want)) || info.Digest != d {
		t.Fatalf("stat: %+v, %v; want %s of %d bytes", info, err, d, len(want))
	}
}

// requireUpload requires that an upload holds want.
func requireUpload(t rapid.TB, s blob.Store, name string, want []byte) {
	t.Helper()
	rc, err := s.Resume(background, name, 0)
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	requireBytes(t, drain(t, rc), want)
}

func requireBytes(t rapid.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes %.60q, want %d bytes %.60q", len(got), got, len(want), want)
	}
}

func requireError(t rapid.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: %v; want %v", what, err, want)
	}
}

// requireAbsent requires that nothing is stored under d.
func requireAbsent(t rapid.TB, s blob.Store, d digest.Digest) {
	t.Helper()
	_, err := s.Open(background, d, 0)
	requireError(t, "open", err, blob.ErrNotFound)
	_, err = s.Stat(background, d)
	requireError(t, "stat", err, blob.ErrNotFound)
}

// list returns what List yields, and fails on what it yields twice.
func list(t rapid.TB, s blob.Store) map[digest.Digest]int64 {
	t.Helper()
	sizes := map[digest.Digest]int64{}
	for info, err := range s.List(background) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if _, twice := sizes[info.Digest]; twice {
			t.Fatalf("list: %s twice", info.Digest)
		}
		sizes[info.Digest] = info.Size
	}
	return sizes
}

// uploads returns what Uploads yields, and fails on what it yields twice.
func uploads(t rapid.TB, s blob.Store) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	for pending, err := range s.Uploads(background) {
		if err != nil {
			t.Fatalf("uploads: %v", err)
		}
		if _, twice := sizes[pending.Name]; twice {
			t.Fatalf("uploads: %s twice", pending.Name)
		}
		sizes[pending.Name] = pending.Size
	}
	return sizes
}

// requireEmpty requires that nothing was created.
func requireEmpty(t rapid.TB, s blob.Store) {
	t.Helper()
	if content, pending := list(t, s), uploads(t, s); len(content)+len(pending) > 0 {
		t.Fatalf("created: content %v, uploads %v", content, pending)
	}
}
