package retain

import (
	"context"
	"fmt"
)

// Plan tells what the next run would do, and changes nothing. tell is told of each tag and each manifest without one that was looked at, also of what stays; only
// of those in one repository if that is named.
func (r *Retention) Plan(ctx context.Context, repo string, tell func(Fate)) (Tally, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &walk{r: r, now: r.Now(), tell: func(f Fate) {
		if ctx.Err() == nil && tell != nil {
			tell(f)
		}
	}}
	err := w.only(ctx, repo)
	if err != nil {
		err = fmt.Errorf("plan what is not retained: %w", err)
	}
	return w.tally, err
}

// only walks through one repository, or through all if none is named.
func (w *walk) only(ctx context.Context, repo string) error {
	if repo == "" {
		return w.repositories(ctx, "")
	}
	rules := w.r.forRepo(repo)
	if len(rules) == 0 {
		return nil
	}
	w.tally.Repositories++
	if err := w.repository(ctx, repo, rules); err != nil && !gone(err) {
		return err
	}
	return nil
}
