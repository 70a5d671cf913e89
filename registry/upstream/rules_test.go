package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// push stores an image here, as a client would.
func (h *house) push(tag, content string) digest.Digest {
	h.t.Helper()
	ctx := h.t.Context()
	for _, b := range []string{"{}", content} {
		if err := h.local.PutBlob(ctx, app, digest.FromString(b), int64(len(b)), strings.NewReader(b)); err != nil {
			h.t.Fatal(err)
		}
	}
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		digest.FromString("{}"), digest.FromString(content), len(content))
	stored, err := h.local.PutManifest(ctx, registry.Put{Repo: app, Ref: tag, Body: []byte(body)})
	if err != nil {
		h.t.Fatal(err)
	}
	return stored.Descriptor.Digest
}

// image puts an image with a configuration of this content into the upstream.
func (h *house) image(tag, config, layer string) digest.Digest {
	c, l := h.up.PutBlob("team/app", []byte(config)), h.up.PutBlob("team/app", []byte(layer))
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		c, len(config), l, len(layer))
	return h.up.PutManifest("team/app", tag, "application/vnd.oci.image.manifest.v1+json", []byte(body)).Digest
}

func (h *house) names(tag string) (digest.Digest, error) {
	d, err := h.Resolve(h.t.Context(), app, tag)
	return d.Digest, err
}

// TestThrough_pins: a pinned tag names its digest whatever the upstream says, and nothing is asked once that is here.
func TestThrough_pins(t *testing.T) {
	h := build(t)
	old := h.up.PushImage("team/app", "1.0", 100).Descriptor.Digest
	h.by["up.example.com"].Pins = map[string]digest.Digest{"team/app:1.0": old}
	moved := h.up.PushImage("team/app", "1.0", 200).Descriptor.Digest
	for range 2 {
		if got, err := h.names("1.0"); err != nil || got != old {
			t.Errorf("the pinned tag names %s (%v), want %s, not %s", got, err, old, moved)
		}
		h.later(time.Hour)
	}
	if heads := h.up.Count("HEAD", "/v2/team/app/manifests/1.0"); heads != 0 {
		t.Errorf("%d HEADs for a pinned tag", heads)
	}
	// A pin to what is not there is never served as something else.
	h = build(t, func(u *Upstream) { u.Pins = map[string]digest.Digest{"team/app:1.0": digest.FromString("never")} })
	h.up.PushImage("team/app", "1.0", 100)
	if got, err := h.names("1.0"); registry.Code(err) != registry.ManifestUnknown {
		t.Errorf("a pin to nothing names %s, %v", got, err)
	}
}

