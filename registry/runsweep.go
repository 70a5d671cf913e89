package registry

import (
	"context"
	"time"
)

const (
	reapEvery   = time.Minute
	orphanEvery = 24 * time.Hour
	sweepRate   = 50_000 // blobs a second: a sweep must not be felt
)

// runSweep sweeps now and then, and reaps more often: what is to go waits for a while only.
func (r *Registry) runSweep(ctx context.Context) {
	if r.sweepEvery < 0 {
		return
	}
	swept, orphans := r.now(), r.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(reapEvery, r.sweepEvery)):
		}
		if r.shared || r.now().Sub(swept) >= r.sweepEvery { // in turn, whoever finds it due
			swept = r.now()
			r.background(ctx, "sweep", func() error {
				return r.inTurn(ctx, "sweep", r.sweepEvery, func() error { _, err := r.Sweep(ctx, SweepOptions{Rate: sweepRate, Follow: true}); return err })
			})
		}
		if r.shared || r.now().Sub(orphans) >= orphanEvery {
			orphans = r.now()
			r.background(ctx, "sweep orphans", func() error {
				return r.inTurn(ctx, "orphans", orphanEvery, func() error { _, _, err := r.SweepOrphans(ctx, SweepOptions{}); return err })
			})
		}
		r.background(ctx, "delete what nobody holds", func() error {
			done, err := r.Reap(ctx)
			if done.Blobs > 0 {
				r.log.Info("deleted what nobody holds", "blobs", done.Blobs, "bytes", done.Bytes)
			}
			return err
		})
	}
}

// inTurn does what one of the registries over the same stores has to do.
func (r *Registry) inTurn(ctx context.Context, what string, every time.Duration, do func() error) error {
	if !r.shared {
		return do()
	}
	return r.turn(ctx, what, every, do)
}

func (r *Registry) background(ctx context.Context, what string, do func() error) {
	if err := do(); err != nil && ctx.Err() == nil {
		r.log.Error(what, "err", err)
	}
}
