package artifacts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// Prepare makes the catalog's rows from what the registry holds, unless they have been made by this version of the table before: the registry is older than
// its catalog, or its index was built anew. What cannot be read is logged and left out. Where the rules have changed since the last start all versions are
// looked at again.
func (k *Catalog) Prepare(ctx context.Context, reg *registry.Registry) error {
	k.registry = reg
	was, err := k.index.Get(ctx, keyCatalog)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("read the catalog's version: %w", err)
	}
	if err == nil && string(was) > catalogVersion {
		return fmt.Errorf("the index was written by a newer entrepot (catalog version %.20q, this one knows %s)", was, catalogVersion)
	}
	if string(was) != catalogVersion {
		if err := k.rebuild(ctx, reg); err != nil {
			return fmt.Errorf("make the catalog: %w", err)
		}
	}
	rules, err := json.Marshal(k.rules)
	if err != nil {
		return err
	}
	before, err := k.index.Get(ctx, keyRules)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	if err == nil && string(before) != string(rules) {
		if err := k.reviewAll(ctx); err != nil {
			return fmt.Errorf("look at all versions by the changed rules: %w", err)
		}
	}
	return k.index.Update(ctx, func(tx kv.Tx) error {
		tx.Put(keyCatalog, []byte(catalogVersion))
		tx.Put(keyRules, rules)
		return nil
	})
}

func (k *Catalog) reviewAll(ctx context.Context) error {
	groups := map[string]bool{}
	for c, err := range k.Components(ctx, "") {
		if err != nil {
			return err
		}
		groups[path.Dir(c.Name)] = true
	}
	for _, group := range sortedKeys(groups) {
		if err := k.index.Update(ctx, func(tx kv.Tx) error { return k.reviewGroup(ctx, tx, group) }); err != nil {
			return err
		}
	}
	return nil
}

func (k *Catalog) rebuild(ctx context.Context, reg *registry.Registry) error {
	if err := k.clear(ctx, find.Rows); err != nil {
		return err
	}
	seen := 0
	each := func(repo string, see func(tag string) error) error {
		for tag, err := range reg.Tags(ctx, repo, "") {
			if err != nil {
				return err
			}
			if err := see(tag); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				k.log.Warn("something is not in the catalog", "repo", repo, "tag", tag, "err", err)
			}
			seen++
		}
		return nil
	}
	for repo, err := range reg.Repositories(ctx, "") {
		if err == nil && isGroup(repo) {
			err = each(repo, func(tag string) error { return k.seeOwner(ctx, reg, repo, tag) })
		}
		if err == nil && strings.HasPrefix(repo, suiteRepos) {
			err = each(repo, func(tag string) error { return k.seeSnapshot(ctx, reg, repo, tag) })
		}
		if err == nil && IsComponent(repo) && Reserved(repo) == nil {
			err = each(repo, func(tag string) error { return k.see(ctx, reg, repo, tag) })
			if err == nil {
				err = k.seeDocuments(ctx, reg, repo)
			}
			if err == nil {
				err = each(repo, func(tag string) error { return k.seePlace(ctx, repo, tag) })
			}
		}
		if err != nil {
			return err
		}
	}
	if seen > 0 {
		k.log.Info("the catalog was made", "tags", seen)
	}
	return nil
}

// clear removes all rows that begin so, a part at a time.
func (k *Catalog) clear(ctx context.Context, prefix string) error {
	from, to := kv.Prefix(prefix)
	for {
		n := 0
		err := k.index.Update(ctx, func(tx kv.Tx) error {
			n = 0
			for row, err := range tx.Scan(ctx, from, to) {
				if err != nil {
					return err
				}
				if tx.Delete(row.Key); n == 10_000 {
					break
				}
				n++
			}
			return nil
		})
		if err != nil || n < 10_000 {
			return err
		}
	}
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

// seeDocuments links all documents of a component, once all its versions are known, in the order in which they came.
func (k *Catalog) seeDocuments(ctx context.Context, reg *registry.Registry, repo string) error {
	var all []registry.Stored
	from, to := kv.Prefix(prefixMade + repo + "!")
	subject := ""
	for pair, err := range k.index.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		d := strings.Split(strings.TrimPrefix(pair.Key, prefixMade+repo+"!"), "!")[0]
		if d == subject {
			continue
		}
		subject = d
		for r, err := range reg.Referrers(ctx, repo, digest.Digest(d), "", "") {
			var desc ocispec.Descriptor
			if err == nil {
				err = json.Unmarshal(r.Descriptor, &desc)
			}
			if err != nil {
				return err
			}
			now, err := reg.Stored(ctx, repo, string(desc.Digest))
			if err != nil {
				return err
			}
			all = append(all, now)
		}
	}
	slices.SortStableFunc(all, func(a, b registry.Stored) int { return a.Pushed.Compare(b.Pushed) })
	for _, now := range all {
		if err := k.seeDocument(ctx, reg, repo, now.Digest); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			k.log.Warn("a document is not in the catalog", "repo", repo, "digest", now.Digest, "err", err)
		}
	}
	return nil
}

