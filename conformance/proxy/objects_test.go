package proxy

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// TestObjects_only_what_is_asked_for: who pulls one platform of an index causes nothing of the others to be fetched.
func TestObjects_only_what_is_asked_for(t *testing.T) {
	t.Parallel()
	h := build(t)
	index := h.up.PushIndex(there, "1", "amd64", "arm64", "riscv64")
	mine := index.Images[0]
	want := []string{"manifests/1", "manifests/" + string(mine.Descriptor.Digest), "blobs/" + string(mine.Config.Digest), "blobs/" + string(mine.Layers[0].Digest)}
	for _, path := range want {
		if r := h.get(h.url, app+"/"+path); r.status != 200 {
			t.Errorf("%s: %v: %.300q", path, r.answer, r.body)
		}
	}
	var asked []string
	for _, q := range h.up.Requests() {
		asked = append(asked, q.Method+" "+strings.TrimPrefix(q.Path, "/v2/"+there+"/"))
	}
	for i, path := range want {
		want[i] = "GET " + path
	}
	if !slices.Equal(asked, want) {
		t.Errorf("the upstream was asked:\n%s", h.requests())
	}
	h.sound()
}

// TestObjects_two_tags_of_one_digest are two questions, and one content.
func TestObjects_two_tags_of_one_digest(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", 50_000)
	h.up.Tag(there, "latest", image.Descriptor.Digest)
	for _, path := range []string{"manifests/1", "blobs/" + string(image.Layers[0].Digest), "manifests/latest", "blobs/" + string(image.Layers[0].Digest), "manifests/" + string(image.Descriptor.Digest)} {
		if r := h.get(h.url, app+"/"+path); r.status != 200 {
			t.Errorf("%s: %v: %.300q", path, r.answer, r.body)
		}
	}
	if h.up.Asked("manifests") != 2 || h.up.Asked("blobs") != 1 {
		t.Errorf("the upstream was asked:\n%s", h.requests())
	}
	// One of them moves; the other does not.
	next := h.up.PushImage(there, "latest", 10)
	h.clock.later(time.Hour)
	if r := h.get(h.url, app+"/manifests/latest"); r.names != next.Descriptor.Digest {
		t.Errorf("latest: %v", r.answer)
	}
	if r := h.get(h.url, app+"/manifests/1"); r.names != image.Descriptor.Digest {
		t.Errorf("1: %v", r.answer)
	}
}

// TestObjects_unchanged: a stale tag that has not moved costs one HEAD, however many want it, and then is fresh again.
func TestObjects_unchanged(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", 10)
	h.get(h.url, app+"/manifests/1")
	h.clock.later(time.Hour)
	h.up.Forget()
	for range 2 {
		for _, r := range h.together(16, "GET", app+"/manifests/1") {
			if r.names != image.Descriptor.Digest || r.stale {
				t.Errorf("a client sees %v", r.answer)
			}
		}
	}
	if h.asked("HEAD", "manifests") != 1 || len(h.up.Requests()) != 1 {
		t.Errorf("the upstream was asked:\n%s", h.requests())
	}
}

// TestObjects_belong_to_their_repository: what was pulled through one repository cannot be read through another that never had it, here or upstream.
func TestObjects_belong_to_their_repository(t *testing.T) {
	t.Parallel()
	h := build(t)
	secret := h.up.PushImage(there, "1", keptLayer, 50_000)
	h.up.PushImage("team/other", "1", 10)
	for _, path := range []string{"manifests/1", "blobs/" + string(secret.Layers[0].Digest), "blobs/" + string(secret.Layers[1].Digest)} {
		if r := h.get(h.url, app+"/"+path); r.status != 200 {
			t.Fatalf("%s: %v: %.300q", path, r.answer, r.body)
		}
	}
	for _, repo := range []string{name + "/team/other", name + "/team", name + "/" + there + "/below", "mine/app"} {
		for _, d := range []ocispec.Descriptor{secret.Layers[0], secret.Layers[1], secret.Descriptor} {
			kind := "blobs"
			if d.Digest == secret.Descriptor.Digest {
				kind = "manifests"
			}
			for _, url := range []string{h.url, h.offline} {
				for _, method := range []string{"GET", "HEAD"} {
					// Offline, that a manifest is not kept is no word about whether there is one.
					r := h.do(method, url, repo+"/"+kind+"/"+string(d.Digest), "Range", "bytes=0-9")
					if r.status != 404 && !(url == h.offline && r.status == 503) {
						t.Errorf("%s %s of %s: %v: %.300q", method, kind, repo, r.answer, r.body)
					}
				}
			}
		}
	}
	// Once that one has it too, it is asked for it.
	h.up.PutBlob("team/other", h.up.Blob(there, secret.Layers[1].Digest))
	h.up.Forget()
	h.clock.later(time.Hour)
	if r := h.get(h.url, name+"/team/other/blobs/"+string(secret.Layers[1].Digest)); r.names != secret.Layers[1].Digest || h.up.Asked("blobs") != 1 {
		t.Errorf("%v, asked\n%s", r.answer, h.requests())
	}
	h.sound()
}

