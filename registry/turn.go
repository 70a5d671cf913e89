package registry

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// turn does something that is due at most so often among all registries over one index. Its row is when somebody was last at it: whoever finds that long ago takes
// the turn, and says so from time to time until it is done. One that is killed at it leaves it to the next turn.
func (r *Registry) turn(ctx context.Context, what string, every time.Duration, do func() error) error {
	mine, err := r.takeTurn(ctx, what, every)
	if err != nil || !mine {
		return err
	}
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		tick := time.NewTicker(max(time.Millisecond, min(time.Minute, every/3)))
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			if err := r.markTurn(ctx, what); err != nil && ctx.Err() == nil {
				r.log.Warn("say that a turn is taken", "turn", what, "err", err)
			}
		}
	}()
	err = do()
	close(ended)
	<-left
	return errors.Join(err, r.markTurn(context.WithoutCancel(ctx), what))
}

func (r *Registry) takeTurn(ctx context.Context, what string, every time.Duration) (mine bool, err error) {
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		row, err := tx.Get(ctx, keyTurn(what))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		ms, _ := strconv.ParseInt(string(row), 10, 64) // a damaged row is one of long ago
		since := r.now().Sub(time.UnixMilli(ms))
		if mine = since >= every || since < -time.Hour; mine { // or the clock was far ahead then
			putTurn(tx, what, r.now())
		}
		return nil
	})
	return mine, err
}

func (r *Registry) markTurn(ctx context.Context, what string) error {
	return r.index.Update(ctx, func(tx kv.Tx) error {
		putTurn(tx, what, r.now())
		return nil
	})
}

func putTurn(tx kv.Tx, what string, at time.Time) {
	tx.Put(keyTurn(what), strconv.AppendInt(nil, at.UnixMilli(), 10))
}
