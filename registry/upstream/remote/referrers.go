package remote

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
)

const (
	maxReferrers     = 10_000
	maxReferrerPages = 50
)

// Referrers returns the manifests of repo that refer to subject (distribution-spec, "Listing Referrers"). An upstream without that API is asked for
// the tag that stands in for it ("Referrers Tag Schema"). Where neither is, there are none.
func (r *Remote) Referrers(ctx context.Context, repo string, subject digest.Digest) ([]ocispec.Descriptor, error) {
	q, err := r.about("list referrers to", repo, "referrers", string(subject))
	if err != nil {
		return nil, err
	}
	q.header.Set("Accept", ocispec.MediaTypeImageIndex)
	var all []ocispec.Descriptor
	for page := 1; ; page++ {
		a, err := r.fetch(ctx, q, r.config.ManifestBytes)
		if page == 1 && lacksReferrers(a, err) {
			return r.taggedReferrers(ctx, repo, subject)
		}
		if err != nil {
			return nil, err
		}
		if all, err = a.referrers(all); err != nil {
			return nil, err
		}
		query, err := a.next(page + maxPages - maxReferrerPages)
		if err != nil || query == "" {
			return all, err
		}
		if q.query, err = url.ParseQuery(query); err != nil {
			return nil, a.call.bad("its list of pages has no way to the next one")
		}
	}
}

// lacksReferrers tells whether an answer is that of a registry which does not know the API: 404, what a router without such a path says, or a page.
func lacksReferrers(a *answer, err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed}, e.Status)
	}
	return err == nil && a.mediaType() != ocispec.MediaTypeImageIndex
}

// referrers adds what an index lists.
func (a *answer) referrers(all []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	m, err := registry.ParseManifest(a.mediaType(), digest.FromBytes(a.body), a.body)
	switch {
	case err != nil:
		return nil, a.call.bad("its list of referrers is no index: %s", clean(err.Error(), 300))
	case !m.Index():
		return nil, a.call.bad("its list of referrers is an image manifest")
	case len(all)+len(m.Manifests) > maxReferrers:
		return nil, a.call.bad("it lists more than %d referrers", maxReferrers)
	}
	return append(all, m.Manifests...), nil
}

func (r *Remote) taggedReferrers(ctx context.Context, repo string, subject digest.Digest) ([]ocispec.Descriptor, error) {
	hex := subject.Encoded()
	q, err := r.about("list referrers by tag", repo, "manifests", string(subject.Algorithm())+"-"+hex[:min(len(hex), 64)])
	if err != nil {
		return nil, err
	}
	q.header.Set("Accept", ocispec.MediaTypeImageIndex)
	a, err := r.fetch(ctx, q, r.config.ManifestBytes)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.referrers(nil)
}
