package api

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

const cause = "the medium's own words"

// rotting is a house on floors that fail on command.
type rotting struct {
	*house
	index, uploads *kvtest.FaultyDB
	blobs          *blobtest.FaultyStore
}

func newRotting(t *testing.T) *rotting {
	r := &rotting{index: kvtest.Faulty(kv.NewMemory()), uploads: kvtest.Faulty(kv.NewMemory()), blobs: blobtest.Faulty(blob.NewMemory())}
	r.house = build(t, func(h *house) { h.index, h.uploads, h.blobs = r.index, r.uploads, r.blobs })
	return r
}

// failAt lets the n-th call of a floor fail and returns what tells whether it did.
func (r *rotting) failAt(floor string, n int, err error) (reached func() bool) {
	r.index.FailAt(0, nil)
	r.uploads.FailAt(0, nil)
	r.blobs.FailAt(0, nil)
	switch floor {
	case "index":
		r.index.FailAt(n, err)
		return func() bool { return r.index.Calls() >= n }
	case "uploads":
		r.uploads.FailAt(n, err)
		return func() bool { return r.uploads.Calls() >= n }
	}
	r.blobs.FailAt(n, err)
	return func() bool { return r.blobs.Calls() >= n }
}

// exchange is one request and the answer that it has when nothing fails. The path may need something to be there first.
type exchange struct {
	method string
	path   func() string
	body   []byte
	status int
	answer func(body []byte) bool // whether a good answer's body is what it should be
}

func (r *rotting) exchanges() []exchange {
	small, large := []byte("small"), octets("large", 60_000)
	d, body := r.pushImage("rot/a", "latest", "1")
	other := imageOf([]byte("{}"), "2")
	r.pushBlob("rot/a", small)
	r.pushBlob("rot/a", large)
	held := func(content []byte) string { return "/v2/rot/a/blobs/" + string(digest.FromBytes(content)) }
	at := func(path string) func() string { return func() string { return path } }
	is := func(want []byte) func([]byte) bool { return func(got []byte) bool { return bytes.Equal(got, want) } }
	holds := func(want string) func([]byte) bool {
		return func(got []byte) bool { return strings.Contains(string(got), want) }
	}
	n := 0
	fresh := func() []byte { n++; return octets(fmt.Sprint("fresh", n), 40_000) }
	content := fresh()
	half := func(chunk []byte) func() string {
		return func() string {
			where := r.begin("rot/a")
			r.do("PATCH", where, chunk).want(r.t, 202)
			return where
		}
	}
	whole := func(chunk []byte) func() string {
		before := half(chunk)
		return func() string { return before() + "?digest=" + string(digest.FromBytes(content)) }
	}
	return []exchange{
		{"GET", at("/v2/rot/a/manifests/latest"), nil, 200, is(body)},
		{"HEAD", at("/v2/rot/a/manifests/" + string(d)), nil, 200, is(nil)},
		{"GET", at(held(small)), nil, 200, is(small)},
		{"HEAD", at(held(large)), nil, 200, is(nil)},
		{"GET", at(held(large)), nil, 200, is(large)},
		{"GET", at("/v2/rot/a/tags/list"), nil, 200, holds("latest")},
		{"GET", at("/v2/_catalog"), nil, 200, holds("rot/a")},
		{"GET", at("/v2/rot/a/referrers/" + string(d)), nil, 200, holds("manifests")},
		{"GET", at("/api/v1/audit"), nil, 200, holds("blob.push")},
		{"POST", at("/api/v1/audit/verify"), nil, 200, holds("ok")},
		{"POST", at("/v2/rot/a/blobs/uploads/"), nil, 202, is(nil)},
		{"POST", at("/v2/rot/b/blobs/uploads/?digest=" + string(digest.FromString("x"))), []byte("x"), 201, is(nil)},
		{"POST", at("/v2/rot/b/blobs/uploads/?digest=" + string(digest.FromBytes(content))), content, 201, is(nil)},
		{"POST", at("/v2/rot/c/blobs/uploads/?mount=" + string(digest.FromBytes(large)) + "&from=rot/a"), nil, 201, is(nil)},
		{"PATCH", half([]byte("abc")), []byte("def"), 202, is(nil)},
		{"PATCH", half(content[:20_000]), content[20_000:], 202, is(nil)},
		{"GET", half([]byte("abc")), nil, 204, is(nil)},
		{"PUT", whole(content[:20_000]), content[20_000:], 201, is(nil)},
		{"PUT", whole(content), nil, 201, is(nil)},
		{"DELETE", half(content), nil, 204, is(nil)},
		{"PUT", at("/v2/rot/a/manifests/new"), other, 201, is(nil)},
		{"DELETE", at("/v2/rot/a/manifests/new"), nil, 202, is(nil)},
		{"DELETE", at("/v2/rot/a/manifests/" + string(digest.FromBytes(other))), nil, 202, is(nil)},
		{"DELETE", at(held(small)), nil, 202, is(nil)},
	}
}

