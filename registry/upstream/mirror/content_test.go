package mirror

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// index puts an index into the upstream.
func (h *house) putIndex(tag string, children ...ocispec.Descriptor) ocispec.Descriptor {
	h.t.Helper()
	content, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.up.PutManifest(there, tag, ocispec.MediaTypeImageIndex, content)
}

// Attestations of BuildKit go with the image that they are about, if what refers to it is wanted; what names no platform is taken.
func TestStart_takes_attestations_with_their_image(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		h := build(t, Entry{Repository: app, Platforms: []string{"linux/amd64"}, Referrers: referrers})
		on := func(architecture string) ocispec.Descriptor {
			d := h.up.PushImage(there, "", 10).Descriptor
			d.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
			return d
		}
		about := func(d ocispec.Descriptor) ocispec.Descriptor {
			a := h.up.PushImage(there, "", 10).Descriptor
			a.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
			a.Annotations = map[string]string{attests: string(d.Digest)}
			return a
		}
		amd, arm := on("amd64"), on("arm64")
		onAMD, onARM, plain := about(amd), about(arm), h.up.PushImage(there, "", 10).Descriptor
		h.putIndex("1.0", amd, arm, onAMD, onARM, plain)
		h.start(0)
		for _, c := range []struct {
			what string
			d    digest.Digest
			here bool
		}{{"amd64", amd.Digest, true}, {"arm64", arm.Digest, false}, {"about amd64", onAMD.Digest, referrers}, {"about arm64", onARM.Digest, false}, {"without a platform", plain.Digest, true}} {
			if _, err := h.reg.Stored(t.Context(), app, string(c.d)); (err == nil) != c.here {
				t.Errorf("referrers %v: %s: %v, want it here: %v", referrers, c.what, err, c.here)
			}
		}
	}
}

// Layers that may not be distributed are not asked for.
func TestStart_leaves_layers_that_lie_elsewhere(t *testing.T) {
	h := build(t, Entry{Repository: app})
	image := h.up.PushImage(there, "", 10, 20)
	foreign := ocispec.Descriptor{MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: digest.FromString("elsewhere"), Size: 9}
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: image.Config, Layers: append(image.Layers, foreign),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.up.PutManifest(there, "1.0", ocispec.MediaTypeImageManifest, content)
	if r := h.start(0); r.Blobs != (Count{3, 3}) {
		t.Errorf("%+v", r.Tally)
	}
}

// What leads too deep is left, and said; the other tags are mirrored.
func TestStart_is_bounded(t *testing.T) {
	h := build(t, Entry{Repository: app, Referrers: true})
	good := h.up.PushImage(there, "1.0", 10)
	nested := h.up.PushImage(there, "", 10).Descriptor
	for range maxDepth + 2 {
		nested = h.putIndex("", nested)
	}
	h.up.Tag(there, "2.0", nested.Digest)
	chain := h.up.PushImage(there, "3.0", 10).Descriptor
	for range maxDepth + 2 {
		chain = h.up.PushReferrer(there, chain, "application/vnd.example.signature").Descriptor
	}
	r := h.start(2)
	if r.Failures[0].Tag != "2.0" || r.Failures[1].Tag != "3.0" || !strings.Contains(r.Failures[0].Reason, "deep") || !strings.Contains(r.Failures[1].Reason, "deep") {
		t.Errorf("%+v", r.Failures)
	}
	h.whole(good)
	h.none(chain.Digest)
}

// While an upstream does not answer, what is kept is not taken for what it has.
func TestStart_when_the_upstream_does_not_answer(t *testing.T) {
	h := build(t, Entry{Repository: app, Referrers: true})
	image := h.up.PushImage(there, "1.0", 10)
	h.start(0)
	down := upstreamtest.Status(502)
	h.up.Fault(upstreamtest.Always(down, "tags"))
	if r := h.start(1); r.Failures[0].Tag != "" || !strings.Contains(r.Failures[0].Reason, "does not answer") || r.Tags.Known != 0 {
		t.Errorf("no list: %+v", r)
	}
	h.up.PushImage(there, "2.0", 10)
	h.up.Fault(upstreamtest.Always(down, "referrers"))
	if r := h.start(1); r.Failures[0].Tag != "2.0" || !strings.Contains(r.Failures[0].Reason, "what refers to") {
		t.Errorf("no referrers: %+v", r)
	}
	h.up.Fault(upstreamtest.Always(down, "manifests"))
	if r := h.start(2); r.Tags != (Count{0, 2}) {
		t.Errorf("no manifests: %+v", r)
	}
	h.up.Fault(nil)
	h.start(0)
	h.whole(image)
}
