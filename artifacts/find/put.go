package find

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/entrepot/entrepot/storage/kv"
)

// Put makes the index know of a version exactly what e says, whatever it knew before. It writes only what differs.
func Put(ctx context.Context, tx kv.Tx, e Entry) error {
	id, err := identify(e.Component, e.Version)
	if err != nil {
		return err
	}
	return replace(ctx, tx, id, e.row())
}

// Delete makes the index forget a version. One that it does not know is no error.
func Delete(ctx context.Context, tx kv.Tx, component, version string) error {
	id, err := identify(component, version)
	if err != nil {
		return err
	}
	return replace(ctx, tx, id, nil)
}

func replace(ctx context.Context, tx kv.Tx, id string, row []byte) error {
	was, err := tx.Get(ctx, prefixOf+id)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	if bytes.Equal(was, row) {
		return nil
	}
	if len(was)%width != 0 {
		return fmt.Errorf("index row %s%s is damaged", prefixOf, id)
	}
	remove, add := keys(id, was), keys(id, row)
	for key := range remove {
		if !add[key] {
			tx.Delete(key)
		}
	}
	for key := range add {
		if !remove[key] {
			tx.Put(key, nil)
		}
	}
	switch {
	case row == nil:
		tx.Delete(prefixOf + id)
		return forget(ctx, tx, id)
	case was == nil:
		component, _, _ := strings.Cut(id, "!")
		tx.Put(prefixHas+component+"!", nil)
	}
	tx.Put(prefixOf+id, row)
	return nil
}

// forget removes the component of a version that is gone, if it has no other.
func forget(ctx context.Context, tx kv.Tx, id string) error {
	component, _, _ := strings.Cut(id, "!")
	from, to := kv.Prefix(prefixOf + component + "!")
	for _, err := range tx.Scan(ctx, from, to) {
		return err
	}
	tx.Delete(prefixHas + component + "!")
	return nil
}
