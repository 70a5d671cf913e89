package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// SweepOrphans walks along all content and dooms what the index does not know: a crash between a commit and its row leaves such. It returns how many there were,
// and their size in bytes.
func (r *Registry) SweepOrphans(ctx context.Context, o SweepOptions) (count int, bytes int64, err error) {
	before := r.now().Add(-r.grace)
	for info, err := range r.blobs.List(ctx) {
		if err != nil {
			return count, bytes, fmt.Errorf("list content: %w", err)
		}
		if info.Modified.After(before) {
			continue
		}
		orphan, err := r.orphan(ctx, info.Digest)
		if err == nil && orphan && !o.Plan {
			orphan, err = r.doomOrphan(ctx, info.Digest, before)
		}
		if err != nil {
			return count, bytes, fmt.Errorf("look at content %s: %w", info.Digest, err)
		}
		if orphan {
			count, bytes = count+1, bytes+info.Size
			if o.Tell != nil {
				o.Tell(Fate{Digest: info.Digest, Size: info.Size, Goes: true, Why: "the index knows nothing of it"})
			}
		}
	}
	return count, bytes, nil
}

// orphan tells whether the index knows nothing of some content.
func (r *Registry) orphan(ctx context.Context, d digest.Digest) (bool, error) {
	for _, key := range []string{keyBlob(d), keyPack(d)} {
		if _, err := r.index.Get(ctx, key); !errors.Is(err, kv.ErrNotFound) {
			return false, err
		}
	}
	rc, err := r.blobs.Open(ctx, d, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer rc.Close()
	var begin [64]byte
	n, err := io.ReadFull(rc, begin[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	// The journal's segments are few, and which of them are in use is written by their lines.
	if !journal.IsSegment(begin[:n]) {
		return true, nil
	}
	from, to := kv.Prefix(prefixSegment)
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil || string(pair.Value) == string(d) {
			return false, err
		}
	}
	return true, nil
}

// doomOrphan dooms content that has no row, unless it has just got one or was committed anew.
func (r *Registry) doomOrphan(ctx context.Context, d digest.Digest, before time.Time) (doomed bool, err error) {
	info, err := r.blobs.Stat(ctx, d)
	if errors.Is(err, blob.ErrNotFound) || err == nil && info.Modified.After(before) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		doomed = false
		for _, key := range []string{keyBlob(d), keyPack(d)} {
			if _, err := tx.Get(ctx, key); !errors.Is(err, kv.ErrNotFound) {
				return err
			}
		}
		doomed, err = r.doom(ctx, tx, d, stock{size: info.Size, committed: info.Modified, touched: info.Modified}, "orphan")
		return err
	})
	return doomed, err
}

// unorphan takes the doom from content of the registry's own that was stored anew. If it dies already, that has to be waited for.
func (r *Registry) unorphan(ctx context.Context, tx kv.Tx, d digest.Digest) error {
	row, err := tx.Get(ctx, keyBlob(d))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := parseStock(row)
	if err == nil && !s.dying.IsZero() {
		err = fmt.Errorf("the same content, left by a crash, is just being deleted: %w", errVanished)
	}
	if err == nil && !s.doomed.IsZero() {
		tx.Delete(keyDoomed(s.doomed, d))
		tx.Delete(keyBlob(d))
	}
	return err
}
