package advisory

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// CVE-2025-24976 (distribution): a token whose header brought a key was checked with that key, if only the key called itself by a name that is trusted.
// However the header calls and brings it, no key but the program's own makes a token.
func TestTokenWithItsOwnKey_CVE_2025_24976(t *testing.T) {
	var fetched atomic.Int64
	forger := ask.NewKey()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(forger.Set())
	}))
	defer elsewhere.Close()
	g := guard(t)
	g.root.Put(t, "a/app", "latest", ask.List())
	key := g.key(t)
	token, err := g.root.Mint("repository:a/app:pull,push,delete", "registry:catalog:*")
	if err != nil {
		t.Fatal(err)
	}
	claims := ask.ClaimsOf(t, token)
	claims.Access = nil
	g.nobody.With(ask.Bearer(key.Sign(key.Header(), claims.JSON()))).Get(t, ask.Accounts+"users").Want(t, 200) // so far all is well
	var published struct{ Keys []map[string]string }
	g.nobody.Get(t, "/auth/keys").Want(t, 200).JSON(t, &published)
	if len(published.Keys) != 1 || published.Keys[0]["kid"] != key.ID || published.Keys[0]["x"] != key.JWK()["x"] || published.Keys[0]["d"] != "" {
		t.Fatalf("published are %v", published.Keys)
	}
	own, trusted := forger.JWK(), forger.JWK()
	trusted["kid"] = key.ID
	for _, header := range []string{
		`{"alg":"EdDSA","jwk":` + string(wire.JSON(own)) + `,"typ":"JWT"}`,
		`{"alg":"EdDSA","jwk":` + string(wire.JSON(trusted)) + `,"typ":"JWT"}`,
		`{"alg":"EdDSA","jwk":` + string(wire.JSON(trusted)) + `,"kid":"` + key.ID + `","typ":"JWT"}`,
		`{"alg":"EdDSA","kid":"` + key.ID + `","typ":"JWT","jwk":` + string(wire.JSON(trusted)) + `}`,
		`{"alg":"EdDSA","kid":"` + key.ID + `","typ":"JWT"}`,
		`{"alg":"EdDSA","jku":"` + elsewhere.URL + `","kid":"` + key.ID + `","typ":"JWT"}`,
		`{"alg":"EdDSA","kid":"` + elsewhere.URL + `","typ":"JWT"}`,
		`{"alg":"EdDSA","x5c":["` + ask.B64(forger.Public()) + `"],"kid":"` + key.ID + `","typ":"JWT"}`,
		`{"alg":"EdDSA","x5u":"` + elsewhere.URL + `","typ":"JWT"}`,
		`{"alg":"EdDSA","ALG":"none","kid":"` + key.ID + `","typ":"JWT"}`,
		`{"alg":"none","jwk":` + string(wire.JSON(own)) + `}`,
		`{"jwk":` + string(wire.JSON(own)) + `}`,
	} {
		forged := g.nobody.With(ask.Bearer(forger.Sign(header, claims.JSON())))
		forged.Get(t, wire.ManifestPath("a/app", "latest")).Refused(t, "UNAUTHORIZED", 401)
		forged.TryPut(t, "a/app", "latest", ask.List()).Refused(t, "UNAUTHORIZED", 401)
		forged.Get(t, ask.Accounts+"users").Refused(t, "UNAUTHORIZED", 401)
		if _, err := forged.Mint("repository:a/app:pull"); err == nil {
			t.Errorf("%s: good for another token", header)
		}
	}
	if n := fetched.Load(); n > 0 {
		t.Errorf("keys were fetched %d times from where a token said", n)
	}
}

