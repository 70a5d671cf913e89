package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

const (
	// maxLost is how often a call is tried again on another connection, after growing pauses: enough for a server that restarts quickly or
	// for connections that it closed meanwhile.
	maxLost   = 4
	lostPause = 20 * time.Millisecond
	// maxConflicts is how often an Update is tried again because it met others. The pauses between are for those of other replicas: among
	// those of this process the gate keeps order.
	maxConflicts     = 60
	maxConflictPause = 50 * time.Millisecond
)

// Update implements kv.DB. If fn writes nothing it still sees one state of the database in full. An error that the database returned to fn
// decides for itself whether fn is run again or Update fails, whatever fn makes of it.
func (db *DB) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.calls.Done()
	lost, conflicts := 0, 0
	for {
		err := db.try(ctx, fn, conflicts > 0)
		switch {
		case errors.Is(err, errConflict) && conflicts == maxConflicts:
			return fmt.Errorf("gave up after %d tries: %w", conflicts+1, err)
		case errors.Is(err, errConflict):
			conflicts++
			if most := time.Millisecond << min(conflicts, 10) / 4; !pause(ctx, min(most, maxConflictPause)) {
				return ctx.Err()
			}
		case errors.Is(err, errAgain) && lost < maxLost:
			lost++
			if !pause(ctx, lostPause<<lost) {
				return ctx.Err()
			}
		default:
			return err
		}
	}
}

// pause waits for something between nothing and most, so that those who met do not meet again, and tells whether ctx still lasts.
func pause(ctx context.Context, most time.Duration) bool {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(most)) + 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// try runs fn once, on a transaction of its own. Only an error of the database is wrapped: fn's own is its caller's.
func (db *DB) try(ctx context.Context, fn func(kv.Tx) error, again bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &tx{db: db, ctx: ctx, again: again}
	defer tx.end() // also if fn panics or ends its goroutine
	buffer := kv.NewBuffer(tx)
	err := fn(buffer)
	if tx.failed != nil {
		tx.met(tx.failed)
		return wrap(ctx, tx.failed, "read index in update")
	}
	if err == nil {
		err = buffer.Err()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && !buffer.Empty() {
		err := tx.commit(buffer)
		tx.met(err)
		return wrap(ctx, err, "update index")
	}
	// What fn concluded from its reads counts only if they hold together, which the server says at the end of the transaction.
	failed := tx.confirm()
	tx.met(failed)
	if errors.Is(failed, errConflict) || err == nil && failed != nil {
		return wrap(ctx, failed, "update index")
	}
	return err
}
