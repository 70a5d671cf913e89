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
		if r.now().Sub(swept) >= r.sweepEvery {
			swept = r.now()
			r.background(ctx, "sweep", func() error { _, err := r.Sweep(ctx, SweepOptions{Rate: sweepRate, Follow: true}); return err })
		}
		if r.now().Sub(orphans) >= orphanEvery {
			orphans = r.now()
			r.background(ctx, "sweep orphans", func() error { _, _, err := r.SweepOrphans(ctx, SweepOptions{}); return err })
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

func (r *Registry) background(ctx context.Context, what string, do func() error) {
	if err := do(); err != nil && ctx.Err() == nil {
		r.log.Error(what, "err", err)
	}
}
