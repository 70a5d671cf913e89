package postgres

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entrepot/entrepot/storage/kv"
)

// tx is what an Update's fn sees below its own writes. It takes a connection with its first read; the transaction's begin travels with that.
type tx struct {
	db     *DB
	ctx    context.Context // of Update
	again  bool            // whether fn was run before
	gated  bool            // whether a place in the gate is held
	link   *link           // nil until it is needed
	failed error           // the first error of the database: then nothing more can be read or committed
	over   bool
}

// met tells the gate how the transaction ended. One that read nothing says nothing about the others.
func (t *tx) met(err error) {
	switch {
	case !t.gated:
	case errors.Is(err, errConflict):
		t.db.gate.met()
	case err == nil:
		t.db.gate.passed()
	}
}

// Get implements kv.View.
func (t *tx) Get(ctx context.Context, key string) (value []byte, err error) {
	err = t.read(ctx, func(ctx context.Context) (err error) {
		value, err = t.link.get(ctx, key)
		return err
	})
	if err == nil && value == nil {
		err = kv.ErrNotFound
	}
	return value, err
}

// Scan implements kv.View.
func (t *tx) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return scan(ctx, t, from, to, func(page []kv.Pair, from string, limit int) (next []kv.Pair, err error) {
		err = t.read(ctx, func(ctx context.Context) (err error) {
			next, err = t.link.page(ctx, page, from, to, limit)
			return err
		})
		return next, err
	})
}

// read does something that reads, with a ctx that ends with both fn's and Update's.
func (t *tx) read(ctx context.Context, do func(context.Context) error) error {
	switch {
	case t.over:
		return errOver
	case t.failed != nil:
		return t.failed
	case ctx.Err() != nil:
		return ctx.Err()
	case t.ctx.Err() != nil:
		return t.ctx.Err()
	}
	if ctx.Done() != t.ctx.Done() {
		both, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(t.ctx, cancel)()
		ctx = both
	}
	if !t.gated {
		if err := t.db.gate.enter(ctx, t.again); err != nil {
			return err
		}
		t.gated = true
	}
	if t.failed = t.connect(ctx); t.failed == nil {
		t.failed = do(ctx)
	}
	return t.failed
}

func (t *tx) connect(ctx context.Context) (err error) {
	if t.link == nil {
		if t.link, err = t.db.acquire(ctx); err == nil {
			t.link.begin = true
		}
	}
	return err
}

// confirm ends a transaction that read and has nothing to write.
func (t *tx) confirm() error {
	if t.link == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), t.link.timeout)
	defer cancel()
	var b pgconn.Batch
	t.link.add(&b, commitStatement)
	_, err := t.link.send(ctx, &b, nil)
	return judge(ctx, err)
}

// end rolls back what was begun and not committed, and gives the connection back.
func (t *tx) end() {
	t.over = true
	if t.gated {
		defer t.db.gate.leave()
	}
	l := t.link
	if l == nil {
		return
	}
	if !l.begin && !l.wire.IsClosed() && l.wire.TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), min(l.timeout, 5*time.Second))
		defer cancel()
		_ = simple(ctx, l.wire, "rollback") // if it fails, the pool closes the connection
	}
	t.db.release(l)
}
