package postgres

import (
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entrepot/entrepot/storage/kv"
)

// shared is a transaction, for a group or for an Update that reads nothing. It takes a connection when it needs one; the transaction's begin travels with the
// first read.
type shared struct {
	db     *DB
	many   bool              // it is not one's alone: nobody's ctx may end it
	link   *link             // nil until it is needed
	known  map[string][]byte // what was read, as long as it is not much; nil: there is no such key
	failed error             // the first error of the database: then nothing more can be read or committed
}

// What a transaction remembers. It sees one state of the database, so what it has read once need not be read again.
const (
	maxKnown      = 1024 // keys
	maxKnownBytes = 1024 // of a value
)

// Get implements kv.View.
func (s *shared) Get(ctx context.Context, key string) (value []byte, err error) {
	value, found := s.known[key]
	if !found {
		err = s.read(ctx, func(ctx context.Context) (err error) {
			value, err = s.link.get(ctx, key)
			return err
		})
		if err != nil {
			return nil, err
		}
		s.learn(key, value)
	}
	if value == nil {
		return nil, kv.ErrNotFound
	}
	return own(value), nil
}

// fetch reads some values in one round trip. Large ones are left to Get.
func (s *shared) fetch(ctx context.Context, keys []string) error {
	var unknown [][]byte
	for _, key := range keys {
		if _, found := s.known[key]; !found {
			unknown = append(unknown, raw(key))
		}
	}
	if len(unknown) < 2 || len(s.known) >= maxKnown {
		return nil
	}
	found := map[string][]byte{}
	large := map[string]bool{}
	err := s.read(ctx, func(ctx context.Context) error {
		return s.link.query(ctx, fetchStatement, [][]byte{array(unknown), number(maxKnownBytes)[4:]}, func(row [][]byte) {
			if row[1] == nil {
				large[string(row[0])] = true
			} else {
				found[string(row[0])] = own(row[1])
			}
		})
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !large[key] {
			s.learn(key, found[key])
		}
	}
	return nil
}

func (s *shared) learn(key string, value []byte) {
	if len(s.known) >= maxKnown || len(value) > maxKnownBytes {
		return
	}
	if s.known == nil {
		s.known = map[string][]byte{}
	}
	if _, found := s.known[key]; !found {
		s.known[key] = value
	}
}

// Scan implements kv.View.
func (s *shared) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return scanBy(ctx, s, from, to, firstOfUpdate, func(page []kv.Pair, from string, limit int) (next []kv.Pair, err error) {
		err = s.read(ctx, func(ctx context.Context) (err error) {
			next, err = s.link.page(ctx, page, from, to, limit)
			return err
		})
		return next, err
	})
}

func (s *shared) read(ctx context.Context, do func(context.Context) error) error {
	switch {
	case s.failed != nil:
		return s.failed
	case ctx.Err() != nil:
		return ctx.Err()
	case s.many:
		ctx = context.WithoutCancel(ctx) // the server's patience, and ours, bound it
	}
	if s.failed = s.connect(ctx); s.failed == nil {
		s.failed = do(ctx)
	}
	return s.failed
}

func (s *shared) connect(ctx context.Context) (err error) {
	if s.link == nil {
		if s.link, err = s.db.acquire(ctx); err == nil {
			s.link.begin = true
		}
	}
	return err
}

// confirm ends a transaction that read and has nothing to write.
func (s *shared) confirm() error {
	if s.link == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.link.timeout)
	defer cancel()
	var b pgconn.Batch
	s.link.add(&b, commitStatement)
	_, err := s.link.send(ctx, &b, nil)
	return judge(ctx, err)
}

// end rolls back what was begun and not committed, and gives the connection back.
func (s *shared) end() {
	l := s.link
	if l == nil {
		return
	}
	if !l.begin && !l.wire.IsClosed() && l.wire.TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.Background(), min(l.timeout, 5*time.Second))
		defer cancel()
		_ = simple(ctx, l.wire, "rollback") // if it fails, the pool closes the connection
	}
	s.db.release(l)
}
