package intake

import (
	"context"
	"sync"
)

// turns lets one at a time have a name.
type turns struct {
	mu    sync.Mutex
	lines map[string]*line
}

// line is those who have a name or wait for it.
type line struct {
	free   chan struct{} // holds one element while nobody has the name
	people int
}

// take waits for a name. Whoever has it calls done.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	t.mu.Lock()
	l := t.lines[name]
	if l == nil {
		l = &line{free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		if t.lines == nil {
			t.lines = map[string]*line{}
		}
		t.lines[name] = l
	}
	l.people++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.people--; l.people == 0 {
			delete(t.lines, name)
		}
	}
	select {
	case <-l.free:
		return func() { l.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
