package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// session is what we know of a connection.
type session struct {
	id       []byte // 16 random bytes: its row in <table>_session
	commits  int64  // how many were begun
	born     time.Time
	prepared [statements]*pgconn.StatementDescription
}

const sessionKey = "entrepot" // in a connection's CustomData

// link is a connection that was taken from the pool.
type link struct {
	*session
	pooled  *pgxpool.Conn
	wire    *pgconn.PgConn
	timeout time.Duration // of one exchange
	begin   bool          // whether the next statement has to begin a transaction
}

// acquire takes a connection from the pool, or makes one, or waits for one.
func (db *DB) acquire(ctx context.Context) (*link, error) {
	wait, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	for {
		pooled, err := db.pool.Acquire(wait)
		if err != nil {
			return nil, judge(ctx, err)
		}
		wire := pooled.Conn().PgConn()
		s, ok := wire.CustomData()[sessionKey].(*session)
		if !ok {
			pooled.Release()
			return nil, errors.New("a connection of the pool was not prepared")
		}
		l := &link{session: s, pooled: pooled, wire: wire, timeout: db.config.Timeout + grace}
		if !l.lost() {
			return l, nil
		}
		closeWire(wire)
		db.release(l)
	}
}

// lost tells, without asking the server, whether it has closed the connection or has said something on its own, which mostly is that it is
// about to. What is sent on such a connection would be lost, or worse: nobody would know whether it was.
func (l *link) lost() bool { return l.wire.IsClosed() || readable(l.wire.Conn()) }

// release gives a connection back. If it was lost, those that are as old are most likely lost too, and are given up with it.
func (db *DB) release(l *link) {
	lost := l.wire.IsClosed()
	l.pooled.Release()
	if !lost {
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if now := db.config.Now(); !db.closed && l.born.After(db.severed) {
		db.severed = now
		db.pool.Reset()
	}
}

// afterConnect makes a new connection ready.
func (db *DB) afterConnect(ctx context.Context, conn *pgx.Conn) error {
	wire, s := conn.PgConn(), &session{id: make([]byte, 16), born: db.config.Now()}
	_, _ = rand.Read(s.id) // never fails
	if err := db.prepareTables(ctx, wire); err != nil {
		return err
	}
	if err := simple(ctx, wire, db.settings()...); err != nil {
		return fmt.Errorf("configure connection: %w", err)
	}
	// What a server does not know of these it does without.
	for _, set := range db.wishes() {
		var answer *pgconn.PgError
		if err := simple(ctx, wire, set); err != nil && !errors.As(err, &answer) {
			return fmt.Errorf("configure connection: %w", err)
		}
	}
	if err := s.prepare(ctx, wire, db.table); err != nil {
		return fmt.Errorf("prepare statements: %w", err)
	}
	wire.CustomData()[sessionKey] = s
	return nil
}

// settings are what a session must have.
func (db *DB) settings() []string {
	return []string{
		fmt.Sprintf(`set statement_timeout = %d`, db.config.Timeout.Milliseconds()),
		// A transaction whose client is gone must not keep its locks.
		fmt.Sprintf(`set idle_in_transaction_session_timeout = %d`, (2 * db.config.Timeout).Milliseconds()),
		`set default_transaction_isolation = 'read committed'`,
	}
}

// wishes make plans that read by the index alone, which is what the statements are written for; a plan that reads the whole of a small table
// would be in conflict with everybody's writes. And they ask for durable commits, or for lazy ones.
func (db *DB) wishes() []string {
	durable := `select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'`
	if db.config.Lazy {
		durable = `set synchronous_commit = off`
	}
	return []string{
		`set enable_seqscan = off; set enable_bitmapscan = off; set jit = off; set plan_cache_mode = force_generic_plan`,
		durable,
		// Rows of sessions that ended long ago.
		fmt.Sprintf(`delete from %s where at < now() - interval '1 day'`, db.table.suffix("_session")),
	}
}

// prepare prepares all statements in one round trip.
func (s *session) prepare(ctx context.Context, wire *pgconn.PgConn, t table) error {
	all := t.statements()
	pipe := wire.StartPipeline(ctx)
	for _, p := range all {
		pipe.SendPrepare(p.name, p.sql, p.params)
	}
	if err := pipe.Sync(); err != nil {
		return err
	}
	for i, p := range all {
		result, err := pipe.GetResults()
		if err != nil {
			_ = pipe.Close()
			return err
		}
		description, ok := result.(*pgconn.StatementDescription)
		if !ok {
			_ = pipe.Close()
			return fmt.Errorf("the server answered %T", result)
		}
		description.Name, description.SQL = p.name, p.sql
		s.prepared[i] = description
	}
	return pipe.Close()
}

// simple runs SQL without parameters.
func simple(ctx context.Context, wire *pgconn.PgConn, sql ...string) error {
	_, err := wire.Exec(ctx, strings.Join(sql, "; ")).ReadAll()
	return err
}
