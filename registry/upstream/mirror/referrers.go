package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// askEvery is for how long nobody asks again what refers to a manifest. It is in no answer about a tag, so that a run would cost more questions for this than for
// all the rest. What is tagged for a manifest is in the list of tags, and is seen in each run.
const askEvery = 24 * time.Hour

// askedOf are the manifests whose referrers a run has looked after.
type askedOf struct {
	lock    sync.Mutex
	visited map[digest.Digest]bool
}

// visit tells whether nobody has looked after a manifest's referrers yet.
func (a *askedOf) visit(d digest.Digest) bool {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.visited[d] {
		return false
	}
	a.visited[d] = true
	return true
}

// attend brings what refers to manifests, what refers to that, and so on.
func (r *run) attend(ctx context.Context, subjects []digest.Digest) error {
	var asked []digest.Digest
	var failed faults
	for depth := 0; len(subjects) > 0; depth++ {
		var next []digest.Digest
		for _, d := range subjects {
			if !r.visit(d) {
				continue
			}
			if depth > maxDepth {
				return fmt.Errorf("what refers to it is referred to in turn, more than %d deep", maxDepth)
			}
			below, fresh, err := r.referring(ctx, d)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				failed.add(fmt.Errorf("what refers to %s: %w", d, err))
			} else if fresh {
				asked = append(asked, d)
			}
			next = append(next, below...)
		}
		subjects = next
	}
	failed.add(r.m.noteAsked(ctx, r.repo, asked))
	return failed.err()
}

// referring brings what refers to one manifest, and returns the digests of all manifests that came by that. fresh tells that the upstream was asked.
func (r *run) referring(ctx context.Context, subject digest.Digest) (all []digest.Digest, fresh bool, err error) {
	list, fresh, err := r.referrers(ctx, subject)
	if err != nil {
		return nil, false, err
	}
	var failed faults
	for _, d := range list {
		below, err := r.tree(ctx, d, 0)
		failed.add(err)
		all = append(all, below...)
	}
	for _, tag := range r.list.tagsOf(subject) {
		below, err := r.attached(ctx, tag)
		failed.add(err)
		all = append(all, below...)
	}
	return all, fresh, failed.err()
}

// attached mirrors what is tagged for a manifest.
func (r *run) attached(ctx context.Context, tag string) ([]digest.Digest, error) {
	r.count(func(t *Tally) { t.Tags.Known++ })
	d, err := r.named(ctx, tag)
	if err != nil {
		return nil, err
	}
	all, err := r.tree(ctx, d, 0)
	if err == nil {
		r.count(func(t *Tally) { t.Tags.Done++ })
	}
	return all, err
}

// referrers lists what refers to a manifest: as the upstream says, or, if it was asked not long ago, as it is known here.
func (r *run) referrers(ctx context.Context, subject digest.Digest) (list []digest.Digest, fresh bool, err error) {
	at, err := r.m.lastAsked(ctx, r.repo, subject)
	if err != nil {
		return nil, false, err
	}
	ctx, notes := registry.WithNotes(ctx)
	age := r.began.Sub(at)
	fresh = age < 0 || age >= askEvery
	all := r.m.Local.Referrers(ctx, r.repo, subject, "", "")
	if fresh {
		all = r.m.Through.Referrers(ctx, r.repo, subject, "", "")
	}
	read := func() error {
		list = nil
		for referrer, err := range all {
			if err != nil {
				return err
			}
			var d ocispec.Descriptor
			if err := json.Unmarshal(referrer.Descriptor, &d); err != nil {
				return fmt.Errorf("read the list of them: %w", err)
			}
			list = append(list, d.Digest)
		}
		return nil
	}
	if !fresh {
		return list, false, read()
	}
	if err := r.politely(ctx, read); err != nil {
		return nil, false, err
	}
	if notes.Stale != "" {
		return nil, false, errors.New(notes.Stale)
	}
	return list, true, nil
}

// lastAsked tells when an upstream was last asked what refers to a manifest, and all of that was here then; long ago, if never.
func (m *Mirrors) lastAsked(ctx context.Context, repo string, subject digest.Digest) (time.Time, error) {
	b, err := m.Index.Get(ctx, keyAsked(repo, subject))
	if errors.Is(err, kv.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(b), nil
}

// noteAsked records that upstreams were asked now what refers to manifests.
func (m *Mirrors) noteAsked(ctx context.Context, repo string, subjects []digest.Digest) error {
	if len(subjects) == 0 {
		return nil
	}
	return m.Index.Update(ctx, func(tx kv.Tx) error {
		for _, d := range subjects {
			tx.Put(keyAsked(repo, d), timeRow(m.Now()))
		}
		return nil
	})
}

// forgetAsked removes what is recorded of manifests that a run has not come by any more.
func (m *Mirrors) forgetAsked(ctx context.Context, r *run) error {
	prefix := keyAsked(r.repo, "")
	from, to := kv.Prefix(prefix)
	var gone []string
	for p, err := range m.Index.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		if !r.visited[digest.Digest(p.Key[len(prefix):])] {
			gone = append(gone, p.Key)
		}
	}
	return m.drop(ctx, gone)
}
