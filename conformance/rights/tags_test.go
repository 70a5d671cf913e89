package rights

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestPush_developers_and_jobs_set_and_move_tags, their own and others', and the journal says what was there before.
func TestPush_developers_and_jobs_set_and_move_tags(t *testing.T) {
	path := area(t)
	repo := path + "/app"
	developer, ci, other := person(t, "developer", path), person(t, "ci", path), person(t, "developer", path)
	for _, tag := range []string{"1.0.2", "latest", "pr-17"} {
		before := other.Put(t, repo, tag, ask.List())
		for _, who := range []ask.Caller{developer, ci} {
			after := who.Put(t, repo, tag, ask.List())
			moved := by(journal(t, root), who.Name)
			if last := moved[len(moved)-1]; last.Tag != tag || last.From != before.String() || last.Digest != after.String() {
				t.Errorf("%s moved %s from %s to %s, and the journal says %+v", who.Name, tag, before, after, last)
			}
			who.Put(t, repo, "new-"+tag+"-"+who.Name[5:], ask.List())
			before = after
		}
	}
	for _, role := range []string{"reader", "node", "domain-lead"} {
		who := person(t, role, path)
		for _, tag := range []string{"latest", "another"} {
			who.TryPut(t, repo, tag, ask.List()).Refused(t, "DENIED", 403)
		}
	}
}

// TestPush_needs_its_scope: a token is good for what it was asked for, whatever its owner may do, and no way of pushing goes around it.
func TestPush_needs_its_scope(t *testing.T) {
	path := area(t)
	repo := path + "/app"
	who := person(t, "maintainer", path)
	kept := who.Put(t, repo, "latest", ask.List())
	for _, c := range []struct {
		scopes             []string
		pull, push, delete bool
	}{
		{nil, false, false, false},
		{[]string{"repository:" + repo + ":pull"}, true, false, false},
		{[]string{"repository:" + repo + ":push"}, false, true, false},
		{[]string{"repository:" + repo + ":delete"}, false, false, true},
		{[]string{"repository:" + repo + ":pull,push"}, true, true, false},
		{[]string{"repository:" + repo + ":pull", "repository:" + repo + ":push,delete"}, true, true, true},
		{[]string{"repository:" + repo + ":*"}, true, true, true},
		{[]string{"repository(image):" + repo + ":pull"}, true, false, false},
		{[]string{"repository:" + repo + ":PULL"}, false, false, false},
		{[]string{"repository:" + repo + ":admin"}, false, false, false},
		{[]string{"repository:" + repo + "x:pull,push", "repository:" + path + ":pull,push"}, false, false, false},
		{[]string{"repository:" + path + "/**:pull,push,delete"}, false, false, false}, // no token is for more than what it names
		{[]string{"repository:**:*"}, false, false, false},
		{[]string{"repository:*:*", "registry:catalog:*"}, false, false, false},
		{[]string{"registry:*:*"}, false, false, false},
	} {
		token := who.Token(t, c.scopes...)
		told := func(may bool, yes int, got wire.Reply) {
			t.Helper()
			want := 401
			if may {
				want = yes
			}
			if got.Status != want {
				t.Errorf("with %q: %s is %d, want %d", c.scopes, got.Asked, got.Status, want)
			}
			if challenge := got.Header.Get("WWW-Authenticate"); want == 401 && !strings.Contains(challenge, `error="insufficient_scope"`) {
				t.Errorf("with %q: %s: the challenge is %q", c.scopes, got.Asked, challenge)
			}
		}
		body := ask.List()
		told(c.pull, 200, token.Get(t, wire.ManifestPath(repo, "latest")))
		told(c.pull, 200, token.Get(t, "/v2/"+repo+"/tags/list"))
		told(c.pull, 200, token.Get(t, wire.ReferrersPath(repo, kept)))
		told(c.push, 201, token.TryPut(t, repo, "another", ask.List()))
		told(c.push, 201, token.Do(t, "PUT", wire.With(wire.ManifestPath(repo, digest.FromBytes(body)), "tag", "latest"), body, "Content-Type", ocispec.MediaTypeImageIndex))
		told(c.push, 201, token.TryPut(t, repo, "latest", ask.List(wire.Descriptor(ocispec.MediaTypeImageIndex, body))))
		told(c.push, 202, token.Do(t, "POST", wire.UploadsPath(repo), []byte{}))
		scratch := root.Put(t, repo, "scratch", ask.List())
		told(c.delete, 202, token.Do(t, "DELETE", wire.ManifestPath(repo, "scratch"), nil))
		told(c.delete, 202, token.Do(t, "DELETE", wire.ManifestPath(repo, scratch), nil))
		told(c.delete, 202, token.Do(t, "DELETE", wire.BlobPath(repo, root.Push(t, repo, wire.Random(20))), nil))
		if !c.push {
			root.Do(t, "HEAD", wire.ManifestPath(repo, digest.FromBytes(body)), nil).Want(t, 404)
		}
	}
}

// TestPush_with_a_narrow_secret: a robot's secret that is cut down to pulling pulls below its path, and pushes nothing, nor buys a token that does.
func TestPush_with_a_narrow_secret(t *testing.T) {
	path := area(t)
	repo := path + "/app"
	name := strings.ReplaceAll(path, "/", "-")
	who := robot(t, name, path)
	grant(t, who, "maintainer", path)
	who.Put(t, repo, "latest", ask.List())
	narrow := func(scope ...map[string]any) ask.Caller {
		var made struct{ Value string }
		root.Call(t, "POST", "robots/"+name+"/secrets", map[string]any{"scope": scope}).Want(t, 201).JSON(t, &made)
		return who.With(ask.Basic(name, made.Value))
	}
	access := func(name string, actions ...string) map[string]any {
		return map[string]any{"type": "repository", "name": name, "actions": actions}
	}
	pulls := narrow(access(path+"/**", "pull"))
	everything := []string{"repository:" + repo + ":pull,push,delete", "repository:" + repo + ":*", "registry:catalog:*"}
	for _, c := range []ask.Caller{pulls, pulls.Token(t, everything...), pulls.Token(t, everything...).Token(t, everything...)} {
		c.Get(t, wire.ManifestPath(repo, "latest")).Want(t, 200)
		c.TryPut(t, repo, "latest", ask.List()).Refused(t, "UNAUTHORIZED", 401)
		c.Do(t, "DELETE", wire.ManifestPath(repo, "latest"), nil).Refused(t, "UNAUTHORIZED", 401)
		c.Do(t, "POST", wire.UploadsPath(repo), []byte{}).Refused(t, "UNAUTHORIZED", 401)
		c.Call(t, "POST", "grants", map[string]any{"who": "user:friend", "role": "reader", "on": path}).Want(t, 401)
		c.Call(t, "POST", "robots/"+name+"/secrets", map[string]any{}).Want(t, 401)
	}
	// What is beside the path is not below it.
	beside := narrow(access(path+"/ap", "*"), access(path+"/app/x", "*"))
	beside.Get(t, wire.ManifestPath(repo, "latest")).Refused(t, "UNAUTHORIZED", 401)
	one := narrow(access(repo, "*"))
	one.Put(t, repo, "one", ask.List())
	one.TryPut(t, path+"/another", "one", ask.List()).Refused(t, "UNAUTHORIZED", 401)
	if got := who.Tags(t, repo); !slices.Equal(got, []string{"latest", "one"}) {
		t.Errorf("tags are %q", got)
	}
}
