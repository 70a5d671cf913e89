package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// recountEvery is how often what quotas are about is counted anew. Nothing of it goes astray while all registries over an index have the same quotas; but one that was
// configured otherwise may have written meanwhile.
const recountEvery = 24 * time.Hour

// recountPause is how long one that could not count waits.
const recountPause = time.Minute

func (r *Registry) runQuotas(ctx context.Context) {
	for wait := time.Duration(0); len(r.quotas) > 0; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = recountEvery
		if err := r.Recount(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("count what quotas are about", "err", err)
			wait = recountPause
		}
	}
}

// Recount counts anew what is used of each quota, while pushes go on: what is counted is the index at one moment, and the difference to what its rows say at that moment
// is what they are corrected by, unless another registry has corrected them meanwhile. Rows of quotas that are no more go. It takes an index that can be seen at one
// moment.
func (r *Registry) Recount(ctx context.Context) error {
	if len(r.quotas) == 0 {
		return nil
	}
	power, ok := unmetered(r.index).(kv.Snapshotter)
	if !ok {
		return errors.New("this index cannot be seen at one moment")
	}
	if err := r.beginCount(ctx); err != nil {
		return fmt.Errorf("begin to count: %w", err)
	}
	differ, counts := map[string]Usage{}, map[string]int64{}
	err := power.Snapshot(ctx, func(view kv.View) error {
		counted, err := r.count(ctx, view)
		if err != nil {
			return err
		}
		for path := range r.quotas {
			u, _, err := usedOf(ctx, view, path)
			if err != nil {
				return err
			}
			by := counted[path]
			for _, d := range dimensions {
				*d.of(&by) -= *d.of(&u.Usage)
			}
			differ[path], counts[path] = by, u.counts
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.index.Update(ctx, func(tx kv.Tx) error {
		for path, by := range differ {
			u, found, err := usedOf(ctx, tx, path)
			if err != nil {
				return err
			}
			if !found || u.counts != counts[path] || u.counted && by == (Usage{}) {
				continue
			}
			u.add(by)
			u.counted, u.counts = true, u.counts+1
			tx.Put(keyQuota(path), u.row())
		}
		return nil
	})
}

func unmetered(index kv.DB) kv.DB {
	if m, ok := index.(*metered); ok {
		return m.DB
	}
	return index
}

// beginCount makes sure that from now on transactions say by how much they change what is used.
func (r *Registry) beginCount(ctx context.Context) error {
	return r.index.Update(ctx, func(tx kv.Tx) error {
		from, to := kv.Prefix(prefixQuota)
		for pair, err := range tx.Scan(ctx, from, to) {
			if err != nil {
				return err
			}
			if _, wanted := r.quotas[strings.TrimPrefix(pair.Key, prefixQuota)]; !wanted {
				tx.Delete(pair.Key)
			}
		}
		for path := range r.quotas {
			if _, err := tx.Get(ctx, keyQuota(path)); errors.Is(err, kv.ErrNotFound) {
				tx.Put(keyQuota(path), used{}.row())
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// count walks along the rows that count, once.
func (r *Registry) count(ctx context.Context, view kv.View) (map[string]Usage, error) {
	sums := map[string]Usage{}
	add := func(paths []string, one Usage) {
		for _, path := range paths {
			sum := sums[path]
			sum.add(one)
			sums[path] = sum
		}
	}
	if err := r.countBlobs(ctx, view, add); err != nil {
		return nil, err
	}
	for _, prefix := range []string{prefixRepo, prefixTag, prefixRev} {
		from, to := kv.Prefix(prefix)
		for pair, err := range view.Scan(ctx, from, to) {
			if err != nil {
				return nil, err
			}
			repo, _, ok := countedRow(pair.Key)
			paths := r.quotas.over(repo)
			if !ok || len(paths) == 0 {
				continue
			}
			switch prefix {
			case prefixRepo:
				add(paths, Usage{Repositories: 1})
			case prefixTag:
				add(paths, Usage{Tags: 1})
			default:
				s, err := parseStored(pair.Value)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", pair.Key, err)
				}
				add(paths, Usage{Manifests: 1, Bytes: s.Size})
			}
		}
	}
	return sums, nil
}

// countBlobs goes along the blobs, each of which its holders follow.
func (r *Registry) countBlobs(ctx context.Context, view kv.View, add func(paths []string, one Usage)) error {
	var size int64
	var seen []string // the paths that this blob was counted for
	from, to := kv.Prefix(prefixBlob)
	for pair, err := range view.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		_, repo, isHold := strings.Cut(pair.Key, "!")
		if !isHold {
			s, err := parseStock(pair.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", pair.Key, err)
			}
			size, seen = s.size, seen[:0]
			continue
		}
		for _, path := range r.quotas.over(repo) {
			if !slices.Contains(seen, path) {
				seen = append(seen, path)
				add([]string{path}, Usage{Bytes: size})
			}
		}
	}
	return nil
}