// TestThrough_holds_back what is too young, and goes on with what there was.
func TestThrough_holds_back(t *testing.T) {
	h := build(t, func(u *Upstream) { u.MinAge = 72 * time.Hour })
	now := h.now()
	created := func(age time.Duration) string {
		return fmt.Sprintf(`{"created":%q}`, now.Add(-age).Format(time.RFC3339))
	}

	h.image("young", created(time.Hour), "a")
	_, err := h.names("young")
	if registry.Code(err) != registry.Denied || !strings.Contains(fmt.Sprint(errorDetail(err)), now.Add(71*time.Hour).Format(time.RFC3339)) {
		t.Errorf("a young image: %v", err)
	}
	h.later(72 * time.Hour)
	if _, err := h.names("young"); err != nil {
		t.Errorf("it is old enough now: %v", err)
	}

	old := h.image("1.0", created(1000*time.Hour), "b")
	if got, err := h.names("1.0"); err != nil || got != old {
		t.Fatal(got, err)
	}
	// Somebody takes the tag over, and says that his image is as old as the other.
	taken := h.image("1.0", created(1000*time.Hour), "c")
	h.later(time.Hour)
	ctx, notes := registry.WithNotes(t.Context())
	if got, err := h.Resolve(ctx, app, "1.0"); err != nil || got.Digest != old || !strings.Contains(notes.Stale, "held back") {
		t.Errorf("the tag names %s (%v), want %s still; notes: %q", got.Digest, err, old, notes.Stale)
	}
	if got, err := h.Refresh(t.Context(), app, "1.0"); err != nil || got.Digest != old {
		t.Errorf("refreshed it names %s (%v), want %s still", got.Digest, err, old)
	}
	if _, err := h.names(string(taken)); err != nil {
		t.Errorf("by digest it says of itself that it is old: %v", err)
	}
	h.later(73 * time.Hour)
	if got, err := h.names("1.0"); err != nil || got != taken {
		t.Errorf("after three days the tag names %s (%v), want %s", got, err, taken)
	}

	// A build that tells no time is as old as our first sight of it.
	silent := h.image("silent", `{"created":"1970-01-01T00:00:00Z"}`, "d")
	if _, err := h.names("silent"); registry.Code(err) != registry.Denied {
		t.Errorf("seen for the first time: %v", err)
	}
	h.later(73 * time.Hour)
	if got, err := h.names("silent"); err != nil || got != silent {
		t.Errorf("three days later: %v, %v", got, err)
	}

	// An index is as old as its first image.
	child := h.image("child", fmt.Sprintf(`{"created":%q}`, h.now().Format(time.RFC3339)), "e")
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d,"platform":{"architecture":"amd64","os":"linux"}}]}`,
		child, 500)
	h.up.PutManifest("team/app", "index", "application/vnd.oci.image.index.v1+json", []byte(body))
	if _, err := h.names("index"); registry.Code(err) != registry.Denied {
		t.Errorf("an index of a young image: %v", err)
	}

	// What cannot be run may be of any age.
	config := h.up.PutBlob("team/app", []byte("{}"))
	h.up.PutManifest("team/app", "chart", "application/vnd.oci.image.manifest.v1+json", []byte(fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":%q,"size":2}]}`, config, config)))
	if _, err := h.names("chart"); err != nil {
		t.Errorf("a chart: %v", err)
	}
}

func errorDetail(err error) any {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return nil
}

