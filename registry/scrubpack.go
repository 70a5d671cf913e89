package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// What a pack holds of manifests and blobs that are gone stays in it until most of it is such. Then those that are alive are packed anew: the new pack is stored
// first, and takes the old one's place in one transaction, which also dooms the old one. A crash before that leaves content without a row, as any other. Whatever is
// pushed again meanwhile waits to be settled by itself, whether or not it was taken for dead here.

// compact packs anew what is alive in a pack, if that is less than half.
func (s *scrub) compact(ctx context.Context, d digest.Digest) error {
	entries, err := s.r.openPack(ctx, d)
	if errors.Is(err, errPack) || errors.Is(err, blob.ErrNotFound) {
		return nil // reindex tells of it; or it has just gone
	}
	if err != nil {
		return err
	}
	var alive []packed
	for _, e := range entries {
		key := keyMan(e.Digest)
		if e.Kind == "data" {
			key = keyData(e.Digest)
		}
		_, err := s.r.index.Get(ctx, key)
		if err == nil {
			alive = append(alive, e)
		} else if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
	}
	if 2*len(alive) >= len(entries) {
		return nil
	}
	done, err := s.r.replacePack(ctx, d, alive)
	if done {
		s.done.Compacted++
	}
	return err
}

// replacePack puts a pack of some entries, or none, in the place of another one, and tells whether that was still there.
func (r *Registry) replacePack(ctx context.Context, old digest.Digest, entries []packed) (done bool, err error) {
	info, err := r.blobs.Stat(ctx, old)
	if err != nil {
		return false, err
	}
	var d digest.Digest
	if len(entries) > 0 {
		body := writePack(entries)
		d = digest.FromBytes(body)
		if err := r.store(ctx, d, body); err != nil {
			return false, fmt.Errorf("store pack %s: %w", d, err)
		}
	}
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		done = false
		if _, err := tx.Get(ctx, keyPack(old)); err != nil {
			if errors.Is(err, kv.ErrNotFound) {
				return nil // another replica was quicker
			}
			return err
		}
		if d != "" {
			if err := r.unorphan(ctx, tx, d); err != nil {
				return err
			}
			tx.Put(keyPack(d), []byte(fmt.Sprint(len(entries))))
		}
		tx.Delete(keyPack(old))
		_, err := r.doom(ctx, tx, old, stock{size: info.Size, committed: info.Modified, touched: info.Modified}, "orphan")
		done = err == nil
		return err
	})
	if errors.Is(err, errVanished) { // the same pack is just being deleted: the next scrub comes by
		return false, nil
	}
	return done, err
}
