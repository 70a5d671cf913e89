// Package follow has work of one kind done once at a time: whoever asks for it while it is under way follows that run, and is told what comes of it.
//
//	runs := follow.New[Progress, Result]()
//	result, err := runs.Do(ctx, func(ctx context.Context, tell func(Progress)) (Result, error) { … }, show)
//
// The promises:
//
//   - A run goes on when who asked for it leaves; it ends early with [Runs.Stop] only, which waits for it.
//   - Who follows is told at once how far it is, about twice a second from then on, and at its end.
//   - What the context of the first who asked carries, such as an actor for the journal, the run has; when that context ends it does not.
package follow

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrStopped says that a run was cut, or never begun, because the program stops.
var ErrStopped = errors.New("the registry stops; ask again when it has started")

// tellEvery is how often those are told who follow.
const tellEvery = 500 * time.Millisecond

// Work does something, and tells from time to time how far it is.
type Work[P, R any] func(ctx context.Context, tell func(P)) (R, error)

// Runs are those of one kind of work.
type Runs[P, R any] struct {
	life context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	now     *run[P, R] // nil: none
}

// run is one run. Its result is there when done is closed.
type run[P, R any] struct {
	mu sync.Mutex
	at P

	done   chan struct{}
	result R
	err    error
}

// New returns runs of which none is under way.
func New[P, R any]() *Runs[P, R] {
	r := &Runs[P, R]{}
	r.life, r.stop = context.WithCancel(context.Background())
	return r
}

// Do has the work done, or follows the run that is under way, and returns what came of it. watch may be nil. The error is that of the work, ErrStopped, or ctx's.
func (r *Runs[P, R]) Do(ctx context.Context, work Work[P, R], watch func(P)) (R, error) {
	now, err := r.begin(ctx, work)
	if err != nil {
		var none R
		return none, err
	}
	return now.follow(ctx, watch)
}

// Stop ends the run that is under way, waits for it, and lets none begin from then on.
func (r *Runs[P, R]) Stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.stop()
	r.all.Wait()
}

func (r *Runs[P, R]) begin(ctx context.Context, work Work[P, R]) (*run[P, R], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil {
		return r.now, nil
	}
	if r.stopped {
		return nil, ErrStopped
	}
	now := &run[P, R]{done: make(chan struct{})}
	r.now = now
	r.all.Go(func() {
		ctx, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		defer context.AfterFunc(r.life, end)()
		now.result, now.err = work(ctx, now.tell)
		if now.err != nil && r.life.Err() != nil {
			now.err = ErrStopped
		}
		r.mu.Lock()
		r.now = nil
		r.mu.Unlock()
		close(now.done)
	})
	return now, nil
}

func (n *run[P, R]) tell(at P) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = at
}

func (n *run[P, R]) progress() P {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

func (n *run[P, R]) follow(ctx context.Context, watch func(P)) (none R, err error) {
	if watch == nil {
		watch = func(P) {}
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		watch(n.progress())
		select {
		case <-n.done:
			watch(n.progress())
			return n.result, n.err
		case <-tick.C:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
}
