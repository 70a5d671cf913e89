package proxy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// tags are those of a list, and what the answer is.
func (h *house) tags(url, query string) (reply, []string) {
	h.t.Helper()
	r := h.get(url, app+"/tags/list"+query)
	var list struct {
		Name string
		Tags []string
	}
	if err := json.Unmarshal(r.body, &list); r.status == 200 && (err != nil || list.Name != app) {
		h.t.Errorf("tags%s: %v: %.300q", query, err, r.body)
	}
	return r, list.Tags
}

func (h *house) pushTags(tags ...string) {
	image := h.up.PushImage(there, tags[0], 10)
	for _, tag := range tags {
		h.up.Tag(there, tag, image.Descriptor.Digest)
	}
}

// TestTags are the upstream's, in pages of ours whatever its own are.
func TestTags(t *testing.T) {
	t.Parallel()
	for _, page := range []int{0, 1, 2, 100} {
		h := build(t)
		h.pushTags("1.0", "1.1", "2.0", "latest", "sha256-"+strings.Repeat("a", 64)+".sig")
		h.up.PageSize(page)
		want := []string{"1.0", "1.1", "2.0", "latest", "sha256-" + strings.Repeat("a", 64) + ".sig"}
		for query, n := range map[string][2]int{"": {0, 5}, "?n=2": {0, 2}, "?n=2&last=1.1": {2, 4}, "?last=latest": {4, 5}, "?last=zzz": {5, 5}, "?n=0": {0, 0}} {
			r, tags := h.tags(h.url, query)
			if r.status != 200 || !slices.Equal(tags, want[n[0]:n[1]]) || strings.Contains(query, "n=2") != (r.header.Get("Link") != "") {
				t.Errorf("pages of %d, tags%s: %v, %q, Link %q, want %q", page, query, r.answer, tags, r.header.Get("Link"), want[n[0]:n[1]])
			}
		}
	}
}

// TestTags_that_are_kept are listed while the upstream is not well, with a warning; what it says of the repository is passed on.
func TestTags_that_are_kept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault upstreamtest.Fault
		want  answer
	}{
		{"5xx", upstreamtest.Status(503), asBefore},
		{"429", upstreamtest.TooMany(7 * time.Second), asBefore},
		{"reset", upstreamtest.NoAnswer(), asBefore},
		{"truncated", upstreamtest.TruncateAt(10), asBefore},
		{"HTML", upstreamtest.Status(200), asBefore},
		{"packed", upstreamtest.Gzip(), asBefore},
		{"endless", upstreamtest.Endless(), asBefore},
		{"a loop", upstreamtest.LinkLoop(true), unavailable},
		{"404", upstreamtest.Status(404), answer{status: 404, code: "NAME_UNKNOWN"}},
		{"403", upstreamtest.Status(403), refused},
		{"offline", nil, whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			h.pushTags("1.0", "1.1", "latest")
			for _, tag := range []string{"1.0", "latest"} {
				if r := h.get(h.url, app+"/manifests/"+tag); r.status != 200 {
					t.Fatalf("%s: %v: %.300q", tag, r.answer, r.body)
				}
			}
			h.fault(upstreamtest.Always(c.fault))
			url := h.url
			if c.name == "offline" {
				url = h.offline
			}
			r, tags := h.tags(url, "")
			if r.answer != c.want {
				t.Errorf("%v, want %v: %.300q", r.answer, c.want, r.body)
			}
			if c.want.status == 200 && !slices.Equal(tags, []string{"1.0", "latest"}) {
				t.Errorf("%q", tags)
			}
		})
	}
}

// TestTags_of_what_is_not_kept are the upstream's own error.
func TestTags_of_what_is_not_kept(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.pushTags("1.0")
	h.fault(upstreamtest.Always(upstreamtest.Status(503)))
	if r, _ := h.tags(h.url, ""); r.answer != unavailable {
		t.Errorf("%v, want %v: %.300q", r.answer, unavailable, r.body)
	}
}
