package kv

import (
	"context"
	"iter"
	"sync"
)

// scanPage is how many pairs a scan of a Memory copies under its lock at once.
const scanPage = 128

// Memory is a DB that forgets everything when it is closed: for tests, and for what need not outlive the process.
type Memory struct {
	writer sync.Mutex   // held for a whole Update: one at a time is serializable
	mu     sync.RWMutex // guards the rest; written only with writer held as well, so an Update reads without it
	pairs  sorted
	size   int64
	closed bool
}

// NewMemory returns an empty database.
func NewMemory() *Memory { return &Memory{} }

// Get implements View.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	return (*memoryView)(m).Get(ctx, key)
}

// Scan implements View.
func (m *Memory) Scan(ctx context.Context, from, to string) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		page := make([]Pair, 0, scanPage)
		for passed := false; ; passed = true {
			var err error
			if page, err = m.page(ctx, page[:0], from, passed, to); err != nil {
				yield(Pair{}, err)
				return
			}
			for _, p := range page {
				if !yield(p, nil) {
					return
				}
			}
			if len(page) < scanPage {
				return
			}
			from = page[len(page)-1].Key
		}
	}
}

func (m *Memory) page(ctx context.Context, page []Pair, from string, passed bool, to string) ([]Pair, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	for p, err := range (*memoryView)(m).scan(ctx, from, passed, to) {
		if err != nil {
			return nil, err
		}
		if page = append(page, p); len(page) == scanPage {
			break
		}
	}
	return page, nil
}

// Update implements DB.
func (m *Memory) Update(ctx context.Context, fn func(Tx) error) error {
	m.writer.Lock()
	defer m.writer.Unlock()
	if m.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := NewBuffer((*memoryView)(m))
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Err(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, value := range tx.Writes() {
		m.set(key, value)
	}
	return nil
}

func (m *Memory) set(key string, value []byte) {
	if old, found := m.pairs.get(key); found {
		m.size -= int64(len(key) + len(old))
	}
	if value == nil {
		m.pairs.remove(key)
		return
	}
	m.pairs.set(key, value)
	m.size += int64(len(key) + len(value))
}

// Size returns the bytes of all keys and values.
func (m *Memory) Size() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

// Close implements DB.
func (m *Memory) Close() error {
	m.writer.Lock()
	defer m.writer.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.pairs, m.size = true, sorted{}, 0
	return nil
}

// memoryView reads a Memory whose locks the caller holds.
type memoryView Memory

func (m *memoryView) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	value, found := m.pairs.get(key)
	if !found {
		return nil, ErrNotFound
	}
	return own(value), nil
}

func (m *memoryView) Scan(ctx context.Context, from, to string) iter.Seq2[Pair, error] {
	return m.scan(ctx, from, false, to)
}

func (m *memoryView) scan(ctx context.Context, from string, passed bool, to string) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		for ; ; passed = true {
			if err := ctx.Err(); err != nil {
				yield(Pair{}, err)
				return
			}
			p, found := m.pairs.next(from, passed)
			if !found || to != "" && p.Key >= to || !yield(Pair{p.Key, own(p.Value)}, nil) {
				return
			}
			from = p.Key
		}
	}
}
