// Package postgres keeps the index in a PostgreSQL database, so that several replicas share it.
//
//	db, err := postgres.Open(ctx, postgres.Config{URL: "postgres://entrepot:secret@db.example.com/entrepot?sslmode=verify-full"})
//
// # What is kept where
//
// One table holds the pairs, key and value both bytea, which PostgreSQL orders by bytes as package kv wants it. (Text with collation "C" has
// that order as well, but takes neither a zero byte nor anything that is not UTF-8.) Two small tables stand beside it: <table>_version, the
// migrations that were applied, and <table>_session, by which a commit whose answer was lost is settled. The first replica makes them.
//
// # Promises
//
// An Update is a serializable transaction. Its reads take one round trip each, or one for many that it announces (kv.Ahead), its writes and the commit one
// together, and a lone Get one. Updates of one process that would have to wait for each other share a transaction, in which they run one after another: their
// commit is one, and they do not meet. An Update is run again when PostgreSQL finds it in conflict with another, or when the connection is lost before the commit was sent. What Update
// reports as done is committed, as durably as the server commits; what it reports as failed is not, and never will be. When the connection is
// lost while the commit is under way, Update asks for its outcome on another one. ErrUnknown, the one case that stays open, is returned only
// if the server cannot be asked for three times Config.Timeout, 30 s by default.
//
// A server that is away, restarts, is out of connections or hangs makes calls fail with ErrUnavailable within Config.Timeout or little more;
// nothing waits for ever. Full disks are kv.ErrFull.
//
// Beside the index, replicas can wake each other (Notify, Listen) and agree on one of them to do a job (Lead).
//
// # What it asks of the server
//
// PostgreSQL 13 or newer, direct or through a pooler in session mode, and the right to create tables in the schema at the first start. The
// user's own database suits best. Servers that speak its protocol and have serializable transactions, such as CockroachDB and YugabyteDB,
// should do for the index (they have not been tried), but not for Listen and Lead. Busy servers gain from max_pred_locks_per_transaction =
// 256 or more: transactions that read many rows are then not taken to have read the whole table, and run again less often.
//
// The package leaves to others what the keys mean.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/entrepot/entrepot/storage/kv"
)

// DB is an index in a PostgreSQL database. It is safe for concurrent use.
type DB struct {
	config  Config
	table   table          // known once the first connection is made
	tables  sync.Mutex     // held while that prepares them
	single  *pgconn.Config // for connections outside the pool
	pool    *pgxpool.Pool
	log     *slog.Logger
	gate    *gate
	ending  context.Context
	end     context.CancelFunc
	size    size
	mu      sync.Mutex // guards the rest
	calls   sync.WaitGroup
	closed  bool
	severed time.Time // when all connections that were open were given up
}

var (
	_ kv.DB     = (*DB)(nil)
	_ kv.Lister = (*DB)(nil)
)

// Open connects to the database and brings its tables to the version of this program. The error wraps ErrUnavailable if the server is away;
// any other needs a person. No error holds the URL's password.
func Open(ctx context.Context, config Config) (*DB, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	pool, err := config.parse()
	if err != nil {
		return nil, err
	}
	db := &DB{config: config, single: &pool.ConnConfig.Config, log: config.Log}
	db.gate = newGate(db, config.MaxConns)
	pool.AfterConnect = db.afterConnect
	// The pool outlives the call that opens it.
	if db.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), pool); err == nil {
		err = db.first(ctx)
	}
	if err != nil {
		return nil, wrap(ctx, err, "open index %s in postgresql", config.Table)
	}
	db.ending, db.end = context.WithCancel(context.WithoutCancel(ctx))
	return db, nil
}

// first makes the pool's first connection, which prepares the tables.
func (db *DB) first(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, db.config.ConnectTimeout+4*db.config.Timeout)
	defer cancel()
	conn, err := db.pool.Acquire(wait)
	if err == nil {
		conn.Release()
		return nil
	}
	db.pool.Close()
	if u := (unprepared{}); errors.As(err, &u) {
		return u.error
	}
	return judge(ctx, err)
}

// Get implements kv.View. It is one round trip.
func (db *DB) Get(ctx context.Context, key string) ([]byte, error) {
	if err := db.enter(ctx); err != nil {
		return nil, err
	}
	defer db.calls.Done()
	var value []byte
	err := db.read(ctx, func(l *link) (err error) {
		value, err = l.get(ctx, key)
		return err
	})
	switch {
	case err != nil:
		return nil, wrap(ctx, err, "get from index")
	case value == nil:
		return nil, kv.ErrNotFound
	}
	return value, nil
}

// read lends do a connection, outside of any transaction. do only reads, so it is simply done again when the connection turns out to be lost.
func (db *DB) read(ctx context.Context, do func(*link) error) error {
	for try := 0; ; try++ {
		l, err := db.acquire(ctx)
		if err == nil {
			err = do(l)
			db.release(l)
		}
		if err == nil || !errors.Is(err, errAgain) || try == maxLost || !pause(ctx, lostPause<<try) {
			return err
		}
	}
}

// Close waits for what is under way, ends Listen and Lead, and closes all connections.
func (db *DB) Close() error {
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	db.end()
	db.calls.Wait()
	db.pool.Close()
	return nil
}

// enter counts a call that Close has to wait for.
func (db *DB) enter(ctx context.Context) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return kv.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	db.calls.Add(1)
	return nil
}

// own returns a copy that is its holder's to keep and to change; never nil.
func own(value []byte) []byte {
	c := make([]byte, len(value))
	copy(c, value)
	return c
}
