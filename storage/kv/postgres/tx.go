package postgres

import (
	"context"
	"iter"

	"github.com/entrepot/entrepot/storage/kv"
)

// tx is what an Update's fn sees below its own writes. Its first read takes it through the gate, into a group.
type tx struct {
	db    *DB
	ctx   context.Context // of Update
	again bool            // whether fn was run before
	keys  keys            // that fn read, and that it is about to read
	over  bool            // fn has returned
	member
}

// Get implements kv.View.
func (t *tx) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, done, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if ahead := t.keys.read(key); len(ahead) > 0 {
		if err := t.group.shared.fetch(ctx, ahead); err != nil {
			return nil, err
		}
	}
	return t.group.writes.Get(ctx, key)
}

// Scan implements kv.View.
func (t *tx) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		ctx, done, err := t.enter(ctx)
		if err != nil {
			yield(kv.Pair{}, err)
			return
		}
		defer done()
		for p, err := range t.group.writes.Scan(ctx, from, to) {
			if !yield(p, err) {
				return
			}
			if t.over { // whoever goes on now would be in the way of the group
				yield(kv.Pair{}, errOver)
				return
			}
		}
	}
}

// Ahead takes the keys that fn says it is going to read: they are fetched together with the next one that it does read.
func (t *tx) Ahead(keys ...string) { t.keys.expect(keys...) }

// enter begins something that reads, with a ctx that ends with both fn's and Update's.
func (t *tx) enter(ctx context.Context) (both context.Context, done func(), err error) {
	switch {
	case t.over:
		return nil, nil, errOver
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case t.ctx.Err() != nil:
		return nil, nil, t.ctx.Err()
	}
	done = func() {}
	if ctx.Done() != t.ctx.Done() {
		joined, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(t.ctx, cancel)
		ctx, done = joined, func() { stop(); cancel() }
	}
	if t.group == nil {
		if err := t.db.gate.enter(ctx, &t.member, t.again); err != nil {
			done()
			if ended := t.ctx.Err(); ended != nil {
				err = ended
			}
			return nil, nil, err
		}
	}
	return ctx, done, nil
}
