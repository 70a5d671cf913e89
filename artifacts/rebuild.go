package artifacts

import (
	"context"
	"errors"
	"fmt"

	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// Prepare makes the catalog's rows from what the registry holds, unless they have been made by this version of the table before: the registry is older than
// its catalog, or its index was built anew. What cannot be read is logged and left out.
func (k *Catalog) Prepare(ctx context.Context, reg *registry.Registry) error {
	was, err := k.index.Get(ctx, keyCatalog)
	if err == nil && string(was) == catalogVersion {
		return nil
	}
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("read the catalog's version: %w", err)
	}
	if err == nil && string(was) > catalogVersion {
		return fmt.Errorf("the index was written by a newer entrepot (catalog version %.20q, this one knows %s)", was, catalogVersion)
	}
	seen := 0
	for repo, err := range reg.Repositories(ctx, "") {
		if err != nil {
			return err
		}
		if !IsComponent(repo) {
			continue
		}
		for tag, err := range reg.Tags(ctx, repo, "") {
			if err != nil {
				return err
			}
			if err := k.see(ctx, reg, repo, tag); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				k.log.Warn("a version is not in the catalog", "repo", repo, "tag", tag, "err", err)
			}
			seen++
		}
	}
	if seen > 0 {
		k.log.Info("the catalog was made", "tags", seen)
	}
	return k.index.Update(ctx, func(tx kv.Tx) error {
		tx.Put(keyCatalog, []byte(catalogVersion))
		return nil
	})
}

// see records what a tag names, as if it were pushed now.
func (k *Catalog) see(ctx context.Context, reg *registry.Registry, repo, tag string) error {
	t, _ := version.ParseTag(tag)
	want, versioned := formats[t.Kind]
	if !versioned {
		return nil
	}
	p, now, err := reg.Again(ctx, repo, tag)
	if err != nil {
		return err
	}
	s := sighting{kind: Classify(p.Bytes), content: contentOf(p.Manifest)}
	if s.kind != want {
		return nil // from before its tag promised anything
	}
	if err := s.look(ctx, p); err != nil {
		return err
	}
	return k.index.Update(ctx, func(tx kv.Tx) error { return k.record(ctx, tx, p, s, now) })
}
