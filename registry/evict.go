package registry

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Image is a manifest that is not merely a part or an accessory of another one of its repository.
type Image struct {
	Stored
	Repo string
	Tags []string
	Used time.Time // when it, or a part of it, was last pulled; when it was stored, if never
}

// Images yields what the repositories hold whose names begin with the prefix, as Evict would take it.
func (r *Registry) Images(ctx context.Context, prefix string) iter.Seq2[Image, error] {
	return func(yield func(Image, error) bool) {
		var image *Image
		give := func() bool {
			if image == nil {
				return true
			}
			whole, err := r.whole(ctx, image)
			last := *image
			image = nil
			if errors.Is(err, kv.ErrNotFound) {
				return true // deleted since it was listed
			}
			return err == nil && !whole || yield(last, err)
		}
		from, to := kv.Prefix(prefixRev + prefix)
		for pair, err := range r.index.Scan(ctx, from, to) {
			if err != nil {
				yield(Image{}, fault(err, "list what %s* holds", prefix))
				return
			}
			repo, rest, _ := strings.Cut(strings.TrimPrefix(pair.Key, prefixRev), "!")
			d, tag, tagged := strings.Cut(rest, "!")
			if tagged {
				if image != nil && image.Repo == repo && string(image.Digest) == d {
					image.Tags = append(image.Tags, tag)
				}
				continue
			}
			if !give() {
				return
			}
			s, err := parseStored(pair.Value)
			if err != nil {
				yield(Image{}, fault(err, "list what %s* holds", prefix))
				return
			}
			image = &Image{Stored: s, Repo: repo}
		}
		give()
	}
}

// whole tells whether a manifest stands for itself: it has a tag, or neither belongs to an index of its repository nor refers to a manifest of it. It finds
// out when the image was used.
func (r *Registry) whole(ctx context.Context, i *Image) (bool, error) {
	i.Used = i.Pushed
	m, err := r.readManifest(ctx, i.Stored)
	if err != nil {
		return false, err
	}
	for _, d := range append([]digest.Digest{i.Digest}, digests(m)...) {
		last, _, err := r.LastPull(ctx, i.Repo, d)
		if err != nil {
			return false, err
		}
		if last.After(i.Used) {
			i.Used = last
		}
	}
	if len(i.Tags) > 0 {
		return true, nil
	}
	if m.Subject != nil {
		_, err := r.index.Get(ctx, keyRev(i.Repo, m.Subject.Digest))
		if err == nil || !errors.Is(err, kv.ErrNotFound) {
			return false, err
		}
	}
	named, err := r.named(ctx, r.index, i.Repo, i.Digest, "")
	return !named, err
}

func digests(m *Manifest) (all []digest.Digest) {
	for _, child := range m.Manifests {
		all = append(all, child.Digest)
	}
	return all
}

func (r *Registry) readManifest(ctx context.Context, s Stored) (*Manifest, error) {
	body, err := r.index.Get(ctx, keyMan(s.Digest))
	if err != nil {
		return nil, fault(err, "read manifest %s", s.Digest)
	}
	m, _ := readManifest(s.MediaType, s.Digest, body)
	return m, nil
}

// named tells whether a manifest of the repository other than the given one is made of d. What refers to d does not count.
func (r *Registry) named(ctx context.Context, view kv.View, repo string, d, but digest.Digest) (bool, error) {
	prefix := of(prefixEdge, string(d), repo)
	from, to := kv.Prefix(prefix)
	for pair, err := range view.Scan(ctx, from, to) {
		if err != nil {
			return false, err
		}
		parent := digest.Digest(pair.Key[len(prefix):])
		if parent == but {
			continue
		}
		// A referrer has an edge to its subject as well: that is no part of it.
		refers, err := r.refers(ctx, view, repo, parent, d)
		if err != nil || !refers {
			return !refers, err
		}
	}
	return false, nil
}

// refers tells whether the manifest's subject is d. One that was deleted meanwhile is not known to refer to anything.
func (r *Registry) refers(ctx context.Context, view kv.View, repo string, man, d digest.Digest) (bool, error) {
	row, err := view.Get(ctx, keyRev(repo, man))
	if err != nil {
		return false, unlessNotFound(err)
	}
	s, err := parseStored(row)
	if err != nil {
		return false, err
	}
	body, err := view.Get(ctx, keyMan(man))
	if err != nil {
		return false, unlessNotFound(err)
	}
	m, _ := readManifest(s.MediaType, man, body)
	return m.Subject != nil && m.Subject.Digest == d, nil
}

func unlessNotFound(err error) error {
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	return err
}

// maxEvicted bounds how many manifests go with one image: its parts, and what refers to them.
const maxEvicted = 1000

