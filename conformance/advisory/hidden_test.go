package advisory

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	artifactsapi "github.com/entrepot/entrepot/artifacts/api"
	"github.com/entrepot/entrepot/artifacts/apt"
	"github.com/entrepot/entrepot/artifacts/tree"
	"github.com/entrepot/entrepot/auth"
	authapi "github.com/entrepot/entrepot/auth/api"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry/api"
	"github.com/entrepot/entrepot/registry/manage"
)

// CVE-2024-39897 (zot): HEAD and a mount looked into the store that all repositories share. Whoever may not pull from where a blob lies learns by neither
// that it is there, and gets it by neither: into one's own repository, with a source, without, and through a manifest that names it.
func TestBlobOfTheSharedStore_CVE_2024_39897(t *testing.T) {
	g := guard(t)
	secret := append([]byte("a secret of b "), wire.Random(16)...)
	d, never := g.bob.Push(t, "b/app", secret), digest.FromBytes(wire.Random(16))
	body := ask.Image(secret)
	g.bob.Put(t, "b/app", "latest", body)
	g.alice.Put(t, "a/app", "own", ask.List())
	for _, c := range []ask.Caller{
		g.alice, g.alice.Token(t, "repository:a/app:pull,push", "repository:b/app:pull,push"),
		g.alice.Token(t, "repository:a/app:*", "registry:catalog:*"),
	} {
		for _, method := range []string{"HEAD", "GET"} {
			for _, repo := range []string{"a/app", "b/app", "b/ape"} {
				got, none := c.Do(t, method, wire.BlobPath(repo, d), nil), c.Do(t, method, wire.BlobPath(repo, never), nil)
				if got.Status != 404 || none.Status != 404 || got.Header.Get("Docker-Content-Digest") != "" ||
					strings.ReplaceAll(string(got.Body), d.String(), "") != strings.ReplaceAll(string(none.Body), never.String(), "") {
					t.Errorf("%s: %d %s, and of what was never pushed %d %s", got.Asked, got.Status, got.Body, none.Status, none.Body)
				}
			}
		}
		for _, query := range [][]string{nil, {"from", "b/app"}, {"from", "b/ape"}, {"from", "b"}} {
			got := c.Do(t, "POST", wire.With(wire.UploadsPath("a/app"), append([]string{"mount", d.String()}, query...)...), []byte{})
			if got.Status != 202 {
				t.Errorf("%s: %d, want 202: an upload like for any blob", got.Asked, got.Status)
			}
		}
		c.TryPut(t, "a/app", "stolen", body).Refused(t, "MANIFEST_BLOB_UNKNOWN", 404, 400)
		c.Do(t, "HEAD", wire.BlobPath("a/app", d), nil).Want(t, 404)
	}
	// An index may name what is not there, and gives nobody what it names.
	g.alice.Put(t, "a/app", "list", wire.JSON(wire.Index(wire.Descriptor(image, body))))
	g.alice.Get(t, wire.ManifestPath("a/app", digest.FromBytes(body))).Want(t, 404)
	g.alice.Get(t, wire.BlobPath("a/app", d)).Want(t, 404)
	if got := g.bob.Get(t, wire.BlobPath("b/app", d)).Want(t, 200); !bytes.Equal(got.Body, secret) {
		t.Error("bob's blob is another one")
	}
}

// CVE-2026-32589 (Quay): an upload's id was good in every repository. Through one's own repository, or any, another team's upload is unknown, and goes on as
// if nothing had happened.
func TestUploadThroughAnotherRepository_CVE_2026_32589(t *testing.T) {
	g := guard(t)
	g.alice.Put(t, "a/app", "own", ask.List())
	content := wire.Random(64)
	d := digest.FromBytes(content)
	at := g.bob.Begin(t, "b/app")
	g.bob.Do(t, "PATCH", at, content[:20], "Content-Type", wire.Octets).Want(t, 202)
	id := at[strings.LastIndexByte(at, '/')+1:]
	for what, c := range map[string]ask.Caller{"alice": g.alice, "alice's token": g.alice.Token(t, "repository:a/app:*"), "root": g.root, "bob": g.bob, "eve": g.eve} {
		for _, repo := range []string{"a/app", "a/other", "b/ape", "b/app"} {
			if what == "bob" && repo == "b/app" {
				continue // it is his
			}
			up := wire.UploadsPath(repo) + id
			for _, r := range []attempt{
				{"look", "GET", up, nil, ""}, {"chunk", "PATCH", up, content[20:], wire.Octets},
				{"close", "PUT", wire.With(up, "digest", d.String()), content[20:], wire.Octets},
				{"close as a whole", "PUT", wire.With(up, "digest", d.String()), content, wire.Octets}, {"cancel", "DELETE", up, nil, ""},
			} {
				got := c.Do(t, r.method, r.target, r.body, "Content-Type", r.contentType)
				if got.Status != 404 && (got.Status != 403 || what != "eve") && (got.Status != 401 || what != "alice's token") {
					t.Errorf("%s through %s, %s: %d %s", what, repo, r.name, got.Status, got.Excerpt())
				}
				if got.Header.Get("Range") != "" || got.Header.Get("Location") != "" {
					t.Errorf("%s through %s, %s: tells how far it is: %v", what, repo, r.name, got.Header)
				}
			}
		}
	}
	g.bob.Get(t, at).Want(t, 204).Has(t, "Range", "0-19")
	g.bob.Do(t, "PUT", wire.With(at, "digest", d.String()), content[20:], "Content-Type", wire.Octets).Want(t, 201)
	g.alice.Do(t, "HEAD", wire.BlobPath("a/app", d), nil).Want(t, 404)
}