// TestFaults lets every call that each kind of request makes fail: the client is never told that all is well when it is not, learns nothing of the
// cause, and the log does.
func TestFaults(t *testing.T) {
	before := runtime.NumGoroutine()
	points := 0
	for _, floor := range []string{"index", "uploads", "blobs"} {
		for _, full := range []bool{false, true} {
			injected := errors.New(cause)
			if full {
				if injected = fmt.Errorf("%s: %w", cause, kv.ErrFull); floor == "blobs" {
					injected = fmt.Errorf("%s: %w", cause, blob.ErrFull)
				}
			}
			r := newRotting(t)
			for _, e := range r.exchanges() {
				for n := 1; n < 100; n++ {
					path := e.path()
					r.log.taken()
					reached := r.failAt(floor, n, injected)
					res := r.do(e.method, path, e.body)
					failed := reached()
					r.failAt("", 0, nil)
					if what := fmt.Sprintf("%s %.60s, %s fails at %d", e.method, path, floor, n); failed {
						points++
						r.judge(t, what, e, res, full)
					} else if res.StatusCode != e.status || res.cut != nil || !e.answer(res.body) {
						t.Errorf("%s %s: %d, %d bytes, %v, though nothing failed", e.method, path, res.StatusCode, len(res.body), res.cut)
					}
					if !failed {
						break
					}
				}
			}
			if problems := r.problems(t); len(problems) > 0 {
				t.Errorf("%s, full: %v: %v", floor, full, problems)
			}
			r.server.Close()
		}
	}
	t.Logf("%d points of failure", points)
	for range 100 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, before there were %d", runtime.NumGoroutine(), before)
}

// judge looks at an answer to a request during which something failed.
func (r *rotting) judge(t *testing.T, what string, e exchange, res reply, full bool) {
	t.Helper()
	if strings.Contains(string(res.body), cause) || strings.Contains(fmt.Sprint(res.Header), cause) {
		t.Errorf("%s: the client is told the cause: %s", what, res.body)
	}
	text := r.log.taken()
	switch {
	case res.cut != nil: // it had begun: that it is not whole cannot be overlooked
	case res.StatusCode == e.status: // the failure did no harm: it was of what is tidied up later
		if !e.answer(res.body) {
			t.Errorf("%s: %d with %d wrong bytes", what, res.StatusCode, len(res.body))
		}
	case res.StatusCode < 500:
		t.Errorf("%s: %d %s", what, res.StatusCode, res.body)
	default:
		if !strings.Contains(text, cause) {
			t.Errorf("%s: %d, and the log does not tell the cause: %s", what, res.StatusCode, text)
		}
		want, code := 500, "UNKNOWN"
		if full {
			want, code = 507, "STORAGE_FULL"
		}
		if full && (e.method == "GET" || e.method == "HEAD" || strings.Contains(what, "audit")) {
			want, code = res.StatusCode, "" // no medium is too full to read
		}
		if res.StatusCode != want || want == 507 && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q", what, res.StatusCode, res.Header.Get("Retry-After"))
		}
		if e.method != "HEAD" {
			if got, _ := res.fault(t); code != "" && got != code {
				t.Errorf("%s: code %s, want %s", what, got, code)
			}
		}
	}
}

// TestFaults_amid_an_answer: content that cannot be read to its end is not sent as if it were whole, and the operator learns of it.
func TestFaults_amid_an_answer(t *testing.T) {
	r := newRotting(t)
	content := octets("large", 100_000)
	path := "/v2/rot/a/blobs/" + string(r.pushBlob("rot/a", content))
	for n := 1; n < 20; n++ {
		r.log.taken()
		reached := r.failAt("blobs", n, errors.New(cause))
		res := r.do("GET", path, nil)
		failed := reached()
		r.failAt("", 0, nil)
		if !failed {
			break
		}
		if res.StatusCode < 500 && res.cut == nil && !bytes.Equal(res.body, content) {
			t.Errorf("failure %d: %d with %d bytes of %d, and it looks whole", n, res.StatusCode, len(res.body), len(content))
		}
		if res.StatusCode >= 500 || res.cut != nil {
			told := ""
			for range 50 {
				if told += r.log.taken(); strings.Contains(told, cause) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if !strings.Contains(told, cause) {
				t.Errorf("failure %d: the answer was %d, cut: %v, and the log does not tell why: %q", n, res.StatusCode, res.cut, told)
			}
		}
	}
}

// problems is what a check of everything finds.
func (r *rotting) problems(t *testing.T) (found []string) {
	t.Helper()
	if _, err := registry.Verify(t.Context(), r.blobs, r.index, func(problem string) { found = append(found, problem) }); err != nil {
		t.Error(err)
	}
	return found
}
