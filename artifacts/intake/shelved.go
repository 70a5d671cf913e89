package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/registry"
)

// shelved is what there is of a target now.
type shelved struct {
	tag      string
	digest   digest.Digest // of the manifest; "" if there is none
	manifest ocispec.Manifest
	names    map[digest.Digest]string // of packages: what they are called by what they say of themselves
}

// look returns what there is of a target.
func (s *Shelf) look(ctx context.Context, t target) (*shelved, error) {
	now := &shelved{tag: t.tag(), names: map[digest.Digest]string{}}
	v, err := s.Catalog.Version(ctx, t.repo, t.number.String())
	if err != nil && !errors.Is(err, artifacts.ErrUnknown) {
		return nil, err
	}
	if f, pushed := v.Formats[t.format]; pushed {
		now.tag = f.Tag
		for _, file := range f.Files {
			if file.Package != nil {
				now.names[file.Digest] = file.Name
			}
		}
	}
	desc, body, err := s.Registry.Manifest(ctx, t.repo, now.tag)
	if registry.Code(err) == registry.ManifestUnknown {
		return now, nil
	}
	if err != nil {
		return nil, err
	}
	if desc.MediaType != ocispec.MediaTypeImageManifest {
		return nil, refused(registry.Denied, t.repo, "tag", now.tag,
			fmt.Sprintf("%s names a %s, to which no file can be added; push a new version", now.tag, clip(desc.MediaType)))
	}
	now.digest = desc.Digest
	if err := json.Unmarshal(body, &now.manifest); err != nil {
		return nil, fmt.Errorf("read manifest %s of %s: %w", desc.Digest, t.repo, err)
	}
	return now, nil
}

// has tells whether a file is there already. Another one of its name is an error. Packages are told by their content, in which their names are, whatever
// those who pushed them called the files.
func (n *shelved) has(t target, file ocispec.Descriptor) (bool, error) {
	var other digest.Digest
	for _, l := range n.manifest.Layers {
		same := cmp.Or(n.names[l.Digest], title(l)) == title(file)
		switch {
		case l.Digest == file.Digest && (same || t.format == artifacts.Deb):
			return true, nil
		case same:
			other = l.Digest
		}
	}
	if other == "" {
		return false, nil
	}
	next := t
	next.number = t.number.NextPatch()
	return false, &registry.Error{Code: registry.Denied, Detail: map[string]string{
		"name": t.repo, "tag": n.tag, "file": title(file), "digest": string(other), "sent": string(file.Digest),
		"hint": fmt.Sprintf("%s of %s has other content already, and what a version holds never changes; the next version that is free may be %s",
			title(file), n.tag, next.tag()),
	}}
}
