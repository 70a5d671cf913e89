package bolt

import (
	"context"

	"github.com/entrepot/entrepot/storage/kv"
)

var _ kv.Snapshotter = (*DB)(nil)

// Snapshot implements kv.Snapshotter with one read transaction. Commits go on beside it; but pages that they free cannot be used again before it ends, so the file
// grows by what is written meanwhile, and a commit that outgrows the mapping waits for it.
func (db *DB) Snapshot(ctx context.Context, fn func(kv.View) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := db.bolt.Begin(false)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback() }() // of a transaction that only read: it cannot fail
	return fn(snapshot{tx.Bucket(bucketName)})
}
