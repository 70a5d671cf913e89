package upstream

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
)

// Blob tells of a blob. One that is not here begins to come: whoever asks for it is about to get it, and nothing is told that could not be served.
func (t *Through) Blob(ctx context.Context, repo string, d digest.Digest) (info blob.Info, err error) {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Blob(ctx, repo, d)
	}
	if !u.allows(there) {
		return info, denied(u, here)
	}
	if info, err = t.local.Blob(ctx, here, d); err == nil || !absent(err) || u.Offline {
		return info, err
	}
	f := t.fill(ctx, u, there, here, d)
	if f == nil {
		return t.local.Blob(ctx, here, d) // it has just come
	}
	if u.Writable { // whoever pushes leaves out what is said to be here: then it must be
		if err := f.Wait(ctx); err != nil {
			return info, t.blobRefusal(u, here, d, err)
		}
		return t.local.Blob(ctx, here, d)
	}
	size, err := f.Size(ctx)
	return blob.Info{Digest: d, Size: size}, t.blobRefusal(u, here, d, err)
}

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

// LinkBlob is for what is here already.
func (t *Through) LinkBlob(ctx context.Context, repo string, d digest.Digest) (string, error) {
	u, there, here := t.of(repo)
	if u == nil {
		if below, ok := t.below.(registry.Linking); ok {
			return below.LinkBlob(ctx, repo, d)
		}
		return "", nil
	}
	if !u.allows(there) {
		return "", denied(u, here)
	}
	link, err := t.local.LinkBlob(ctx, here, d)
	if absent(err) {
		err = nil // it has to come first
	}
	return link, err
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
		body, err := u.client(ctx).Blob(ctx, there, d, offset)
		return body.ReadCloser, body.Size, err
	})
	t.filling[name] = f
	go func() {
		err := f.Wait(context.WithoutCancel(ctx))
		t.mu.Lock()
		delete(t.filling, name)
		t.mu.Unlock()
		if size, known := f.Size(context.WithoutCancel(ctx)); err == nil && known == nil {
			t.grown(u, size)
		}
		if err != nil {
			t.log.Warn("a blob could not be fetched", "repo", here, "digest", d, "err", err)
		}
	}()
	return f
}
