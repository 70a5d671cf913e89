package remote

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
)

// accepted are the media types that are asked for: everything that is kept, and then whatever there is.
var accepted = strings.Join([]string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
	registry.TypeDockerManifest, registry.TypeDockerList, "*/*"}, ", ")

// Head returns what ref, a tag or a digest, names in repo, without its bytes if the upstream says all there is to say without them. Docker Hub
// does not count this as a pull. An upstream that serves what may be stale, and says so, leaves a note (registry.WithNotes), here and in Manifest.
func (r *Remote) Head(ctx context.Context, repo, ref string) (ocispec.Descriptor, error) {
	q, err := r.about("look up manifest", repo, "manifests", ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	q.method = http.MethodHead
	q.header.Set("Accept", accepted)
	a, err := r.fetch(ctx, q, r.config.ManifestBytes)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusMethodNotAllowed {
		d, _, err := r.Manifest(ctx, repo, ref)
		return d, err
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	a.passOn(ctx)
	said, err := a.digest()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: a.mediaType(), Digest: said, Size: a.length}
	switch {
	case said == "" || d.Size < 0 || d.MediaType == "" || registry.ValidDigest(ref) && said.Algorithm() != digest.Digest(ref).Algorithm():
		d, _, err := r.Manifest(ctx, repo, ref)
		return d, err
	case registry.ValidDigest(ref) && string(said) != ref:
		return ocispec.Descriptor{}, a.call.bad("it says that this is %s", said)
	case d.Size > r.config.ManifestBytes:
		return ocispec.Descriptor{}, a.call.bad("it has %d bytes, more than the %d that are taken", d.Size, r.config.ManifestBytes)
	}
	return d, nil
}

// Manifest returns what ref, a tag or a digest, names in repo, with its exact bytes. They match the digest: the one that was asked for, and the one
// that the upstream says, if it does. The media type is what the upstream says (Content-Type, without parameters), not judged further.
func (r *Remote) Manifest(ctx context.Context, repo, ref string) (ocispec.Descriptor, []byte, error) {
	q, err := r.about("get manifest", repo, "manifests", ref)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	q.header.Set("Accept", accepted)
	a, err := r.fetch(ctx, q, r.config.ManifestBytes)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	a.passOn(ctx)
	d, err := a.verified(ref)
	return d, a.body, err
}

// passOn notes that the upstream, itself in front of another one, does not know whether this is the newest (Warning 110, RFC 7234).
func (a *answer) passOn(ctx context.Context) {
	for _, w := range a.header.Values("Warning") {
		if strings.HasPrefix(w, "110 ") {
			registry.Note(ctx, a.call.config.Name+" says that what it serves may not be the newest")
		}
	}
}

// verified is the descriptor of a manifest that has come.
func (a *answer) verified(ref string) (ocispec.Descriptor, error) {
	said, err := a.digest()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: a.mediaType(), Digest: digest.FromBytes(a.body), Size: int64(len(a.body))}
	wanted := []digest.Digest{said}
	if registry.ValidDigest(ref) {
		wanted = append(wanted, digest.Digest(ref))
	}
	for _, want := range wanted {
		if want == "" {
			continue
		}
		if got := want.Algorithm().FromBytes(a.body); got != want {
			return ocispec.Descriptor{}, a.call.bad("its content is %s, not %s", got, want)
		}
		d.Digest = want
	}
	return d, nil
}

// digest is what the upstream says; empty if it says nothing.
func (a *answer) digest() (digest.Digest, error) {
	said := a.header.Get("Docker-Content-Digest")
	if said != "" && !registry.ValidDigest(said) {
		return "", a.call.bad("its Docker-Content-Digest %q is no sha256 or sha512 digest", clean(said, 80))
	}
	return digest.Digest(said), nil
}

func (a *answer) mediaType() string {
	t, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
