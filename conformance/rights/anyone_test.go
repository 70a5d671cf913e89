package rights

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestAnyone_reads_what_is_public without a login, as docker does and as anybody does, and learns nothing of the rest.
func TestAnyone_reads_what_is_public(t *testing.T) {
	t.Parallel()
	p := program.Start(t, func(p *program.Program) {
		write(p.Dir, "users", hashed(t, "root", password)+hashed(t, "alice", password))
	}, program.Config(`auth:
  users: {htpasswd: users}
  grants:
  - {who: 'user:root', role: admin, on: '**'}
  - {who: anyone, role: reader, on: 'public/**'}
  - {who: 'user:alice', role: reader, on: secret/alice}
`))
	at := func(c ask.Caller) ask.Caller { c.At = p.URL; return c }
	root, alice, nobody := at(user("root")), at(user("alice")), at(anonymous)
	layer := wire.Random(100)
	for _, repo := range []string{"public/app", "public/more/of/app", "secret/app", "secret/alice/own/app", "publicity/app"} {
		root.Push(t, repo, layer)
		root.Put(t, repo, "latest", ask.Image(layer))
	}
	d := digest.FromBytes(layer)

	nobody.Get(t, "/v2/").Refused(t, "UNAUTHORIZED", 401)
	nobody.Docker(t, "GET", "/v2/", nil).Want(t, 200)
	for _, c := range []ask.Caller{nobody, nobody.Token(t), nobody.Token(t, "repository:public/app:pull,push"), alice, at(user("root"))} {
		yes := 200
		if len(c.Show) > 0 && strings.HasPrefix(c.Show[0], "Bearer") && !strings.Contains(string(ask.ClaimsOf(t, c.Show[0][7:]).Access), "public/app") {
			yes = 401 // a token of nothing is good for nothing
		}
		for _, path := range []string{
			wire.ManifestPath("public/app", "latest"), wire.BlobPath("public/app", d), "/v2/public/app/tags/list",
			wire.ReferrersPath("public/app", d),
		} {
			c.Get(t, path).Want(t, yes)
			c.Do(t, "HEAD", path, nil).Want(t, yes)
		}
	}
	for _, repo := range []string{"public/app", "public/more/of/app"} {
		nobody.Docker(t, "GET", wire.ManifestPath(repo, "latest"), nil).Want(t, 200)
		nobody.Docker(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200)
		alice.Docker(t, "GET", wire.ManifestPath(repo, "latest"), nil).Want(t, 200)
	}
	alice.Docker(t, "GET", wire.ManifestPath("secret/alice/own/app", "latest"), nil).Want(t, 200)
	alice.Docker(t, "GET", wire.ManifestPath("secret/app", "latest"), nil).Refused(t, "NAME_UNKNOWN", 404)

	// What is hidden and what is not there are alike to whoever has not logged in.
	for _, what := range []string{"/manifests/latest", "/blobs/" + d.String(), "/tags/list", "/referrers/" + d.String()} {
		for _, method := range []string{"GET", "HEAD", "DELETE", "PUT"} {
			var answers []string
			for _, repo := range []string{"secret/app", "secret/ape", "publicity/app", "publicity/ape"} {
				for _, ask := range []func(testing.TB, string, string, []byte, ...string) wire.Reply{nobody.Do, nobody.Docker} {
					got := ask(t, method, "/v2/"+repo+what, nil)
					if got.Status != 401 && got.Status != 405 {
						t.Errorf("%s: %d, want 401", got.Asked, got.Status)
					}
				}
				got := nobody.Do(t, method, "/v2/"+repo+what, nil)
				answers = append(answers, strings.ReplaceAll(fmt.Sprint(got.Status, got.Header.Get("WWW-Authenticate"), string(got.Body)), repo, "REPO"))
			}
			if answers[0] != answers[1] || answers[2] != answers[3] || answers[0] != answers[2] {
				t.Errorf("%s %s: %q", method, what, answers)
			}
		}
	}
	// Nobody in particular changes nothing, nor does what is no good help where nothing is needed.
	for _, c := range []ask.Caller{nobody, nobody.Token(t, "repository:public/app:pull,push,delete"), nobody.Token(t, "repository:public/app:*")} {
		c.TryPut(t, "public/app", "latest", ask.List()).Refused(t, "UNAUTHORIZED", 401)
		c.Do(t, "POST", wire.With(wire.UploadsPath("public/app"), "mount", d.String()), []byte{}).Refused(t, "UNAUTHORIZED", 401)
		c.Do(t, "DELETE", wire.ManifestPath("public/app", "latest"), nil).Refused(t, "UNAUTHORIZED", 401)
		c.Call(t, "POST", "tokens", map[string]any{}).Want(t, 401, 403)
		c.Call(t, "POST", "users", map[string]any{"name": "mallory", "password": password}).Want(t, 401)
		c.Get(t, "/api/v1/audit").Want(t, 401)
	}
	for _, shown := range []string{ask.Basic("root", "wrong"), ask.Bearer("x"), ask.Bearer(strings.Repeat("e", 100)), "Basic"} {
		nobody.With(shown).Get(t, wire.ManifestPath("public/app", "latest")).Refused(t, "UNAUTHORIZED", 401)
	}
	for _, c := range []struct {
		who  ask.Caller
		want []string
	}{
		{nobody.Token(t, "registry:catalog:*"), []string{"public/app", "public/more/of/app"}},
		{alice, []string{"public/app", "public/more/of/app", "secret/alice/own/app"}},
		{alice.Token(t, "registry:catalog:*"), []string{"public/app", "public/more/of/app", "secret/alice/own/app"}},
	} {
		for _, n := range []string{"", "1"} {
			if got := c.who.Catalog(t, "", n); !slices.Equal(got, c.want) {
				t.Errorf("%s is told of %q, want %q", c.who.Name, got, c.want)
			}
		}
	}
	nobody.Get(t, "/v2/_catalog").Refused(t, "UNAUTHORIZED", 401) // whoever could log in is asked to, or nobody would be told of more
	nobody.Docker(t, "GET", "/v2/_catalog", nil).Want(t, 200)
	if events := journal(t, root); len(by(events, "anonymous")) > 0 {
		t.Errorf("the journal says %+v", by(events, "anonymous"))
	}
}
