package proxy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

const (
	signature = "application/vnd.example.signature"
	sbom      = "application/vnd.example.sbom"
)

// referrers are the digests in a list of referrers, sorted, which is an index.
func (h *house) referrers(url string, d digest.Digest, query string) (reply, []digest.Digest) {
	h.t.Helper()
	r := h.get(url, app+"/referrers/"+string(d)+query)
	var list ocispec.Index
	if err := json.Unmarshal(r.body, &list); r.status != 200 || err != nil || list.MediaType != ocispec.MediaTypeImageIndex || r.header.Get("Content-Type") != ocispec.MediaTypeImageIndex {
		h.t.Errorf("referrers: %v, %v: %.300q", r.answer, err, r.body)
	}
	var all []digest.Digest
	for _, m := range list.Manifests {
		all = append(all, m.Digest)
	}
	slices.Sort(all)
	return r, all
}

func (h *house) wantReferrers(url string, d digest.Digest, query string, want ...upstreamtest.Image) reply {
	h.t.Helper()
	var digests []digest.Digest
	for _, image := range want {
		digests = append(digests, image.Descriptor.Digest)
	}
	slices.Sort(digests)
	r, got := h.referrers(url, d, query)
	if !slices.Equal(got, digests) {
		h.t.Errorf("the referrers%s are %v, want %v", query, got, digests)
	}
	return r
}

// TestReferrers come from the upstream's API, or from the tag that stands in for it where there is none.
func TestReferrers(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]upstreamtest.Fault{"by the API": nil, "by the tag": upstreamtest.NoReferrersAPI()} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			image := h.up.PushImage(there, "1", 10)
			a, b := h.up.PushReferrer(there, image.Descriptor, signature), h.up.PushReferrer(there, image.Descriptor, sbom)
			h.fault(upstreamtest.Always(fault))
			subject := image.Descriptor.Digest
			h.wantReferrers(h.url, subject, "", a, b)
			h.wantReferrers(h.url, subject, "?artifactType="+signature, a)
			h.wantReferrers(h.url, subject, "?artifactType="+sbom, b)
			h.wantReferrers(h.url, subject, "?artifactType=application/vnd.example.other")
			h.wantReferrers(h.url, nobody, "")
			for _, image := range []upstreamtest.Image{a, b} {
				if r := h.get(h.url, app+"/manifests/"+string(image.Descriptor.Digest)); r.names != image.Descriptor.Digest {
					t.Errorf("a referrer that is listed: %v: %.300q", r.answer, r.body)
				}
			}
			h.sound()
		})
	}
}

// TestReferrers_that_are_kept are listed while the upstream is not well, with a warning.
func TestReferrers_that_are_kept(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]upstreamtest.Fault{"5xx": upstreamtest.Status(503), "429": upstreamtest.TooMany(time.Second), "reset": upstreamtest.NoAnswer(), "refused": nil, "offline": nil, "HTML": upstreamtest.Status(200)} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			image := h.up.PushImage(there, "1", 10)
			a := h.up.PushReferrer(there, image.Descriptor, signature)
			subject := image.Descriptor.Digest
			for _, path := range []string{"manifests/1", "referrers/" + string(subject), "manifests/" + string(a.Descriptor.Digest), "blobs/" + string(a.Config.Digest)} {
				if r := h.get(h.url, app+"/"+path); r.status != 200 {
					t.Fatalf("%s: %v: %.300q", path, r.answer, r.body)
				}
			}
			h.clock.later(time.Hour)
			h.fault(upstreamtest.Always(fault))
			url := map[string]string{"refused": h.refused, "offline": h.offline}[what]
			if url == "" {
				url = h.url
			}
			for _, r := range []reply{
				h.wantReferrers(url, subject, "", a), h.wantReferrers(url, subject, "?artifactType="+signature, a), h.wantReferrers(url, subject, "?artifactType="+sbom),
			} {
				if r.stale != (what != "offline") {
					t.Errorf("a warning that there may be newer ones: %v, want %v", r.stale, !r.stale)
				}
			}
			if r := h.get(url, app+"/manifests/"+string(a.Descriptor.Digest)); r.names != a.Descriptor.Digest {
				t.Errorf("the referrer itself: %v: %.300q", r.answer, r.body)
			}
		})
	}
}

// TestReferrers_that_nobody_knows: while the upstream is not well, an empty list would say that there are no signatures.
func TestReferrers_that_nobody_knows(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]answer{"5xx": unavailable, "429": limited, "403": refused} {
		h := build(t)
		image := h.up.PushImage(there, "1", 10)
		h.up.PushReferrer(there, image.Descriptor, signature)
		if r := h.get(h.url, app+"/manifests/1"); r.status != 200 {
			t.Fatalf("%v: %.300q", r.answer, r.body)
		}
		fault := map[string]upstreamtest.Fault{"5xx": upstreamtest.Status(503), "429": upstreamtest.TooMany(7 * time.Second), "403": upstreamtest.Status(403)}[what]
		h.fault(upstreamtest.Always(fault))
		if r := h.get(h.url, app+"/referrers/"+string(image.Descriptor.Digest)); r.answer != want {
			t.Errorf("%s: %v, want %v: %.300q", what, r.answer, want, r.body)
		}
	}
}

// TestReferrers_once: however many ask for a list at once, the upstream is asked one time.
func TestReferrers_once(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", 10)
	h.up.PushReferrer(there, image.Descriptor, signature)
	for _, r := range h.together(16, "GET", app+"/referrers/"+string(image.Descriptor.Digest)) {
		if r.status != 200 || !strings.Contains(string(r.body), signature) {
			t.Errorf("%v: %.300q", r.answer, r.body)
		}
	}
	if n := h.up.Asked("referrers"); n != 1 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// TestReferrers_as_tags: signatures that stand under tags made of a digest pass as other tags do.
func TestReferrers_as_tags(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", 10)
	base := strings.Replace(string(image.Descriptor.Digest), ":", "-", 1)
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		signed := h.up.PushImage(there, base+suffix, 10)
		for _, url := range []string{h.url, h.offline} {
			if r := h.get(url, app+"/manifests/"+base+suffix); r.names != signed.Descriptor.Digest {
				t.Errorf("%s: %v: %.300q", suffix, r.answer, r.body)
			}
		}
	}
	h.up.PushReferrer(there, image.Descriptor, signature)
	h.up.TagReferrers(there, image.Descriptor.Digest)
	if r := h.get(h.url, app+"/manifests/"+base); r.status != 200 || !strings.Contains(string(r.body), signature) {
		t.Errorf("the tag that stands in for the list: %v: %.300q", r.answer, r.body)
	}
	if r := h.get(h.url, app+"/manifests/"+strings.Repeat("a", 129)); r.status != 404 {
		t.Errorf("what is no tag: %v", r.answer)
	}
}
