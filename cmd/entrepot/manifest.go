package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The types that Docker gave to what the OCI later named.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	artifactType10 = "application/vnd.oci.artifact.manifest.v1+json" // of release candidates of the OCI 1.1 specs; still found in registries
)

// manifestLimit is the largest manifest that is read, and configLimit the largest image configuration.
const (
	manifestLimit = 4 << 20
	configLimit   = 8 << 20
)

func isIndexType(t string) bool { return t == ocispec.MediaTypeImageIndex || t == dockerList }

func isManifestType(t string) bool {
	return isIndexType(t) || t == ocispec.MediaTypeImageManifest || t == dockerManifest || t == artifactType10
}

// manifest is any manifest: of an image, of an artifact, or an index of others.
type manifest struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	ArtifactType  string               `json:"artifactType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Blobs         []ocispec.Descriptor `json:"blobs"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	Annotations   map[string]string    `json:"annotations"`
}

// parseManifest reads a manifest and refuses one whose parts could not be fetched by what it says of them.
func parseManifest(content []byte) (*manifest, error) {
	m := new(manifest)
	if err := json.Unmarshal(content, m); err != nil {
		return nil, fmt.Errorf("the manifest is not JSON: %w", err)
	}
	if m.SchemaVersion == 1 {
		return nil, errors.New("the manifest is of Docker's schema 1, which registries gave up; push the image again with a newer client")
	}
	for _, d := range slices.Concat(m.parts(), m.Manifests) {
		if err := d.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("the manifest has a part whose digest is %q: %w", printable(d.Digest.String()), err)
		}
		if d.Size < 0 {
			return nil, fmt.Errorf("the manifest says that %s has %d bytes", d.Digest, d.Size)
		}
	}
	return m, nil
}

// parts are the blobs that the manifest is made of.
func (m *manifest) parts() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	return append(append(all, m.Layers...), m.Blobs...)
}

// size is what the manifest's blobs weigh.
func (m *manifest) size() int64 {
	var n int64
	for _, d := range m.parts() {
		n += d.Size
	}
	return n
}

// isIndex says whether the manifest stands for others.
func (m *manifest) isIndex() bool {
	return isIndexType(m.MediaType) || m.Config == nil && m.Manifests != nil
}

// isImage says whether the manifest is something to run.
func (m *manifest) isImage() bool {
	return m.Config != nil && (m.Config.MediaType == ocispec.MediaTypeImageConfig || m.Config.MediaType == dockerConfig)
}

// typeOf is the artifact type as a referrers list gives it: the manifest's own, otherwise its config's media type.
func (m *manifest) typeOf() string {
	if m.ArtifactType != "" || m.Config == nil || m.isImage() {
		return m.ArtifactType
	}
	return m.Config.MediaType
}

// describeManifest returns the descriptor of manifest bytes.
func describeManifest(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// platformName writes a platform as linux/arm64/v8.
func platformName(p *ocispec.Platform) string {
	if p == nil || p.OS == "" && p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// parsePlatform reads OS/ARCH[/VARIANT].
func parsePlatform(s string) (*ocispec.Platform, error) {
	part := strings.Split(s, "/")
	if len(part) < 2 || len(part) > 3 || slices.Contains(part, "") {
		return nil, fmt.Errorf("%q is not a platform; write it like linux/arm64", s)
	}
	p := &ocispec.Platform{OS: part[0], Architecture: part[1]}
	if len(part) == 3 {
		p.Variant = part[2]
	}
	return p, nil
}

// fits says whether got is the wanted platform; a wanted platform without a variant takes any.
func fits(got, wanted *ocispec.Platform) bool {
	return got != nil && got.OS == wanted.OS && got.Architecture == wanted.Architecture && (wanted.Variant == "" || wanted.Variant == got.Variant)
}

// readJSON reads one JSON value and nothing after it.
func readJSON(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the JSON value")
	}
	return nil
}