// TestObjects_HEAD tells nothing that GET could not serve, and the same of it.
func TestObjects_HEAD(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault upstreamtest.Fault
		want  int
	}{
		{"well", nil, 200},
		{"without Content-Length", upstreamtest.Without("Content-Length"), 200},
		{"not there", upstreamtest.Status(404), 404},
		{"down", upstreamtest.Status(500), 503},
		{"limited", upstreamtest.TooMany(7 * time.Second), 429},
		{"denied", upstreamtest.Status(403), 403},
		{"packed", upstreamtest.Gzip(), 503},
		{"cut at once", upstreamtest.NoAnswer(), 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			image := h.up.PushImage(there, "1", 50_000)
			h.fault(upstreamtest.Always(c.fault))
			for _, path := range []string{"manifests/1", "manifests/" + string(image.Descriptor.Digest), "blobs/" + string(image.Layers[0].Digest)} {
				for _, kept := range []bool{false, true} {
					head := h.do("HEAD", h.url, app+"/"+path)
					get := h.get(h.url, app+"/"+path)
					if head.status != c.want || get.status != c.want {
						t.Errorf("%s, kept %v: HEAD is %d, GET is %d, want %d: %.200q", path, kept, head.status, get.status, c.want, get.body)
					}
					for _, header := range []string{"Content-Length", "Content-Type", "Docker-Content-Digest", "Retry-After"} {
						if head.header.Get(header) != get.header.Get(header) && c.want == 200 {
							t.Errorf("%s, kept %v: HEAD has %s %q, GET has %q", path, kept, header, head.header.Get(header), get.header.Get(header))
						}
					}
				}
			}
		})
	}
}

// TestObjects_HEAD_once: however many ask for the same by HEAD at once, and then by GET, the upstream is asked for it one time.
func TestObjects_HEAD_once(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", 50_000)
	for _, path := range []string{"manifests/1", "blobs/" + string(image.Layers[0].Digest)} {
		h.up.Forget()
		for _, method := range []string{"HEAD", "GET"} {
			for _, r := range h.together(16, method, app+"/"+path) {
				if r.status != 200 {
					t.Errorf("%s %s: %v: %.300q", method, path, r.answer, r.body)
				}
			}
		}
		if n := len(h.up.Requests()); n != 1 {
			t.Errorf("%s: the upstream was asked %d times:\n%s", path, n, h.requests())
		}
	}
}

// TestObjects_HEAD_then_push: where pushes are taken, whoever was told that a blob is here leaves it out of a push, and that is good.
func TestObjects_HEAD_then_push(t *testing.T) {
	t.Parallel()
	h := build(t, func(p *plan) { p.proxy.Writable = true })
	image := h.up.PushImage(there, "1", 400_000)
	h.fault(upstreamtest.Always(upstreamtest.Slow(1<<20), "blobs"))
	for _, d := range []ocispec.Descriptor{image.Config, image.Layers[0]} {
		if r := h.do("HEAD", h.url, app+"/blobs/"+string(d.Digest)); r.status != 200 {
			t.Errorf("HEAD: %v", r.answer)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "PUT", h.url+"/v2/"+app+"/manifests/mine", bytes.NewReader(image.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", image.Descriptor.MediaType)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 201 {
		t.Errorf("the push of a manifest whose blobs are here, as HEAD says: %d %.300q", res.StatusCode, body)
	}
}

// TestObjects_schema_1 is refused in words that tell what it is.
func TestObjects_schema_1(t *testing.T) {
	t.Parallel()
	h := build(t)
	schema1(h.up)
	r := h.get(h.url, app+"/manifests/1")
	if r.status < 400 || r.status == 500 || !strings.Contains(string(r.body), "manifest.v1+prettyjws") {
		t.Errorf("%v: %.300q", r.answer, r.body)
	}
}
