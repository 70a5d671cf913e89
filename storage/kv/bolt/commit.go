package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// errAbandoned answers those whose commit ended with the goroutine that led it, because one fn of the group left by runtime.Goexit.
var errAbandoned = errors.New("commit abandoned: a transaction of its group ended its goroutine")

// Update implements kv.DB. It is a group commit: the first caller leads, commits its own transaction and all that wait by then, and wakes
// the first of those that arrived meanwhile to lead the next group. So there is no goroutine and no delay between a lone writer and the disk (see queue).
// fn may therefore run on another caller's goroutine.
func (db *DB) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{ctx: ctx, fn: fn}
	if db.queue.join(r) || db.queue.wait(r) {
		db.lead()
	}
	if r.panicked {
		panic(r.reason)
	}
	return r.err
}

// lead commits one group and passes the lead on, whatever happens.
func (db *DB) lead() {
	defer db.queue.pass()
	db.queue.gather()
	group := db.queue.take()
	answered := false
	answer := func(err error) {
		answered = true
		for _, r := range group {
			if r.err == nil {
				r.err = err
			}
			r.finish()
		}
	}
	defer func() {
		if !answered {
			answer(errAbandoned)
		}
	}()
	began := time.Now()
	err := db.commit(group)
	db.queue.note(len(group), time.Since(began))
	answer(translate(err))
}

// commit runs the group in one transaction of the file and syncs it once. Each fn sees what those before it wrote. What a single fn
// returned is in its request; the error of commit itself is everybody's.
func (db *DB) commit(group []*request) error {
	if why := db.broken.Load(); why != nil {
		return *why
	}
	tx, err := db.bolt.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	bucket, changed := tx.Bucket(bucketName), false
	for _, r := range group {
		writes := r.run(snapshot{bucket})
		if writes == nil {
			continue
		}
		for key, value := range writes.Writes() {
			changed = true
			if value == nil {
				err = bucket.Delete(raw(key))
			} else {
				err = bucket.Put(raw(key), value)
			}
			if err != nil {
				return fmt.Errorf("write %s: %w", key, err)
			}
		}
	}
	if !changed {
		return nil
	}
	id := tx.ID()
	if err := tx.Commit(); err != nil {
		return db.failed(id, err)
	}
	return nil
}

// failed judges a failed commit. If it failed before its meta page was written nothing of it is seen, and the next one starts afresh.
// If that page was written and only its sync failed, readers see what no one may rely on and what the disk may forget, so nothing is
// written on top of it until the file has been opened again.
func (db *DB) failed(id int, cause error) error {
	tx, err := db.bolt.Begin(false)
	if err != nil {
		return cause
	}
	seen := tx.ID()
	_ = tx.Rollback()
	if seen >= id {
		cause = fmt.Errorf("index takes no more writes until it is opened again, its last sync failed: %w", cause)
		db.broken.Store(&cause)
	}
	return cause
}
