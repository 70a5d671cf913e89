package account

import (
	"context"
	"strconv"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// change is a transaction that tells what it does: if it has noted anything, the epoch moves.
type change struct {
	kv.Tx
	epoch uint64 // as it will be; also the generation of whoever is changed
	now   time.Time
	noted bool
}

// note writes an event into the journal. There is no change without one.
func (c *change) note(ctx context.Context, e journal.Event) {
	c.mention(ctx, e)
	c.noted = true
}

// maxEvent is how long the note of an event can be, in bytes.
const maxEvent = 1000

// mention is note for what takes nothing from anybody, so that nobody has to look again: a new secret.
func (c *change) mention(ctx context.Context, e journal.Event) {
	e.Result, e.Note = "ok", auth.ClipTo(e.Note, maxEvent)
	journal.Append(ctx, c.Tx, e)
}

// change runs fn in a transaction and, if it changed something, tells everybody.
func (s *Store) change(ctx context.Context, doing string, fn func(c *change) error) error {
	var moved uint64
	err := s.index.Update(ctx, func(tx kv.Tx) error {
		moved = 0
		last, err := readEpoch(ctx, tx)
		if err != nil {
			return err
		}
		c := &change{Tx: tx, epoch: last + 1, now: s.moment()}
		if err := fn(c); err != nil {
			return err
		}
		if c.noted {
			moved = c.epoch
			tx.Put(keyEpoch, strconv.AppendUint(nil, moved, 10))
		}
		return nil
	})
	if err != nil {
		return fault(err, "%s", doing)
	}
	if moved > 0 {
		s.moved(moved)
		s.tell(ctx)
	}
	return nil
}

// moved takes notice of an epoch and tells of it.
func (s *Store) moved(to uint64) {
	for was := s.epoch.Load(); was < to && !s.epoch.CompareAndSwap(was, to); was = s.epoch.Load() {
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	s.onChange()
}

// moment is the time as rows hold it.
func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// by is who asked for a change.
func by(ctx context.Context) string { return journal.Who(ctx).Name }
