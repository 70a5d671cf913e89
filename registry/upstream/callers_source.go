package upstream

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
)

// Resolve returns what ref names, to whom the upstream lets in.
func (c *Callers) Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error) {
	ctx, err := c.admit(ctx, repo, wish{ref: ref})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return c.Through.Resolve(ctx, repo, ref)
}

// Manifest returns what ref names, with its bytes, to whom the upstream lets in.
func (c *Callers) Manifest(ctx context.Context, repo, ref string) (ocispec.Descriptor, []byte, error) {
	ctx, err := c.admit(ctx, repo, wish{ref: ref})
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return c.Through.Manifest(ctx, repo, ref)
}

// Blob tells whom the upstream lets in of a blob.
func (c *Callers) Blob(ctx context.Context, repo string, d digest.Digest) (blob.Info, error) {
	ctx, err := c.admit(ctx, repo, wish{blob: d})
	if err != nil {
		return blob.Info{}, err
	}
	return c.Through.Blob(ctx, repo, d)
}

// OpenBlob opens a blob for whom the upstream lets in.
func (c *Callers) OpenBlob(ctx context.Context, repo string, d digest.Digest) (blob.Info, io.ReadSeekCloser, error) {
	ctx, err := c.admit(ctx, repo, wish{blob: d})
	if err != nil {
		return blob.Info{}, nil, err
	}
	return c.Through.OpenBlob(ctx, repo, d)
}

// LinkBlob links to whom the upstream lets in.
func (c *Callers) LinkBlob(ctx context.Context, repo string, d digest.Digest) (string, error) {
	ctx, err := c.admit(ctx, repo, wish{blob: d})
	if err != nil {
		return "", err
	}
	return c.Through.LinkBlob(ctx, repo, d)
}

// Tags yields the tags to whom the upstream lets in.
func (c *Callers) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, err := c.admit(ctx, repo, wish{})
		if err != nil {
			yield("", err)
			return
		}
		c.Through.Tags(ctx, repo, after)(yield)
	}
}

// Referrers yields what refers to a manifest to whom the upstream lets in.
func (c *Callers) Referrers(ctx context.Context, repo string, subject digest.Digest, kind, cursor string) iter.Seq2[registry.Referrer, error] {
	return func(yield func(registry.Referrer, error) bool) {
		ctx, err := c.admit(ctx, repo, wish{ref: string(subject)})
		if err != nil {
			yield(registry.Referrer{}, err)
			return
		}
		c.Through.Referrers(ctx, repo, subject, kind, cursor)(yield)
	}
}
