package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/storage/blob"
)

// OpenBlob opens a blob, of which some may still be on its way.
func (t *Through) OpenBlob(ctx context.Context, repo string, d digest.Digest) (blob.Info, io.ReadSeekCloser, error) {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.OpenBlob(ctx, repo, d)
	}
	if !u.allows(there) {
		return blob.Info{}, nil, denied(u, here)
	}
	for range 2 {
		info, content, err := t.local.OpenBlob(ctx, here, d)
		if err == nil || !absent(err) || u.Offline {
			return info, content, err
		}
		f := t.fill(ctx, u, there, here, d)
		if f == nil {
			continue // it has just come
		}
		size, err := f.Size(ctx)
		if err != nil {
			return blob.Info{}, nil, t.blobRefusal(u, here, d, err)
		}
		return blob.Info{Digest: d, Size: size}, f.Open(ctx), nil
	}
	return t.local.OpenBlob(ctx, here, d)
}

// under returns the filling of a blob that is on its way, or nil.
func (t *Through) under(here string, d digest.Digest) *registry.Filling {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.filling[here+" "+string(d)]
}

// fill returns the one filling of a blob that all who want it follow; nil: it is here by now.
func (t *Through) fill(ctx context.Context, u *Upstream, there, here string, d digest.Digest) *registry.Filling {
	name := here + " " + string(d)
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.filling[name]; f != nil {
		return f
	}
	if _, err := t.local.Blob(ctx, here, d); err == nil {
		return nil
	}
	f := t.local.Fill(ctx, here, d, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		body, err := u.Remote.Blob(ctx, there, d, offset)
		return body.ReadCloser, body.Size, err
	})
	t.filling[name] = f
	go func() {
		err := f.Wait(context.WithoutCancel(ctx))
		t.mu.Lock()
		delete(t.filling, name)
		t.mu.Unlock()
		if err != nil {
			t.log.Warn("a blob could not be fetched", "repo", here, "digest", d, "err", err)
		}
	}()
	return f
}

// Referrers yields what refers to a manifest: as the upstream lists it, or, if it does not answer, what is kept.
func (t *Through) Referrers(ctx context.Context, repo string, subject digest.Digest, kind, cursor string) iter.Seq2[registry.Referrer, error] {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Referrers(ctx, repo, subject, kind, cursor)
	}
	return func(yield func(registry.Referrer, error) bool) {
		if !u.allows(there) {
			yield(registry.Referrer{}, denied(u, here))
			return
		}
		if !u.Offline {
			all, err := u.Remote.Referrers(ctx, there, subject)
			if err == nil || errors.Is(err, remote.ErrNotFound) {
				slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
				for _, d := range all {
					if kind != "" && d.ArtifactType != kind || string(d.Digest) <= cursor {
						continue
					}
					body, err := json.Marshal(d)
					if !yield(registry.Referrer{Descriptor: body, Cursor: string(d.Digest)}, err) || err != nil {
						return
					}
				}
				return
			}
			t.log.Warn("an upstream does not list referrers; those that are kept are listed", "repo", here, "err", err)
		}
		for r, err := range t.local.Referrers(ctx, here, subject, kind, cursor) {
			if !yield(r, err) {
				return
			}
		}
	}
}
