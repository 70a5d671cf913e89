package kv

import (
	"context"
	"fmt"
	"iter"
)

// Buffer is the Tx that all drivers share: it keeps the writes of one transaction and shows them to its own reads, laid over what the
// transaction would see without them. A driver runs fn on it, asks Err, and sends Writes at commit.
type Buffer struct {
	base   View
	writes sorted // a nil value is a deletion
	err    error
}

// NewBuffer returns an empty buffer over base.
func NewBuffer(base View) *Buffer { return &Buffer{base: base} }

// Get implements View.
func (b *Buffer) Get(ctx context.Context, key string) ([]byte, error) {
	value, written := b.writes.get(key)
	switch {
	case !written:
		return b.base.Get(ctx, key)
	case value == nil:
		return nil, ErrNotFound
	}
	return own(value), nil
}

// Scan implements View. The loop may write: what lies ahead of it is seen, what lies behind it is not.
func (b *Buffer) Scan(ctx context.Context, from, to string) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		at, passed := from, false // every key below at was yielded, and at itself if passed is set
		emit := func(end string) bool {
			for {
				p, found := b.writes.next(at, passed)
				if !found || end != "" && p.Key >= end {
					return true
				}
				at, passed = p.Key, true
				if p.Value != nil && !yield(Pair{p.Key, own(p.Value)}, nil) {
					return false
				}
			}
		}
		for p, err := range b.base.Scan(ctx, from, to) {
			if err != nil {
				yield(Pair{}, err)
				return
			}
			if !emit(p.Key) {
				return
			}
			if _, written := b.writes.get(p.Key); written {
				continue // the next emit yields it, or knows that it was deleted
			}
			at, passed = p.Key, true
			if !yield(p, nil) {
				return
			}
		}
		emit(to)
	}
}

// Put implements Tx.
func (b *Buffer) Put(key string, value []byte) {
	if value == nil {
		value = []byte{}
	}
	b.write(key, value)
}

// Delete implements Tx.
func (b *Buffer) Delete(key string) { b.write(key, nil) }

func (b *Buffer) write(key string, value []byte) {
	if len(key) == 0 || len(key) > MaxKey {
		if b.err == nil {
			b.err = fmt.Errorf("%w: %.40q… has %d bytes, not 1 to %d", ErrKey, key, len(key), MaxKey)
		}
		return
	}
	b.writes.set(key, value)
}

// Err returns ErrKey if a key was written that not every driver could take; then the transaction must not be committed.
func (b *Buffer) Err() error { return b.err }

// Empty tells whether there is nothing to commit.
func (b *Buffer) Empty() bool { return len(b.writes.blocks) == 0 }

// Writes yields what is to be committed, in key order: each key once, with its last value, or nil if it is to be deleted.
func (b *Buffer) Writes() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, block := range b.writes.blocks {
			for _, p := range block {
				if !yield(p.Key, p.Value) {
					return
				}
			}
		}
	}
}

// own returns a copy that is its holder's to keep and to change.
func own(value []byte) []byte {
	c := make([]byte, len(value))
	copy(c, value)
	return c
}
