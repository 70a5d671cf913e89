package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// keyBackup is the row of scheduled backups: who is at it, and what came of the last ones.
const keyBackup = "meta/backup"

// state is that row.
type state struct {
	Run    string     `json:"run,omitempty"`   // who makes one now
	Until  int64      `json:"until,omitempty"` // till when that one is believed to be at it, in Unix milliseconds
	Last   *Good      `json:"last,omitempty"`
	Failed *Failure   `json:"failed,omitempty"` // since Last
	Oldest *time.Time `json:"oldest,omitempty"` // from when the oldest backup is that is kept, or that is made now if there is none
}

// Good is a backup that was made, put in its place and read again.
type Good struct {
	Name  string    `json:"name"`
	Made  time.Time `json:"made"`  // the moment it shows
	Rows  int64     `json:"rows"`  // of the index
	Bytes int64     `json:"bytes"` // that it takes
	Sum   string    `json:"sum"`   // as in Summary
}

// Failure is a backup that was not made.
type Failure struct {
	At   time.Time `json:"at"`
	Why  string    `json:"why"`
	Runs int       `json:"runs"` // how many failed in a row
}

// maxWhy bounds what is kept of an error, in bytes.
const maxWhy = 500

// LastScheduled returns the last good scheduled backup of an index, and what has failed since; nil: there is no such thing.
func LastScheduled(ctx context.Context, index kv.View) (*Good, *Failure, error) {
	now, _, err := readState(ctx, index)
	return now.Last, now.Failed, err
}

// KeptSince returns a moment from before all backups that the schedule of an index keeps: each content that they name was still held then, or later. Zero: there are none.
// It is made for registry.Config. A row that is damaged is an error: until the next backup writes it anew nobody knows what may go.
func KeptSince(ctx context.Context, index kv.View) (time.Time, error) {
	now, row, err := readState(ctx, index)
	if err == nil && row != nil && json.Unmarshal(row, &state{}) != nil {
		err = fmt.Errorf("the row %s is damaged; the next scheduled backup writes it anew", keyBackup)
	}
	if err != nil || now.Oldest == nil {
		return time.Time{}, err
	}
	return now.Oldest.Add(-skew), nil
}

// readState returns the row. A damaged one counts as none, so that it does not keep backups from being made.
func readState(ctx context.Context, v kv.View) (now state, row []byte, err error) {
	row, err = v.Get(ctx, keyBackup)
	if errors.Is(err, kv.ErrNotFound) {
		return state{}, nil, nil
	}
	if err == nil && json.Unmarshal(row, &now) != nil {
		now = state{}
	}
	return now, row, err
}

// take begins a backup if one is due and nobody is at it.
func (s *Schedule) take(ctx context.Context, own string) (before state, mine bool, err error) {
	// A look outside of a transaction first, so that nobody meets it in vain.
	before, _, err = readState(ctx, s.c.Index)
	if err != nil || !s.due(before) {
		return before, false, err
	}
	err = s.c.Index.Update(ctx, func(tx kv.Tx) error {
		mine = false
		if before, _, err = readState(ctx, tx); err != nil || !s.due(before) {
			return err
		}
		mine = true
		now := before.taken(own, s.c.Now())
		if now.Oldest == nil {
			oldest := s.c.Now().UTC().Round(0)
			now.Oldest = &oldest
		}
		return now.put(tx)
	})
	return before, mine && err == nil, err
}

// due tells whether a backup is to be made now.
func (s *Schedule) due(is state) bool {
	now := s.c.Now()
	if until := time.UnixMilli(is.Until); is.Run != "" && now.Before(until) && until.Sub(now) <= lease+skew {
		return false
	}
	if f := is.Failed; f != nil && recent(now, f.At, min(again, s.c.Every)) {
		return false
	}
	return is.Last == nil || is.Last.Name == s.absent || !recent(now, is.Last.Made, s.c.Every)
}

// recent tells whether something happened less than a time ago. What is said to come much later was written by a clock that was ahead.
func recent(now, at time.Time, ago time.Duration) bool {
	since := now.Sub(at)
	return since < ago && since > -skew
}

func (is state) taken(own string, now time.Time) state {
	is.Run, is.Until = own, now.Add(lease).UnixMilli()
	return is
}

func (is state) put(tx kv.Tx) error {
	row, err := json.Marshal(is)
	if err == nil {
		tx.Put(keyBackup, row)
	}
	return err
}

// errOvertaken says that another registry took over what this one was thought to have given up.
var errOvertaken = errors.New("another registry makes the backup now: this one did not say for too long that it is at it")

// change changes the row, as long as it is this run's.
func (s *Schedule) change(ctx context.Context, own string, do func(kv.Tx, state) state) error {
	return s.c.Index.Update(ctx, func(tx kv.Tx) error {
		now, row, err := readState(ctx, tx)
		if err != nil {
			return err
		}
		if now.Run != own {
			return errOvertaken
		}
		next, err := json.Marshal(do(tx, now))
		if err == nil && !bytes.Equal(next, row) {
			tx.Put(keyBackup, next)
		}
		return err
	})
}

// hold says from time to time that this run is at it, until the returned function is called. If another has taken over, the run ends.
func (s *Schedule) hold(ctx context.Context, own string, end context.CancelCauseFunc) (stop func()) {
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		tick := time.NewTicker(lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			err := s.change(ctx, own, func(_ kv.Tx, now state) state { return now.taken(own, s.c.Now()) })
			if errors.Is(err, errOvertaken) {
				end(errOvertaken)
				return
			}
			if err != nil && ctx.Err() == nil {
				s.c.Log.Warn("say that a backup is being made", "err", err)
			}
		}
	}()
	return func() { close(ended); <-left }
}

// release gives up a run about which there is nothing to say.
func (s *Schedule) release(ctx context.Context, own string) error {
	return s.change(ctx, own, func(_ kv.Tx, now state) state {
		now.Run, now.Until = "", 0
		return now
	})
}

// record writes down what came of a run, in the row and in the journal. Of failures in a row the journal tells the first.
func (s *Schedule) record(ctx context.Context, own string, good Good, failure error) error {
	err := s.change(ctx, own, func(tx kv.Tx, now state) state {
		event := journal.Event{Action: "backup.make", Size: good.Bytes, Note: "in " + s.c.Shelf.String(), Result: "ok"}
		if good.Name != "" {
			event.Object = "backup:" + good.Name
		}
		first := now.Failed == nil
		now.Run, now.Until = "", 0
		if failure == nil {
			now.Last, now.Failed = &good, nil
		} else {
			runs := 1
			if now.Failed != nil {
				runs += now.Failed.Runs
			}
			now.Failed = &Failure{At: s.c.Now().UTC(), Why: shortened(failure), Runs: runs}
			event.Result, event.Size = "failed: "+now.Failed.Why, 0
		}
		if failure == nil || first {
			journal.Append(ctx, tx, event)
		}
		return now
	})
	if errors.Is(err, errOvertaken) && errors.Is(failure, errOvertaken) {
		return nil // it was told
	}
	if err != nil {
		err = fmt.Errorf("write down what came of a backup: %w", err)
	}
	return err
}

// shortened is what is kept of an error, in one line.
func shortened(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxWhy {
		text = strings.ToValidUTF8(text[:maxWhy], "") + "…"
	}
	return text
}