// TestThrough_takes_pushes where that is allowed: what was pushed wins, and lists hold both.
func TestThrough_takes_pushes(t *testing.T) {
	h := build(t, func(u *Upstream) { u.Writable = true })
	there := h.up.PushImage("team/app", "1.0", 100).Descriptor.Digest
	h.up.PushImage("team/app", "3.0", 100)
	if err := h.Closed(app); err != nil {
		t.Fatal(err)
	}
	if got, err := h.names("1.0"); err != nil || got != there {
		t.Fatal(got, err)
	}
	own := h.push("1.0", "ours")
	h.push("2.0", "ours too")
	h.later(time.Hour)
	h.up.Forget()
	if got, err := h.names("1.0"); err != nil || got != own || len(h.up.Requests()) != 0 {
		t.Errorf("what was pushed: %s (%v), want %s; asked: %v", got, err, own, h.up.Requests())
	}
	if got, err := h.Refresh(t.Context(), app, "1.0"); err != nil || got.Digest != own {
		t.Errorf("refreshed: %s (%v), want %s", got.Digest, err, own)
	}
	var tags []string
	for tag, err := range h.Tags(t.Context(), app, "") {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	if !slices.Equal(tags, []string{"1.0", "2.0", "3.0"}) {
		t.Errorf("tags: %v", tags)
	}
	// When it is deleted here, the upstream's is seen again.
	if err := h.local.DeleteTag(t.Context(), app, "1.0", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := h.names("1.0"); err != nil || got != there {
		t.Errorf("after the deletion: %s, %v; want %s", got, err, there)
	}
}

// TestThrough_stale_for: what is kept is good for a while only, if so configured.
func TestThrough_stale_for(t *testing.T) {
	h := build(t, func(u *Upstream) { u.StaleFor = 24 * time.Hour })
	h.up.PushImage("team/app", "1.0", 100)
	if _, err := h.pull("1.0"); err != nil {
		t.Fatal(err)
	}
	h.up.Fault(upstreamtest.Always(upstreamtest.Status(503)))
	h.later(23 * time.Hour)
	if _, err := h.names("1.0"); err != nil {
		t.Errorf("after 23 hours: %v", err)
	}
	h.later(2 * time.Hour)
	if _, err := h.names("1.0"); registry.Code(err) != registry.UpstreamDown {
		t.Errorf("after 25 hours: %v", err)
	}
}

// TestThrough_keeps_lists_of_referrers: many ask, the upstream once, and its list goes on when it does not answer.
func TestThrough_keeps_lists_of_referrers(t *testing.T) {
	h := build(t)
	img := h.up.PushImage("team/app", "1.0", 10)
	ref := h.up.PushReferrer("team/app", img.Descriptor, "application/vnd.example.signature")
	count := func(kind string) (n int) {
		t.Helper()
		for r, err := range h.Referrers(t.Context(), app, img.Descriptor.Digest, kind, "") {
			if err != nil || !strings.Contains(string(r.Descriptor), string(ref.Descriptor.Digest)) {
				t.Fatalf("%s, %v", r.Descriptor, err)
			}
			n++
		}
		return n
	}
	for range 3 {
		if n := count(""); n != 1 {
			t.Fatalf("%d referrers", n)
		}
	}
	if n := count("application/vnd.example.other"); n != 0 {
		t.Errorf("%d of another kind", n)
	}
	if n := h.up.Asked("referrers"); n != 1 {
		t.Errorf("the upstream was asked %d times", n)
	}
	h.up.Fault(upstreamtest.Always(upstreamtest.Status(503)))
	h.later(time.Hour)
	if n := count(""); n != 1 {
		t.Errorf("%d referrers when the upstream does not answer", n)
	}
}

// TestThrough_spares_who_wants_fewer_requests: one 429 with Retry-After is enough for all tags that are kept.
func TestThrough_spares_who_wants_fewer_requests(t *testing.T) {
	h := build(t)
	h.up.PushImage("team/app", "1.0", 100)
	h.up.PushImage("team/app", "2.0", 100)
	for _, tag := range []string{"1.0", "2.0"} {
		if _, err := h.pull(tag); err != nil {
			t.Fatal(err)
		}
	}
	h.later(time.Hour)
	h.up.Forget()
	h.up.Fault(upstreamtest.Always(upstreamtest.TooMany(30 * time.Second)))
	for range 3 {
		for _, tag := range []string{"1.0", "2.0"} {
			if _, err := h.names(tag); err != nil {
				t.Error(err)
			}
		}
	}
	if n := h.up.Asked("manifests"); n != 1 {
		t.Errorf("it was asked %d times, want 1", n)
	}
	h.up.Fault(nil)
	h.later(31 * time.Second)
	if _, err := h.names("1.0"); err != nil || h.up.Asked("manifests") != 2 {
		t.Errorf("%v, asked %d times; want one more", err, h.up.Asked("manifests"))
	}
}

// TestThrough_passes_warnings_on: an upstream that is itself in front of another one may serve what is old, and is asked again.
func TestThrough_passes_warnings_on(t *testing.T) {
	h := build(t)
	h.up.PushImage("team/app", "1.0", 100)
	warned := func(upstreamtest.Request) upstreamtest.Fault {
		return func(_ *upstreamtest.Upstream, w http.ResponseWriter, r *http.Request, _ upstreamtest.Request, honest http.Handler) {
			w.Header().Set("Warning", `110 - "old"`)
			honest.ServeHTTP(w, r)
		}
	}
	h.up.Fault(warned)
	for range 2 {
		h.up.Forget()
		ctx, notes := registry.WithNotes(t.Context())
		if _, err := h.Resolve(ctx, app, "1.0"); err != nil || notes.Stale == "" || h.up.Asked("manifests") != 1 {
			t.Errorf("%v, %q, asked %d times", err, notes.Stale, h.up.Asked("manifests"))
		}
	}
	h.up.Fault(nil)
	ctx, notes := registry.WithNotes(t.Context())
	if _, err := h.Resolve(ctx, app, "1.0"); err != nil || notes.Stale != "" {
		t.Errorf("%v, %q", err, notes.Stale)
	}
	h.up.Forget()
	if _, err := h.names("1.0"); err != nil || h.up.Asked("manifests") != 0 {
		t.Errorf("%v, asked %d times", err, h.up.Asked("manifests"))
	}
}
