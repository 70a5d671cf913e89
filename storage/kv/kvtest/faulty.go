package kvtest

import (
	"context"
	"iter"
	"sync"

	"github.com/entrepot/entrepot/storage/kv"
)

// FaultyDB is a DB that fails on command. Its points of failure are counted: a Get and a Scan have one each, an Update has two, before fn runs
// and after it ran but before anything is committed. A test that wants every way of failing counts upwards until Calls stays below:
//
//	for n := 1; ; n++ {
//		db.FailAt(n, errBroken)
//		err := underTest(db)
//		if db.Calls() < n {
//			break // it came through without reaching the fault
//		}
//		…
//	}
type FaultyDB struct {
	kv.DB
	mu    sync.Mutex
	calls int
	at    int
	err   error
}

// Faulty returns db with points of failure, none of which fails yet.
func Faulty(db kv.DB) *FaultyDB { return &FaultyDB{DB: db} }

// FailAt makes the n-th point from now fail with err, once, and counts anew. n = 0 lets everything pass.
func (f *FaultyDB) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.at, f.err = 0, n, err
}

// Calls returns how many points were passed, or failed, since FailAt.
func (f *FaultyDB) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *FaultyDB) point() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.calls == f.at {
		return f.err
	}
	return nil
}

// Get implements kv.View.
func (f *FaultyDB) Get(ctx context.Context, key string) ([]byte, error) {
	if err := f.point(); err != nil {
		return nil, err
	}
	return f.DB.Get(ctx, key)
}

// Scan implements kv.View.
func (f *FaultyDB) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		if err := f.point(); err != nil {
			yield(kv.Pair{}, err)
			return
		}
		f.DB.Scan(ctx, from, to)(yield)
	}
}

// Update implements kv.DB.
func (f *FaultyDB) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := f.point(); err != nil {
		return err
	}
	return f.DB.Update(ctx, func(tx kv.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return f.point()
	})
}
