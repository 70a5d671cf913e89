package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

func TestManifest_comes_as_it_is(t *testing.T) {
	up := upstreamtest.New(t)
	r := open(t, up)
	for what, image := range map[string]upstreamtest.Image{
		"an image": up.PushImage(repo, "image", 100), "an index": up.PushIndex(repo, "index", "amd64", "arm64"),
		"Docker's": up.PushSchema2(repo, "schema2", 100),
	} {
		for _, ref := range []string{image.Tag, string(image.Descriptor.Digest)} {
			d, content, err := r.Manifest(t.Context(), repo, ref)
			if err != nil || !bytes.Equal(content, image.Bytes) || !same(d, image.Descriptor) {
				t.Errorf("%s: manifest %s is %+v, %v, want %+v", what, ref, d, err, image.Descriptor)
			}
			if _, err := registry.ParseManifest(d.MediaType, d.Digest, content); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			head, err := r.Head(t.Context(), repo, ref)
			if err != nil || !same(head, image.Descriptor) {
				t.Errorf("%s: head of %s is %+v, %v, want %+v", what, ref, head, err, image.Descriptor)
			}
			wantCount(t, up, 1, "GET", "/v2/team/app/manifests/"+ref)
			wantCount(t, up, 1, "HEAD", "/v2/team/app/manifests/"+ref)
		}
	}
	for _, q := range up.Requests() {
		if got := q.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("%s %s accepts the encoding %q", q.Method, q.Path, got)
		}
	}
}

func same(a, b ocispec.Descriptor) bool {
	return a.MediaType == b.MediaType && a.Digest == b.Digest && a.Size == b.Size
}

func TestManifest_under_sha512(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "", 1)
	d := digest.SHA512.FromBytes(image.Bytes)
	up.Tag(repo, string(d), image.Descriptor.Digest) // it says sha256 of itself
	r := open(t, up)
	got, content, err := r.Manifest(t.Context(), repo, string(d))
	if err != nil || got.Digest != d || !bytes.Equal(content, image.Bytes) {
		t.Errorf("got %+v, %v, want %s", got, err, d)
	}
	if got, err := r.Head(t.Context(), repo, string(d)); err != nil || got.Digest != d {
		t.Errorf("head is %+v, %v, want %s", got, err, d)
	}
}

func TestManifest_is_asked_for_in_all_types(t *testing.T) {
	up := upstreamtest.New(t)
	docker, oci := up.PushSchema2(repo, "docker", 10), up.PushImage(repo, "oci", 10)
	up.Fault(upstreamtest.Always(upstreamtest.Schema2Only()))
	r := open(t, up)
	if d, err := r.Head(t.Context(), repo, "docker"); err != nil || !same(d, docker.Descriptor) {
		t.Errorf("Docker's: %+v, %v", d, err)
	}
	_, _, err := r.Manifest(t.Context(), repo, oci.Tag)
	wantKind(t, err, ErrNotFound)
	for _, q := range up.Requests() {
		if got := q.Header.Get("Accept"); got != accepted {
			t.Errorf("it accepts %q", got)
		}
	}
}

