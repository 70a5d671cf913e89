package retain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/registry/retain/follow"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const (
	lookEvery = 5 * time.Second  // whether a run is due
	beatEvery = 20 * time.Second // of a run, to say that it is under way
	lease     = 2 * time.Minute  // after its last beat a run is taken to be gone; it beats between two steps, and a step may take a while
)

// errNotNow says that no run is due, or that another replica makes it.
var errNotNow = errors.New("no run is due here")

// Run makes runs when they are due until ctx ends, and returns when the one under way, also one by hand, has ended. From then on none begins. The first run by new
// rules comes one interval after the start: until then their plan can be read.
func (r *Retention) Run(ctx context.Context) {
	defer r.runs.Stop()
	adopted := false
	for ctx.Err() == nil {
		if !adopted {
			err := r.adopt(ctx)
			if adopted = err == nil; !adopted && ctx.Err() == nil {
				r.Log.Error("note the rules of retention", "err", err)
			}
		}
		if adopted && (r.Every <= 0 || len(r.rules) == 0) {
			<-ctx.Done() // nothing will ever be due
			return
		}
		if adopted {
			r.look(ctx)
		}
		if rest(ctx, lookEvery) != nil {
			return
		}
	}
}

// look makes a run if one is due.
func (r *Retention) look(ctx context.Context) {
	known, err := r.known(ctx)
	if due := r.next(known); err == nil && (due.IsZero() || due.After(r.Now())) {
		return
	}
	if err == nil {
		_, err = r.runs.Do(ctx, func(ctx context.Context, tell func(Tally)) (Result, error) { return r.perform(ctx, tell, true) }, nil)
	}
	if err != nil && !errors.Is(err, errNotNow) && !errors.Is(err, follow.ErrStopped) && ctx.Err() == nil {
		r.Log.Error("remove what is not retained", "err", err)
	}
}

// adopt writes down which rules hold from now on, if they are others than before.
func (r *Retention) adopt(ctx context.Context) error {
	return r.change(ctx, nil, func(known *row) error {
		if known.Print != r.print {
			*known = row{Print: r.print, Since: r.Now().UTC(), Began: known.Began}
		}
		return nil
	})
}

// next tells when a run is due; the zero time is never. By rules that another replica has replaced, none is.
func (r *Retention) next(known row) time.Time {
	switch {
	case r.Every <= 0, len(r.rules) == 0, known.Print != r.print:
		return time.Time{}
	case known.Open:
		return later(known.Began, known.Beat.Add(lease)) // it was cut, if nobody is at it
	}
	return later(known.Since, known.Began).Add(r.Every)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// claim writes down that a run begins, and returns what it goes on from. One by the schedule is not claimed if it is not due any more: another replica has begun
// it. One by hand looks at everything.
func (r *Retention) claim(ctx context.Context, began time.Time, scheduled bool) (from row, err error) {
	err = r.change(ctx, nil, func(known *row) error {
		if due := r.next(*known); scheduled && (due.IsZero() || due.After(began)) {
			return errNotNow
		}
		from = row{}
		if scheduled && known.Open {
			from = *known
		}
		*known = row{Print: known.Print, Since: known.Since, Began: began.UTC(), Open: true, Holder: r.holder, Beat: began.UTC(), After: from.After, Tally: from.Tally}
		return nil
	})
	return from, err
}

// letGo writes down how far a run has come that was cut: one that was stopped goes on as soon as somebody can, one that failed a while later.
func (r *Retention) letGo(ctx context.Context, at string, done Tally, failed bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var beat time.Time
	if failed {
		beat = r.Now().UTC()
	}
	err := r.change(ctx, nil, func(known *row) error {
		if known.Holder != r.holder {
			return errNotNow // another one is at it
		}
		known.Holder, known.Beat, known.After, known.Tally = "", beat, at, done
		return nil
	})
	if errors.Is(err, errNotNow) {
		return nil
	}
	return err
}

// conclude writes down that a run has come to its end, with its event.
func (r *Retention) conclude(ctx context.Context, done Result) error {
	e := journal.Event{Action: "retention.run", Result: "ok", Note: fmt.Sprintf("%d tags and %d manifests went", done.Goes.Tags, done.Goes.Manifests)}
	if done.Refused > 0 {
		e.Note += fmt.Sprintf("; %d were refused", done.Refused)
	}
	return r.change(ctx, &e, func(known *row) error {
		*known = row{Print: known.Print, Since: known.Since, Began: known.Began}
		return nil
	})
}

// known reads what is known of runs.
func (r *Retention) known(ctx context.Context) (row, error) {
	b, err := r.Index.Get(ctx, keyRun)
	if errors.Is(err, kv.ErrNotFound) {
		return row{}, nil
	}
	return parseRow(b), err
}

// change changes what is known of runs, with an event, unless that is nil. If do refuses, nothing changes.
func (r *Retention) change(ctx context.Context, e *journal.Event, do func(*row) error) error {
	return r.Index.Update(ctx, func(tx kv.Tx) error {
		b, err := tx.Get(ctx, keyRun)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		known := parseRow(b)
		if err := do(&known); err != nil {
			return err
		}
		if b, err = json.Marshal(known); err != nil {
			return err
		}
		tx.Put(keyRun, b)
		if e != nil {
			journal.Append(ctx, tx, *e)
		}
		return nil
	})
}
