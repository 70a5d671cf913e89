package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Carry takes everything below auth/, signing keys included, over into an index that was built anew: it is nowhere else. Where there is no former index (nil),
// or it cannot be read to its end, and the journal knows of accounts, the new one says at least that there were some: a registry that has lost them must not
// take itself for a fresh one that is open to everybody. The error is nil unless accounts were lost.
func Carry(ctx context.Context, former kv.View, index kv.DB) error {
	rows, broken := map[string][]byte{}, error(nil)
	if former != nil {
		from, to := kv.Prefix("auth/")
		for row, err := range former.Scan(ctx, from, to) {
			if err != nil {
				broken = fmt.Errorf("read accounts in the former index: %w; %d rows were taken over", err, len(rows))
				break
			}
			rows[row.Key] = row.Value
		}
	} else {
		were, err := wereThere(ctx, index)
		if err != nil {
			return err
		}
		if were {
			broken = fmt.Errorf("there is no former index to take accounts and grants from")
		}
	}
	if broken != nil && rows[keyEpoch] == nil {
		rows[keyEpoch] = []byte("1")
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

// wereThere tells whether the journal knows of accounts.
func wereThere(ctx context.Context, index kv.DB) (bool, error) {
	for line, err := range journal.New(index).Tail(ctx, 0, 0) {
		if err != nil {
			return false, err
		}
		if strings.HasPrefix(line.Event.Action, "user.") || strings.HasPrefix(line.Event.Action, "robot.") {
			return true, nil
		}
	}
	return false, nil
}
