package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// gate bounds how many transactions of this process read and write at once, by how well that goes, and has Updates that wait share one.
//
// PostgreSQL notices conflicts page by page: two pushes to one repository mostly meet, although they have no key in common. One of them then did
// its work for nothing, and those that start meanwhile are in the way of its next try. So each conflict lowers the bound, down to one at a time,
// and each success raises it a little. An Update that is run again goes before those that wait for their first run.
//
// Those that wait would meet if they ran at once, and would each wait for the disk if they ran in turn. So they go in together, as a group.
type gate struct {
	db      *DB
	mu      sync.Mutex
	most    float64
	bound   float64
	inside  int // groups
	waiting []*member
}

// maxGroup bounds how long the first of a group waits for the last.
const maxGroup = 32

func newGate(db *DB, most int) *gate { return &gate{db: db, most: float64(most), bound: float64(most)} }

// enter waits for m's turn in a group, which group.pass ends.
func (g *gate) enter(ctx context.Context, m *member, first bool) error {
	m.turn = make(chan struct{})
	g.mu.Lock()
	if first {
		g.waiting = slices.Insert(g.waiting, 0, m)
	} else {
		g.waiting = append(g.waiting, m)
	}
	g.admit()
	g.mu.Unlock()
	select {
	case <-m.turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-m.turn: // it came as well, and has to be ended as any other
		return nil
	default:
	}
	if at := slices.Index(g.waiting, m); at >= 0 {
		g.waiting = slices.Delete(g.waiting, at, at+1)
	}
	m.gone, m.group = true, nil
	return ctx.Err()
}

// leave gives a group's place to the next, and learns from how its transaction ended.
func (g *gate) leave(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case errors.Is(err, errConflict):
		g.bound = max(1, g.bound*3/4)
	case err == nil:
		g.bound = min(g.most, g.bound+0.4/g.bound)
	}
	g.inside--
	g.admit()
}

// admit lets in as many groups as there is room for; who waits is spread over all the places that there are. The caller holds mu.
func (g *gate) admit() {
	for len(g.waiting) > 0 && g.inside < int(g.bound) {
		places := int(g.bound)
		n := min((len(g.waiting)+places-1)/places, maxGroup)
		if at := slices.IndexFunc(g.waiting[:n], func(m *member) bool { return m.alone }); at >= 0 {
			n = max(at, 1)
		}
		group := newGroup(g.db, slices.Clone(g.waiting[:n]))
		g.waiting = slices.Delete(g.waiting, 0, n)
		g.inside++
		close(group.members[0].turn)
	}
}
