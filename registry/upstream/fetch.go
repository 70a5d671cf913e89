package upstream

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

// Fetch opens a blob of a repository at its upstream, whatever is kept here; nothing is stored. BlobUnknown for a repository of no upstream, or of one that is not
// asked. Whoever calls compares the content with its digest.
func (t *Through) Fetch(ctx context.Context, repo string, d digest.Digest) (io.ReadCloser, error) {
	u, there, here := t.of(repo)
	if u == nil || u.Offline || !u.allows(there) {
		return nil, &registry.Error{Code: registry.BlobUnknown, Detail: map[string]string{"name": here, "digest": string(d)}}
	}
	body, err := u.client(ctx).Blob(ctx, there, d, 0)
	if err != nil {
		return nil, err
	}
	return body.ReadCloser, nil
}
