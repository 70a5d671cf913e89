package apt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
)

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

var types = map[string]string{
	"InRelease": plain, "Release": plain, "Release.gpg": "application/pgp-signature",
	"Packages": plain, "Packages.gz": "application/octet-stream", "Packages.xz": "application/octet-stream",
}

func TestDists_serves_each_file_of_the_snapshot_that_is_published(t *testing.T) {
	h := build(t)
	h.stock()
	for _, name := range []string{"cloud-prod", "cloud-staging"} {
		s := h.snapshot(name)
		if len(s.Files) < 6 {
			t.Fatalf("%s has the files %v", name, s.Files)
		}
		for path, f := range s.Files {
			base := path[strings.LastIndexByte(path, '/')+1:]
			at := "/apt/dists/" + name + "/" + path
			got := h.get(at).want(200).has(
				"Content-Type", types[base], "Content-Encoding", "", "Etag", `"`+f.SHA256+`"`, "Last-Modified", s.Date.Format(http.TimeFormat), "Cache-Control", "no-cache",
				"Content-Length", fmt.Sprint(f.Size), "Accept-Ranges", "bytes", "X-Content-Type-Options", "nosniff")
			if sum(got.body) != f.SHA256 {
				t.Errorf("%s has other bytes than it should", at)
			}
			if head := h.do("HEAD", at, "").want(200).has("Content-Length", fmt.Sprint(f.Size), "Etag", `"`+f.SHA256+`"`); head.body != "" {
				t.Errorf("HEAD %s has a body", at)
			}
			h.get(at, "If-Modified-Since", s.Date.Format(http.TimeFormat)).want(304).has("Etag", `"`+f.SHA256+`"`)
			h.get(at, "If-Modified-Since", s.Date.Add(-time.Second).Format(http.TimeFormat)).want(200)
			h.get(at, "If-None-Match", `"`+f.SHA256+`"`).want(304)
			if part := h.get(at, "Range", "bytes=3-9", "If-Range", s.Date.Format(http.TimeFormat)).want(206); part.body != got.body[3:10] {
				t.Errorf("a range of %s is %q", at, part.body)
			}
			if path == base {
				continue
			}
			hash := strings.TrimSuffix(at, base) + "by-hash/SHA256/" + f.SHA256
			if named := h.get(hash).want(200).has("Cache-Control", "public, max-age=31536000, immutable", "Etag", `"`+f.SHA256+`"`, "Content-Encoding", ""); named.body != got.body {
				t.Errorf("%s is another file than %s", hash, at)
			}
			h.do("HEAD", hash, "").want(200).has("Content-Length", fmt.Sprint(f.Size))
		}
	}
	packages := h.get("/apt/dists/cloud-prod/dmp/binary-amd64/Packages").body
	if !strings.Contains(packages, "\nFilename: pool/cloud/dmp/ms-ingestion/hello_1.0~rc1+b2_amd64.deb\n") || strings.Contains(packages, "2.0~rc1") {
		t.Errorf("prod lists %q", packages)
	}
}

func TestDists_changes_with_each_publication(t *testing.T) {
	h := build(t)
	h.stock()
	at := "/apt/dists/cloud-prod/InRelease"
	first := h.get(at).want(200)
	h.promote(service, "1.1.0", prod)
	second := h.get(at, "If-Modified-Since", first.Header.Get("Last-Modified"), "If-None-Match", first.Header.Get("Etag")).want(200)
	if first.body == second.body {
		t.Error("InRelease is the same after a promotion")
	}
	h.move(artifacts.Order{Kind: artifacts.Rollback, Component: service, Place: prod})
	third := h.get(at, "If-Modified-Since", second.Header.Get("Last-Modified")).want(200)
	if third.body == second.body {
		t.Error("InRelease is the same after a rollback")
	}
	list := func() string { return h.get("/apt/dists/cloud-prod/dmp/binary-amd64/Packages").want(200).body }
	if got := list(); !strings.Contains(got, "\nVersion: 1:1.0~rc1+b2\n") || strings.Contains(got, "1:2.0") {
		t.Errorf("after a rollback the list is %q", got)
	}
}

