package artifacts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// tendPause is how often suites are looked after.
const tendPause = time.Minute

// gather is for how long suites that are due wait for what else may come.
const gather = time.Second

// Run looks after the suites until ctx ends: those that are missing are made, and those are made anew that have become others, or whose
// time is half over.
func (k *Catalog) Run(ctx context.Context) {
	for {
		if err := k.tend(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("look after the apt suites; it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tendPause):
		case <-k.due:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		}
	}
}

func (k *Catalog) tend(ctx context.Context) error {
	if k.keys == nil {
		return nil
	}
	places, err := k.Places(ctx)
	if err != nil {
		return err
	}
	known := map[Place]bool{}
	names, err := k.Suites(ctx)
	if err != nil {
		return err
	}
	if len(names)+len(places) == 0 {
		return nil // no key is needed yet
	}
	signers, err := k.keys.Signers(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		row, err := read[suiteRow](ctx, k.index, keySuite(name))
		if err != nil {
			failed = append(failed, err)
			continue
		}
		known[row.Place] = true
		old := k.validFor > 0 && k.now().Sub(time.Unix(row.Snapshot, 0)) > k.validFor/2
		if old || row.Rule != k.suiteRule(signers) {
			failed = append(failed, k.publishers.of(row.Place).again(ctx, k))
		}
	}
	for _, p := range places {
		if !known[p] {
			failed = append(failed, k.publishers.of(p).again(ctx, k))
		}
	}
	return errors.Join(failed...)
}

// Republish publishes all suites again, as they must be after their keys have changed.
func (k *Catalog) Republish(ctx context.Context) error {
	names, err := k.Suites(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		row, err := read[suiteRow](ctx, k.index, keySuite(name))
		if err == nil {
			err = k.publishers.of(row.Place).again(ctx, k)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// carried are the rows that follow from nothing else.
var carried = []string{prefixDeployed, prefixAt, prefixMove, prefixMoved, prefixMovedAt, prefixSuite, prefixSnapshot, prefixPast, prefixGone, "apt/"}

// Carry takes over into an index that was built anew what is nowhere else: where versions are deployed and how that came, deleted versions, suites and the
// keys that sign them. Where there is no former index, domain tags alone tell what is deployed (see Prepare).
func Carry(ctx context.Context, former kv.View, index kv.DB) error {
	if former == nil {
		return nil
	}
	for _, prefix := range carried {
		from, to := kv.Prefix(prefix)
		var rows []kv.Pair
		for row, err := range former.Scan(ctx, from, to) {
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		for part := range slices.Chunk(rows, 10_000) {
			err := index.Update(ctx, func(tx kv.Tx) error {
				for _, row := range part {
					tx.Put(row.Key, row.Value)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
