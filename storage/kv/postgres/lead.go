package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// leadEvery is how often a replica that waits asks whether it may lead. It asks anew instead of waiting in the lock's queue, as a statement that
// waits for hours would keep the server from cleaning up for as long.
const leadEvery = time.Second

// ErrLost is the cause of the end of the ctx of a job whose replica does not lead any more.
var ErrLost = errors.New("connection that held the lead was lost")

// errLed says that do returned; what it returned is kept beside.
type led struct{ err error }

func (led) Error() string { return "job ended" }

// Lead waits until no other replica on the same database leads under name, and runs do. It returns what do returned, or ctx's error if that
// ended before. If the lead is lost, which means the connection that holds it, the ctx of do ends at once with the cause ErrLost, and when do
// has returned, Lead waits to lead again and runs do anew. So do returns soon when its ctx ends, and nil or an error of its own only when the
// job is done.
//
// It promises that two replicas lead one after another as long as connections hold, and that some replica leads within a few seconds after
// the one that did ended or gave up. It cannot promise more: a replica that is cut off from the server learns so within about 10 s, and the
// server may let another one lead before, so that do has to be safe, if perhaps wasteful, when two run for a moment. It needs advisory locks
// of a session: PostgreSQL itself, direct or through a pooler in session mode.
func (db *DB) Lead(ctx context.Context, name string, do func(ctx context.Context) error) error {
	ctx, done, err := db.calling(ctx)
	if err != nil {
		return err
	}
	defer done()
	var end led
	err = db.rejoin(ctx, "the lead of "+name, func(ctx context.Context) error {
		err := db.lead(ctx, name, do)
		if errors.As(err, &end) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return end.err
}

// lead leads once, on one connection. It returns led if do came to its own end.
func (db *DB) lead(ctx context.Context, name string, do func(context.Context) error) error {
	wire, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer closeWire(wire)
	// The server shall notice as well that a replica is gone. It waits longer than the replica itself would (see await), so that the replica
	// mostly knows first.
	err = within(ctx, db.config.Timeout, func(ctx context.Context) error {
		return simple(ctx, wire, `set tcp_keepalives_idle = 12`, `set tcp_keepalives_interval = 2`, `set tcp_keepalives_count = 3`,
			fmt.Sprintf(`set statement_timeout = %d`, db.config.Timeout.Milliseconds()))
	})
	if err != nil {
		return judge(ctx, err)
	}
	key := db.table.lockKey("lead " + name)
	for {
		granted, err := db.ask(ctx, wire, fmt.Sprintf(`select pg_try_advisory_lock(%d)`, key))
		if err != nil {
			return err
		}
		if granted {
			break
		}
		if !pause(ctx, leadEvery) {
			return ctx.Err()
		}
	}
	defer func() {
		if !wire.IsClosed() {
			_, _ = db.ask(context.WithoutCancel(ctx), wire, fmt.Sprintf(`select pg_advisory_unlock(%d)`, key))
		}
	}()
	return hold(ctx, wire, do)
}

// hold runs do while it watches the connection.
func hold(ctx context.Context, wire *pgconn.PgConn, do func(context.Context) error) error {
	leading, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() {
		for {
			if err := await(watching, wire); err != nil {
				if watching.Err() == nil {
					lose(ErrLost)
				}
				watched <- err
				return
			}
		}
	}()
	defer func() { stop(); <-watched }() // before the connection is used again
	err := do(leading)
	switch {
	case context.Cause(leading) == ErrLost:
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrLost)
	case ctx.Err() != nil && err == nil:
		return ctx.Err()
	}
	return led{err}
}

// ask runs SQL that returns true or false.
func (db *DB) ask(ctx context.Context, wire *pgconn.PgConn, sql string) (yes bool, err error) {
	err = within(ctx, db.config.Timeout+grace, func(ctx context.Context) error {
		text, err := value(ctx, wire, sql)
		yes = text == "t"
		return err
	})
	return yes, judge(ctx, err)
}
