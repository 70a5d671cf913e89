package apt

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/auth"
)

const pool = "/apt/pool/" + service + "/"

func TestPool_serves_packages(t *testing.T) {
	h := build(t)
	h.stock()
	content := string(hello("hello", "1:1.0~rc1+b2", "amd64"))
	for _, name := range []string{"hello_1.0%7erc1%2bb2_amd64.deb", "hello_1.0~rc1+b2_amd64.deb"} { // as apt writes it, and as curl does
		got := h.get(pool+name).want(200).has(
			"Content-Type", "application/vnd.debian.binary-package", "Content-Encoding", "", "Etag", `"`+sum(content)+`"`, "Cache-Control", forever,
			"Content-Length", fmt.Sprint(len(content)), "X-Content-Type-Options", "nosniff")
		if got.body != content {
			t.Errorf("%s has other bytes", name)
		}
		if part := h.get(pool+name, "Range", "bytes=10-").want(206); part.body != content[10:] {
			t.Errorf("a range of %s has other bytes", name)
		}
		h.get(pool+name, "If-None-Match", got.Header.Get("Etag")).want(304)
		h.get(pool+name, "Range", "bytes=99999999-").want(416, "416 the range lies beyond the content: Content-Range tells the size").has(
			"Content-Range", fmt.Sprintf("bytes */%d", len(content)), "Cache-Control", "", "Etag", "")
		if head := h.do("HEAD", pool+name, "").want(200).has("Content-Length", fmt.Sprint(len(content))); head.body != "" {
			t.Errorf("HEAD %s has a body", name)
		}
	}
	for path, word := range map[string]string{
		pool + "hello_1:1.0~rc1+b2_amd64.deb":           "has no such package", // the epoch is no part of it
		pool + "hello_9.0_amd64.deb":                    "has no such package",
		pool + "hello_1.0~rc1%2bb2_amd64.deb!1.0.0":     "has no such package",
		pool + "%2e%2e":                                 "has no such package",
		"/apt/pool/cloud/dmp/other/x.deb":               "component cloud/dmp/other has no such package",
		"/apt/pool/cloud/ops/probe/hello_1.0_amd64.deb": "has no such package",
		pool:                                               "no such path",
		"/apt/pool/cloud/dmp/hello.deb":                    "no such path",
		"/apt/pool/cloud/dmp/ms/ingestion/x.deb":           "no such path",
		"/apt/pool/cloud/DMP/x/x.deb":                      "no such path",
		"/apt/pool//dmp/x/x.deb":                           "no such path",
		"/apt/pool/cloud/../x/x.deb":                       "no such path",
		pool + strings.Repeat("x", maxFile+1):              "no such path",
		"/apt/snapshots/20260102T030405Z/pool/a/b/c/d/e":   "no such path",
		"/apt/snapshots/20260102T030405Z/pool/a/b/c":       "no such path",
		"/apt/snapshots/20260102T030405Z/dists/cloud-prod": "no such path",
	} {
		h.get(path).want(404, word)
	}
}

// Content lies in files: apt goes on with what broke off if the answer has a date, and the server sends it by sendfile if it is handed the file.
func TestPool_hands_on_the_file(t *testing.T) {
	h := build(t)
	big := debtest.Build(debtest.Spec{Package: "big", Files: map[string]string{"usr/share/big": strings.Repeat("x", 1<<20)}})
	h.add(service, "3.0.0", big)
	var handed []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.handler.ServeHTTP(&probe{ResponseWriter: w, handed: &handed}, r)
	}))
	defer server.Close()
	h.server.URL = server.URL
	name := pool + "big_1.0_amd64.deb"
	got := h.get(name).want(200)
	if got.body != string(big) {
		t.Error("the package has other bytes")
	}
	date := got.Header.Get("Last-Modified")
	if part := h.get(name, "Range", "bytes=500000-", "If-Range", date).want(206); part.body != string(big[500000:]) {
		t.Error("its second part has other bytes")
	}
	h.get(name, "If-Modified-Since", date).want(304)
	if want := []string{"bounded *os.File", "bounded *os.File"}; fmt.Sprint(handed) != fmt.Sprint(want) {
		t.Errorf("the server was handed %q, want %q", handed, want)
	}
}

type probe struct {
	http.ResponseWriter
	handed *[]string
}

