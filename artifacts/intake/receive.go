package intake

import (
	"context"
	"crypto/sha256"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

// parcel is a file that has been received in full. It is a blob only when it is kept.
type parcel struct {
	registry *registry.Registry
	repo, id string
	digest   digest.Digest
	size     int64
	kept     bool
}

// receive takes a file to its end. A length that is not negative is what was announced. Of a file that did not arrive nothing is left.
func (s *Shelf) receive(ctx context.Context, repo string, length int64, src io.Reader) (*parcel, error) {
	up, err := s.Registry.Begin(ctx, repo, digest.SHA256)
	if err != nil {
		return nil, err
	}
	p := &parcel{registry: s.Registry, repo: repo, id: up.ID}
	arrived := false
	defer func() {
		if !arrived {
			p.drop(ctx)
		}
	}()
	sum := sha256.New()
	if p.size, err = s.Registry.Append(ctx, repo, up.ID, 0, length, io.TeeReader(src, sum)); err != nil {
		return nil, err
	}
	p.digest, arrived = digest.NewDigest(digest.SHA256, sum), true
	return p, nil
}

// keep makes a blob of it.
func (p *parcel) keep(ctx context.Context) error {
	err := p.registry.Finish(ctx, p.repo, p.id, p.size, -1, nil, p.digest)
	p.kept = err == nil
	return err
}

// drop forgets it, unless it was kept. What it fails to remove expires.
func (p *parcel) drop(ctx context.Context) {
	if !p.kept {
		_ = p.registry.Cancel(context.WithoutCancel(ctx), p.repo, p.id)
	}
}
