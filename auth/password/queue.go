package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// ErrBusy says that too many passwords wait to be checked. Callers answer 503 with Retry-After.
var ErrBusy = errors.New("too many passwords are being checked just now; try again in some seconds")

const (
	queueLength = 64
	patience    = 10 * time.Second
)

// Hasher hashes and checks passwords. It may be used by many at once.
type Hasher struct {
	places   chan struct{} // one for each at work
	waiting  atomic.Int64
	patience time.Duration
}

// New returns a Hasher that works on so many passwords at once; with 0 on half as many as Go uses processors, but at least one, so that others get
// theirs.
func New(workers int) *Hasher {
	if workers <= 0 {
		workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Hasher{places: make(chan struct{}, workers), patience: patience}
}

// run calls work as soon as there is a place for it. It returns ErrBusy if too many wait already or this one waited too long, and the error of
// ctx when that ends first.
func (h *Hasher) run(ctx context.Context, work func()) error {
	if err := h.enter(ctx); err != nil {
		return err
	}
	defer func() { <-h.places }()
	work()
	return nil
}

func (h *Hasher) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return gone(err)
	}
	select {
	case h.places <- struct{}{}:
		return nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > queueLength {
		return ErrBusy
	}
	enough := time.NewTimer(h.patience)
	defer enough.Stop()
	select {
	case h.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return gone(ctx.Err())
	case <-enough.C:
		return ErrBusy
	}
}

func gone(err error) error { return fmt.Errorf("wait for a turn to check a password: %w", err) }
