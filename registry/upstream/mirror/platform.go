package mirror

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
)

// platform is what an image runs on; an empty variant means each.
type platform struct{ os, architecture, variant string }

// parsePlatform reads OS/ARCH[/VARIANT].
func parsePlatform(s string) (p platform, err error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || len(s) > 255 || slices.Contains(parts, "") {
		return p, fmt.Errorf("%.140q is no platform; write it like linux/amd64 or linux/arm/v7", s)
	}
	p.os, p.architecture = parts[0], parts[1]
	if len(parts) == 3 {
		p.variant = parts[2]
	}
	return p, nil
}

// runs tells whether an image is for p. An arm64 without a variant is v8.
func (p platform) runs(image *ocispec.Platform) bool {
	if image.OS != p.os || image.Architecture != p.architecture {
		return false
	}
	variant := image.Variant
	if variant == "" && image.Architecture == "arm64" {
		variant = "v8"
	}
	return p.variant == "" || p.variant == variant
}

// attests is what BuildKit notes at an attestation in an index: the digest of the image that it is about.
const attests = "vnd.docker.reference.digest"

// children returns what of an index is mirrored: what names no platform, the images for those that are wanted, and, if referrers are, what attests to these.
func (s *selection) children(index *registry.Manifest) ([]ocispec.Descriptor, error) {
	if len(s.platforms) == 0 {
		return index.Manifests, nil
	}
	taken, named := map[digest.Digest]bool{}, map[string]bool{}
	found := false
	for _, d := range index.Manifests {
		switch {
		case d.Annotations[attests] != "":
		case d.Platform == nil:
			taken[d.Digest] = true
		case slices.ContainsFunc(s.platforms, func(p platform) bool { return p.runs(d.Platform) }):
			taken[d.Digest], found = true, true
		default:
			named[strings.TrimSuffix(strings.Join([]string{d.Platform.OS, d.Platform.Architecture, d.Platform.Variant}, "/"), "/")] = true
		}
	}
	if !found && len(named) > 0 {
		return nil, fmt.Errorf("it is for none of the platforms that are mirrored, but for %s", clip(joined(named), 300))
	}
	var all []ocispec.Descriptor
	for _, d := range index.Manifests {
		about := digest.Digest(d.Annotations[attests])
		if about == "" && taken[d.Digest] || about != "" && taken[about] && s.Referrers {
			all = append(all, d)
		}
	}
	return all, nil
}
