package postgres

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entrepot/entrepot/storage/kv"
)

var _ kv.Snapshotter = (*DB)(nil)

// snapshotIdle is how long fn may do without the database. The server gives up a snapshot that nobody reads any more after that: it cannot clean up behind one.
const snapshotIdle = 5 * time.Minute

// Snapshot implements kv.Snapshotter with one transaction that only reads and sees the database as it is when the first read arrives: as a server that fails at
// that moment would find it when it starts again. It is repeatable read, so no Update meets it or waits for it. It has a connection of its own, beside those of the
// pool. If that is lost, all further reads fail, and so does Snapshot, whatever fn returns: a view that goes on elsewhere would be of another moment.
func (db *DB) Snapshot(ctx context.Context, fn func(kv.View) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	running, done, err := db.calling(ctx)
	if err != nil {
		return err
	}
	defer done()
	// To say that the DB was closed is more to the point than to say that something was cancelled.
	why := func(err error) error {
		if err != nil && db.ending.Err() != nil && ctx.Err() == nil {
			return kv.ErrClosed
		}
		return wrap(ctx, err, "snapshot of index")
	}
	s, err := db.beginSnapshot(running)
	if err != nil {
		return why(err)
	}
	defer s.end() // also if fn panics or ends its goroutine
	err = fn(s)
	if failed := s.confirm(err == nil); failed != nil {
		return why(failed)
	}
	return err
}

// snapshot is the view of one Snapshot.
type snapshot struct {
	ctx    context.Context // of Snapshot
	mu     sync.Mutex      // guards the rest
	link   *link
	failed error // the first error of the database: nothing more can be read
	over   bool
}

// beginSnapshot makes the connection and begins the transaction, which sees what there is at its first read.
func (db *DB) beginSnapshot(ctx context.Context) (*snapshot, error) {
	wire, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &snapshot{ctx: ctx, link: &link{session: &session{}, wire: wire, timeout: db.config.Timeout + grace}}
	err = within(ctx, db.config.ConnectTimeout+db.config.Timeout, func(ctx context.Context) error {
		if err := s.link.prepare(ctx, wire, db.table); err != nil {
			return err
		}
		return simple(ctx, wire, append(db.snapshotSettings(), `begin isolation level repeatable read read only`)...)
	})
	if err != nil {
		closeWire(wire)
		return nil, judge(ctx, err)
	}
	return s, nil
}

// snapshotSettings are what the connection of a snapshot has. The server notices by itself if this machine is gone.
func (db *DB) snapshotSettings() []string {
	return []string{
		fmt.Sprintf(`set statement_timeout = %d`, db.config.Timeout.Milliseconds()),
		fmt.Sprintf(`set idle_in_transaction_session_timeout = %d`, snapshotIdle.Milliseconds()),
		`set tcp_keepalives_idle = 12`, `set tcp_keepalives_interval = 2`, `set tcp_keepalives_count = 3`,
		`set enable_seqscan = off`, `set enable_bitmapscan = off`, `set jit = off`, `set plan_cache_mode = force_generic_plan`,
	}
}

// Get implements kv.View.
func (s *snapshot) Get(ctx context.Context, key string) (value []byte, err error) {
	err = s.read(ctx, func(ctx context.Context) (err error) {
		value, err = s.link.get(ctx, key)
		return err
	})
	if err == nil && value == nil {
		err = kv.ErrNotFound
	}
	return value, err
}

// Scan implements kv.View. It reads page by page.
func (s *snapshot) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return scan(ctx, s, from, to, func(page []kv.Pair, from string, limit int) (next []kv.Pair, err error) {
		err = s.read(ctx, func(ctx context.Context) (err error) {
			next, err = s.link.page(ctx, page, from, to, limit)
			return err
		})
		return next, err
	})
}

// read does something that reads, with a ctx that ends with both the caller's and Snapshot's. A read that was given up amid its answer takes the connection with it.
func (s *snapshot) read(ctx context.Context, do func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return errOver
	case s.failed != nil:
		return s.failed
	case ctx.Err() != nil:
		return ctx.Err()
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	}
	if ctx.Done() != s.ctx.Done() {
		both, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		ctx = both
	}
	s.failed = do(ctx)
	return s.failed
}

// confirm ends the view, and the transaction if what was read counts: that the server commits it means that all reads were in it.
func (s *snapshot) confirm(counts bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	switch {
	case s.failed != nil || !counts:
		return s.failed
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	}
	var b pgconn.Batch
	s.link.add(&b, commitStatement)
	op, cancel := context.WithTimeout(s.ctx, s.link.timeout)
	defer cancel()
	last, err := s.link.send(op, &b, nil)
	if err == nil && last != "COMMIT" {
		err = fmt.Errorf("the server answered %q to the end of a transaction that read", last)
	}
	return judge(s.ctx, err)
}

func (s *snapshot) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	closeWire(s.link.wire)
}
