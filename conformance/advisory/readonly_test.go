package advisory

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// state is what a repository gives to a reader: path → status and body.
type state map[string]string

func look(t *testing.T, r *wire.Registry, paths ...string) state {
	t.Helper()
	s := state{}
	for _, p := range paths {
		got := r.Do(t, "GET", p, nil)
		s[p] = fmt.Sprint(got.Status, digest.FromBytes(got.Body), got.Header.Get("Range"))
	}
	return s
}

// attempt is one request that would change something.
type attempt struct {
	name, method, target string
	body                 []byte
	contentType          string
}

// changes returns every request that changes a repository: each route of the API with each method that writes.
func changes(repo, other string, blob digest.Digest, manifest []byte, upload string) []attempt {
	fresh := wire.Random(100)
	d, m := digest.FromBytes(fresh).String(), digest.FromBytes(manifest)
	return []attempt{
		{"begin an upload", "POST", wire.UploadsPath(repo), []byte{}, ""},
		{"single POST", "POST", wire.With(wire.UploadsPath(repo), "digest", d), fresh, wire.Octets},
		{"mount", "POST", wire.With(wire.UploadsPath(other), "mount", blob.String(), "from", repo), []byte{}, ""},
		{"mount without from", "POST", wire.With(wire.UploadsPath(other), "mount", blob.String()), []byte{}, ""},
		{"announce an algorithm", "POST", wire.With(wire.UploadsPath(repo), "digest-algorithm", "sha512"), []byte{}, ""},
		{"chunk", "PATCH", upload, fresh, wire.Octets},
		{"close an upload", "PUT", wire.With(upload, "digest", d), fresh, wire.Octets},
		{"cancel an upload", "DELETE", upload, nil, ""},
		{"move a tag", "PUT", wire.ManifestPath(repo, "second"), manifest, image},
		{"make a tag", "PUT", wire.ManifestPath(repo, "fresh"), manifest, image},
		{"push by digest", "PUT", wire.ManifestPath(repo, m), manifest, image},
		{"push by digest with tags", "PUT", wire.With(wire.ManifestPath(repo, m), "tag", "fresh", "tag", "second"), manifest, image},
		{"push into a new repository", "PUT", wire.ManifestPath(other, "fresh"), []byte(`{"schemaVersion":2,"mediaType":"` + index + `","manifests":[]}`), index},
		{"delete a tag", "DELETE", wire.ManifestPath(repo, "here"), nil, ""},
		{"delete a manifest", "DELETE", wire.ManifestPath(repo, m), nil, ""},
		{"delete a blob", "DELETE", wire.BlobPath(repo, blob), nil, ""},
	}
}

// CVE-2026-41888 (distribution): one route forgot to ask whether deletes are allowed. With deletes off, each DELETE of content is 405
// and nothing has changed; a client's own upload may still be cancelled.
func TestDeletesOff_EveryDeleteIsRefused(t *testing.T) {
	p := program.Start(t, program.Config("deletes: false\n"))
	r := wire.At(p.URL)
	repo, other := wire.Repo(t), wire.Repo(t)
	desc, body := r.PushImage(t, repo, "here")
	r.Put(t, repo, "second", image, body).Want(t, 201)
	blob := r.PushBlob(t, repo, wire.Random(100))
	paths := []string{wire.ManifestPath(repo, "here"), wire.ManifestPath(repo, "second"), wire.ManifestPath(repo, desc.Digest), wire.BlobPath(repo, blob), "/v2/" + repo + "/tags/list"}
	before := look(t, r, paths...)
	for _, a := range changes(repo, other, blob, body, r.Begin(t, repo)) {
		if a.method != "DELETE" || a.name == "cancel an upload" {
			continue
		}
		r.Do(t, a.method, a.target, a.body, "Content-Type", a.contentType).Refused(t, "UNSUPPORTED|DENIED", 405, 403, 401)
		// What the query says, and what the method is disguised as, changes nothing.
		r.Do(t, a.method, wire.With(a.target, "force", "true", "ns", "x"), nil).Refused(t, "", 405, 403, 401)
		r.Do(t, "POST", a.target, nil, "X-HTTP-Method-Override", "DELETE").Refused(t, "", 405, 403, 401, 404)
	}
	if after := look(t, r, paths...); !maps.Equal(before, after) {
		t.Errorf("something changed:\n%v\n%v", before, after)
	}
}

