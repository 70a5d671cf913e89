package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// asked is a policy that notes what it was asked.
type asked struct {
	answer func(do auth.Action, on string) error
	was    []string
}

func (p *asked) Allow(_ context.Context, _ auth.Identity, do auth.Action, on string) error {
	p.was = append(p.was, string(do)+" "+on)
	return p.answer(do, on)
}

// refusals are the ways in which a policy does not say yes, and what a client makes of each.
var refusals = []struct {
	what   string
	err    error
	status int
	code   string
}{
	{"log in first", &auth.Refusal{Login: true, Reason: "log in"}, 401, "UNAUTHORIZED"},
	{"never", &auth.Refusal{Reason: "you may not"}, 403, "DENIED"},
	{"a fault", errors.New("the policy's own cause"), 500, "UNKNOWN"},
}

// paths has a request for every shape there is; what it names exists.
func paths(h *house) map[shape]string {
	d, _ := h.pushImage("door/a", "latest", "1")
	h.pushBlob("door/b", []byte("{}"))
	b := digest.FromString("{}")
	return map[shape]string{
		ping: "/v2/", catalog: "/v2/_catalog", manifest: "/v2/door/a/manifests/latest", domainTag: "/v2/door/a/manifests/cloud.prod", blobs: "/v2/door/a/blobs/" + string(b),
		uploads: "/v2/door/a/blobs/uploads/", upload: h.begin("door/a"), tags: "/v2/door/a/tags/list",
		referrers: "/v2/door/a/referrers/" + string(d), auditLog: "/api/v1/audit", auditSeal: "/api/v1/audit/verify",
	}
}

// methodsOf is what a route answers: HEAD like GET where the table says nothing else of it.
func methodsOf(r door.Route) map[string]auth.Action {
	all := map[string]auth.Action{}
	for method, access := range r.Methods {
		all[method] = access.Action
	}
	if get, ok := all["GET"]; ok && all["HEAD"] == "" && !r.NoHead {
		all["HEAD"] = get
	}
	return all
}

