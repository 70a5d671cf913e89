package blobtest

import (
	"context"
	"io"
	"iter"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// FaultyStore is a store that fails where it is told, to show what the floor above makes of it. Each of them in turn:
//
//	for n, calls := 1, 1; n <= calls; n++ {
//		s := blobtest.Faulty(blob.NewMemory())
//		s.FailAt(n, blob.ErrFull)
//		… push, pull, look …
//		calls = s.Calls()
//	}
//
// A call that can fail in two ways counts as two:
//
//	Open, Resume    it is refused; or the reader hands out half of its first portion and then the error
//	Append          it is refused; or half of the first portion is written, though src was read further
//	Commit, Delete  it is refused; or it took effect and failed nevertheless
//	List, Uploads   it begins with the error; or the error follows the first item
//	Stat, Abort     it is refused
//
// It is safe for concurrent use. What it returns when nothing fails is the store's own, down to the *os.File.
type FaultyStore struct {
	store blob.Store

	mu     sync.Mutex
	calls  int
	failAt int
	err    error
}

var _ blob.Store = (*FaultyStore)(nil)

// Faulty returns a store that does what s does until FailAt is called.
func Faulty(s blob.Store) *FaultyStore { return &FaultyStore{store: s} }

// FailAt lets the n-th call from now, counted from 1, fail with err, and only that one. 0 lets none fail.
func (f *FaultyStore) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.failAt, f.err = 0, n, err
}

// Calls returns how many calls were counted since the last FailAt, or since the beginning.
func (f *FaultyStore) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// count counts a call and returns the error it shall have.
func (f *FaultyStore) count() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.calls == f.failAt {
		return f.err
	}
	return nil
}

// Open implements [blob.Reader].
func (f *FaultyStore) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	return f.read(func() (io.ReadCloser, error) { return f.store.Open(ctx, d, offset) })
}

// Stat implements [blob.Reader].
func (f *FaultyStore) Stat(ctx context.Context, d digest.Digest) (blob.Info, error) {
	if err := f.count(); err != nil {
		return blob.Info{}, err
	}
	return f.store.Stat(ctx, d)
}

// Append implements [blob.Intake].
func (f *FaultyStore) Append(ctx context.Context, upload string, offset int64, src io.Reader) (int64, error) {
	if err := f.count(); err != nil {
		// Even then the size must be told, and an empty append at a too great offset is the way to ask for it.
		size, _ := f.store.Append(ctx, upload, 1<<62, eof{})
		return size, err
	}
	if err := f.count(); err != nil {
		src = half{src, err}
	}
	return f.store.Append(ctx, upload, offset, src)
}

// Resume implements [blob.Intake].
func (f *FaultyStore) Resume(ctx context.Context, upload string, offset int64) (io.ReadCloser, error) {
	return f.read(func() (io.ReadCloser, error) { return f.store.Resume(ctx, upload, offset) })
}

// Commit implements [blob.Intake].
func (f *FaultyStore) Commit(ctx context.Context, upload string, d digest.Digest) error {
	return f.change(func() error { return f.store.Commit(ctx, upload, d) })
}

// Abort implements [blob.Intake].
func (f *FaultyStore) Abort(ctx context.Context, upload string) error {
	if err := f.count(); err != nil {
		return err
	}
	return f.store.Abort(ctx, upload)
}

// List implements [blob.Sweeper].
func (f *FaultyStore) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return broken(f, f.store.List(ctx))
}

// Delete implements [blob.Sweeper].
func (f *FaultyStore) Delete(ctx context.Context, d digest.Digest) error {
	return f.change(func() error { return f.store.Delete(ctx, d) })
}

// Uploads implements [blob.Sweeper].
func (f *FaultyStore) Uploads(ctx context.Context) iter.Seq2[blob.Pending, error] {
	return broken(f, f.store.Uploads(ctx))
}

// read opens a reader that may fail at once or on its way.
func (f *FaultyStore) read(open func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	if err := f.count(); err != nil {
		return nil, err
	}
	rc, err := open()
	if err != nil {
		return nil, err
	}
	if err := f.count(); err != nil {
		return struct {
			io.Reader
			io.Closer
		}{half{rc, err}, rc}, nil
	}
	return rc, nil
}

// change does what may fail before or after it took effect.
func (f *FaultyStore) change(do func() error) error {
	if err := f.count(); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.count()
}

// broken yields items, or an error before or after the first.
func broken[V any](f *FaultyStore, items iter.Seq2[V, error]) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var none V
		if err := f.count(); err != nil {
			yield(none, err)
			return
		}
		failure := f.count()
		for item, err := range items {
			if !yield(item, err) {
				return
			}
			if failure != nil {
				break
			}
		}
		if failure != nil {
			yield(none, failure)
		}
	}
}

// half hands out half of what the first Read of src gives, and then the error. The other half is lost, as are bytes that a medium
// without room did not take although the source was read.
type half struct {
	src io.Reader
	err error
}

func (h half) Read(p []byte) (int, error) {
	n, _ := h.src.Read(p)
	return n / 2, h.err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
