package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entrepot/entrepot/storage/kv"
)

const (
	// One statement writes up to maxRows rows, or about maxRowBytes, so that neither side has to hold much of a large transaction at once.
	maxRows     = 1000
	maxRowBytes = 1 << 20
	// settleTimeouts is for how many timeouts Update tries to find out what became of its commit.
	settleTimeouts = 3
)

// commit sends the writes and the commit, and with them the begin if nothing was read, in one round trip. From here on it does not heed the end
// of Update's ctx: what was sent may be done.
func (s *shared) commit(ctx context.Context, writes *kv.Buffer) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	l := s.link
	if l.lost() { // it was idle in fn's hands
		return mark(fmt.Errorf("%w: connection was lost", ErrUnavailable), errAgain)
	}
	var b pgconn.Batch
	if l.begin {
		l.add(&b, beginStatement)
		l.begin = false
	}
	bytes := l.addWrites(&b, writes)
	l.commits++
	l.add(&b, sessionStatement, l.id, number(l.commits))
	l.add(&b, commitStatement)

	timeout := l.timeout + time.Second*time.Duration(bytes/maxRowBytes)
	op, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	last, err := l.send(op, &b, nil)
	var answer *pgconn.PgError
	switch {
	case last == "COMMIT": // whatever broke afterwards
		return nil
	case err == nil:
		return fmt.Errorf("the server answered %q to a commit", last)
	case errors.As(err, &answer) && answer.Severity == "ERROR":
		return translate(err) // the server has rolled back, and said so
	}
	return s.db.settle(context.WithoutCancel(ctx), l.session, err)
}

// addWrites appends the writes to b, as few statements, and returns their size. They are in the order of their keys, so that two transactions
// with the same keys wait for one another instead of each for the other.
func (l *link) addWrites(b *pgconn.Batch, writes *kv.Buffer) (bytes int) {
	var keys, values, gone [][]byte
	pending := 0
	put := func() {
		switch len(keys) {
		case 0:
		case 1:
			l.add(b, putStatement, keys[0], values[0])
		default:
			l.add(b, putManyStatement, array(keys), array(values))
		}
		keys, values, pending = nil, nil, 0
	}
	remove := func() {
		if len(gone) > 0 {
			l.add(b, deleteStatement, array(gone))
		}
		gone = nil
	}
	for key, value := range writes.Writes() {
		bytes += len(key) + len(value)
		if value == nil {
			if gone = append(gone, raw(key)); len(gone) == maxRows {
				remove()
			}
			continue
		}
		keys, values = append(keys, raw(key)), append(values, value)
		if pending += len(key) + len(value); len(keys) == maxRows || pending >= maxRowBytes {
			put()
		}
	}
	put()
	remove()
	return bytes
}

// settle finds out whether the last commit of a session whose connection was lost took place, and makes sure that it does not from then on:
// the server may still be at it, or may not even have read it. It returns nil if it did, an error that is worth another try if it did not,
// and ErrUnknown if the server cannot be asked.
//
// Every transaction that writes raises the number in its session's row. Here that number is looked at and set so high that no transaction can
// raise it any more; one that has raised it and is not yet done is waited for. A commit costs one small write to a row that is always the same for this, instead of
// a round trip to learn the transaction's id before the commit, and it takes nothing that only PostgreSQL has.
func (db *DB) settle(ctx context.Context, s *session, cause error) error {
	patience := settleTimeouts * db.config.Timeout
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	db.log.Warn("connection to postgresql was lost during a commit, asking what became of it", "err", cause)
	for try := 0; ; try++ {
		done, err := db.fence(ctx, s)
		switch {
		case err == nil && done:
			return nil
		case err == nil:
			return mark(fmt.Errorf("%w: %w", ErrUnavailable, cause), errAgain)
		case ctx.Err() != nil || !pause(ctx, min(lostPause<<min(try, 6), time.Second)):
			// Neither cause nor err is wrapped: nothing of them may make this worth another try.
			return fmt.Errorf("%w: %w: %v; asked for %v: %v", ErrUnavailable, ErrUnknown, cause, patience, err)
		}
	}
}

// fence tells whether the last commit of s took place and lets none of s take place from now on.
func (db *DB) fence(ctx context.Context, s *session) (done bool, err error) {
	l, err := db.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer db.release(l)
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	table := db.table.suffix("_session")
	commits := int64(0)
	var b pgconn.Batch
	b.ExecParams(fmt.Sprintf(`insert into %s (id, commits) values ($1, 0) on conflict (id) do nothing`, table),
		[][]byte{s.id}, []uint32{bytea}, binaryFormat, binaryFormat)
	b.ExecParams(fmt.Sprintf(`update %s set commits = case when commits >= %d then commits when commits = $2 then %d else %d end, at = now()
		where id = $1 returning commits`, table, fencedUndone, fencedDone, fencedUndone),
		[][]byte{s.id, number(s.commits)}, []uint32{bytea, int8}, binaryFormat, binaryFormat)
	_, err = l.send(ctx, &b, func(row [][]byte) { commits = int64(binary.BigEndian.Uint64(row[0])) })
	if err == nil && commits < fencedUndone {
		err = fmt.Errorf("the server set the session's number to %d", commits)
	}
	return commits == fencedDone, judge(ctx, err)
}

// Numbers of sessions that are over. They tell what became of the last commit, so that fence may be repeated when its own answer is lost.
const (
	fencedUndone int64 = 1<<62 + iota
	fencedDone
)
