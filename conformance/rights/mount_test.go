package rights

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestMount_needs_pull_on_the_source: with and without its name, and whatever else is in the request. Who may not is answered as if nobody had the blob.
func TestMount_needs_pull_on_the_source(t *testing.T) {
	path, theirs := area(t), area(t)
	repo, source := path+"/app", theirs+"/app"
	content := wire.Random(100)
	d := root.Push(t, source, content)
	mount := func(who ask.Caller, into string, d digest.Digest, query ...string) wire.Reply {
		t.Helper()
		return who.Do(t, "POST", wire.With(wire.UploadsPath(into), append([]string{"mount", d.String()}, query...)...), []byte{})
	}
	who := person(t, "developer", path)
	neither := digest.FromBytes(wire.Random(100))
	for _, query := range [][]string{
		nil, {"from", source}, {"from", source, "from", repo}, {"from", repo, "from", source}, {"from", strings.ToUpper(source)}, {"from", "/" + source},
		{"from", repo + "/../" + source},
		{"from", source + "/"}, {"from", theirs}, {"from", "no/such"}, {"from", repo}, {"from", "**"}, {"from", ""},
	} {
		got := mount(who, repo, d, query...)
		like := mount(who, repo, neither, query...)
		if got.Status != 202 || like.Status != 202 || got.Header.Get("Docker-Content-Digest") != "" {
			t.Errorf("%s: %d, and of what nobody has %d, want 202 for both", got.Asked, got.Status, like.Status)
		}
		for name := range like.Header {
			if len(got.Header[name]) != len(like.Header[name]) || name != "Location" && name != "Docker-Upload-Uuid" && name != "Date" && got.Header.Get(name) != like.Header.Get(name) {
				t.Errorf("%s: %s is %q, and of what nobody has %q", got.Asked, name, got.Header[name], like.Header[name])
			}
		}
		who.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 404)
		if left := string(who.Get(t, got.Header.Get("Location")).Want(t, 204).Header.Get("Range")); left != "0-0" {
			t.Errorf("%s: the upload that began instead holds %s", got.Asked, left)
		}
	}
	// Who may pull there may, as far as the token goes.
	both := person(t, "developer", path, "reader", theirs)
	for _, scopes := range [][]string{
		{}, {"repository:" + repo + ":pull,push"}, {"repository:" + repo + ":pull,push", "repository:" + source + ":push"},
		{"repository:" + repo + ":pull,push", "registry:catalog:*"},
	} {
		want := 202
		if len(scopes) == 0 {
			want = 401
		}
		token := both.Token(t, scopes...)
		mount(token, repo, d).Want(t, want)
		mount(token, repo, d, "from", source).Want(t, want)
		root.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 404)
	}
	token := both.Token(t, "repository:"+repo+":push", "repository:"+source+":pull")
	mount(token, repo, d, "from", source).Want(t, 201)
	mount(token, path+"/more", d, "from", source).Want(t, 401)
	mount(both, path+"/more", d).Want(t, 201)
	mount(both, source, d, "from", repo).Refused(t, "DENIED", 403) // a reader pushes nothing, a mount neither
	mounts := by(journal(t, root), both.Name)
	if len(mounts) != 2 || mounts[0].Action != "blob.mount" || mounts[0].From != source || mounts[0].Repo != repo {
		t.Errorf("the journal says %+v", mounts)
	}
	for _, e := range by(journal(t, root), who.Name) {
		if e.Action == "blob.mount" {
			t.Errorf("the journal says %+v", e)
		}
	}
	// Now that the own repository has it, others of the team may take it from there.
	mount(who, path+"/third", d).Want(t, 201)
}
