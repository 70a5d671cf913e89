package account

import (
	"context"
	"sync"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

const (
	pollEvery  = time.Second
	flushEvery = 10 * time.Second
	purgeEvery = time.Hour
	lastFlush  = 5 * time.Second     // how long Run may take at its end
	keepEnded  = 30 * 24 * time.Hour // how long a secret that has ended is still listed
)

// Run does what must go on beside the requests until ctx ends: it looks for changes by other processes, writes when secrets were last used, and removes
// secrets that ended long ago. What fails is logged and tried again.
func (s *Store) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { s.listen(ctx) })
	work.Go(func() { s.every(ctx, pollEvery, "look for changes of accounts", s.poll) })
	work.Go(func() { s.every(ctx, flushEvery, "write when secrets were last used", s.flush) })
	work.Go(func() { s.every(ctx, purgeEvery, "remove secrets that ended long ago", s.purge) })
	work.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	if err := s.flush(last); err != nil {
		s.log.WarnContext(last, "when secrets were last used is not wholly written", "err", err)
	}
}

// every does something at once and then again and again. Of failures in a row the first is logged.
func (s *Store) every(ctx context.Context, pause time.Duration, what string, do func(context.Context) error) {
	failing := false
	for {
		err := do(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.ErrorContext(ctx, what, "err", err, "again", pause)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// poll notices what other processes changed.
func (s *Store) poll(ctx context.Context) error {
	epoch, err := readEpoch(ctx, s.index)
	if err == nil && epoch > s.Epoch() {
		s.moved(epoch)
	}
	return err
}

// purge removes secrets that ended long ago. Nothing changes by that for anybody, so no epoch moves.
func (s *Store) purge(ctx context.Context) error {
	now := s.moment()
	var old []secretRow
	remove := func() error {
		err := s.index.Update(ctx, func(tx kv.Tx) error {
			for _, row := range old {
				forget(tx, row.Of, row.ID)
			}
			return nil
		})
		old = old[:0]
		return err
	}
	for row, err := range rows[secretRow](ctx, s.index, prefixSecret, "") {
		if err != nil {
			return err
		}
		if row.held().ended(now.Add(-keepEnded)) {
			old = append(old, row)
		}
		if len(old) == maxBatch {
			if err := remove(); err != nil {
				return err
			}
		}
	}
	if len(old) == 0 {
		return nil
	}
	return remove()
}
