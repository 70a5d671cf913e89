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
	lost, conflicts, alone := 0, 0, false
	var before keys
	for {
		tx := &tx{db: db, ctx: ctx, again: conflicts > 0, keys: keys{ahead: before.was}, member: member{alone: alone}}
		err := tx.try(fn)
		before = tx.keys
		switch {
		case errors.Is(err, errAlone):
			alone = true
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

// try runs fn once. Only an error of the database is wrapped: fn's own is its caller's.
func (t *tx) try(fn func(kv.Tx) error) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	buffer := kv.NewBuffer(t)
	err := t.run(fn, buffer)
	if t.group == nil { // it read nothing
		if err != nil || buffer.Empty() {
			return err
		}
		blind := &shared{db: t.db}
		defer blind.end()
		return wrap(t.ctx, blind.commit(t.ctx, buffer), "update index")
	}
	<-t.group.done
	// What fn concluded from its reads counts only if they hold together, which the server says at the end of the transaction.
	failed := t.group.err
	if ended := t.ctx.Err(); ended != nil && errors.Is(failed, context.Canceled) {
		failed = ended // of the two ctxs that its reads had
	}
	switch {
	case failed == nil:
		return err
	case t.group.shared.failed != nil:
		return wrap(t.ctx, failed, "read index in update")
	case err == nil || t.group.shared.many || errors.Is(failed, errConflict):
		return wrap(t.ctx, failed, "update index")
	}
	return err
}

// run runs fn in its turn, which ends also if fn panics or ends its goroutine.
func (t *tx) run(fn func(kv.Tx) error, buffer *kv.Buffer) (err error) {
	var writes *kv.Buffer
	defer func() {
		t.over = true
		if t.group != nil {
			t.group.pass(writes)
		}
	}()
	if err = fn(buffer); err == nil {
		err = buffer.Err()
	}
	if err == nil {
		err = t.ctx.Err()
	}
	if err == nil {
		writes = buffer
	}
	return err
}
