package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/entrepot/entrepot/storage/kv"
)

// The rows are what is public of a thing and, beside it, what stays here.

type userRow struct {
	User
	Generation uint64 `json:"generation"`     // the epoch of the last change that ended all logins; so none comes twice, not even after a removal
	Hash       string `json:"hash,omitempty"` // of a local user's password
}

type robotRow struct {
	Robot
	Generation uint64 `json:"generation"`
}

type secretRow struct {
	Secret
	Sum []byte `json:"sha256"` // of the whole plain secret
}

// get reads a row of JSON. The error of a damaged one shows nothing of it: there may be a hash in it.
func get[Row any](ctx context.Context, v kv.View, key string) (Row, error) {
	var row, none Row
	value, err := v.Get(ctx, key)
	if err != nil {
		return none, err
	}
	if json.Unmarshal(value, &row) != nil {
		return none, damaged(key)
	}
	return row, nil
}

// rows yields the rows of JSON behind a prefix whose keys end in more than after, in order.
func rows[Row any](ctx context.Context, v kv.View, prefix, after string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		from, to := kv.Prefix(prefix)
		if after != "" {
			from += after + "\x00"
		}
		for pair, err := range v.Scan(ctx, from, to) {
			var row, none Row
			if err == nil && json.Unmarshal(pair.Value, &row) != nil {
				row, err = none, damaged(pair.Key)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func put(tx kv.Tx, key string, row any) error {
	value, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("write index row %q: %w", key, err)
	}
	tx.Put(key, value)
	return nil
}

func damaged(key string) error {
	return fmt.Errorf("index row %q is damaged; restore the index from a backup, or delete the row", key)
}

// readEpoch returns the epoch; without one it is 0.
func readEpoch(ctx context.Context, v kv.View) (uint64, error) {
	value, err := v.Get(ctx, keyEpoch)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	epoch, err := strconv.ParseUint(string(value), 10, 63)
	if err != nil {
		return 0, damaged(keyEpoch)
	}
	return epoch, nil
}

// absent refuses what is there already.
func absent(ctx context.Context, v kv.View, key string, refusal *Error) error {
	switch _, err := v.Get(ctx, key); {
	case errors.Is(err, kv.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return refusal
}
