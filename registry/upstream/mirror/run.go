package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot/entrepot/registry"
)

// How much a run does at once, of each.
const (
	tagsAtOnce  = 4
	blobsAtOnce = 4
)

// run is one run of an entry. It is done when done is closed.
type run struct {
	*selection
	m     *Mirrors
	by    string
	began time.Time
	counter
	trees flights[[]digest.Digest]
	blobs flights[struct{}]
	lanes chan struct{} // of blobs
	list  choice
	askedOf

	done   chan struct{}
	result Result
	err    error // why there is no result
}

func (m *Mirrors) newRun(j *job, by string) *run {
	r := &run{selection: j.selection, m: m, by: by, began: m.Now().UTC(), lanes: make(chan struct{}, blobsAtOnce), done: make(chan struct{})}
	r.seen = map[digest.Digest]bool{}
	r.trees.all = map[digest.Digest]*flight[[]digest.Digest]{}
	r.blobs.all = map[digest.Digest]*flight[struct{}]{}
	r.askedOf = askedOf{visited: map[digest.Digest]bool{}}
	return r
}

// mirror does it all. What fails is listed; the error is that of ctx.
func (r *run) mirror(ctx context.Context) error {
	tags, err := r.tags(ctx)
	if err != nil {
		r.fail("", err)
		return ctx.Err()
	}
	r.count(func(t *Tally) { t.Tags.Known += int64(len(tags)) })
	var g errgroup.Group
	g.SetLimit(tagsAtOnce)
	for _, tag := range tags {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := r.tag(ctx, tag); err != nil && ctx.Err() == nil {
				r.fail(tag, err)
			}
			return nil
		})
	}
	_ = g.Wait() // what failed is listed
	return ctx.Err()
}

// tags returns those that are to be mirrored.
func (r *run) tags(ctx context.Context) ([]string, error) {
	if tags, ok := r.listless(); ok {
		return tags, nil
	}
	ctx, notes := registry.WithNotes(ctx)
	var list choice
	err := r.politely(ctx, func() (err error) {
		list, err = r.choose(r.alive(ctx, r.m.Through.Tags(ctx, r.repo, "")))
		return err
	})
	if err != nil {
		return nil, err
	}
	if notes.Stale != "" {
		return nil, errors.New(notes.Stale)
	}
	r.list = list
	for _, tag := range r.missing(list) {
		r.fail(tag, errors.New("the upstream has no such tag"))
	}
	return list.tags, nil
}

// alive is a list that ends with ctx.
func (r *run) alive(ctx context.Context, tags iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for tag, err := range tags {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(tag, err) || err != nil {
				return
			}
		}
	}
}

// tag mirrors what a tag names now, with what refers to it.
func (r *run) tag(ctx context.Context, tag string) error {
	d, err := r.named(ctx, tag)
	if err != nil {
		return err
	}
	digests, err := r.tree(ctx, d, 0)
	if err != nil {
		return err
	}
	if r.Referrers {
		if err := r.attend(ctx, digests); err != nil {
			return err
		}
	}
	r.count(func(t *Tally) { t.Tags.Done++ })
	return nil
}

// named asks the upstream what a tag names, and brings that manifest.
func (r *run) named(ctx context.Context, tag string) (digest.Digest, error) {
	before, err := r.m.Local.Stored(ctx, r.repo, tag)
	if err != nil && !absent(err) {
		return "", err
	}
	var now ocispec.Descriptor
	err = r.politely(ctx, func() (err error) {
		now, err = r.m.Through.Refresh(ctx, r.repo, tag)
		return err
	})
	if err != nil {
		return "", err
	}
	if now.Digest != before.Digest {
		r.count(func(t *Tally) { t.Fetched.Manifests++ })
	}
	return now.Digest, nil
}

// politely asks the upstream something, when it had better not be left alone. If it wants to be asked later, that is done, a few times.
func (r *run) politely(ctx context.Context, ask func() error) error {
	for try := 1; ; try++ {
		done := r.rest()
		err := r.m.Through.Rest(ctx, r.repo)
		done()
		if err != nil {
			return err
		}
		err = ask()
		var told *registry.Error
		if try == politeTries || !errors.As(err, &told) || told.Code != registry.UpstreamLimited {
			return err
		}
		if err := r.wait(ctx, max(time.Second, min(told.After, politeMost))); err != nil {
			return err
		}
	}
}

// How often, and how long at most, it is waited for an upstream that wants fewer requests.
const (
	politeTries = 5
	politeMost  = 15 * time.Minute
)

func (r *run) wait(ctx context.Context, d time.Duration) error {
	defer r.rest()()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func absent(err error) bool {
	return slices.Contains([]string{registry.ManifestUnknown, registry.NameUnknown, registry.BlobUnknown, registry.BlobDamaged}, registry.Code(err))
}

// progress tells how far the run is.
func (r *run) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Progress{Repository: r.repo, Began: r.began, Tally: r.tally, Resting: r.resting > 0}
}

// conclude makes the result.
func (r *run) conclude() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.failures, func(a, b Failure) int { return cmp.Compare(a.Tag, b.Tag) })
	return Result{Repository: r.repo, Began: r.began, Ended: r.m.Now().UTC(), By: r.by, Tally: r.tally, Failures: r.failures}
}

// watchEvery is how often those are told who watch a run.
const watchEvery = 500 * time.Millisecond

// follow waits for the result, and tells how far the run is meanwhile.
func (r *run) follow(ctx context.Context, watch func(Progress)) (Result, error) {
	if watch == nil {
		watch = func(Progress) {}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		watch(r.progress())
		select {
		case <-r.done:
			if r.err != nil {
				return Result{}, fmt.Errorf("mirror %s: %w", r.repo, r.err)
			}
			watch(r.progress())
			return r.result, nil
		case <-tick.C:
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
}