func TestManifest_on_the_Hub_is_below_library(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage("library/alpine", "3.20", 1)
	r := open(t, up, func(c *Config) { c.Name = "docker.io" })
	if _, err := r.Head(t.Context(), "alpine", "3.20"); err != nil {
		t.Error(err)
	}
	for _, c := range [][3]string{{"docker.io", "alpine", "library/alpine"}, {"docker.io", "team/app", "team/app"},
		{"index.docker.io", "a", "library/a"}, {"ghcr.io", "alpine", "alpine"}, {"docker.io", "library/alpine", "library/alpine"}} {
		if got := CanonicalRepo(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s is %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

func TestManifest_below_a_path(t *testing.T) {
	up := upstreamtest.New(t)
	r := open(t, up, urls(up.URL+"/mirror/"))
	_, err := r.Head(t.Context(), repo, "1")
	wantKind(t, err, ErrNotFound)
	wantCount(t, up, 1, "HEAD", "/mirror/v2/team/app/manifests/1")
}

func TestManifest_that_is_not_what_it_should_be(t *testing.T) {
	for _, c := range []struct {
		what  string
		fault upstreamtest.Fault
		head  error // nil: as it should be
		want  error
		says  string
	}{
		{"another digest", upstreamtest.WrongDigest(), nil, ErrBad, "its content is sha256:"},
		{"longer", upstreamtest.WrongLength(5), nil, ErrBad, "its content is sha256:"},
		{"shorter", upstreamtest.WrongLength(-5), nil, ErrBad, "its content is sha256:"},
		{"packed", upstreamtest.Gzip(), ErrBad, ErrBad, "packed"},
		{"huge", upstreamtest.HugeManifest(64 << 20), nil, ErrBad, "4194304"},
		{"endless", upstreamtest.Endless(), nil, ErrBad, "more than"},
		{"endless headers", upstreamtest.EndlessHeaders(), ErrDown, ErrDown, "HTTP"},
		{"a digest that is none", upstreamtest.With("Docker-Content-Digest", "md5:<b>"), ErrBad, ErrBad, "no sha256"},
		{"the digest of something else", upstreamtest.With("Docker-Content-Digest", string(digest.FromString("x"))), ErrBad, ErrBad, "sha256"},
		{"truncated", upstreamtest.TruncateAt(50), nil, ErrDown, "broke off"},
		{"reset", upstreamtest.Reset(50), nil, ErrDown, "broke off"},
		{"no answer", upstreamtest.NoAnswer(), ErrDown, ErrDown, ""},
		{"a page", upstreamtest.Status(503), ErrDown, ErrDown, "it answered 503"},
		{"teapot", upstreamtest.Status(418), ErrBad, ErrBad, "it answered 418"},
		{"nothing", upstreamtest.Status(204), ErrBad, ErrBad, "it answered 204"},
		{"gone", upstreamtest.Status(404), ErrNotFound, ErrNotFound, "it answered 404"},
		{"forbidden", upstreamtest.Status(403), ErrDenied, ErrDenied, "it answered 403"},
		{"a challenge without a way in", upstreamtest.Unauthorized("Negotiate"), ErrDenied, ErrDenied, "configure credentials"},
	} {
		t.Run(c.what, func(t *testing.T) {
			up := upstreamtest.New(t)
			image := up.PushImage(repo, "1", 10)
			up.Fault(upstreamtest.Always(c.fault))
			r := open(t, up)
			ref := string(image.Descriptor.Digest)
			_, _, err := r.Manifest(t.Context(), repo, ref)
			wantKind(t, err, c.want)
			wantText(t, err, c.says, up.URL, "get manifest "+ref+" of team/app")
			_, err = r.Head(t.Context(), repo, ref)
			if c.head == nil && err != nil {
				t.Errorf("head: %v", err)
			} else if c.head != nil {
				wantKind(t, err, c.head)
			}
			wantFree(t, r)
		})
	}
}

func TestManifest_of_a_length_that_is_announced_is_not_even_read(t *testing.T) {
	up := upstreamtest.New(t)
	d := up.PutManifest(repo, "big", ocispec.MediaTypeImageManifest, bytes.Repeat([]byte(" "), 5000))
	r := open(t, up, func(c *Config) { c.ManifestBytes = 4999 })
	_, _, err := r.Manifest(t.Context(), repo, "big")
	wantText(t, err, "it has 5000 bytes, more than the 4999")
	_, err = r.Head(t.Context(), repo, "big")
	wantKind(t, err, ErrBad)
	exact := open(t, up, func(c *Config) { c.ManifestBytes = 5000 })
	if got, _, err := exact.Manifest(t.Context(), repo, "big"); err != nil || got.Digest != d.Digest {
		t.Errorf("at the bound: %v, %v", got, err)
	}
}

func TestHead_asks_for_the_content_if_it_learns_too_little(t *testing.T) {
	for _, header := range []string{"Docker-Content-Digest", "Content-Length", "Content-Type"} {
		up := upstreamtest.New(t)
		image := up.PushImage(repo, "1", 10)
		up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
			if q.Method == http.MethodHead {
				return upstreamtest.Without(header)
			}
			return nil
		})
		d, err := open(t, up).Head(t.Context(), repo, "1")
		if err != nil || !same(d, image.Descriptor) {
			t.Errorf("without %s: %+v, %v", header, d, err)
		}
		wantCount(t, up, 1, "GET", "/v2/team/app/manifests/1")
	}
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10)
	up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Method == http.MethodHead {
			return upstreamtest.Status(405)
		}
		return upstreamtest.Without("Docker-Content-Digest")
	})
	if d, err := open(t, up).Head(t.Context(), repo, "1"); err != nil || !same(d, image.Descriptor) {
		t.Errorf("without HEAD at all: %+v, %v", d, err)
	}
}

func TestHead_that_differs_from_GET(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10)
	up.Fault(upstreamtest.Always(upstreamtest.HeadDiffersFromGet()))
	r := open(t, up)
	if d, err := r.Head(t.Context(), repo, "1"); err != nil || d.Digest == image.Descriptor.Digest {
		t.Errorf("head of a tag is what the upstream says: %v, %v", d, err)
	}
	_, err := r.Head(t.Context(), repo, string(image.Descriptor.Digest))
	wantText(t, err, "it says that this is sha256:")
	if d, _, err := r.Manifest(t.Context(), repo, "1"); err != nil || d.Digest != image.Descriptor.Digest {
		t.Errorf("manifest: %v, %v", d, err)
	}
}

func TestManifest_of_a_tag_that_moves_is_one_or_the_other(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 10)
	up.Fault(upstreamtest.Always(upstreamtest.TagMoves(), "manifests"))
	r := open(t, up)
	head, err := r.Head(t.Context(), repo, "1")
	d, content, err2 := r.Manifest(t.Context(), repo, "1")
	if err != nil || err2 != nil || head.Digest == d.Digest || digest.FromBytes(content) != d.Digest {
		t.Errorf("%v %v, %v %v", head, err, d, err2)
	}
}

