package s3

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// slabSize is the portion in which memory is handed out, and the most that one Read of a source is offered.
const slabSize = 256 << 10

type slab = [slabSize]byte

// memory is the content that all appends and commits of a store together may hold. Whoever must wait is served in the order of arrival.
type memory struct {
	room    *semaphore.Weighted
	free    sync.Pool
	waiting atomic.Int64
}

func newMemory(limit int64) *memory {
	return &memory{room: semaphore.NewWeighted(limit / slabSize), free: sync.Pool{New: func() any { return new(slab) }}}
}

// take returns n slabs, and waits for them if need be.
func (m *memory) take(ctx context.Context, n int64) ([]*slab, error) {
	m.waiting.Add(1)
	err := m.room.Acquire(ctx, n)
	m.waiting.Add(-1)
	if err != nil {
		return nil, err
	}
	return m.fetch(n), nil
}

// tryTake returns n slabs, or none if they are not there or somebody waits for some.
func (m *memory) tryTake(n int64) []*slab {
	if !m.room.TryAcquire(n) {
		return nil
	}
	return m.fetch(n)
}

func (m *memory) fetch(n int64) []*slab {
	slabs := make([]*slab, n)
	for i := range slabs {
		slabs[i] = m.free.Get().(*slab)
	}
	return slabs
}

// giveBack takes slabs back that nobody looks at any more.
func (m *memory) giveBack(slabs []*slab) {
	for _, s := range slabs {
		m.free.Put(s)
	}
	m.room.Release(int64(len(slabs)))
}

// short tells whether somebody waits.
func (m *memory) short() bool { return m.waiting.Load() > 0 }

// slabsFor returns how many slabs hold size bytes.
func slabsFor(size int64) int64 { return (size + slabSize - 1) / slabSize }
