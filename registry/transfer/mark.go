package transfer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// KeyMark is the row of an index that is not whole yet. An index that has it must not be served.
const KeyMark = "meta/transfer"

// mark is that row.
type mark struct {
	From  string    `json:"from"` // the source
	Began time.Time `json:"began"`
	Run   string    `json:"run"` // whose target it is now
}

var errTaken = errors.New("another run has begun to write to the same target; let that one finish")

// begin makes an empty index, or one that this source was being copied to, the target of this run.
func begin(ctx context.Context, index kv.DB, from string, now time.Time) (mark, error) {
	own := mark{From: from, Began: now.UTC(), Run: rand.Text()}
	err := index.Update(ctx, func(tx kv.Tx) error {
		before, err := readMark(ctx, tx)
		switch {
		case errors.Is(err, kv.ErrNotFound):
			for pair, err := range tx.Scan(ctx, "", "") {
				if err != nil {
					return err
				}
				return fmt.Errorf("the target's index is not empty, it has %.80q; nothing is written over, so choose another target", pair.Key)
			}
		case err != nil:
			return err
		case before.From != from:
			return fmt.Errorf("the target's index was begun on %s as a copy of %s, and this is %s; finish that, or choose another target",
				before.Began.Format(time.DateTime), before.From, from)
		default:
			own.Began = before.Began
		}
		row, err := json.Marshal(own)
		if err == nil {
			tx.Put(KeyMark, row)
		}
		return err
	})
	return own, err
}

func readMark(ctx context.Context, index kv.View) (m mark, err error) {
	row, err := index.Get(ctx, KeyMark)
	if err == nil {
		err = json.Unmarshal(row, &m)
	}
	if err != nil {
		err = fmt.Errorf("read the mark of an index that is not whole: %w", err)
	}
	return m, err
}

// hold makes sure, in a transaction, that the target is still this run's.
func (m mark) hold(ctx context.Context, tx kv.Tx) error {
	now, err := readMark(ctx, tx)
	if errors.Is(err, kv.ErrNotFound) || err == nil && now.Run != m.Run {
		return errTaken
	}
	return err
}

// finish takes the mark away: the index is whole.
func (m mark) finish(ctx context.Context, index kv.DB) error {
	return index.Update(ctx, func(tx kv.Tx) error {
		if err := m.hold(ctx, tx); err != nil {
			return err
		}
		tx.Delete(KeyMark)
		return nil
	})
}