// Evict removes an image from a repository whose content can be had again from elsewhere: its tags, its parts that belong to no other image there and have no tag
// of their own, what refers to it, and at once, without a grace, its holds on blobs that nothing else in the repository names. No admission and no guard is asked.
// It returns how many bytes nobody holds any more.
func (r *Registry) Evict(ctx context.Context, repo string, d digest.Digest) (freed int64, err error) {
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		freed = 0
		gone := map[digest.Digest]bool{}
		for next := []digest.Digest{d}; len(next) > 0 && len(gone) < maxEvicted; next = next[1:] {
			if gone[next[0]] {
				continue
			}
			gone[next[0]] = true
			more, bytes, err := r.evictOne(ctx, tx, repo, next[0])
			if err != nil {
				return err
			}
			next, freed = append(next, more...), freed+bytes
		}
		return nil
	})
	return freed, fault(err, "evict %s of %s", d, repo)
}

// evictOne removes one manifest, and returns those that go with it.
func (r *Registry) evictOne(ctx context.Context, tx kv.Tx, repo string, d digest.Digest) (more []digest.Digest, freed int64, err error) {
	row, err := tx.Get(ctx, keyRev(repo, d))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	s, err := parseStored(row)
	if err != nil {
		return nil, 0, err
	}
	m, err := ManifestIn(ctx, tx, s)
	if err != nil {
		return nil, 0, err
	}
	_, tags, err := dropRevision(ctx, tx, repo, d)
	if err != nil {
		return nil, 0, err
	}
	for _, tag := range tags {
		dropTag(tx, repo, tag, d)
	}
	journal.Append(ctx, tx, journal.Event{Action: "manifest.evict", Repo: repo, Digest: string(d), MediaType: s.MediaType, Size: s.Size, Result: "ok"})
	if err := dropBytes(ctx, tx, d); err != nil {
		return nil, 0, err
	}
	for _, child := range m.Manifests {
		alone, err := r.alone(ctx, tx, repo, child.Digest)
		if err != nil {
			return nil, 0, err
		}
		if alone {
			more = append(more, child.Digest)
		}
	}
	prefix := of(prefixRef, repo, string(d))
	from, to := kv.Prefix(prefix)
	for pair, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return nil, 0, err
		}
		more = append(more, digest.Digest(pair.Key[strings.LastIndexByte(pair.Key, '!')+1:]))
	}
	for _, need := range m.children() {
		bytes, err := r.letGo(ctx, tx, repo, need)
		if err != nil {
			return nil, 0, err
		}
		freed += bytes
	}
	return more, freed, nil
}

// alone tells whether a manifest has no tag and is part of none.
func (r *Registry) alone(ctx context.Context, tx kv.Tx, repo string, d digest.Digest) (bool, error) {
	from, to := kv.Prefix(of(prefixRev, repo, string(d)))
	for _, err := range tx.Scan(ctx, from, to) {
		return false, err
	}
	named, err := r.named(ctx, tx, repo, d, "")
	return !named, err
}

// letGo releases a blob at once, and returns the bytes that nobody holds any more.
func (r *Registry) letGo(ctx context.Context, tx kv.Tx, repo string, d digest.Digest) (int64, error) {
	gone, err := r.releaseHold(ctx, tx, repo, d, r.now().Add(time.Second))
	if err != nil || !gone {
		return 0, err
	}
	row, err := tx.Get(ctx, keyBlob(d))
	if err != nil {
		return 0, err
	}
	s, err := parseStock(row)
	if err != nil {
		return 0, err
	}
	doomed, err := r.doom(ctx, tx, d, s, evicted)
	if err != nil || !doomed {
		return 0, err
	}
	return s.size, nil
}

// HeldBytes is the size of all blobs that repositories hold whose names begin with one of the prefixes, each blob counted once for each prefix.
func (r *Registry) HeldBytes(ctx context.Context, prefixes ...string) ([]int64, error) {
	sizes := make([]int64, len(prefixes))
	counted := make([]bool, len(prefixes))
	var d string
	var size int64
	from, to := kv.Prefix(prefixBlob)
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil {
			return nil, fault(err, "count what is held")
		}
		of, repo, holder := strings.Cut(pair.Key[len(prefixBlob):], "!")
		if !holder {
			s, err := parseStock(pair.Value)
			if err != nil {
				continue
			}
			d, size = of, s.size
			clear(counted)
			continue
		}
		if of != d {
			continue
		}
		for i, p := range prefixes {
			if !counted[i] && strings.HasPrefix(repo, p) {
				counted[i], sizes[i] = true, sizes[i]+size
			}
		}
	}
	return sizes, nil
}
