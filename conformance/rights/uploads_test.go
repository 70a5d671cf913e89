package rights

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestUploads_belong_to_who_began_them: to everybody else, those of more rights and of the same name among them, there is no such upload.
func TestUploads_belong_to_who_began_them(t *testing.T) {
	path := area(t)
	repo, beside := path+"/app", path+"/beside"
	owner := person(t, "developer", path)
	like := robot(t, owner.Name[len("user:"):], path)
	grant(t, like, "developer", path)
	others := map[string]ask.Caller{
		"another developer": person(t, "developer", path), "a job": person(t, "ci", path), "a maintainer": person(t, "maintainer", path), "root": root,
		"a robot of the same name": like, "root's token": root.Token(t, "repository:"+repo+":*"),
	}
	root.Put(t, beside, "here", ask.List())
	content := wire.Random(60)
	d := digest.FromBytes(content)
	at := owner.Begin(t, repo)
	owner.Do(t, "PATCH", at, content[:20], "Content-Type", wire.Octets, "Content-Range", "0-19").Want(t, 202)
	no := wire.UploadsPath(repo) + "6a0d1e0e-6d2c-4b11-9f0a-0123456789ab"
	try := func(what string, who ask.Caller, at string) {
		t.Helper()
		for _, r := range []request{
			{"GET", at, nil, nil}, {"PATCH", at, content[20:], []string{"Content-Type", wire.Octets, "Content-Range", "20-59"}},
			{"PATCH", at, content[20:], []string{"Content-Type", wire.Octets}},
			{"PUT", wire.With(at, "digest", d.String()), content[20:], []string{"Content-Type", wire.Octets}},
			{"PUT", wire.With(at, "digest", d.String()), content, []string{"Content-Type", wire.Octets, "Content-Range", "0-59"}},
			{"DELETE", at, nil, nil},
		} {
			got := who.Do(t, r.method, r.target, r.body, r.headers...)
			got.Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
			// To this caller it is as if it never was.
			r.target = strings.Replace(r.target, at, strings.Replace(no, repo, at[len("/v2/"):strings.Index(at, "/blobs/")], 1), 1)
			never := who.Do(t, r.method, r.target, r.body, r.headers...)
			id := func(a wire.Reply, at string) string {
				s := fmt.Sprint(a.Status, string(a.Body), a.Header.Get("Location"), a.Header.Get("Range"), a.Header.Get("Docker-Upload-Uuid"))
				return strings.ReplaceAll(s, at[strings.LastIndexByte(at, '/')+1:], "ID")
			}
			if a, b := id(got, at), id(never, no); a != b {
				t.Errorf("%s: %s: %s\nand of no upload: %s", what, got.Asked, a, b)
			}
		}
		owner.Get(t, homeOf(repo, at)).Want(t, 204).Has(t, "Range", "0-19")
	}
	for what, who := range others {
		try(what, who, at)
	}
	try("the owner in another repository", owner, strings.Replace(at, repo, beside, 1))
	try("the owner in a repository above", owner, strings.Replace(at, repo, path, 1))
	try("the owner in a repository that is not there", owner, strings.Replace(at, repo, repo+"/x", 1))

	// The owner goes on with whatever the owner shows: each request of docker's may come with another token.
	for i, who := range []ask.Caller{owner.Token(t, "repository:"+repo+":push"), owner, owner.Token(t, "repository:"+repo+":pull,push")} {
		piece := content[20+10*i : 30+10*i]
		who.Do(t, "PATCH", at, piece, "Content-Type", wire.Octets, "Content-Range", wire.Span(20+10*i, piece)).Want(t, 202)
	}
	pull := owner.Token(t, "repository:"+repo+":pull")
	pull.Get(t, at).Refused(t, "UNAUTHORIZED", 401)
	pull.Do(t, "DELETE", at, nil).Refused(t, "UNAUTHORIZED", 401)
	anonymous.Get(t, at).Refused(t, "UNAUTHORIZED", 401)
	owner.Do(t, "PUT", wire.With(at, "digest", d.String()), content[50:], "Content-Type", wire.Octets).Want(t, 201)
	if got := owner.Get(t, wire.BlobPath(repo, d)).Want(t, 200); string(got.Body) != string(content) {
		t.Error("the blob is another one")
	}
}

// homeOf is the path of an upload in the repository that it was begun in.
func homeOf(repo, at string) string {
	return wire.UploadsPath(repo) + at[strings.LastIndexByte(at, '/')+1:]
}