func TestDists_keeps_lists_under_their_hashes(t *testing.T) {
	h := build(t)
	h.stock()
	type list struct{ path, body string }
	var seen []list
	look := func() {
		for path, f := range h.snapshot("cloud-prod").Files {
			if folder, _, ok := strings.Cut(path, "/Packages"); ok {
				at := "/apt/dists/cloud-prod/" + folder + "/by-hash/SHA256/" + f.SHA256
				seen = append(seen, list{at, h.get(at).want(200).body})
			}
		}
	}
	look()
	for _, number := range []string{"1.1.0", "2.0.0"} {
		h.promote(service, number, prod)
		look()
	}
	h.move(artifacts.Order{Kind: artifacts.Withdrawal, Component: service, Place: prod})
	look()
	for _, l := range seen {
		if got := h.get(l.path).want(200).has("Cache-Control", "public, max-age=31536000, immutable"); got.body != l.body {
			t.Errorf("%s is another file than it was", l.path)
		}
	}
	if len(seen) < 4*2*3 {
		t.Errorf("only %d lists were seen", len(seen))
	}
}

func TestDists_says_what_is_not_there(t *testing.T) {
	h := build(t)
	h.stock()
	for path, words := range map[string][]string{
		"/apt/dists/cloud-test/InRelease":                                                        {"there is no suite cloud-test", "/apt/dists/"},
		"/apt/dists/cloud-prod/nothing":                                                          {"suite cloud-prod has no such file", "InRelease"},
		"/apt/dists/cloud-prod/../cloud-staging/InRelease":                                       {"no such file"},
		"/apt/dists/cloud-prod/dmp/binary-i386/Packages":                                         {"no such file"},
		"/apt/dists/cloud-prod/dmp/binary-amd64/by-hash/SHA256/" + strings.Repeat("0", 64):       {"no snapshot of suite cloud-prod", "apt-get update"},
		"/apt/dists/cloud-prod/dmp/binary-amd64/by-hash/SHA256/" + strings.Repeat("A", 64):       {"no such file"},
		"/apt/dists/cloud-prod/dmp/binary-amd64/by-hash/SHA256/short":                            {"no such file"},
		"/apt/dists/cloud-prod/dmp/binary-amd64/by-hash/MD5Sum/d41d8cd98f00b204e9800998ecf8427e": {"no such file"},
		"/apt/dists/Cloud-Prod/InRelease":                                                        {"no such path"},
		"/apt/dists/cloud-prod%0a/InRelease":                                                     {"no such path"},
		"/apt/dists/cloud-prod%2fx/InRelease":                                                    {"no such file"},
		"/apt/dists/cloud-prod/":                                                                 {"no such path"},
		"/apt/dists//InRelease":                                                                  {"no such path"},
		"/apt/nothing":                                                                           {"no such path", "/apt/setup.sh"},
	} {
		h.get(path).want(404, words...).has("Etag", "", "Last-Modified", "")
		h.do("HEAD", path, "").want(404)
	}
	h.do("POST", "/apt/dists/cloud-prod/InRelease", "").want(405).has("Allow", "GET, HEAD")
	// Another suite's file is not to be had by its hash.
	for path, f := range h.snapshot("cloud-staging").Files {
		if _, shared := h.hashes("cloud-prod")[f.SHA256]; !shared {
			h.get("/apt/dists/cloud-prod/dmp/binary-amd64/by-hash/SHA256/"+f.SHA256).want(404, "no snapshot of suite")
		} else if strings.HasSuffix(path, "/Packages") && f.Size > 0 {
			t.Errorf("both suites have the same %s: this test shows nothing", path)
		}
	}
}

func (h *house) hashes(name string) map[string]bool {
	all := map[string]bool{}
	for _, f := range h.snapshot(name).Files {
		all[f.SHA256] = true
	}
	return all
}

// What the catalog names and the medium has not is no 404, which apt would take for an answer, but a fault that the log tells of.
func TestDists_says_of_a_lost_file_that_it_is_a_fault(t *testing.T) {
	h := build(t)
	h.stock()
	f := h.snapshot("cloud-prod").Files[suite.InRelease]
	if err := h.reg.DeleteBlob(h.ctx, artifacts.SuiteRepo("cloud-prod"), blobOf(f.SHA256)); err != nil {
		t.Fatal(err)
	}
	h.get("/apt/dists/cloud-prod/InRelease").want(500, "internal error")
	if log := h.log.String(); !strings.Contains(log, "InRelease of suite cloud-prod is lost") {
		t.Errorf("the log says %s", log)
	}
}
