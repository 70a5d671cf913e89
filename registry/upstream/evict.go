package upstream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

// What is kept of an upstream is bounded by evicting images, least recently pulled first. Nothing goes that was pulled a moment ago: it may be in the middle of a
// pull, whose blobs come after its manifest. Content goes a while after the last image that has it, in the same way as what was deleted.

const (
	boundEvery = time.Hour        // how often what is kept is measured, even if nothing seems to have come
	inUse      = 10 * time.Minute // for how long after its last pull an image is not evicted
	evictBatch = 256              // images between two measurements
)

// Pulled notes that a manifest was pulled.
func (t *Through) Pulled(repo string, d digest.Digest) {
	_, _, here := t.of(repo)
	t.local.Pulled(here, d)
}

// grown adds what has come from an upstream, and wakes the evictor if that is too much.
func (t *Through) grown(u *Upstream, bytes int64) {
	if u.MaxBytes == 0 || t.kept[u.Remote.Name()].Add(bytes) <= u.MaxBytes {
		return
	}
	select {
	case t.full <- struct{}{}:
	default:
	}
}

// Run keeps the bounds of what is kept until ctx ends.
func (t *Through) Run(ctx context.Context) {
	for {
		if err := t.Bound(ctx); err != nil && ctx.Err() == nil {
			t.log.Error("evict images of upstreams", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(boundEvery):
		case <-t.full:
			select { // more is coming; and what was pulled a moment ago stays anyway
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}
}

// Bound measures what is kept of each upstream that has a bound, and evicts images as long as that is too much.
func (t *Through) Bound(ctx context.Context) error {
	for name, u := range t.by {
		if u.MaxBytes == 0 {
			continue
		}
		for {
			sizes, err := t.local.HeldBytes(ctx, name+"/")
			if err != nil {
				return err
			}
			t.kept[name].Store(sizes[0])
			if sizes[0] <= u.MaxBytes {
				break
			}
			// A little more goes than must, or each new blob would begin this anew.
			evicted, err := t.evict(ctx, name, sizes[0]-u.MaxBytes+u.MaxBytes/20)
			if err != nil {
				return err
			}
			if evicted == 0 {
				t.log.Warn("more is kept of an upstream than should be, and all of it is in use or has to stay", "upstream", name, "bytes", sizes[0], "bound", u.MaxBytes)
				break
			}
		}
	}
	return nil
}

// Kept tells how many bytes are kept of an upstream, about; false: it has no bound, and nobody counts.
func (t *Through) Kept(name string) (int64, bool) {
	n := t.kept[name]
	if n == nil {
		return 0, false
	}
	return n.Load(), true
}

// evict evicts images until so many bytes are free, or a batch of them has gone. It returns how many those were.
func (t *Through) evict(ctx context.Context, name string, bytes int64) (evicted int, err error) {
	oldest, err := t.oldest(ctx, name+"/")
	if err != nil {
		return 0, err
	}
	for _, image := range oldest {
		freed, err := t.local.Evict(ctx, image.Repo, image.Digest)
		if err != nil {
			return evicted, err
		}
		evicted++
		t.log.Info("evicted", "repo", image.Repo, "tags", fmt.Sprint(image.Tags), "digest", image.Digest, "used", image.Used, "bytes", freed)
		if bytes -= freed; bytes <= 0 {
			break
		}
	}
	return evicted, nil
}

// oldest returns the images that were not pulled for longest and that may go.
func (t *Through) oldest(ctx context.Context, prefix string) (oldest []registry.Image, err error) {
	before := t.now().Add(-inUse)
	for image, err := range t.local.Images(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if image.Used.After(before) || slices.ContainsFunc(image.Tags, func(tag string) bool { return t.keeps(image.Repo, tag) }) {
			continue
		}
		at, _ := slices.BinarySearchFunc(oldest, image, func(a, b registry.Image) int { return a.Used.Compare(b.Used) })
		if at < evictBatch {
			oldest = slices.Insert(oldest, at, image)
			oldest = oldest[:min(len(oldest), evictBatch)]
		}
	}
	return oldest, nil
}
