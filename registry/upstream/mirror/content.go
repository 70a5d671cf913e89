package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot/entrepot/registry"
)

// The bounds of a run.
const (
	maxManifests = 200_000
	maxDepth     = 8 // of indexes in indexes, and of what refers to what refers
)

// tree brings a manifest with all that it is made of, and returns the digests of the manifests in it. One run does it once, for whichever tag comes first.
func (r *run) tree(ctx context.Context, d digest.Digest, depth int) ([]digest.Digest, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("there are indexes in indexes, more than %d deep", maxDepth)
	}
	return r.trees.do(ctx, d, func(nth int) ([]digest.Digest, error) {
		if nth > maxManifests {
			return nil, fmt.Errorf("more than %d manifests are asked for; ask for fewer tags or platforms, or without referrers", maxManifests)
		}
		r.count(func(t *Tally) { t.Manifests.Known++ })
		m, err := r.manifest(ctx, d)
		if err != nil {
			return nil, err
		}
		var failed faults
		failed.add(r.bring(ctx, needed(m)))
		all := []digest.Digest{d}
		children, err := r.children(m)
		if err != nil {
			return nil, err
		}
		for _, child := range children {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			below, err := r.tree(ctx, child.Digest, depth+1)
			failed.add(err)
			all = append(all, below...)
		}
		if len(failed) == 0 {
			r.count(func(t *Tally) { t.Manifests.Done++ })
		}
		return all, failed.err()
	})
}

// manifest returns a manifest, and fetches it if it is not here.
func (r *run) manifest(ctx context.Context, d digest.Digest) (*registry.Manifest, error) {
	desc, body, err := r.m.Local.Manifest(ctx, r.repo, string(d))
	if absent(err) {
		err = r.politely(ctx, func() error {
			desc, body, err = r.m.Through.Manifest(ctx, r.repo, string(d))
			return err
		})
		if err == nil {
			r.count(func(t *Tally) { t.Fetched.Manifests++ })
		}
	}
	if err != nil {
		return nil, err
	}
	return registry.ParseManifest(desc.MediaType, desc.Digest, body)
}

// needed returns the blobs of a manifest. Layers that may not be distributed lie elsewhere, and who pulls gets them there.
func needed(m *registry.Manifest) []ocispec.Descriptor {
	if m.Config == nil {
		return nil
	}
	need := append([]ocispec.Descriptor{*m.Config}, m.Layers...)
	return slices.DeleteFunc(need, func(d ocispec.Descriptor) bool {
		return strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.")
	})
}

// bring brings blobs. One that fails stops no other.
func (r *run) bring(ctx context.Context, blobs []ocispec.Descriptor) error {
	r.know(blobs)
	outcomes := make([]error, len(blobs))
	var g errgroup.Group
	g.SetLimit(blobsAtOnce)
	for i, d := range blobs {
		g.Go(func() error {
			if outcomes[i] = ctx.Err(); outcomes[i] == nil {
				_, outcomes[i] = r.blobs.do(ctx, d.Digest, func(int) (struct{}, error) { return struct{}{}, r.blob(ctx, d) })
			}
			return nil
		})
	}
	_ = g.Wait() // what failed is in the list
	var failed faults
	for _, err := range outcomes {
		failed.add(err)
	}
	return failed.err()
}

// blob brings a blob, if it is not here.
func (r *run) blob(ctx context.Context, d ocispec.Descriptor) error {
	_, err := r.m.Local.Blob(ctx, r.repo, d.Digest)
	if err == nil {
		r.have(d, false)
		return nil
	}
	if !absent(err) {
		return err
	}
	select {
	case r.lanes <- struct{}{}:
		defer func() { <-r.lanes }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := r.politely(ctx, func() error { return r.m.Through.Bring(ctx, r.repo, d.Digest) }); err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	r.have(d, true)
	return nil
}

// faults are errors of which the first is told, with how many more there are: they are of the same kind more often than not.
type faults []error

func (f *faults) add(err error) {
	if err != nil {
		*f = append(*f, err)
	}
}

func (f faults) err() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return f[0]
	}
	return fmt.Errorf("%w (and %d more)", f[0], len(f)-1)
}
