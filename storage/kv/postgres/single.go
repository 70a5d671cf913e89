package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// A connection that waits is asked every pingEvery whether its server lives, and given up if there is no answer within pingPatience.
	pingEvery    = 5 * time.Second
	pingPatience = 5 * time.Second
	// rejoinPause is the first pause before a lost connection is made again, maxRejoinPause the longest.
	rejoinPause    = 100 * time.Millisecond
	maxRejoinPause = 5 * time.Second
)

// connect makes a connection outside the pool.
func (db *DB) connect(ctx context.Context) (*pgconn.PgConn, error) {
	wire, err := pgconn.ConnectConfig(ctx, db.single)
	if err != nil {
		return nil, judge(ctx, err)
	}
	return wire, nil
}

func closeWire(wire *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = wire.Close(ctx)
}

// within bounds a single exchange on a connection outside the pool.
func within(ctx context.Context, patience time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return do(ctx)
}

// await returns when a notification has come or the server was found alive, or with the error by which the connection was lost.
func await(ctx context.Context, wire *pgconn.PgConn) error {
	err := within(ctx, pingEvery, wire.WaitForNotification)
	if pgconn.Timeout(err) && ctx.Err() == nil {
		err = within(ctx, pingPatience, wire.Ping)
	}
	return judge(ctx, err)
}

// calling counts a call that lasts, and returns a ctx that ends with the DB as well.
func (db *DB) calling(ctx context.Context) (_ context.Context, done func(), err error) {
	if err := db.enter(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(db.ending, cancel)
	return ctx, func() { stop(); cancel(); db.calls.Done() }, nil
}

// rejoin does something that needs a connection of its own again and again, until it returns nil or ctx ends. It pauses longer and longer while
// do fails at once.
func (db *DB) rejoin(ctx context.Context, what string, do func(context.Context) error) error {
	most := rejoinPause
	for {
		began := db.config.Now()
		err := do(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, ErrUnavailable) {
			most = maxRejoinPause
		} else if db.config.Now().Sub(began) > maxRejoinPause {
			most = rejoinPause
		}
		db.log.Warn("lost the connection to postgresql, or cannot make it; trying again", "for", what, "err", err)
		if !pause(ctx, most) {
			return ctx.Err()
		}
		most = min(2*most, maxRejoinPause)
	}
}
