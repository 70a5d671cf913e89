package transfer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// keyMark is the row of an index that is not whole yet.
const keyMark = "meta/transfer"

// Unfinished returns an error if an index is the target of a transfer that has not come to its end. It must not be served then, nor written to.
func Unfinished(ctx context.Context, index kv.View) error {
	m, err := readMark(ctx, index)
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the index was begun on %s as a copy of %s, and that is not finished; run entrepot migrate or entrepot restore again, as then",
		m.Began.Format(time.DateTime), m.From)
}

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
			tx.Put(keyMark, row)
		}
		return err
	})
	return own, err
}

func readMark(ctx context.Context, index kv.View) (m mark, err error) {
	row, err := index.Get(ctx, keyMark)
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

// finish takes the mark away: the index is whole. record, which may be nil, is to write down that it is.
func (m mark) finish(ctx context.Context, index kv.DB, blobs blob.Reader, record func(kv.Tx)) error {
	return index.Update(ctx, func(tx kv.Tx) error {
		if err := m.hold(ctx, tx); err != nil {
			return err
		}
		tx.Delete(keyMark)
		if record != nil {
			record(tx)
		}
		return reopen(ctx, tx, blobs)
	})
}