// CVE-2025-68944 (Gitea): a token that was made for reading could push. A token or a secret that is cut down to pulling changes nothing, by no route, and
// whoever its owner is.
func TestReadOnlyToken_NeverPushes_CVE_2025_68944(t *testing.T) {
	g := guard(t)
	repo, other := "a/app", "a/other"
	layer := wire.Random(100)
	blob := g.root.Push(t, repo, layer)
	body := ask.Image(layer)
	for _, tag := range []string{"here", "second"} {
		g.root.Put(t, repo, tag, body)
	}
	g.root.Call(t, "POST", "users", map[string]any{"name": "carol", "password": password}).Want(t, 201)
	g.root.Call(t, "POST", "grants", map[string]any{"who": "user:carol", "role": "admin", "on": "**"}).Want(t, 201)
	carol := ask.Caller{At: g.URL, Name: "user:carol", Show: []string{ask.Basic("carol", password)}}
	_, secret := carol.Made(t, "tokens", map[string]any{"scope": []any{map[string]any{"type": "repository", "name": "**", "actions": []string{"pull"}}}})
	everything := []string{"repository:" + repo + ":pull,push,delete", "repository:" + other + ":*", "registry:catalog:*"}
	for what, c := range map[string]ask.Caller{
		"root's token":           g.root.Token(t, "repository:"+repo+":pull", "repository:"+other+":pull"),
		"a developer's":          g.alice.Token(t, "repository:"+repo+":pull", "repository:"+other+":pull"),
		"a narrow secret":        carol.With(ask.Basic("carol", secret)),
		"a narrow secret's":      carol.With(ask.Bearer(secret)).Token(t, everything...),
		"a token by a token":     g.root.Token(t, "repository:"+repo+":pull").Token(t, everything...),
		"a token by a reader":    g.eve.Token(t, everything...),
		"a token of nobody":      g.nobody.Token(t, everything...),
		"a narrow secret, plain": carol.With(ask.Bearer(secret)),
	} {
		upload := g.root.Begin(t, repo)
		if what != "a token of nobody" {
			c.Get(t, wire.ManifestPath(repo, "here")).Want(t, 200)
		}
		paths := []string{
			wire.ManifestPath(repo, "here"), wire.ManifestPath(repo, "second"), wire.ManifestPath(repo, "fresh"), "/v2/" + repo + "/tags/list",
			"/v2/" + other + "/tags/list",
			wire.BlobPath(repo, blob), wire.BlobPath(other, blob), "/v2/_catalog", upload,
		}
		see := func() (all []string) {
			for _, p := range paths {
				got := g.root.Get(t, p)
				all = append(all, p, got.Header.Get("Docker-Content-Digest"), got.Header.Get("Range"), string(got.Body[:min(500, len(got.Body))]), http.StatusText(got.Status))
			}
			return all
		}
		before := strings.Join(see(), "\n")
		for _, a := range changes(repo, other, blob, body, upload) {
			got := c.Do(t, a.method, a.target, a.body, "Content-Type", a.contentType)
			if got.Status != 401 && got.Status != 403 {
				t.Errorf("%s: %s: %d %s", what, a.name, got.Status, got.Excerpt())
			}
		}
		if after := strings.Join(see(), "\n"); after != before {
			t.Errorf("%s: something changed:\n%s\n%s", what, before, after)
		}
	}
}

// CVE-2026-31801 (zot): who could only create tags overwrote latest. Whoever lacks the right to push, or shows a token without it, neither makes nor moves
// a tag by any of the ways in which a tag is set; whoever has it is in the journal with what was there before.
func TestTagIsNotMovedWithoutTheRight_CVE_2026_31801(t *testing.T) {
	g := guard(t)
	g.root.Call(t, "POST", "users", map[string]any{"name": "lead", "password": password}).Want(t, 201)
	g.root.Call(t, "POST", "grants", map[string]any{"who": "user:lead", "role": "domain-lead", "on": "a"}).Want(t, 201)
	lead := ask.Caller{At: g.URL, Name: "user:lead", Show: []string{ask.Basic("lead", password)}}
	const repo = "a/app"
	before := g.root.Put(t, repo, "latest", ask.List())
	known := ask.List()
	d := g.root.Put(t, repo, "", known)
	for what, c := range map[string]ask.Caller{
		"a reader": g.eve, "a domain lead": lead, "another team's developer": g.bob, "nobody": g.nobody,
		"a developer's token for pulling":   g.alice.Token(t, "repository:"+repo+":pull"),
		"a developer's token for deleting":  g.alice.Token(t, "repository:"+repo+":delete"),
		"a developer's token for elsewhere": g.alice.Token(t, "repository:a/apps:pull,push", "repository:a:pull,push"),
		"root's token for pulling":          g.root.Token(t, "repository:"+repo+":pull"),
	} {
		for _, tag := range []string{"latest", "fresh"} {
			for _, body := range [][]byte{known, ask.List()} {
				for _, target := range []string{
					wire.ManifestPath(repo, tag), wire.With(wire.ManifestPath(repo, wire.Descriptor(index, body).Digest), "tag", tag),
					wire.With(wire.ManifestPath(repo, wire.Descriptor(index, body).Digest), "tag", "x", "tag", tag), wire.ManifestPath(repo, tag) + "?force=true",
				} {
					got := c.Do(t, "PUT", target, body, "Content-Type", index, "If-None-Match", "*")
					got.Refused(t, "UNAUTHORIZED|DENIED|NAME_UNKNOWN", 401, 403, 404)
				}
			}
			if now := g.root.Do(t, "HEAD", wire.ManifestPath(repo, "latest"), nil).Want(t, 200).Header.Get("Docker-Content-Digest"); now != before.String() {
				t.Fatalf("%s moved latest to %s", what, now)
			}
		}
		if tags := g.root.Tags(t, repo); len(tags) != 1 {
			t.Fatalf("%s: tags are %q", what, tags)
		}
	}
	g.alice.Put(t, repo, "latest", known)
	if log := string(g.alice.Get(t, "/api/v1/audit").Want(t, 200).Body); !strings.Contains(log, `"from":"`+before.String()+`"`) || !strings.Contains(log, `"digest":"`+d.String()+`"`) {
		t.Errorf("the journal does not say from what to what latest was moved: %s", log)
	}
}
