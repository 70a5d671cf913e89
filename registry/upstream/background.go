package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// restEvery is how long background work that had better wait looks away.
const restEvery = 5 * time.Second

// Refresh asks the upstream now what a tag names, however short ago it was asked, and brings that manifest here. Where pushes are allowed, what was pushed stays.
func (t *Through) Refresh(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Resolve(ctx, repo, tag)
	}
	if !u.allows(there) {
		return ocispec.Descriptor{}, denied(u, here)
	}
	w := u.wants(there, here, tag)
	if err := t.look(ctx, &w); err != nil {
		return ocispec.Descriptor{}, err
	}
	if w.kept != nil && u.Writable {
		if _, as, err := t.checked(ctx, here, tag); err != nil || as != w.kept.Digest {
			return w.kept.Descriptor, err
		}
	}
	err := t.ask(ctx, here+" "+tag, func(ctx context.Context) error { return t.fetch(ctx, w) })
	t.noteLimited(u, err)
	var held *heldBack
	switch {
	case errors.As(err, &held) && w.kept != nil && w.digest == "":
		return w.kept.Descriptor, nil // it goes on naming that
	case held != nil:
		return ocispec.Descriptor{}, held.refusal(w)
	case err != nil && !errors.Is(err, errStale):
		return ocispec.Descriptor{}, t.refusal(u, here, err)
	}
	return t.local.Resolve(ctx, here, tag)
}

// Bring sees to it that a blob is here, and waits for that.
func (t *Through) Bring(ctx context.Context, repo string, d digest.Digest) error {
	u, there, here := t.of(repo)
	if u == nil {
		_, err := t.below.Blob(ctx, repo, d)
		return err
	}
	if !u.allows(there) {
		return denied(u, here)
	}
	if _, err := t.local.Blob(ctx, here, d); err == nil || !absent(err) || u.Offline {
		return err
	}
	if f := t.fill(ctx, u, there, here, d); f != nil {
		if err := f.Wait(ctx); err != nil {
			return t.blobRefusal(u, here, d, err)
		}
	}
	return nil
}

// Rest waits while what nobody waits for had better leave the upstream of a repository alone: while it does not answer, or when less than a fifth is left of what
// it lets us pull. It returns ctx's error if that ends first.
func (t *Through) Rest(ctx context.Context, repo string) error {
	u, _, _ := t.of(repo)
	for u != nil && (!u.Remote.Healthy() || u.Remote.Scarce()) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(restEvery):
		}
	}
	return ctx.Err()
}
