package postgres

import (
	"context"
	"slices"
	"sync"
)

// gate bounds how many Updates of this process read and write at once, by how well that goes.
//
// PostgreSQL notices conflicts page by page: two pushes to one repository mostly meet, although they have no key in common. One of them then did
// its work for nothing, and those that start meanwhile are in the way of its next try. So each conflict lowers the bound, down to one at a time,
// and each success raises it a little. An Update that is run again goes before those that wait for their first run.
type gate struct {
	mu      sync.Mutex
	most    float64
	bound   float64
	inside  int
	waiting []chan struct{} // closed when their turn has come
}

func newGate(most int) *gate { return &gate{most: float64(most), bound: float64(most)} }

// enter waits for a place.
func (g *gate) enter(ctx context.Context, first bool) error {
	g.mu.Lock()
	if len(g.waiting) == 0 && g.inside < int(g.bound) {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	if first {
		g.waiting = slices.Insert(g.waiting, 0, turn)
	} else {
		g.waiting = append(g.waiting, turn)
	}
	g.admit()
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := slices.Index(g.waiting, turn); at >= 0 {
		g.waiting = slices.Delete(g.waiting, at, at+1)
	} else { // its turn came as well
		g.inside--
		g.admit()
	}
	return ctx.Err()
}

// leave gives the place to the next.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// met and passed tell how a transaction ended.
func (g *gate) met() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bound = max(1, g.bound*3/4)
}

func (g *gate) passed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bound = min(g.most, g.bound+0.4/g.bound)
	g.admit()
}

// admit lets in as many as there is room for. The caller holds mu.
func (g *gate) admit() {
	for len(g.waiting) > 0 && g.inside < int(g.bound) {
		close(g.waiting[0])
		g.waiting = slices.Delete(g.waiting, 0, 1)
		g.inside++
	}
}
