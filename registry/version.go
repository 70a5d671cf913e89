package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// checkVersion brings an index up to IndexVersion. It refuses one that a newer program wrote.
func checkVersion(ctx context.Context, index kv.DB) error {
	version, err := knownVersion(ctx, index)
	if err != nil && !errors.Is(err, kv.ErrNotFound) || version == IndexVersion {
		return err
	}
	if version < 2 {
		if err := upgradeTo2(ctx, index); err != nil {
			return fmt.Errorf("bring the index up to version 2: %w", err)
		}
	}
	return index.Update(ctx, func(tx kv.Tx) error {
		tx.Put(keyVersion, []byte(strconv.Itoa(IndexVersion)))
		return nil
	})
}

// knownVersion refuses an index that a newer program wrote; kv.ErrNotFound says that it has no version yet.
func knownVersion(ctx context.Context, index kv.DB) (int, error) {
	row, err := index.Get(ctx, keyVersion)
	if err != nil {
		return 0, fmt.Errorf("read the index's version: %w", err)
	}
	version, err := strconv.Atoi(string(row))
	if err != nil {
		return 0, fmt.Errorf("read the index's version: %w", errRow)
	}
	if version > IndexVersion {
		return 0, fmt.Errorf("the index is of version %d, this program knows versions up to %d: run a newer entrepot, or restore a backup made before the upgrade", version, IndexVersion)
	}
	return version, nil
}

// upgradeTo2 lets manifests know who has them.
func upgradeTo2(ctx context.Context, index kv.DB) error {
	var batch []string
	flush := func() error {
		keys := batch
		batch = nil
		return index.Update(ctx, func(tx kv.Tx) error {
			for _, key := range keys {
				tx.Put(key, nil)
			}
			return nil
		})
	}
	from, to := kv.Prefix(prefixRev)
	for pair, err := range index.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		repo, d, _ := strings.Cut(strings.TrimPrefix(pair.Key, prefixRev), "!")
		if strings.Contains(d, "!") {
			continue // a tag of it
		}
		if batch = append(batch, keyHas(digest.Digest(d), repo)); len(batch) == 1024 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
