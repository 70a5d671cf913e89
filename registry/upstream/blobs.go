package upstream

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
)

// Blob tells of a blob.
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
	if f := t.under(here, d); f != nil {
		size, err := f.Size(ctx)
		return blob.Info{Digest: d, Size: size}, t.refusal(u, here, err)
	}
	body, err := u.Remote.Blob(ctx, there, d, 0)
	if err != nil {
		return info, t.blobRefusal(u, here, d, err)
	}
	body.Close()
	return blob.Info{Digest: d, Size: max(0, body.Size)}, nil
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
