package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of the manifests that are kept. Docker's own are stored byte for byte as OCI's are.
const (
	TypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	TypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Manifest is a manifest or an index, judged: what of it the registry needs to know.
type Manifest struct {
	Descriptor  ocispec.Descriptor   // of the document itself: media type, digest, size, artifact type
	Config      *ocispec.Descriptor  // nil for an index
	Layers      []ocispec.Descriptor // of an image or artifact manifest
	Manifests   []ocispec.Descriptor // of an index
	Subject     *ocispec.Descriptor  // what it refers to
	Annotations map[string]string
}

// Index tells whether the document is an index (a manifest list).
func (m *Manifest) Index() bool { return isIndex(m.Descriptor.MediaType) }

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == TypeDockerList
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == TypeDockerManifest
}

// ReferrerType is the artifactType under which the manifest stands in a referrers list: its own, else for an image manifest its
// config's media type (distribution-spec, "Listing Referrers").
func (m *Manifest) ReferrerType() string {
	if m.Descriptor.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.Descriptor.ArtifactType
}

// needed returns the blobs that must be held by the repository before the manifest may be stored. Layers that may not be distributed need
// not be there; an index may be sparse, so its children need not either.
func (m *Manifest) needed() []ocispec.Descriptor {
	if m.Config == nil {
		return nil
	}
	need := []ocispec.Descriptor{*m.Config}
	for _, l := range m.Layers {
		if !strings.Contains(l.MediaType, ".nondistributable.") && !strings.Contains(l.MediaType, ".foreign.") {
			need = append(need, l)
		}
	}
	return need
}

