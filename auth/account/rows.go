package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
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
	if !decode(value, &row) {
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
			if err == nil && !decode(pair.Value, &row) {
				row, err = none, damaged(pair.Key)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func put(tx kv.Tx, key string, row any) error {
	value, err := encode(row)
	if err != nil {
		return fmt.Errorf("write index row %q: %w", key, err)
	}
	tx.Put(key, value)
	return nil
}

// encode writes a row as JSON, but a grant as fields with tabs between them: all grants are read whenever one changes.
func encode(row any) ([]byte, error) {
	if g, ok := row.(auth.Grant); ok {
		return fmt.Appendf(nil, "%s\t%s\t%s\t%s\t%s\t%d", g.ID, g.Who, g.Role, g.On, strings.ReplaceAll(g.By, "\t", " "), g.Created.UnixMilli()), nil
	}
	return json.Marshal(row)
}

func decode(value []byte, row any) bool {
	g, ok := row.(*auth.Grant)
	if !ok {
		return json.Unmarshal(value, row) == nil
	}
	f := strings.SplitN(string(value), "\t", 7) // what newer versions may add is left to them
	if len(f) < 6 {
		return false
	}
	created, err := strconv.ParseInt(f[5], 10, 64)
	*g = auth.Grant{ID: f[0], Who: f[1], Role: auth.Role(f[2]), On: auth.Path(f[3]), By: f[4], Created: time.UnixMilli(created).UTC()}
	return err == nil
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
