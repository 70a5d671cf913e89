package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
)

// documentTypes are the artifact types of documents.
var documentTypes = map[document.Kind]string{
	document.KindManifest: artifacts.TypeBuild, document.KindMetadata: artifacts.TypeMetadata,
	document.KindOwnership: artifacts.TypeOwnership, document.KindPolicy: artifacts.TypePolicy,
}

// typeDocument is the media type of YAML (RFC 9512).
const typeDocument = "application/yaml"

// Document attaches a document to a version: a manifest.yaml to what it was pushed as in a format, and a metadata.yaml (whose format is "") to the first that
// there is of release, docker, deb and generic. The catalog refuses it with everything that is wrong with it.
func (s *Shelf) Document(ctx context.Context, component, version string, format artifacts.Kind, kind document.Kind, text []byte, p Put) (Kept, error) {
	if err := checkDocument(component, kind, text, document.KindManifest, document.KindMetadata); err != nil {
		return Kept{}, err
	}
	if err := checkComponent(component); err != nil {
		return Kept{}, err
	}
	number, err := parseVersion(component, version)
	if err != nil {
		return Kept{}, err
	}
	state, err := s.Catalog.State(ctx, component, number.String())
	if errors.Is(err, artifacts.ErrUnknown) {
		return Kept{}, refused(registry.ManifestUnknown, component, "reference", number.String(),
			fmt.Sprintf("there is no version %s of %s yet; push the artifact first, then what is said of it", number, component))
	}
	if err != nil {
		return Kept{}, err
	}
	on, err := subjectOf(state.Version, format, kind)
	if err != nil {
		return Kept{}, err
	}
	subject, err := s.Registry.Resolve(ctx, component, string(on.Digest))
	if err != nil {
		return Kept{}, err
	}
	m := artifact(documentTypes[kind], layer(string(kind)+".yaml", typeDocument, digest.FromBytes(text), int64(len(text))))
	m.Subject = &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	what := string(format)
	if kind == document.KindMetadata {
		what = "metadata"
	}
	kept, err := s.putDocument(ctx, component, "", state.Documents[what].Digest, m, text, p)
	kept.Tag, kept.Version = on.Tag, number.String()
	return kept, err
}

// subjectOf returns what a document is attached to.
func subjectOf(v artifacts.Version, format artifacts.Kind, kind document.Kind) (artifacts.Format, error) {
	if kind == document.KindMetadata {
		for _, format := range []artifacts.Kind{artifacts.Release, artifacts.Docker, artifacts.Deb, artifacts.Generic} {
			if f, pushed := v.Formats[format]; pushed {
				return f, nil
			}
		}
	} else if format != artifacts.Docker && format != artifacts.Deb && format != artifacts.Generic {
		return artifacts.Format{}, invalid(v.Component, "format", string(format), "a manifest.yaml is about one format of a version: docker, deb or generic")
	} else if f, pushed := v.Formats[format]; pushed {
		return f, nil
	}
	return artifacts.Format{}, refused(registry.ManifestUnknown, v.Component, "reference", v.Version,
		fmt.Sprintf("version %s of %s has not been pushed as %s yet; push the artifact first, then what is said of it", v.Version, v.Component, format))
}

// checkDocument refuses documents that do not belong there, and such that are longer than any that is right.
func checkDocument(repo string, kind document.Kind, text []byte, kinds ...document.Kind) error {
	for _, k := range kinds {
		if k != kind {
			continue
		}
		if most := kind.MaxSize(); len(text) > most {
			return &registry.Error{Code: registry.TooLarge, Detail: map[string]any{"name": clip(repo), "file": string(kind) + ".yaml", "limit": most, "size": len(text),
				"hint": fmt.Sprintf("a %s.yaml has %d bytes at most; is this the right file?", kind, most)}}
		}
		return nil
	}
	return invalid(repo, "kind", string(kind), fmt.Sprintf("the documents that belong here are %s.yaml and %s.yaml", kinds[0], kinds[1]))
}

// putDocument stores a document under a tag or, if that is "", for what it refers to alone. before is the manifest of the one that is there now, "" if none is.
func (s *Shelf) putDocument(ctx context.Context, repo, tag string, before digest.Digest, m ocispec.Manifest, text []byte, p Put) (Kept, error) {
	body, err := encode(m)
	if err != nil {
		return Kept{}, err
	}
	d := digest.FromBytes(body)
	kept := Kept{Repo: repo, Tag: tag, Digest: d, Name: title(m.Layers[0]), File: m.Layers[0].Digest, Size: m.Layers[0].Size}
	if p.Judge != nil { // what may not be stored is not even looked for
		judged, err := registry.ParseManifest(m.MediaType, d, body)
		if err == nil {
			err = p.Judge(judged)
		}
		if err != nil {
			return Kept{}, err
		}
	}
	if kept.Same, err = s.says(ctx, repo, before, m); err != nil {
		return Kept{}, err
	}
	if kept.Same {
		kept.Digest = before
		return kept, nil
	}
	// One that comes back after another had taken its place is a new event: the last one counts, also when all is read anew from what is stored.
	if _, err := s.Registry.Resolve(ctx, repo, string(d)); err == nil && tag == "" {
		m.Annotations = map[string]string{ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339Nano)}
		if body, err = encode(m); err != nil {
			return Kept{}, err
		}
		d = digest.FromBytes(body)
		kept.Digest = d
	}
	if err := s.putBytes(ctx, repo, text); err != nil {
		return Kept{}, err
	}
	if err := s.putEmpty(ctx, repo); err != nil {
		return Kept{}, err
	}
	ref := tag
	if ref == "" {
		ref = string(d)
	}
	_, err = s.Registry.PutManifest(ctx, registry.Put{Repo: repo, Ref: ref, ContentType: m.MediaType, Body: body, Judge: p.Judge, Guard: p.Guard})
	if err != nil {
		return Kept{}, err
	}
	return kept, nil
}

// says tells whether a manifest that is there says the same as another one: the same files, of the same subject.
func (s *Shelf) says(ctx context.Context, repo string, there digest.Digest, m ocispec.Manifest) (bool, error) {
	if there == "" {
		return false, nil
	}
	desc, body, err := s.Registry.Manifest(ctx, repo, string(there))
	if registry.Code(err) == registry.ManifestUnknown {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	was, err := registry.ParseManifest(desc.MediaType, there, body)
	if err != nil || len(was.Layers) != len(m.Layers) || (was.Subject == nil) != (m.Subject == nil) {
		return false, nil // whatever it is, it does not say the same
	}
	for i, l := range was.Layers {
		if l.Digest != m.Layers[i].Digest {
			return false, nil
		}
	}
	return m.Subject == nil || m.Subject.Digest == was.Subject.Digest, nil
}
