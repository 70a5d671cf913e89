package account

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// maxBatch is how many rows one transaction of Run writes or removes.
const maxBatch = 256

// used keeps what was used since it was last written: ids of secrets, and users as "user:NAME". It cannot grow beyond those that there are.
type used struct {
	mu sync.Mutex
	at map[string]int64 // milliseconds
}

func (u *used) mark(what string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at == nil {
		u.at = map[string]int64{}
	}
	u.at[what] = max(u.at[what], at.UnixMilli())
}

// take returns them all, and keeps none.
func (u *used) take() map[string]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.at
	u.at = nil
	return all
}

// flush writes when what was last used. What cannot be written is kept for the next time.
func (s *Store) flush(ctx context.Context) error {
	all := s.used.take()
	for batch := range slices.Chunk(slices.Sorted(maps.Keys(all)), maxBatch) {
		err := s.index.Update(ctx, func(tx kv.Tx) error {
			for _, what := range batch {
				if err := writeUsed(ctx, tx, what, all[what]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			for what, at := range all {
				s.used.mark(what, time.UnixMilli(at))
			}
			return fault(err, "write when secrets were last used")
		}
	}
	return nil
}

// writeUsed leaves out what is no longer there, and what another process saw used later.
func writeUsed(ctx context.Context, tx kv.Tx, what string, at int64) error {
	key := keySecret(what)
	if !isID(what) {
		key = prefixUser + what[len("user:"):]
	}
	switch _, err := tx.Get(ctx, key); {
	case errors.Is(err, kv.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	before, err := lastUsed(ctx, tx, what)
	if err == nil && at > before.UnixMilli() {
		tx.Put(keyUsed(what), strconv.AppendInt(nil, at, 10))
	}
	return err
}

// lastUsed returns when something was last used as far as that is written, else the zero time. A damaged row is as good as none: the next use
// writes it anew.
func lastUsed(ctx context.Context, v kv.View, what string) (time.Time, error) {
	value, err := v.Get(ctx, keyUsed(what))
	if errors.Is(err, kv.ErrNotFound) {
		return time.Time{}, nil
	}
	at, wrong := strconv.ParseInt(string(value), 10, 64)
	if err != nil || wrong != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(at).UTC(), nil
}