// CVE-2026-41888 again, and Gitea's CVE-2025-68944: whoever may only pull changes nothing, by no route.
func TestPullOnly_EveryChangeIsRefused(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	repo, other := wire.Repo(t), wire.Repo(t)
	_, _ = r.PushImage(t, repo, "second")
	desc, body := r.PushImage(t, repo, "here")
	blob := r.PushBlob(t, repo, wire.Random(100))
	upload := r.Begin(t, repo)
	r.Patch(t, upload, 0, []byte("begun")).Want(t, 202)
	u, err := url.Parse(upload)
	if err != nil {
		t.Fatal(err)
	}

	// The same folder, now with a configuration that lets nobody push.
	p.Stop()
	q := program.Start(t, program.In(p.Dir), program.Config("auth: {anonymous: pull}\n"))
	r = wire.At(q.URL)
	paths := []string{
		wire.ManifestPath(repo, "here"), wire.ManifestPath(repo, "second"), wire.ManifestPath(repo, "fresh"), wire.ManifestPath(repo, desc.Digest),
		wire.BlobPath(repo, blob), "/v2/" + repo + "/tags/list", "/v2/" + other + "/tags/list", wire.BlobPath(other, blob), "/v2/_catalog",
	}
	before := look(t, r, paths...)
	attempts := changes(repo, other, blob, body, u.Path)
	for _, a := range attempts {
		got := r.Do(t, a.method, a.target, a.body, "Content-Type", a.contentType)
		if !slices.Contains([]int{401, 403, 405}, got.Status) {
			t.Errorf("%s (%s): status %d %s", a.name, got.Asked, got.Status, got.Excerpt())
			continue
		}
		got.Refused(t, "UNAUTHORIZED|DENIED|UNSUPPORTED", got.Status)
		if got.Status == 401 && got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", got.Asked)
		}
	}
	if after := look(t, r, paths...); !maps.Equal(before, after) {
		t.Errorf("something changed:\n%v\n%v", before, after)
	}

	// Back with every right: the upload is as it was left, and nothing new lies in the store.
	q.Stop()
	back := wire.At(program.Start(t, program.In(p.Dir), program.Config("auth: {anonymous: full}\n")).URL)
	back.Do(t, "GET", u.Path, nil).Want(t, 204).Has(t, "Range", "0-4")
	for _, a := range attempts {
		if len(a.body) == 100 {
			back.Do(t, "GET", wire.BlobPath(repo, digest.FromBytes(a.body)), nil).Want(t, 404)
		}
	}
}

// CVE-2026-27771 (Gitea): content that nobody was to see could be read without a login. With anonymous access switched off, no route
// answers with content, whatever the method.
func TestNobody_NothingCanBeRead(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	desc, body := r.PushImage(t, repo, "here")
	blob := r.PushBlob(t, repo, []byte("a secret that only this blob holds, "+repo))
	upload, err := url.Parse(r.Begin(t, repo))
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	r = wire.At(program.Start(t, program.In(p.Dir), program.Config("auth: {anonymous: none}\n")).URL)
	for _, path := range []string{
		"/v2/", "/v2/_catalog", wire.ManifestPath(repo, "here"), wire.ManifestPath(repo, desc.Digest), wire.BlobPath(repo, blob), "/v2/" + repo + "/tags/list",
		wire.ReferrersPath(repo, desc.Digest), upload.Path, wire.ManifestPath(repo, "unknown"), wire.BlobPath(repo, absent()), "/v2/" + wire.Repo(t) + "/tags/list",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			got := r.Do(t, method, path, nil)
			if !slices.Contains([]int{401, 403, 404, 405}, got.Status) {
				t.Errorf("%s: status %d", got.Asked, got.Status)
			}
			if bytes.Contains(got.Body, []byte("a secret")) || bytes.Contains(got.Body, body) || got.Header.Get("Docker-Content-Digest") != "" {
				t.Errorf("%s: gives content away", got.Asked)
			}
		}
		// Whether a thing exists is also something that nobody is to learn.
		if got := r.Do(t, "GET", path, nil); got.Status != 401 {
			t.Errorf("%s: status %d, want 401 for what exists and what does not", got.Asked, got.Status)
		}
	}
}