// children yields every digest that the manifest keeps alive.
func (m *Manifest) children() []digest.Digest {
	all := make([]digest.Digest, 0, len(m.Layers)+len(m.Manifests)+2)
	for _, group := range [][]ocispec.Descriptor{one(m.Config), m.Layers, m.Manifests, one(m.Subject)} {
		for _, d := range group {
			all = append(all, d.Digest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func one(d *ocispec.Descriptor) []ocispec.Descriptor {
	if d == nil {
		return nil
	}
	return []ocispec.Descriptor{*d}
}

// ParseManifest judges a manifest's bytes. contentType is what the client called it; parameters are ignored, and empty means that the
// document says itself what it is. d is the digest under which it is to be stored.
//
// Refused, as ManifestInvalid with all that is wrong in the detail: documents that are not one JSON object; keys given twice;
// a mediaType that contradicts contentType; layers and manifests at once (CVE-2021-41190); descriptors that are no descriptors.
// Unknown fields are welcome and kept.
func ParseManifest(contentType string, d digest.Digest, body []byte) (*Manifest, error) {
	m, faults := readManifest(contentType, d, body)
	if len(faults) > 0 {
		return nil, invalid(faults...)
	}
	return m, nil
}

// readManifest reads what can be read of a manifest, and tells what is wrong with it. Of a manifest that is stored only the first matters: it was
// judged when it came, by the rules of then.
func readManifest(contentType string, d digest.Digest, body []byte) (m *Manifest, faults []string) {
	refuse := func(format string, args ...any) { faults = append(faults, clip(fmt.Sprintf(format, args...))) }
	m = &Manifest{Descriptor: ocispec.Descriptor{MediaType: contentType, Digest: d, Size: int64(len(body))}}
	top, err := topLevel(body)
	if err != nil {
		return m, []string{err.Error()}
	}
	var own, artifactType string
	var version int
	read := func(key string, into any) bool {
		raw, ok := top[key]
		if !ok || string(raw) == "null" {
			return false
		}
		if err := json.Unmarshal(raw, into); err != nil {
			refuse("%s: %v", key, plain(err))
			return false
		}
		return true
	}
	read("mediaType", &own)
	read("artifactType", &artifactType)
	hasVersion := read("schemaVersion", &version)
	read("annotations", &m.Annotations)
	var config, subject json.RawMessage
	var layers, manifests []json.RawMessage
	hasConfig := read("config", &config)
	hasLayers := read("layers", &layers)
	hasManifests := read("manifests", &manifests)
	hasSubject := read("subject", &subject)

	mediaType := own
	if contentType != "" {
		if parsed, _, err := mime.ParseMediaType(contentType); err == nil {
			mediaType = parsed
		} else {
			refuse("Content-Type %q: %v", contentType, err)
		}
	}
	switch {
	case own != "" && mediaType != own:
		refuse("mediaType is %s but Content-Type says %s: they must be the same", own, mediaType)
	case mediaType == "" && hasManifests:
		mediaType = ocispec.MediaTypeImageIndex
	case mediaType == "" && hasConfig:
		mediaType = ocispec.MediaTypeImageManifest
	}
	m.Descriptor.MediaType, m.Descriptor.ArtifactType = mediaType, artifactType

	if !hasVersion || version != 2 {
		refuse("schemaVersion must be 2")
	}
	if hasManifests && (hasLayers || hasConfig) {
		refuse("layers or config and manifests at once: a document is either an image manifest or an index")
	}
	switch {
	case isIndex(mediaType):
		if !hasManifests {
			refuse("manifests is missing: an index lists its manifests, if only []")
		}
	case isManifest(mediaType):
		if !hasConfig {
			refuse("config is missing: an image manifest names its config")
		}
	default:
		refuse("media type %q is not kept here: use %s, %s, %s or %s", mediaType,
			ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, TypeDockerManifest, TypeDockerList)
	}
	if len(artifactType) > 255 || strings.ContainsFunc(artifactType, control) {
		refuse("artifactType must be a media type of at most 255 characters")
	}
	judge := func(raw json.RawMessage, where string, args ...any) ocispec.Descriptor {
		d, err := parseDescriptor(raw)
		if err != nil {
			refuse("%s: %v", fmt.Sprintf(where, args...), err)
		}
		return d
	}
	if hasConfig {
		d := judge(config, "config")
		m.Config = &d
	}
	if hasSubject {
		d := judge(subject, "subject")
		m.Subject = &d
	}
	for i, raw := range layers {
		m.Layers = append(m.Layers, judge(raw, "layers[%d]", i))
	}
	for i, raw := range manifests {
		m.Manifests = append(m.Manifests, judge(raw, "manifests[%d]", i))
	}
	return m, faults
}

// parseDescriptor reads a descriptor (image-spec, "OCI Content Descriptors").
func parseDescriptor(raw json.RawMessage) (d ocispec.Descriptor, err error) {
	if _, err := members(raw); err != nil {
		return d, err
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, errors.New(plain(err))
	}
	switch {
	case !ValidDigest(string(d.Digest)):
		err = fmt.Errorf("digest %q is not a sha256 or sha512 digest", d.Digest)
	case d.Size < 0:
		err = fmt.Errorf("size %d is negative", d.Size)
	case len(d.MediaType) > 255 || strings.ContainsFunc(d.MediaType, control):
		err = errors.New("mediaType must be a media type of at most 255 characters")
	case len(d.Data) > 0 && (int64(len(d.Data)) != d.Size || d.Digest.Algorithm().FromBytes(d.Data) != d.Digest):
		err = errors.New("data does not match its digest and size")
	}
	return d, err
}

// invalid refuses a manifest with what is wrong about it; a document with thousands of faults is told of the first.
func invalid(faults ...string) error {
	if more := len(faults) - 20; more > 0 {
		faults = append(faults[:20:20], fmt.Sprintf("and %d more", more))
	}
	return &Error{Code: ManifestInvalid, Detail: map[string]any{"faults": faults}}
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// plain takes Go's own words out of a JSON error.
func plain(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok {
		return "a JSON " + t.Value + " does not belong here"
	}
	return err.Error()
}

// topLevel splits a JSON document that must be an object into its members.
func topLevel(body []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(body) {
		var document any
		return nil, fmt.Errorf("not a JSON document: %v", json.Unmarshal(body, &document))
	}
	return members(body)
}

// spelling is how the keys that matter are written.
var spelling = []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations",
	"digest", "size", "urls", "data", "platform"}

// misspelt returns how a key that matters is written, if key is another spelling of it to readers that are not exact.
func misspelt(key string) (right string, yes bool) {
	for _, right := range spelling {
		if strings.EqualFold(key, right) {
			return right, key != right
		}
	}
	return "", false
}

// members splits a valid JSON object, by exact key. What two readers could read as two documents is refused: a key that stands twice, since some
// take the first and some the last, and a key that matters in another spelling, since some (encoding/json) take any.
func members(body []byte) (map[string]json.RawMessage, error) {
	rest := bytes.TrimLeft(body, " \t\r\n")
	if len(rest) == 0 || rest[0] != '{' {
		return nil, fmt.Errorf("not a JSON object")
	}
	top := make(map[string]json.RawMessage, 8)
	for i := 1; ; {
		i = skip(rest, i, " \t\r\n,")
		if rest[i] == '}' {
			return top, nil
		}
		end := value(rest, i)
		var key string
		if err := json.Unmarshal(rest[i:end], &key); err != nil {
			return nil, err
		}
		i = skip(rest, end, " \t\r\n:")
		end = value(rest, i)
		if _, twice := top[key]; twice {
			return nil, fmt.Errorf("%q stands twice", clip(key))
		}
		if right, yes := misspelt(key); yes {
			return nil, fmt.Errorf("%q must be written %q", clip(key), right)
		}
		top[key] = rest[i:end]
		i = end
	}
}

func skip(b []byte, i int, chars string) int {
	for strings.IndexByte(chars, b[i]) >= 0 {
		i++
	}
	return i
}

// value returns where the value that begins at i ends. The bytes are known to be valid JSON.
func value(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ' ', '\t', '\r', '\n', ',', ':':
		default: // a number or a word
			for i+1 < len(b) && strings.IndexByte(" \t\r\n,:]}", b[i+1]) < 0 {
				i++
			}
		}
		i++
		if depth == 0 {
			return i
		}
	}
}
