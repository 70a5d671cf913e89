package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layer describes a file as oras does: by a layer that has its name as a title.
func layer(name, mediaType string, d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: size, Annotations: map[string]string{ocispec.AnnotationTitle: name}}
}

func title(l ocispec.Descriptor) string { return l.Annotations[ocispec.AnnotationTitle] }

// artifact is a manifest of files (image-spec, "Guidelines for Artifact Usage").
func artifact(artifactType string, layers ...ocispec.Descriptor) ocispec.Manifest {
	return ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: layers,
	}
}

// with returns the manifest with one layer more. All else that whoever made it said of it stays: its type, its annotations.
func with(m ocispec.Manifest, l ocispec.Descriptor) ocispec.Manifest {
	m.Layers = append(slices.Clone(m.Layers), l)
	slices.SortStableFunc(m.Layers, func(a, b ocispec.Descriptor) int {
		if order := strings.Compare(title(a), title(b)); order != 0 {
			return order
		}
		return strings.Compare(string(a.Digest), string(b.Digest))
	})
	return m
}

// encode writes a manifest, the same bytes for the same one.
func encode(m ocispec.Manifest) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(m)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// putBytes stores short content as a blob.
func (s *Shelf) putBytes(ctx context.Context, repo string, content []byte) error {
	return s.Registry.PutBlob(ctx, repo, digest.FromBytes(content), int64(len(content)), bytes.NewReader(content))
}

// putEmpty stores the config of artifacts that have none.
func (s *Shelf) putEmpty(ctx context.Context, repo string) error {
	return s.putBytes(ctx, repo, ocispec.DescriptorEmptyJSON.Data)
}
