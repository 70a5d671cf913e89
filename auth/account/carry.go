package account

import (
	"context"
	"fmt"

	"github.com/entrepot/entrepot/storage/kv"
)

// Carry takes everything below auth/, signing keys included, over into a new index: it is nowhere else. Without a former index (nil), or as far as that
// cannot be read, the new one says at least that there were accounts: a registry that has lost them must not take itself for a fresh one that is open to
// everybody. The error is nil if all was taken over.
func Carry(ctx context.Context, former kv.View, index kv.DB) error {
	rows, broken := map[string][]byte{keyEpoch: []byte("1")}, error(nil)
	if former == nil {
		broken = fmt.Errorf("there is no former index to take accounts and grants from")
	} else {
		from, to := kv.Prefix("auth/")
		for row, err := range former.Scan(ctx, from, to) {
			if err != nil {
				broken = fmt.Errorf("read accounts in the former index: %w; %d rows were taken over", err, len(rows))
				break
			}
			rows[row.Key] = row.Value
		}
	}
	err := index.Update(ctx, func(tx kv.Tx) error {
		for key, value := range rows {
			tx.Put(key, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return broken
}