func (p *probe) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *probe) ReadFrom(src io.Reader) (int64, error) {
	what := fmt.Sprintf("%T", src)
	if limited, ok := src.(*io.LimitedReader); ok {
		what = fmt.Sprintf("bounded %T", limited.R)
	}
	*p.handed = append(*p.handed, what)
	return p.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
}

func TestPool_asks_for_the_component_or_a_suite(t *testing.T) {
	in, out, gone := pool+"hello_1.0~rc1+b2_amd64.deb", pool+"hello_2.0~rc1+b2_amd64.deb", pool+"nothing.deb" // in prod; in staging; nowhere
	for name, c := range map[string]struct {
		policy auth.Policy
		as     string
		want   [3]int // of each
	}{
		"nobody in particular, where everybody logs in":           {closed, "", [3]int{401, 401, 401}},
		"nobody in particular, where all is open":                 {open(auth.Everywhere), "", [3]int{200, 200, 404}},
		"nobody in particular, where the component is open":       {open(service), "", [3]int{200, 200, 404}},
		"nobody in particular, where something else is":           {open("public"), "", [3]int{401, 401, 401}},
		"nobody in particular, where anybody may do anything":     {auth.Open, "", [3]int{200, 200, 404}},
		"nobody in particular, where the suite alone is open":     {open("apt/cloud-prod"), "", [3]int{200, 401, 401}},
		"a secret that is cut down to the suite":                  {closed, "narrow", [3]int{200, 401, 401}},
		"a wrong password":                                        {closed, "wrong", [3]int{401, 401, 401}},
		"a host that may pull the suite prod":                     {closed, "host", [3]int{200, 404, 404}},
		"a host that may pull the suite prod, where all is open":  {open(auth.Everywhere), "host", [3]int{200, 200, 404}},
		"somebody who may pull the component":                     {closed, "dev", [3]int{200, 200, 404}},
		"somebody who may pull everything":                        {closed, "all", [3]int{200, 200, 404}},
		"a secret that is cut down to the component":              {closed, "scoped", [3]int{200, 200, 404}},
		"somebody who may nothing":                                {closed, "nobody", [3]int{404, 404, 404}},
		"a policy that knows nobody and lets nobody in":           {auth.NewRules(nil, false), "all", [3]int{404, 404, 404}},
		"nobody in particular with a policy that lets nobody in ": {auth.NewRules(nil, false), "", [3]int{401, 401, 401}},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, with(c.policy))
			h.stock()
			for i, path := range []string{in, out, gone} {
				got := h.get(path, "as", c.as).want(c.want[i])
				who := "private, max-age=31536000, immutable"
				if c.as == "" {
					who = forever
				}
				if c.want[i] == 200 {
					got.has("Cache-Control", who)
				} else {
					got.has("Etag", "", "Last-Modified", "")
				}
				h.do("HEAD", path, "", "as", c.as).want(c.want[i])
			}
		})
	}
}

// Who may not know of a package gets the same answer whether it is there or not.
func TestPool_tells_nothing_to_others(t *testing.T) {
	h := build(t, with(closed))
	h.stock()
	for _, who := range []string{"nobody", "host"} {
		there := h.get(pool+"hello_2.0~rc1+b2_amd64.deb", "as", who).want(404).body
		gone := h.get(pool+"hello_7.0~rc1+b2_amd64.deb", "as", who).want(404).body
		nowhere := h.get("/apt/pool/cloud/dmp/no-such-thing/hello_7.0~rc1+b2_amd64.deb", "as", who).want(404).body
		if there != gone || gone != nowhere {
			t.Errorf("%s is told %q, %q and %q", who, there, gone, nowhere)
		}
	}
}

// A suite gives the right to what it lists or has listed, since hosts fetch what they have read of, and to nothing else.
func TestPool_follows_the_suite(t *testing.T) {
	h := build(t, with(closed))
	h.stock()
	old, new := pool+"hello_1.0~rc1+b2_amd64.deb", pool+"hello_2.0~rc1+b2_amd64.deb"
	h.get(new, "as", "host").want(404)
	h.promote(service, "1.1.0", prod)
	h.get(new, "as", "host").want(200)
	h.get(old, "as", "host").want(200) // it is listed still
	h.move(artifacts.Order{Kind: artifacts.Rollback, Component: service, Place: prod})
	h.get(new, "as", "host").want(200)
	h.move(artifacts.Order{Kind: artifacts.Withdrawal, Component: service, Place: prod})
	h.get(old, "as", "host").want(200)
}