func TestManifest_that_cannot_be_is_not_asked_for(t *testing.T) {
	up := upstreamtest.New(t)
	r := open(t, up)
	for _, c := range [][2]string{{"Team/app", "1"}, {"team/../app", "1"}, {"", "1"}, {repo, "a/b"}, {repo, "sha256:12"}, {repo, "?x"}, {repo, "\n"}} {
		_, _, err := r.Manifest(t.Context(), c[0], c[1])
		wantKind(t, err, ErrNotFound)
	}
	_, err := r.Blob(t.Context(), repo, "latest", 0)
	wantKind(t, err, ErrNotFound)
	_, err = r.Blob(t.Context(), repo, digest.FromString("x"), -1)
	wantKind(t, err, ErrNotFound)
	if n := len(up.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

func TestManifest_that_hangs_costs_one_bounded_wait(t *testing.T) {
	for what, fault := range map[string]upstreamtest.Fault{
		"before the headers": upstreamtest.HangBeforeHeaders(), "in the body": upstreamtest.HangInBody(20), "drop by drop": upstreamtest.Slow(10),
	} {
		up := upstreamtest.New(t)
		up.PushImage(repo, "1", 10)
		up.Fault(upstreamtest.Always(fault))
		r := open(t, up, with(short))
		began := time.Now()
		_, _, err := r.Manifest(t.Context(), repo, "1")
		wantKind(t, err, ErrDown)
		wantText(t, err, "within 200ms")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v", what, took)
		}
		wantFree(t, r)
	}
}

func TestManifest_ends_with_its_caller(t *testing.T) {
	up := upstreamtest.New(t)
	up.Fault(upstreamtest.Always(upstreamtest.HangBeforeHeaders()))
	r := open(t, up)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, _, err := r.Manifest(ctx, repo, "1")
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrDown) {
		t.Errorf("gone: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err = r.Manifest(ctx, repo, "1")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDown) {
		t.Errorf("out of time: %v", err)
	}
	if h := r.Health()[0]; h.Failures != 0 {
		t.Errorf("whoever goes soon teaches nothing: %+v", h)
	}
}

func TestError_tells_what_upstream_says(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 10)
	r := open(t, up)
	_, _, err := r.Manifest(t.Context(), repo, "2")
	e := wantKind(t, err, ErrNotFound)
	if e.Status != 404 || e.Code != "MANIFEST_UNKNOWN" || e.Message != "manifest unknown" || e.Upstream != "upstream.example.com" {
		t.Errorf("%+v", e)
	}
	up.Fault(upstreamtest.Always(upstreamtest.TooMany(30 * time.Second)))
	began := time.Now()
	_, _, err = r.Manifest(t.Context(), repo, "1")
	if e := wantKind(t, err, ErrLimited); e.RetryAfter != 30*time.Second || e.Code != "TOOMANYREQUESTS" {
		t.Errorf("%+v", e)
	}
	wantText(t, err, "try again in 30s")
	if time.Since(began) > 5*time.Second || up.Count("GET", "/v2/team/app/manifests/1") != 1 {
		t.Error("a 429 is asked again, or waited for")
	}
	if h := r.Health()[0]; h.Failures != 0 || h.Answered.IsZero() {
		t.Errorf("429 is an answer: %+v", h)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, " 7 ": 7 * time.Second, "-5": 0, "99999999999999999999": 0, "2000000000": maxRetry, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 10)
	r := open(t, up)
	if _, _, _, known := r.Limits(); known {
		t.Error("known before anything was asked")
	}
	up.RateLimit(100, 1, 6*time.Hour)
	if _, _, err := r.Manifest(t.Context(), repo, "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Head(t.Context(), repo, "1"); err != nil {
		t.Errorf("HEAD is not counted: %v", err)
	}
	_, _, err := r.Manifest(t.Context(), repo, "1")
	wantKind(t, err, ErrLimited)
	if limit, remaining, window, known := r.Limits(); limit != 100 || remaining != 0 || window != 6*time.Hour || !known {
		t.Errorf("%d, %d, %v, %v", limit, remaining, window, known)
	}
	if _, _, _, known := r.WithCaller(Credentials{}).Limits(); known {
		t.Error("a caller has a quota of its own")
	}
	for _, bad := range []string{"", "x", "-1;w=5", "99999999999;w=5"} {
		if q, ok := parseQuota(http.Header{"Ratelimit-Limit": {bad}, "Ratelimit-Remaining": {"5"}}); ok {
			t.Errorf("%q is %+v", bad, q)
		}
	}
}

func TestPing(t *testing.T) {
	up := upstreamtest.New(t)
	r := open(t, up)
	if err := r.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	up.RequireBasic("alice", "s3cret")
	if err := r.Ping(t.Context()); err != nil {
		t.Errorf("a 401 is an answer: %v", err)
	}
	if err := open(t, up, as(Static("alice", "s3cret"))).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	wantKind(t, open(t, up, as(Static("alice", "wrong"))).Ping(t.Context()), ErrDenied)
	up.Close()
	wantKind(t, r.Ping(t.Context()), ErrDown)
	if got := fmt.Sprint(r.Name()); got != "upstream.example.com" {
		t.Error(got)
	}
}
