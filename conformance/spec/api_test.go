package spec

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// blobsOf returns the config and the layers that a manifest names.
func blobsOf(t *testing.T, manifest []byte) []digest.Digest {
	t.Helper()
	var m ocispec.Manifest
	wire.Reply{Body: manifest}.JSON(t, &m)
	all := []digest.Digest{m.Config.Digest}
	for _, l := range m.Layers {
		all = append(all, l.Digest)
	}
	return all
}

// GET /v2/ is 200: this registry implements the specification. HEAD too, and without the last slash it leads there.
func TestDeterminingSupport(t *testing.T) {
	reg.Do(t, "GET", "/v2/", nil).Want(t, 200)
	reg.Do(t, "HEAD", "/v2/", nil).Want(t, 200)
	bare := reg.Do(t, "GET", "/v2", nil).Want(t, 200, 301, 307, 308)
	if bare.Status != 200 {
		reg.Do(t, "GET", reg.Resolve(t, bare), nil).Want(t, 200)
	}
}

// Docker still looks for its own version header.
func TestDeterminingSupport_DockerHeader(t *testing.T) {
	reg.Do(t, "GET", "/v2/", nil).Want(t, 200).Has(t, "Docker-Distribution-API-Version", "registry/2.0")
}

// routes is every endpoint of the table, with the methods it has.
func routes(repo, tag string, d digest.Digest, upload string) map[string][]string {
	return map[string][]string{
		"/v2/":                             {"GET", "HEAD"},
		wire.BlobPath(repo, d):             {"GET", "HEAD", "DELETE"},
		wire.ManifestPath(repo, tag):       {"GET", "HEAD", "PUT", "DELETE"},
		wire.ManifestPath(repo, d):         {"GET", "HEAD", "PUT", "DELETE"},
		wire.UploadsPath(repo):             {"POST"},
		upload:                             {"GET", "PATCH", "PUT", "DELETE"},
		"/v2/" + repo + "/tags/list":       {"GET"},
		wire.ReferrersPath(repo, absent()): {"GET"},
		"/v2/_catalog":                     {"GET"},
	}
}

// A method that an endpoint does not have is 405 with Allow, and Allow names the ones it has (RFC 9110, 15.5.6).
func TestEndpoints_WrongMethod(t *testing.T) {
	repo := wire.Repo(t)
	desc, _ := reg.PushImage(t, repo, "here")
	u, err := url.Parse(reg.Begin(t, repo))
	if err != nil {
		t.Fatal(err)
	}
	for path, methods := range routes(repo, "here", desc.Digest, u.Path) {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"} {
			if slices.Contains(methods, method) {
				continue
			}
			got := reg.Do(t, method, path, nil)
			got.Refused(t, "UNSUPPORTED", 405)
			allow := []string{}
			for a := range strings.SplitSeq(strings.Join(got.Header.Values("Allow"), ","), ",") {
				allow = append(allow, strings.TrimSpace(a))
			}
			for _, m := range methods {
				if !slices.Contains(allow, m) {
					t.Errorf("%s: Allow is %v, want %v", got.Asked, allow, methods)
				}
			}
			if slices.Contains(allow, method) {
				t.Errorf("%s: refused and allowed: %v", got.Asked, allow)
			}
		}
	}
	kept(t, repo, "here", image, reg.Do(t, "GET", wire.ManifestPath(repo, desc.Digest), nil).Body)
}

// A path that is no endpoint is 404 in the envelope.
func TestEndpoints_UnknownRoute(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	for _, path := range []string{
		"/v2/nonsense", "/v2/" + repo, "/v2/" + repo + "/", "/v2/" + repo + "/manifests", "/v2/" + repo + "/manifests/", "/v2/" + repo + "/blobs/",
		"/v2/" + repo + "/tags", "/v2/" + repo + "/tags/list/more", "/v2/" + repo + "/tags/nolist", "/v2/" + repo + "/referrers/", "/v2/" + repo + "/manifests/here/more",
		"/v2/" + repo + "/unknown/here", "/v2//", "/v2//manifests/here", "/v2/manifests/here", "/v2/blobs/uploads/", "/v2/_nonsense", "/v2/_catalog/more",
	} {
		reg.Do(t, "GET", path, nil).Refused(t, "", 404, 400)
	}
}

