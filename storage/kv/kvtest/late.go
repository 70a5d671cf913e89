package kvtest

import (
	"context"

	"github.com/entrepot/entrepot/storage/kv"
)

// LateDB is a DB that on command commits and fails nevertheless, as one does whose connection breaks before it could say that all is well. Each Update that
// committed is a point of failure, counted as those of a [FaultyDB] are.
type LateDB struct {
	kv.DB
	points FaultyDB
}

// Late returns db with points of failure, none of which fails yet.
func Late(db kv.DB) *LateDB { return &LateDB{DB: db} }

// FailAt makes the n-th point from now fail with err, once, and counts anew. n = 0 lets everything pass.
func (l *LateDB) FailAt(n int, err error) { l.points.FailAt(n, err) }

// Calls returns how many points were passed, or failed, since FailAt.
func (l *LateDB) Calls() int { return l.points.Calls() }

// Update implements kv.DB.
func (l *LateDB) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := l.DB.Update(ctx, fn); err != nil {
		return err
	}
	return l.points.point()
}