// CVE-2026-27771 (Gitea): what nobody was to see could be read without a login, by one route that had been forgotten. The routes are those that the program
// serves: a new one for which this test knows no request fails it.
func TestNobodyReads_EveryRoute_CVE_2026_27771(t *testing.T) {
	g := guard(t)
	secret := "a secret that only this registry holds"
	layer := append([]byte(secret), wire.Random(8)...)
	blob := g.root.Push(t, "secret/app", layer)
	body := ask.Image(layer)
	d := g.root.Put(t, "secret/app", "here", body)
	upload := g.root.Begin(t, "secret/app")
	g.root.Call(t, "POST", "users", map[string]any{"name": "secret-user", "password": password, "groups": []string{"secret-group"}}).Want(t, 201)
	g.root.Call(t, "POST", "robots", map[string]any{"name": "secret-robot", "on": "secret/app"}).Want(t, 201)
	secretID, _ := g.root.Made(t, "robots/secret-robot/secrets", map[string]any{"note": "secret-note"})
	grantID, _ := g.root.Made(t, "grants", map[string]any{"who": "user:secret-user", "role": "reader", "on": "secret/app"})
	const component, place, group = "secret/dmp/service", "secret.prod", "secret/dmp"
	firmware := []byte(secret + " as a file")
	commit := digest.FromBytes(firmware).Encoded()[:40]
	g.root.PutYAML(t, "/api/v1/groups/"+group+"/ownership.yaml", ask.OwnershipOf("secret-owner")).Want(t, 201)
	g.root.PutYAML(t, "/api/v1/groups/"+group+"/policy.yaml", ask.PolicyOf("secret-policy")).Want(t, 201)
	g.root.PushFile(t, component, "1.0.1", commit, firmware)
	g.root.Publish(t, component, "1.0.2", "notes: \"secret-word\"\n")
	move := g.root.Promote(t, component, "1.0.2", place)
	deb, _ := ask.Deb(component, "1.0.2")
	c, v := ask.Components+component, ask.VersionPath(component, "1.0.2")
	samples := map[string][]string{
		"components": {"/api/v1/components", "/api/v1/components?q=service&domain=secret", "/api/v1/components?at=2999-01-01"},
		"versions":   {"/api/v1/versions", "/api/v1/versions?component=" + component, "/api/v1/versions?commit=" + commit},
		"commit":     {"/api/v1/commits/" + commit, "/api/v1/commits/" + commit[:8]}, "findings": {"/api/v1/findings", "/api/v1/findings?level=warn"},
		"component": {c, ask.Components + "absent/dmp/service"}, "component-latest": {c + "/latest", c + "/latest?format=version"},
		"component-resolve":  {c + "/resolve/1.0.2", c + "/resolve/latest", c + "/resolve/" + place, c + "/resolve/commit-" + commit},
		"component-deployed": {c + "/deployed"}, "component-history": {c + "/history"}, "component-dependencies": {c + "/dependencies?version=1.0.2"},
		"component-dependents": {c + "/dependents"}, "component-findings": {c + "/findings"}, "component-versions": {c + "/versions"},
		"version": {v, ask.VersionPath(component, "9.9.9")}, "version-draft-metadata": {v + "/draft/metadata.yaml"}, "version-draft-manifest": {v + "/draft/deb/manifest.yaml"},
		"version-metadata": {v + "/metadata.yaml"}, "version-sums": {v + "/SHA256SUMS"}, "version-manifest": {v + "/deb/manifest.yaml"},
		"version-file":    {v + "/deb/" + deb, ask.VersionPath(component, "1.0.1", "generic/fw.bin")},
		"group-ownership": {"/api/v1/groups/" + group + "/ownership.yaml"}, "group-policy": {"/api/v1/groups/" + group + "/policy.yaml"},
		"places": {"/api/v1/places"}, "place": {"/api/v1/places/" + place, "/api/v1/places/" + place + "?at=2999-01-01"},
		"promotions": {"/api/v1/promotions", "/api/v1/promotions?component=" + component, "/api/v1/promotions?place=" + place}, "promotion": {"/api/v1/promotions/" + move},
		"rollbacks": {"/api/v1/rollbacks"}, "withdrawals": {"/api/v1/withdrawals"},
		"validate": {"/api/v1/validate/metadata?version=1.0.2&component=" + component, "/api/v1/validate/domain?file=domain-secret-prod.yaml", "/api/v1/validate/components"},
		"openapi":  {"/api/v1/openapi.json"}, "schemas": {"/schemas/"}, "schema": {"/schemas/metadata.json", "/schemas/domain.json"},
		"index-components": {"/index/components.yaml", "/index/components.yaml?at=2999-01-01"}, "index-components-json": {"/index/components.json"},
		"index-domain": {"/index/domain-secret-prod.yaml", "/index/domain-secret.yaml"}, "index-domain-json": {"/index/domain-secret-prod.json", "/index/domain-secret.json"},
		"tree": {"/tree/components/", "/tree/", "/tree", "/tree/components/secret/", "/tree/components/" + group + "/", "/tree/components/" + group + "/ownership.yaml"},
		"tree-component": {
			"/tree/components/" + component + "/", "/tree/components/" + component + "/versions/", "/tree/components/" + component + "/versions/1.0.2/",
			"/tree/components/" + component + "/versions/1.0.2/deb/" + deb, "/tree/components/" + component + "/versions/1.0.2/metadata.yaml",
			"/tree/components/" + component + "/versions/1.0.1/generic/fw.bin",
		},
		"apt": {"/apt/", "/apt"}, "apt-suites": {"/apt/dists/", "/apt/dists"}, "apt-dists": {"/apt/dists/secret-prod/InRelease", "/apt/dists/secret-prod/dmp/binary-amd64/Packages"},
		"apt-snapshot": {"/apt/snapshots/99990101T000000Z/dists/secret-prod/Release"}, "apt-snapshots": {"/apt/snapshots/?suite=secret-prod"},
		"apt-pool": {"/apt/pool/" + component + "/" + deb, "/apt/snapshots/99990101T000000Z/pool/" + component + "/" + deb}, "apt-pin": {"/apt/pin/secret-prod"},
		"apt-key": {"/apt/key.asc"}, "apt-rotate": {"/apt/keys/rotate", "/apt/keys/rotate?revoke=true"}, "apt-setup": {"/apt/setup.sh?suite=secret-prod", "/apt/setup.sh?suite=secret-none"}, "apt-unknown": {"/apt/secret"},
		"apt-upload": {"/apt/upload/" + component + "/" + deb}, "apt-upload-elsewhere": {"/apt/upload/secret"},
		"domain-tag": {wire.ManifestPath(component, place), wire.ManifestPath("components/"+component, place), wire.ManifestPath(component, "secret.none")},
		"manifest":   {wire.ManifestPath("secret/app", "here"), wire.ManifestPath("secret/app", d), wire.ManifestPath("secret/app", "absent"), wire.ManifestPath("absent/app", "here")},
		"blob":       {wire.BlobPath("secret/app", blob), wire.BlobPath("absent/app", blob)},
		"uploads":    {wire.UploadsPath("secret/app"), wire.With(wire.UploadsPath("secret/app"), "mount", blob.String(), "from", "secret/app")},
		"upload":     {upload}, "tags": {"/v2/secret/app/tags/list", "/v2/absent/app/tags/list"}, "referrers": {wire.ReferrersPath("secret/app", d)},
		"catalog": {"/v2/_catalog", "/v2/_catalog?n=1"}, "ping": {"/v2/", "/v2"}, "audit": {"/api/v1/audit", "/api/v1/audit?after=0"},
		"audit-verify": {"/api/v1/audit/verify"},
		"auth-token":   {"/auth/token", "/auth/token?scope=repository:secret/app:pull,push&account=root"}, "auth-keys": {"/auth/keys"}, "auth-login": {"/auth/login"},
		"auth-callback": {"/auth/callback", "/auth/callback?code=x&state=x"}, "auth-logout": {"/auth/logout"},
		"auth-whoami": {ask.Accounts + "whoami"}, "auth-can-i": {ask.Accounts + "can-i?action=pull&on=secret/app&as=user:secret-user"},
		"auth-roles":    {ask.Accounts + "roles"},
		"auth-password": {ask.Accounts + "password"}, "auth-tokens": {ask.Accounts + "tokens"}, "auth-token-of": {ask.Accounts + "tokens/" + secretID},
		"auth-users": {ask.Accounts + "users"}, "auth-user": {ask.Accounts + "users/secret-user"}, "auth-robots": {ask.Accounts + "robots"},
		"auth-robot":   {ask.Accounts + "robots/secret-robot"},
		"auth-secrets": {ask.Accounts + "robots/secret-robot/secrets"}, "auth-secret": {ask.Accounts + "robots/secret-robot/secrets/" + secretID},
		"auth-grants": {ask.Accounts + "grants"}, "auth-grant": {ask.Accounts + "grants/" + grantID}, "auth-rotate": {ask.Accounts + "keys/rotate"},

		"mirrors": {"/api/v1/mirrors"}, "mirror-runs": {"/api/v1/mirrors/runs"}, "backups": {"/api/v1/backups"}, "quotas": {"/api/v1/quotas"},
		"quotas-over": {"/api/v1/quotas/secret/app"}, "gc-plan": {"/api/v1/gc/plan?all=true"}, "gc-runs": {"/api/v1/gc/runs"},
		"retention-plan": {"/api/v1/retention/plan?all=true"}, "retention-runs": {"/api/v1/retention/runs"}, "scrub": {"/api/v1/scrub"}, "scrub-runs": {"/api/v1/scrub/runs"},
	}
	asked := 0
	callers := []ask.Caller{
		g.nobody, g.nobody.Token(t), g.nobody.Token(t, "repository:secret/app:pull,push,delete", "registry:catalog:*"),
		g.nobody.Token(t, "repository:"+component+":*", "repository:apt/secret-prod:pull", "repository:index:pull", "registry:catalog:*"),
	}
	telling := []string{
		secret, string(body), "secret-group", "secret-note", `"secret-user"`, `"action":"pull"`, "secret-owner", "secret-policy", "secret-word", "team-of-service",
		component, strings.ReplaceAll(component, "/", "-"), commit, move, "1.0.2", "dmp",
	}
	for _, r := range slices.Concat(api.Routes(api.Config{Moves: artifacts.Tags{}}), authapi.Routes(authapi.Config{}),
		artifactsapi.Routes(artifactsapi.Config{}), tree.New(tree.Config{}).Routes(), apt.Routes(apt.Config{}), manage.Routes(manage.Config{})) {
		if len(samples[r.Name]) == 0 {
			t.Errorf("route %s: this test knows no request for it; write one down that would show content", r.Name)
			continue
		}
		if need := r.Methods["GET"].Action; need == auth.Pull || need == auth.List || need == door.AsksItself {
			g.root.Get(t, samples[r.Name][0]).Want(t, 200, 302) // there is something to be hidden
		}
		for _, path := range samples[r.Name] {
			if !reaches(r, path) {
				t.Errorf("%s is no request for the route %s", path, r.Name)
			}
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				for _, c := range callers {
					open := r.Methods[method].Action == auth.Knock || method == "HEAD" && r.Methods["GET"].Action == auth.Knock
					got := c.Do(t, method, path, nil)
					asked++
					if !open && got.Status < 400 && !harmless(r.Name, c) || got.Status >= 500 {
						t.Errorf("%s without a login: %d %s", got.Asked, got.Status, got.Excerpt())
					}
					if len(c.Show) == 0 && !open && got.Status != 401 {
						t.Errorf("%s without a login: %d, want 401", got.Asked, got.Status)
					}
					told := fmt.Sprint(got.Header, string(got.Body))
					for _, s := range telling {
						if strings.Contains(told, s) && !strings.Contains(path, s) && !examples(r.Name) {
							t.Errorf("%s without a login tells %q: %s", got.Asked, s, told)
						}
					}
				}
			}
		}
	}
	if asked < 3000 {
		t.Errorf("only %d requests", asked)
	}
	g.root.Get(t, upload).Want(t, 204)
	if now, _ := g.root.Deployed(t, component, place); now != "1.0.2" {
		t.Errorf("%q is deployed", now)
	}
	if all := g.root.Get(t, ask.Accounts+"grants"); !strings.Contains(string(all.Body), grantID) {
		t.Errorf("the grant is gone: %s", all.Body)
	}
}

// reaches tells whether a path is one of the route's.
func reaches(r door.Route, path string) bool {
	path, _, _ = strings.Cut(path, "?")
	_, _, ok := r.Match(path)
	return ok
}

// harmless tells whether a token of nobody in particular is good for a route: to be told that there is a registry, and that one is nobody.
func harmless(route string, c ask.Caller) bool {
	switch route {
	case "ping", "auth-whoami", "auth-roles", "auth-can-i", "auth-tokens", "auth-logout", "catalog":
		return len(c.Show) > 0
	}
	return false
}

// examples tells whether a route's answer is the same for everybody and has examples in it.
func examples(route string) bool {
	return route == "openapi" || route == "schema" || route == "apt-upload-elsewhere"
}