// seeSnapshot records a snapshot of a suite, so that the next one has a later date, and hosts find what they have read of. The suite is published anew.
func (k *Catalog) seeSnapshot(ctx context.Context, reg *registry.Registry, repo, tag string) error {
	date, err := time.Parse(snapshotTag, tag)
	if err != nil {
		return nil
	}
	name := strings.TrimPrefix(repo, suiteRepos)
	p, now, err := reg.Again(ctx, repo, tag)
	if err != nil {
		return err
	}
	place, err := ParsePlace(p.Manifest.Annotations[annotationPlace])
	if err != nil || place.Suite() != name {
		return fmt.Errorf("it is no snapshot of %s: it says that it is of %.100q", name, p.Manifest.Annotations[annotationPlace])
	}
	row := snapshotRow{Snapshot: suite.Snapshot{Suite: name, Date: date, Files: map[string]suite.File{}}, Manifest: now.Digest}
	for _, l := range p.Manifest.Layers {
		row.Files[l.Annotations[ocispec.AnnotationTitle]] = suite.File{SHA256: l.Digest.Encoded(), Size: l.Size}
	}
	return k.index.Update(ctx, func(tx kv.Tx) error {
		before, err := read[suiteRow](ctx, tx, keySuite(name))
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		if before.Rule != "" {
			return nil // it is known
		}
		if err := write(tx, keySnapshot(name, date), row); err != nil || before.Snapshot > date.Unix() {
			return err
		}
		return write(tx, keySuite(name), suiteRow{Serial: before.Serial + 1, Place: place, Snapshot: date.Unix()})
	})
}

// seeDocument links a document that is here already. As with those that were there before their subject, what is wrong with it is found, not refused.
func (k *Catalog) seeDocument(ctx context.Context, reg *registry.Registry, repo string, d digest.Digest) error {
	p, now, err := reg.Again(ctx, repo, string(d))
	if err != nil || Classify(p.Bytes) != Document || p.Manifest.Subject == nil {
		return err
	}
	doc, err := k.paperOf(ctx, p)
	if err != nil || doc.kind != document.KindManifest && doc.kind != document.KindMetadata {
		return err
	}
	row := Attached{Kind: doc.kind, Digest: now.Digest, Content: doc.content, Subject: p.Manifest.Subject.Digest, Text: string(doc.text), By: now.By, Pushed: now.Pushed}
	return k.index.Update(ctx, func(tx kv.Tx) error {
		made, err := k.meant(ctx, tx, repo, row.Subject, doc)
		if err != nil {
			return err
		}
		for _, m := range made {
			if err := write(tx, keyWaiting(repo, string(row.Subject), string(row.Digest)), row); err != nil {
				return err
			}
			if err := k.arrived(ctx, tx, m.version, m.format, row.Subject); err != nil {
				return err
			}
			if err := k.review(ctx, tx, m.version); err != nil {
				return err
			}
		}
		return nil
	})
}

// seeOwner records the ownership.yaml or policy.yaml of a group.
func (k *Catalog) seeOwner(ctx context.Context, reg *registry.Registry, repo, tag string) error {
	if tag != string(document.KindOwnership) && tag != string(document.KindPolicy) {
		return nil
	}
	p, now, err := reg.Again(ctx, repo, tag)
	if err != nil || Classify(p.Bytes) != Document {
		return err
	}
	v, err := k.admitDocument(ctx, p)
	if err != nil {
		return err
	}
	return k.index.Update(ctx, func(tx kv.Tx) error { return v.Record(ctx, tx, now) })
}

// seePlace records what a domain tag says is deployed, if nothing else tells: how that came is not known.
func (k *Catalog) seePlace(ctx context.Context, repo, tag string) error {
	place, err := ParsePlace(tag)
	if err != nil {
		return nil
	}
	return k.index.Update(ctx, func(tx kv.Tx) error {
		if _, err := read[Deployed](ctx, tx, keyDeployed(place, repo)); !errors.Is(err, ErrUnknown) {
			return err
		}
		named, err := registry.TagIn(ctx, tx, repo, tag)
		if err != nil {
			return err
		}
		made, err := madeOf(ctx, tx, repo, named.Digest)
		if err != nil || len(made) == 0 {
			return cmp.Or(err, ErrUnknown)
		}
		to := made[0].version
		o := Order{Kind: Promotion, Component: repo, Place: place, Version: to.Version, Reason: "found by its tag; how it came there is not known"}
		_, err = k.apply(ctx, tx, o, judgement{to: to})
		return err
	})
}
