package wire

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Octets is the Content-Type of content that is being uploaded.
const Octets = "application/octet-stream"

// Begin opens an upload and returns where it goes on. The query is given as key, value…
func (r *Registry) Begin(t testing.TB, repo string, query ...string) string {
	t.Helper()
	return r.Resolve(t, r.Do(t, "POST", With(UploadsPath(repo), query...), []byte{}).Want(t, 202))
}

// Patch sends one chunk with its range, and nothing is expected of the reply.
func (r *Registry) Patch(t testing.TB, location string, first int, chunk []byte) Reply {
	t.Helper()
	return r.Do(t, "PATCH", location, chunk, "Content-Type", Octets, "Content-Range", Span(first, chunk))
}

// Span is the Content-Range of a chunk.
func Span(first int, chunk []byte) string {
	return strconv.Itoa(first) + "-" + strconv.Itoa(first+len(chunk)-1)
}

// Close ends an upload with what is left of it, and nothing is expected of the reply.
func (r *Registry) Close(t testing.TB, location string, d digest.Digest, rest []byte, headers ...string) Reply {
	t.Helper()
	return r.Do(t, "PUT", With(location, "digest", d.String()), rest, append([]string{"Content-Type", Octets}, headers...)...)
}

// PushBlob uploads content under its sha256 digest.
func (r *Registry) PushBlob(t testing.TB, repo string, content []byte) digest.Digest {
	t.Helper()
	d := digest.FromBytes(content)
	r.Close(t, r.Begin(t, repo), d, content).Want(t, 201)
	return d
}

// Descriptor describes content by its sha256 digest.
func Descriptor(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// Image pushes a config and a layer that nobody has seen before and returns a manifest of the two, which is not pushed yet.
func (r *Registry) Image(t testing.TB, repo string) ocispec.Manifest {
	t.Helper()
	config, layer := Config(), Random(256)
	r.PushBlob(t, repo, config)
	r.PushBlob(t, repo, layer)
	return ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    Descriptor(ocispec.MediaTypeImageConfig, config),
		Layers:    []ocispec.Descriptor{Descriptor(ocispec.MediaTypeImageLayer, layer)},
	}
}

// Config returns an image config that nobody has seen before.
func Config() []byte {
	return JSON(map[string]any{
		"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{}},
		"config": map[string]any{"Labels": map[string]string{"unique": digest.FromBytes(Random(16)).Encoded()}},
	})
}

// JSON encodes what can always be encoded.
func JSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// Put pushes manifest bytes, and nothing is expected of the reply.
func (r *Registry) Put(t testing.TB, repo, ref, mediaType string, body []byte) Reply {
	t.Helper()
	return r.Do(t, "PUT", ManifestPath(repo, ref), body, "Content-Type", mediaType)
}

// PushImage pushes an image under a reference, or by its digest if that is empty, and returns its descriptor and its bytes.
func (r *Registry) PushImage(t testing.TB, repo, ref string) (ocispec.Descriptor, []byte) {
	t.Helper()
	return r.PushManifest(t, repo, ref, ocispec.MediaTypeImageManifest, r.Image(t, repo))
}

// PushManifest encodes and pushes a manifest under a reference, or by its digest if that is empty.
func (r *Registry) PushManifest(t testing.TB, repo, ref, mediaType string, manifest any) (ocispec.Descriptor, []byte) {
	t.Helper()
	body := JSON(manifest)
	desc := Descriptor(mediaType, body)
	if ref == "" {
		ref = desc.Digest.String()
	}
	r.Put(t, repo, ref, mediaType, body).Want(t, 201)
	return desc, body
}

// Index returns an index of manifests, which is not pushed yet.
func Index(manifests ...ocispec.Descriptor) ocispec.Index {
	if manifests == nil {
		manifests = []ocispec.Descriptor{}
	}
	return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests}
}