// TestDoor_refuses_before_anything_happens walks the whole table of routes: each method of each shape, with each refusal, is answered in the
// envelope, and nothing is read that shows or changed that stays.
func TestDoor_refuses_before_anything_happens(t *testing.T) {
	p := &asked{answer: func(auth.Action, string) error { return nil }}
	h := build(t, func(h *house) { h.policy = p })
	where := paths(h)
	body := imageOf([]byte("{}"), "an intruder's")
	queries := map[shape][]string{
		uploads:   {"", "?digest=" + string(digest.FromBytes(body)), "?mount=" + string(digest.FromString("{}")) + "&from=door/b", "?mount=" + string(digest.FromString("{}"))},
		upload:    {"?digest=" + string(digest.FromBytes(body))},
		manifest:  {"", "?tag=x"},
		domainTag: {""},
	}
	routes := Routes(Config{Moves: moves{}})
	seen := 0
	for _, r := range routes {
		path, ok := where[shape(r.Name)]
		if !ok {
			t.Errorf("no request for shape %s", r.Name)
		}
		for method, action := range methodsOf(r) {
			for _, query := range append(queries[shape(r.Name)], "?n=1") {
				for _, refusal := range refusals {
					what := fmt.Sprintf("%s %s%s, %s", method, path, query, refusal.what)
					p.was, p.answer = nil, func(auth.Action, string) error { return refusal.err }
					index, pending := dump(t, h.index), dump(t, h.uploads)
					h.log.taken()
					res := h.do(method, path+query, body, "Content-Type", ocispec.MediaTypeImageManifest)
					if res.StatusCode != refusal.status {
						t.Errorf("%s: status %d, want %d", what, res.StatusCode, refusal.status)
					}
					if method != http.MethodHead {
						if code, _ := res.fault(t); code != refusal.code {
							t.Errorf("%s: code %s, want %s", what, code, refusal.code)
						}
					} else if len(res.body) > 0 {
						t.Errorf("%s: a HEAD with %d bytes", what, len(res.body))
					}
					if challenge := res.Header.Get("WWW-Authenticate"); (challenge != "") != (refusal.status == 401) {
						t.Errorf("%s: challenge %q", what, challenge)
					}
					for _, key := range []string{"Docker-Content-Digest", "Etag", "Location", "Range", "Docker-Upload-Uuid", "Link", "Oci-Subject"} {
						if v := res.Header.Get(key); v != "" {
							t.Errorf("%s: tells %s: %s", what, key, v)
						}
					}
					if strings.Contains(string(res.body), "own cause") {
						t.Errorf("%s: the client is told the cause: %s", what, res.body)
					}
					if refusal.status == 500 && !strings.Contains(h.log.taken(), "own cause") {
						t.Errorf("%s: the log does not tell the cause", what)
					}
					if dump(t, h.index) != index || dump(t, h.uploads) != pending {
						t.Fatalf("%s: something changed", what)
					}
					name := ""
					if strings.Contains(path, "door/a") {
						name = "door/a"
					}
					if want := []string{string(action) + " " + name}; !slices.Equal(p.was, want) {
						t.Errorf("%s: the policy was asked %q, want %q", what, p.was, want)
					}
					seen++
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d requests", seen)
	}
}

// TestDoor_other_methods: what a route does not have is 405 with what it has, and asks the policy whether one may come in at all.
func TestDoor_other_methods(t *testing.T) {
	p := &asked{answer: func(auth.Action, string) error { return nil }}
	h := build(t, func(h *house) { h.policy = p })
	where := paths(h)
	for _, r := range Routes(Config{Moves: moves{}}) {
		index := dump(t, h.index)
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
			if methodsOf(r)[method] != "" {
				continue
			}
			p.was = nil
			res := h.do(method, where[shape(r.Name)], nil)
			if res.StatusCode != 405 {
				t.Errorf("%s %s: status %d", method, r.Name, res.StatusCode)
			}
			var allow []string
			for m := range methodsOf(r) {
				allow = append(allow, m)
			}
			slices.Sort(allow)
			if got := res.Header.Get("Allow"); got != strings.Join(allow, ", ") {
				t.Errorf("%s %s: Allow: %s, want %v", method, r.Name, got, allow)
			}
			if len(p.was) != 1 || !strings.HasPrefix(p.was[0], "enter") {
				t.Errorf("%s %s: the policy was asked %v", method, r.Name, p.was)
			}
		}
		if dump(t, h.index) != index {
			t.Errorf("%s: something changed", r.Name)
		}
	}
}

// TestDoor_deletes_off: without deletes every DELETE of content is 405, whatever it names and whoever asks (CVE-2026-41888).
func TestDoor_deletes_off(t *testing.T) {
	h := build(t, func(h *house) { h.api.NoDeletes = true })
	where := paths(h)
	d, _ := h.pushImage("door/a", "latest", "1")
	for _, path := range []string{where[manifest], "/v2/door/a/manifests/" + string(d), where[blobs]} {
		index := dump(t, h.index)
		res := h.do("DELETE", path, nil).want(t, 405)
		if code, _ := res.fault(t); code != "UNSUPPORTED" || strings.Contains(res.Header.Get("Allow"), "DELETE") {
			t.Errorf("%s: %s, Allow: %s", path, code, res.Header.Get("Allow"))
		}
		if dump(t, h.index) != index {
			t.Errorf("%s: something changed", path)
		}
	}
	h.do("DELETE", where[upload], nil).want(t, 204) // no content
}

func TestDoor_unknown_paths(t *testing.T) {
	h := build(t)
	for _, path := range []string{"/", "/v1/", "/v2/a", "/v2/a/manifests/", "/v2/manifests/latest", "/v2/a/tags", "/v2/a/tags/list/", "/v2//", "/v2/blobs/uploads/x", "/favicon.ico", "/api/v1/audit/"} {
		res := h.do("GET", path, nil).want(t, 404)
		if strings.HasPrefix(path, "/v2") {
			if code, _ := res.fault(t); code != "UNSUPPORTED" {
				t.Errorf("%s: %s", path, code)
			}
		} else if res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(res.body), `"status":404`) {
			t.Errorf("%s: %s %s", path, res.Header.Get("Content-Type"), res.body)
		}
	}
}

// TestDoor_knows_only_what_one_may_pull: the catalog shows nothing else, and a mount takes from nowhere else (zot CVE-2024-39897).
func TestDoor_knows_only_what_one_may_pull(t *testing.T) {
	p := &asked{answer: func(auth.Action, string) error { return nil }}
	h := build(t, func(h *house) { h.policy = p })
	h.pushImage("open/a", "latest", "1")
	h.pushImage("secret/a", "latest", "1")
	secret := h.pushBlob("secret/a", []byte("a secret"))
	p.answer = func(do auth.Action, on string) error {
		if strings.HasPrefix(on, "secret/") {
			return &auth.Refusal{Do: do, On: on, Reason: "a secret"}
		}
		return nil
	}
	if res := h.do("GET", "/v2/_catalog", nil).want(t, 200); string(res.body) != `{"repositories":["open/a"]}`+"\n" {
		t.Errorf("catalog: %s", res.body)
	}
	for _, from := range []string{"&from=secret/a", "", "&from=SECRET"} {
		h.do("POST", "/v2/open/a/blobs/uploads/?mount="+string(secret)+from, nil).want(t, 202)
	}
	h.do("HEAD", "/v2/open/a/blobs/"+string(secret), nil).want(t, 404)
	h.do("GET", "/v2/open/a/blobs/"+string(secret), nil).want(t, 404)
}

// TestDoor_domain_tags: a tag that says what is deployed is moved by those who may promote, and at a last place by those who may do that there.
func TestDoor_domain_tags(t *testing.T) {
	p := &asked{answer: func(auth.Action, string) error { return nil }}
	h := build(t, func(h *house) { h.policy = p })
	d, _ := h.pushImage("door/a", "latest", "1")
	body := h.do("GET", "/v2/door/a/manifests/"+string(d), nil).want(t, 200).body
	put := func(want int) reply {
		t.Helper()
		p.was = nil
		return h.do("PUT", "/v2/components/door/a/manifests/cloud.prod", body, "Content-Type", ocispec.MediaTypeImageManifest).want(t, want)
	}
	if res := put(403); !strings.Contains(string(res.body), "nothing moves here") || !strings.Contains(string(res.body), string(d)) {
		t.Errorf("%s", res.body)
	}
	if want := []string{"promote door/a", "promote-last door/a"}; !slices.Equal(p.was, want) {
		t.Errorf("the policy was asked %v, want %v", p.was, want)
	}
	p.answer = func(do auth.Action, _ string) error {
		if do == auth.PromoteLast {
			return &auth.Refusal{Do: do, On: "door/a", Reason: "no"}
		}
		return nil
	}
	if res := put(403); strings.Contains(string(res.body), "nothing moves here") {
		t.Errorf("it was moved without the right to: %s", res.body)
	}
}

// TestDoor_alias: components/… is the name without it, in every route.
func TestDoor_alias(t *testing.T) {
	h := build(t)
	d, _ := h.pushImage("cloud/dmp/x", "1.0.2", "1")
	for _, path := range []string{"manifests/1.0.2", "manifests/" + string(d), "tags/list", "referrers/" + string(d), "blobs/" + string(digest.FromString("{}"))} {
		with, without := h.do("GET", "/v2/components/cloud/dmp/x/"+path, nil).want(t, 200), h.do("GET", "/v2/cloud/dmp/x/"+path, nil).want(t, 200)
		if string(with.body) != string(without.body) {
			t.Errorf("%s: %s, want %s", path, with.body, without.body)
		}
	}
}

// TestDoor_closed: what the registry writes itself nobody else changes, not even by blobs.
func TestDoor_closed(t *testing.T) {
	h := build(t, func(h *house) {
		h.api.Closed = func(repo string) error {
			if strings.HasPrefix(repo, "apt/") {
				return &registry.Error{Code: registry.Denied, Detail: map[string]string{"hint": "the registry's own"}}
			}
			return nil
		}
	})
	d := digest.FromString("x")
	for _, r := range [][2]string{{"POST", "blobs/uploads/"}, {"POST", "blobs/uploads/?digest=" + string(d)}, {"DELETE", "blobs/" + string(d)}, {"PUT", "manifests/x"}, {"DELETE", "manifests/x"}} {
		if res := h.do(r[0], "/v2/apt/cloud-prod/"+r[1], []byte("x")).want(t, 403); !strings.Contains(string(res.body), "the registry's own") {
			t.Errorf("%s %s: %s", r[0], r[1], res.body)
		}
	}
	h.do("POST", "/v2/a/blobs/uploads/?digest="+string(d), []byte("x")).want(t, 201)
}
