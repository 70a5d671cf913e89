package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/entrepot/entrepot/storage/kv"
)

// Migrate copies a whole registry: what content its index needs, and then the index. It goes on where an earlier run ended. The target may be served when it
// returns nil.
func Migrate(ctx context.Context, c Config) (Done, error) {
	c = c.complete()
	if err := whole(ctx, c.FromIndex); err != nil {
		return Done{}, err
	}
	own, err := begin(ctx, c.ToIndex, c.Name, c.Now())
	if err != nil {
		return Done{}, err
	}
	needs := func(index kv.View) func(context.Context) iter.Seq2[Content, error] {
		return func(ctx context.Context) iter.Seq2[Content, error] { return Needed(ctx, index) }
	}
	told := map[string]bool{}
	first := &copying{Config: c, step: stepContent, vanish: true, told: told} // what vanishes and is needed all the same is found missing in the end
	err = first.run(ctx, needs(c.FromIndex))
	done := Done{Copied: first.state.Copied, Same: first.state.Same}
	if err != nil {
		return done, err
	}
	all, err := copyRows(ctx, walkOf(c.FromIndex), c.ToIndex, own, c.rows())
	if err != nil {
		return done, err
	}
	done.Rows, done.Sum = all.rows, all.hash

	c.Verify = false // that has been done
	last := &copying{Config: c, step: stepCheck, told: told}
	err = last.run(ctx, needs(c.ToIndex))
	done.Copied.Number, done.Copied.Bytes = done.Copied.Number+last.state.Copied.Number, done.Copied.Bytes+last.state.Copied.Bytes
	done.Wrong = last.state.Wrong
	if err != nil {
		return done, err
	}
	if done.Wrong > 0 && !c.Incomplete {
		return done, ErrIncomplete
	}
	if err := own.finish(ctx, c.ToIndex, c.To, nil); err != nil {
		return done, fmt.Errorf("finish the target's index: %w", err)
	}
	if done.Wrong > 0 {
		return done, ErrIncomplete
	}
	return done, nil
}

// whole makes sure that an index is one of a registry, and not a copy under way.
func whole(ctx context.Context, index kv.View) error {
	err := Unfinished(ctx, index)
	if err != nil {
		return fmt.Errorf("the source is not whole: %w", err)
	}
	if _, err = index.Get(ctx, keyVersion); errors.Is(err, kv.ErrNotFound) {
		return errors.New("the source has no index: no registry was ever started on it")
	}
	return err
}

// rows returns what is told of the rows that were looked at: not of each, but now and then.
func (c Config) rows() func(rows int64) {
	began := c.Now()
	last := began
	return func(rows int64) {
		if rows%256 != 0 {
			return
		}
		if now := c.Now(); now.Sub(last) >= tellEvery {
			last = now
			c.Tell(Progress{Step: stepIndex, Took: now.Sub(began), Rows: rows})
		}
	}
}
