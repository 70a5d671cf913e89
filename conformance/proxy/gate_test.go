package proxy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// gate keeps the upstream's answers back until so many clients wait for one: then "at once" is no matter of luck, and requests can be counted.
//
// That a client waits is seen by its context: waiting for what another has asked for, or for a blob's size, is to select on Done, and nothing else on the way does.
type gate struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
}

// expect closes the gate until so many clients wait.
func (g *gate) expect(clients int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missing, g.open = clients, make(chan struct{})
}

// lift opens the gate, however many wait.
func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missing = 0
	if g.open != nil {
		close(g.open)
	}
	g.open = nil
}

// arrive is one more client that waits.
func (g *gate) arrive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.missing--; g.missing == 0 && g.open != nil {
		close(g.open)
		g.open = nil
	}
}

// pass waits for the gate to open.
func (g *gate) pass() error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		return nil
	}
	select {
	case <-open:
		return nil
	case <-time.After(20 * time.Second):
		g.mu.Lock()
		defer g.mu.Unlock()
		return fmt.Errorf("the upstream is asked, and %d of the clients do not wait for it", g.missing)
	}
}

// watch tells the gate which clients wait.
func (g *gate) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(&watched{Context: r.Context(), waits: g.arrive}))
	})
}

// watched is a context that tells when somebody waits for its end.
type watched struct {
	context.Context
	once  sync.Once
	waits func()
}

func (w *watched) Done() <-chan struct{} {
	w.once.Do(w.waits)
	return w.Context.Done()
}
