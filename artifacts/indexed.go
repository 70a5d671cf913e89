package artifacts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
)

// Source is a registry with the index files in it, as artifacts: index/components:latest, index/domain-cloud:latest, index/domain-cloud-staging:latest. They
// are rendered when somebody asks for them, and stored then if they have changed: what was pulled once can be pulled by its digest ever after.
type Source struct {
	*registry.Registry
	Catalog *Catalog
}

var _ registry.Source = Source{}

const indexRepos = "index/"

// Resolve returns what a tag or a digest names.
func (s Source) Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error) {
	if err := s.render(ctx, repo, ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	return s.Registry.Resolve(ctx, repo, ref)
}

// Manifest returns what a tag or a digest names, with its bytes.
func (s Source) Manifest(ctx context.Context, repo, ref string) (ocispec.Descriptor, []byte, error) {
	if err := s.render(ctx, repo, ref); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return s.Registry.Manifest(ctx, repo, ref)
}

// Tags yields the tags of a repository.
func (s Source) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	if err := s.render(ctx, repo, "latest"); err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	return s.Registry.Tags(ctx, repo, after)
}

// render stores an index file if it is asked for and not what is stored.
func (s Source) render(ctx context.Context, repo, ref string) error {
	name, ok := strings.CutPrefix(repo, indexRepos)
	if !ok || ref != "latest" {
		return nil
	}
	text, err := s.Catalog.IndexFile(ctx, name+".yaml")
	if errors.Is(err, ErrUnknown) {
		return nil // the registry says that there is none
	}
	if err != nil {
		return err
	}
	d := digest.FromBytes(text)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: TypeIndex, Config: ocispec.DescriptorEmptyJSON,
		Layers: []ocispec.Descriptor{{MediaType: "application/yaml", Digest: d, Size: int64(len(text)), Annotations: map[string]string{ocispec.AnnotationTitle: name + ".yaml"}}},
	}
	m.Config.Data = nil
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if now, err := s.Registry.Resolve(ctx, repo, ref); err == nil && now.Digest == digest.FromBytes(body) {
		return nil
	}
	ctx = journal.By(context.WithValue(ctx, ownKey{}, own{}), journal.Actor{Name: "system"})
	for d, content := range map[digest.Digest][]byte{d: text, m.Config.Digest: ocispec.DescriptorEmptyJSON.Data} {
		if err := s.Catalog.hold(ctx, repo, string(d), content); err != nil {
			return err
		}
	}
	_, err = s.PutManifest(ctx, registry.Put{Repo: repo, Ref: ref, ContentType: m.MediaType, Body: body})
	return err
}

// IndexFile renders an index file by its name, components.yaml or domain-*.yaml, as it is now; ErrUnknown if there is no such file.
func (k *Catalog) IndexFile(ctx context.Context, name string) ([]byte, error) {
	kind, ok := document.KindOf(name)
	switch {
	case ok && kind == document.KindComponents:
		doc, err := k.ComponentsFile(ctx, time.Time{}, nil)
		if err != nil {
			return nil, err
		}
		return document.Render(doc), nil
	case ok && kind == document.KindDomain:
		place, err := k.placeOf(ctx, name)
		if err != nil {
			return nil, err
		}
		doc, err := k.DomainFile(ctx, place, time.Time{}, nil)
		if err != nil {
			return nil, err
		}
		return document.Render(doc), nil
	}
	return nil, ErrUnknown
}

// placeOf returns the place that a domain's file is about; ErrUnknown: nothing was ever deployed there. Where there are several it is the first.
func (k *Catalog) placeOf(ctx context.Context, file string) (Place, error) {
	known, err := PlacesOf(file, func(p Place) (bool, error) {
		for _, err := range k.Moves(ctx, MoveQuery{Place: &p}) {
			return err == nil, err
		}
		return false, nil
	})
	if err != nil || len(known) == 0 {
		return Place{}, cmp.Or(err, ErrUnknown)
	}
	return known[0], nil
}

// PlacesOf returns the places that a domain's file may be about, among those that are known: domain-cloud-staging.yaml is about cloud.staging, and
// domain-cloud.yaml about cloud.prod. As both names of a place may have dashes there may be several; that of prod counts if there is no other.
func PlacesOf(file string, known func(Place) (bool, error)) (all []Place, err error) {
	name := strings.TrimSuffix(strings.TrimPrefix(file, "domain-"), ".yaml")
	add := func(p Place) error {
		if _, err := ParsePlace(p.Tag()); err != nil {
			return nil // there is no such place
		}
		is, err := known(p)
		if is {
			all = append(all, p)
		}
		return err
	}
	for i := range min(len(name), registry.MaxTag) {
		if name[i] == '-' {
			if err := add(Place{name[:i], name[i+1:]}); err != nil {
				return nil, err
			}
		}
	}
	if len(all) == 0 {
		err = add(Place{name, "prod"})
	}
	return all, err
}
