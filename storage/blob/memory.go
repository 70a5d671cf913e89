package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Memory is a [Store] for tests: nothing survives it. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	content map[digest.Digest]*held
	uploads map[string]*held
	aside   map[digest.Digest]*held
}

// held is some bytes and when they last changed. Readers share data without a lock: a byte that was handed out is never written again.
type held struct {
	data     []byte
	modified time.Time
}

var (
	_ Store       = (*Memory)(nil)
	_ Quarantiner = (*Memory)(nil)
)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{content: map[digest.Digest]*held{}, uploads: map[string]*held{}, aside: map[digest.Digest]*held{}}
}

// Open implements [Reader].
func (m *Memory) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	if err := firstOf(ctx.Err(), CheckDigest(d), CheckOffset(offset)); err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	c, found := m.lookUp(d)
	if !found {
		return nil, fmt.Errorf("open content %s: %w", d, ErrNotFound)
	}
	return readFrom(c.data, offset), nil
}

// Stat implements [Reader].
func (m *Memory) Stat(ctx context.Context, d digest.Digest) (Info, error) {
	if err := firstOf(ctx.Err(), CheckDigest(d)); err != nil {
		return Info{}, fmt.Errorf("stat content: %w", err)
	}
	c, found := m.lookUp(d)
	if !found {
		return Info{}, fmt.Errorf("stat content %s: %w", d, ErrNotFound)
	}
	return Info{Digest: d, Size: int64(len(c.data)), Modified: c.modified}, nil
}

// Append implements [Intake].
func (m *Memory) Append(ctx context.Context, upload string, offset int64, src io.Reader) (int64, error) {
	if err := firstOf(CheckUpload(upload), CheckOffset(offset)); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	u, size, err := m.cut(ctx, upload, offset)
	if err != nil {
		return size, fmt.Errorf("append to upload %s at %d: %w", upload, offset, err)
	}
	for buf := make([]byte, 32<<10); ; {
		if err := ctx.Err(); err != nil {
			return size, fmt.Errorf("append to upload %s at %d: %w", upload, size, err)
		}
		n, err := src.Read(buf) // not under the lock: a source may take its time, or ask the store itself
		size = m.grow(u, buf[:n])
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}

// cut shortens an upload to offset, or begins it, and returns the size it has then.
func (m *Memory) cut(ctx context.Context, upload string, offset int64) (*held, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, found := m.uploads[upload]
	if !found {
		u = &held{}
	}
	size := int64(len(u.data))
	switch {
	case ctx.Err() != nil:
		return nil, size, ctx.Err()
	case !found && offset > 0:
		return nil, 0, ErrUploadUnknown
	case offset > size:
		return nil, size, ErrUploadShort
	}
	// Without capacity beyond offset the next append copies, and who resumed the upload before keeps the bytes of then.
	u.data, u.modified = slices.Clip(u.data[:offset]), time.Now()
	m.uploads[upload] = u
	return u, offset, nil
}

func (m *Memory) grow(u *held, p []byte) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	u.data, u.modified = append(u.data, p...), time.Now()
	return int64(len(u.data))
}

// Resume implements [Intake].
func (m *Memory) Resume(ctx context.Context, upload string, offset int64) (io.ReadCloser, error) {
	if err := firstOf(ctx.Err(), CheckUpload(upload), CheckOffset(offset)); err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, found := m.uploads[upload]
	if !found {
		return nil, fmt.Errorf("resume upload %s: %w", upload, ErrUploadUnknown)
	}
	return readFrom(u.data, offset), nil
}

// Commit implements [Intake].
func (m *Memory) Commit(ctx context.Context, upload string, d digest.Digest) error {
	if err := firstOf(ctx.Err(), CheckUpload(upload), CheckDigest(d)); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, found := m.uploads[upload]
	if !found {
		return fmt.Errorf("commit upload %s as %s: %w", upload, d, ErrUploadUnknown)
	}
	delete(m.uploads, upload)
	m.content[d] = &held{u.data, time.Now()}
	return nil
}

// Abort implements [Intake].
func (m *Memory) Abort(ctx context.Context, upload string) error {
	if err := firstOf(ctx.Err(), CheckUpload(upload)); err != nil {
		return fmt.Errorf("abort: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.uploads, upload)
	return nil
}

// List implements [Sweeper].
func (m *Memory) List(ctx context.Context) iter.Seq2[Info, error] {
	return each(ctx, m, m.content, func(d digest.Digest, c held) Info { return Info{d, int64(len(c.data)), c.modified} })
}

// Delete implements [Sweeper].
func (m *Memory) Delete(ctx context.Context, d digest.Digest) error {
	if err := firstOf(ctx.Err(), CheckDigest(d)); err != nil {
		return fmt.Errorf("delete content: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.content, d)
	return nil
}

// Quarantine implements [Quarantiner].
func (m *Memory) Quarantine(ctx context.Context, d digest.Digest) (string, error) {
	if err := firstOf(ctx.Err(), CheckDigest(d)); err != nil {
		return "", fmt.Errorf("put content aside: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, found := m.content[d]
	if !found {
		return "", fmt.Errorf("put content %s aside: %w", d, ErrNotFound)
	}
	delete(m.content, d)
	m.aside[d] = c
	return "memory", nil
}

// Uploads implements [Sweeper].
func (m *Memory) Uploads(ctx context.Context) iter.Seq2[Pending, error] {
	return each(ctx, m, m.uploads, func(name string, u held) Pending { return Pending{name, int64(len(u.data)), u.modified} })
}

// each yields what kept holds when the iteration begins. No lock is held meanwhile, so that the body of the loop may use the store.
func each[K comparable, V any](ctx context.Context, m *Memory, kept map[K]*held, describe func(K, held) V) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		m.mu.Lock()
		snapshot := make(map[K]held, len(kept))
		for key, h := range kept {
			snapshot[key] = *h
		}
		m.mu.Unlock()
		for key, h := range snapshot {
			if err := ctx.Err(); err != nil {
				var none V
				yield(none, fmt.Errorf("list: %w", err))
				return
			}
			if !yield(describe(key, h), nil) {
				return
			}
		}
	}
}

func (m *Memory) lookUp(d digest.Digest) (*held, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, found := m.content[d]
	return c, found
}

func readFrom(data []byte, offset int64) io.ReadCloser {
	return io.NopCloser(bytes.NewReader(data[min(offset, int64(len(data))):]))
}

// firstOf returns the first error there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
