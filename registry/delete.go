package registry

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// DeleteTag removes a tag, if the guard does not mind; the manifest that it named stays (distribution-spec, "Deleting tags").
func (r *Registry) DeleteTag(ctx context.Context, repo, tag string, guard Guard) error {
	if err := checkName(repo); err != nil {
		return err
	}
	if err := checkTag(tag); err != nil {
		return err
	}
	return fault(r.index.Update(ctx, func(tx kv.Tx) error {
		was, err := tagged(ctx, tx, repo, tag)
		if errors.Is(err, kv.ErrNotFound) {
			return manifestUnknown(repo, tag)
		}
		if err != nil {
			return err
		}
		if err := r.mayRemove(ctx, tx, guard, repo, tag, was); err != nil {
			return err
		}
		deleteTag(ctx, tx, repo, tag, was.Digest)
		return nil
	}), "delete tag %s of %s", tag, repo)
}

func tagged(ctx context.Context, tx kv.Tx, repo, tag string) (Stored, error) {
	row, err := tx.Get(ctx, keyTag(repo, tag))
	if err != nil {
		return Stored{}, err
	}
	return parseStored(row)
}

func deleteTag(ctx context.Context, tx kv.Tx, repo, tag string, d digest.Digest) {
	dropTag(tx, repo, tag, d)
	journal.Append(ctx, tx, journal.Event{Action: "tag.delete", Repo: repo, Tag: tag, From: string(d), Result: "ok"})
}

func dropTag(tx kv.Tx, repo, tag string, d digest.Digest) {
	tx.Delete(keyTag(repo, tag))
	tx.Delete(keyNamed(repo, d, tag))
}

// DeleteManifest removes a manifest from repo with all tags that name it there (distribution-spec, "Deleting Manifests"). What refers to it, and
// other repositories that have it, keep what they have. The guard is asked about the manifest and each of its tags.
func (r *Registry) DeleteManifest(ctx context.Context, repo string, d digest.Digest, guard Guard) error {
	if err := checkName(repo); err != nil {
		return err
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	return fault(r.index.Update(ctx, func(tx kv.Tx) error {
		was, tags, err := dropRevision(ctx, tx, repo, d)
		if err != nil {
			return err
		}
		if guard != nil {
			if was.Needed, err = partOfIndex(ctx, tx, repo, d); err != nil {
				return err
			}
		}
		if err := r.mayRemove(ctx, tx, guard, repo, "", was); err != nil {
			return err
		}
		for _, tag := range tags {
			named, err := tagged(ctx, tx, repo, tag)
			if err != nil {
				return err
			}
			if err := r.mayRemove(ctx, tx, guard, repo, tag, named); err != nil {
				return err
			}
			deleteTag(ctx, tx, repo, tag, d)
		}
		journal.Append(ctx, tx, journal.Event{Action: "manifest.delete", Repo: repo, Digest: string(d), MediaType: was.MediaType, Size: was.Size, Result: "ok"})
		return dropBytes(ctx, tx, d)
	}), "delete manifest %s of %s", d, repo)
}

// dropBytes removes a manifest's bytes if no repository has it any more.
func dropBytes(ctx context.Context, tx kv.Tx, d digest.Digest) error {
	from, to := kv.Prefix(of(prefixMan, string(d)))
	for _, err := range tx.Scan(ctx, from, to) {
		return err
	}
	tx.Delete(keyMan(d))
	return nil
}

// partOfIndex tells whether an index of the repository is made of the manifest. What merely refers to it does not count.
func partOfIndex(ctx context.Context, tx kv.Tx, repo string, d digest.Digest) (bool, error) {
	prefix := of(prefixEdge, string(d), repo)
	from, to := kv.Prefix(prefix)
	for pair, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return false, err
		}
		parent := digest.Digest(pair.Key[len(prefix):])
		row, err := tx.Get(ctx, keyRev(repo, parent))
		if errors.Is(err, kv.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		s, err := parseStored(row)
		if err != nil {
			return false, err
		}
		m, err := ManifestIn(ctx, tx, s)
		if err != nil {
			return false, err
		}
		for _, child := range m.Manifests {
			if child.Digest == d {
				return true, nil
			}
		}
	}
	return false, nil
}

// dropRevision removes all rows by which repo has the manifest, but for the tags that name it, which it returns.
func dropRevision(ctx context.Context, tx kv.Tx, repo string, d digest.Digest) (was Stored, tags []string, err error) {
	row, err := tx.Get(ctx, keyRev(repo, d))
	if errors.Is(err, kv.ErrNotFound) {
		return was, nil, manifestUnknown(repo, string(d))
	}
	if err != nil {
		return was, nil, err
	}
	if was, err = parseStored(row); err != nil {
		return was, nil, err
	}
	body, err := tx.Get(ctx, keyMan(d))
	if err != nil {
		return was, nil, err
	}
	m, _ := readManifest(was.MediaType, d, body)
	for _, child := range m.children() {
		tx.Delete(keyEdge(child, repo, d))
	}
	if m.Subject != nil {
		if err := dropReferrer(ctx, tx, repo, m.Subject.Digest, m.ReferrerType(), d); err != nil {
			return was, nil, err
		}
	}
	prefix := of(prefixRev, repo, string(d))
	from, to := kv.Prefix(prefix)
	for pair, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return was, nil, err
		}
		tags = append(tags, pair.Key[len(prefix):])
	}
	tx.Delete(keyRev(repo, d))
	tx.Delete(keyHas(d, repo))
	tx.Delete(keyPull(repo, d))
	from, to = kv.Prefix(of(prefixRev, repo))
	for pair, err := range tx.Scan(ctx, from, to) {
		if err != nil || !strings.HasPrefix(pair.Key, prefix) {
			return was, tags, err // it has another manifest
		}
	}
	tx.Delete(keyRepo(repo))
	return was, tags, nil
}
