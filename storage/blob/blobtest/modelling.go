package blobtest

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
)

var modelling = []promise{
	{"whatever is done in whatever order, a store does as two maps would", func(t *testing.T, s blob.Store) {
		rapid.Check(t, func(t *rapid.T) {
			wipe(t, s)
			m := &model{s, map[digest.Digest][]byte{}, map[string][]byte{}}
			t.Repeat(map[string]func(*rapid.T){
				"":       m.compare,
				"append": m.append, "resume": m.resume, "commit": m.commit, "abort": m.abort,
				"open": m.open, "delete": m.delete,
			})
		})
	}},
}

// wipe empties a store, since one serves all runs of the model.
func wipe(t rapid.TB, s blob.Store) {
	for d := range list(t, s) {
		if err := s.Delete(background, d); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	for name := range uploads(t, s) {
		if err := s.Abort(background, name); err != nil {
			t.Fatalf("abort: %v", err)
		}
	}
}

// model is a store and what should be in it. Names and contents are few and short, so that random actions meet.
type model struct {
	store   blob.Store
	content map[digest.Digest][]byte
	uploads map[string][]byte
}

var (
	someBytes  = rapid.SliceOfN(rapid.SampledFrom([]byte("ab")), 0, 4)
	someDigest = rapid.Map(someBytes, digest.FromBytes)
	someName   = rapid.SampledFrom([]string{"a", "b-1", blob.Named("c", digest.FromString("ab"))})
	someOffset = rapid.Int64Range(0, 9)
)

func (m *model) append(t *rapid.T) {
	name, offset, p := someName.Draw(t, "name"), someOffset.Draw(t, "offset"), someBytes.Draw(t, "bytes")
	src, failure := io.Reader(bytes.NewReader(p)), error(nil)
	if rapid.Bool().Draw(t, "torn") {
		src, failure = io.MultiReader(src, iotest.ErrReader(errSource)), errSource
	}
	size, err := m.store.Append(background, name, offset, src)
	held, known := m.uploads[name]
	switch {
	case !known && offset > 0:
		requireError(t, "append", err, blob.ErrUploadUnknown)
	case offset > int64(len(held)):
		requireError(t, "append", err, blob.ErrUploadShort)
	default:
		if err != failure {
			t.Fatalf("append: %v; want %v", err, failure)
		}
		m.uploads[name] = append(slices.Clip(held[:offset]), p...)
	}
	if want := int64(len(m.uploads[name])); size != want {
		t.Fatalf("append: size %d, want %d", size, want)
	}
}

func (m *model) resume(t *rapid.T) {
	name, offset := someName.Draw(t, "name"), someOffset.Draw(t, "offset")
	rc, err := m.store.Resume(background, name, offset)
	held, known := m.uploads[name]
	if !known {
		requireError(t, "resume", err, blob.ErrUploadUnknown)
		return
	}
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	requireBytes(t, drain(t, rc), held[min(offset, int64(len(held))):])
}

func (m *model) commit(t *rapid.T) {
	name := someName.Draw(t, "name")
	held, known := m.uploads[name]
	d := digest.FromBytes(held)
	err := m.store.Commit(background, name, d)
	if !known {
		requireError(t, "commit", err, blob.ErrUploadUnknown)
		return
	}
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	m.content[d] = held
	delete(m.uploads, name)
}

func (m *model) abort(t *rapid.T) {
	name := someName.Draw(t, "name")
	if err := m.store.Abort(background, name); err != nil {
		t.Fatalf("abort: %v", err)
	}
	delete(m.uploads, name)
}

func (m *model) open(t *rapid.T) {
	d, offset := m.someDigest(t), someOffset.Draw(t, "offset")
	held, known := m.content[d]
	if !known {
		requireAbsent(t, m.store, d)
		return
	}
	requireContent(t, m.store, d, held)
	requireBytes(t, drain(t, openAt(t, m.store, d, offset)), held[min(offset, int64(len(held))):])
}

func (m *model) delete(t *rapid.T) {
	d := m.someDigest(t)
	if err := m.store.Delete(background, d); err != nil {
		t.Fatalf("delete: %v", err)
	}
	delete(m.content, d)
}

// someDigest draws a digest that is known, where there is one, more often than not.
func (m *model) someDigest(t *rapid.T) digest.Digest {
	if known := slices.Sorted(maps.Keys(m.content)); len(known) > 0 && rapid.IntRange(0, 3).Draw(t, "unknown") < 3 {
		return rapid.SampledFrom(known).Draw(t, "digest")
	}
	return someDigest.Draw(t, "digest")
}

// compare requires that the lists tell exactly what the model holds.
func (m *model) compare(t *rapid.T) {
	content, pending := map[digest.Digest]int64{}, map[string]int64{}
	for d, held := range m.content {
		content[d] = int64(len(held))
	}
	for name, held := range m.uploads {
		pending[name] = int64(len(held))
	}
	if got := list(t, m.store); !maps.Equal(got, content) {
		t.Fatalf("listed %v, want %v", got, content)
	}
	if got := uploads(t, m.store); !maps.Equal(got, pending) {
		t.Fatalf("uploads %v, want %v", got, pending)
	}
}
