package artifacts

import (
	"context"
	"errors"

	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// record notes a push of a component's version, in the push's own transaction.
func (k *Catalog) record(ctx context.Context, tx kv.Tx, p registry.Push, seen sighting, now registry.Stored) error {
	for _, tag := range p.Tags {
		t, promises := version.ParseTag(tag)
		format, versioned := formats[t.Kind]
		if !promises || !versioned || format != seen.kind {
			continue
		}
		// The tag may have stayed with an earlier push of the same content.
		named, err := registry.TagIn(ctx, tx, p.Repo, tag)
		if err != nil {
			return err
		}
		if err := k.keep(ctx, tx, p.Repo, t.Version, seen, tag, named); err != nil {
			return err
		}
		tx.Delete(keyGone(p.Repo, tag))
		if seen.commit == "" || seen.kind != Docker {
			continue
		}
		commit := "commit-" + seen.commit
		if _, err := registry.TagIn(ctx, tx, p.Repo, commit); errors.Is(err, kv.ErrNotFound) {
			if err := registry.SetTag(ctx, tx, p.Repo, commit, now); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// keep writes a version's row with one of its formats, and the component's with the first version.
func (k *Catalog) keep(ctx context.Context, tx kv.Tx, name string, number version.Version, seen sighting, tag string, named registry.Stored) error {
	if _, err := read[Component](ctx, tx, keyComponent(name)); errors.Is(err, ErrUnknown) {
		err = write(tx, keyComponent(name), Component{Name: name, Created: named.Pushed})
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	v, err := read[Version](ctx, tx, keyVersion(name, number.String()))
	if errors.Is(err, ErrUnknown) {
		v, err = Version{Component: name, Version: number.String(), Created: named.Pushed, Formats: map[Kind]Format{}}, nil
	}
	if err != nil {
		return err
	}
	if f, ok := v.Formats[seen.kind]; ok && f.Tag != tag && f.Content == seen.content {
		return nil // the same under another spelling of its tag
	}
	v.Formats[seen.kind] = Format{
		Tag: tag, Digest: named.Digest, MediaType: named.MediaType, Size: seen.size, Content: seen.content, Pushed: named.Pushed, By: named.By,
		Platforms: seen.platforms, Files: seen.files, Labels: seen.labels, Ports: seen.ports, Built: seen.built,
	}
	if seen.commit != "" {
		v.Commit = seen.commit
		tx.Put(keyCommit(seen.commit, name, v.Version), []byte(keyVersion(name, v.Version)))
	}
	tx.Put(keyMade(name, string(named.Digest), v.Version), []byte(seen.kind))
	if err := write(tx, keyVersion(name, v.Version), v); err != nil {
		return err
	}
	if err := k.pool(ctx, tx, v, seen); err != nil {
		return err
	}
	if err := k.outdate(ctx, tx, name, v.Version, seen.kind); err != nil {
		return err
	}
	if err := k.arrived(ctx, tx, v, seen.kind, named.Digest); err != nil {
		return err
	}
	if err := k.shared(ctx, tx, v, seen.kind, named.Digest); err != nil {
		return err
	}
	return k.review(ctx, tx, v)
}

// drop takes a format from a version, with the last one the version, and with its last version the component.
func (k *Catalog) drop(ctx context.Context, tx kv.Tx, name, number string, format Kind) error {
	v, err := read[Version](ctx, tx, keyVersion(name, number))
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	tx.Delete(keyMade(name, string(v.Formats[format].Digest), number))
	tx.Delete(keyDocument(name, number, string(format)))
	for _, f := range v.Formats[format].Files {
		tx.Delete(keyPool(name, f.Name, number))
	}
	if err := k.outdate(ctx, tx, name, number, format); err != nil {
		return err
	}
	if delete(v.Formats, format); len(v.Formats) > 0 {
		return k.review(ctx, tx, v)
	}
	if err := k.need(ctx, tx, v, nil); err != nil {
		return err
	}
	tx.Delete(keyVersion(name, number))
	tx.Delete(keyDocument(name, number, "metadata"))
	if v.Commit != "" {
		tx.Delete(keyCommit(v.Commit, name, number))
	}
	if err := find.Delete(ctx, tx, name, number); err != nil {
		return err
	}
	if _, err := k.follow(ctx, tx, name, v); err != nil {
		return err
	}
	from, to := kv.Prefix(prefixVersion + name + "!")
	for row, err := range tx.Scan(ctx, from, to) {
		if err != nil || row.Key != keyVersion(name, number) {
			return err // it has another version
		}
	}
	tx.Delete(keyComponent(name))
	return find.Delete(ctx, tx, name, itself)
}