// An error is JSON with code, message and detail; the code is of capitals and underscores and of the table. A HEAD has no body.
func TestErrorCodes_Envelope(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	shape := regexp.MustCompile(`^[A-Z_]+$`)
	for _, a := range []wire.Reply{
		reg.Do(t, "GET", wire.ManifestPath(repo, "gone"), nil),
		reg.Do(t, "GET", wire.BlobPath(repo, absent()), nil),
		reg.Do(t, "GET", wire.ManifestPath(repo, "sha256:short"), nil),
		reg.Do(t, "GET", "/v2/Upper/tags/list", nil),
		reg.Do(t, "GET", "/v2/"+wire.Repo(t)+"/tags/list", nil),
		reg.Do(t, "GET", "/v2/"+repo+"/tags/list?n=-1", nil),
		reg.Do(t, "GET", wire.UploadsPath(repo)+"7d1f0f6e-0000-4000-8000-000000000000", nil),
		reg.Put(t, repo, "bad", image, []byte("nonsense")),
		reg.Do(t, "PATCH", "/v2/"+repo+"/tags/list", nil),
		reg.Do(t, "GET", "/v2/nonsense", nil),
	} {
		for _, f := range a.Refused(t, "", 400, 404, 405) {
			if !shape.MatchString(f.Code) || f.Message == "" {
				t.Errorf("%s: code %q, message %q", a.Asked, f.Code, f.Message)
			}
		}
		if a.Length != int64(len(a.Body)) {
			t.Errorf("%s: Content-Length %d of %d bytes", a.Asked, a.Length, len(a.Body))
		}
	}
	if got := reg.Do(t, "HEAD", wire.ManifestPath(repo, "gone"), nil); len(got.Body) != 0 {
		t.Errorf("a HEAD with a body of %d bytes", len(got.Body))
	}
}

// A message tells what was asked for, so that a person can act on it.
func TestErrorCodes_MessageOrDetailNamesTheThing(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	d := absent().String()
	for asked, path := range map[string]string{"gone-tag": wire.ManifestPath(repo, "gone-tag"), d: "/v2/" + repo + "/blobs/" + d} {
		f := reg.Do(t, "GET", path, nil).Refused(t, "", 404)
		if !strings.Contains(f[0].Message+string(f[0].Detail), asked) {
			t.Errorf("%s is not named in %q, %s", asked, f[0].Message, f[0].Detail)
		}
	}
}

// If there are warnings they have code 299, agent "-" and no date, and together no more than 4096 bytes.
func TestWarnings(t *testing.T) {
	repo := wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "here")
	form := regexp.MustCompile(`^299 - "([^"\\]|\\.)*"$`)
	for _, a := range []wire.Reply{
		reg.Do(t, "GET", "/v2/", nil), reg.Put(t, repo, "here", image, body), reg.Do(t, "GET", wire.ManifestPath(repo, desc.Digest), nil),
		reg.Do(t, "GET", "/v2/"+repo+"/tags/list", nil), reg.Do(t, "GET", wire.ReferrersPath(repo, desc.Digest), nil), reg.Do(t, "POST", wire.UploadsPath(repo), []byte{}),
		reg.Do(t, "DELETE", wire.ManifestPath(repo, desc.Digest), nil), reg.Do(t, "GET", wire.ManifestPath(repo, "gone"), nil),
	} {
		sum := 0
		for _, w := range a.Header.Values("Warning") {
			sum += len(w)
			if !form.MatchString(w) {
				t.Errorf("%s: Warning %q", a.Asked, w)
			}
		}
		if sum > 4096 {
			t.Errorf("%s: %d bytes of warnings", a.Asked, sum)
		}
	}
}

// HTTP has rules of its own where the specification is silent (RFC 9110): a reply has a Date, and a 204 no body and no Content-Length.
func TestAPI_PlainHTTP(t *testing.T) {
	repo := wire.Repo(t)
	got := reg.Do(t, "GET", "/v2/", nil).Want(t, 200)
	if _, err := http.ParseTime(got.Header.Get("Date")); err != nil {
		t.Errorf("Date %q", got.Header.Get("Date"))
	}
	loc := reg.Begin(t, repo)
	for _, a := range []wire.Reply{reg.Do(t, "GET", loc, nil).Want(t, 204), reg.Do(t, "DELETE", loc, nil).Want(t, 204)} {
		if len(a.Body) != 0 || a.Header.Get("Content-Length") != "" {
			t.Errorf("%s: 204 with Content-Length %q and %d bytes", a.Asked, a.Header.Get("Content-Length"), len(a.Body))
		}
	}
}

// A client that sees an answer too late gives up; the server must not mind (a body nobody reads, a connection nobody ends).
func TestAPI_ClientsThatLeave(t *testing.T) {
	repo := wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(4<<20))
	for range 20 {
		if err := reg.Torn("GET " + wire.BlobPath(repo, d) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Log(err) // the connection was cut: so be it
		}
	}
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200)
}
