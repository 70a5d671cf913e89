package registry

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Peer is a place that may hold the same content, as another registry or its store. It is only read, what comes from it is compared with its digest, and one that
// does not answer, or has nothing, only means that nothing is healed from it.
type Peer struct {
	Name string // as people are told it: peer folder /mnt/other
	// Open opens content. repos are repositories that held it here, for a place that has to be told one. An error that is blob.ErrNotFound: it has none.
	Open func(ctx context.Context, d digest.Digest, repos []string) (io.ReadCloser, error)
}

// StorePeer returns the peer that a store of content is.
func StorePeer(name string, content blob.Reader) Peer {
	return Peer{name, func(ctx context.Context, d digest.Digest, _ []string) (io.ReadCloser, error) {
		return content.Open(ctx, d, 0)
	}}
}
