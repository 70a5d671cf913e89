package callers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

const (
	upstream = "ghcr.example.com"
	secret   = "org/secret" // for alice alone
	shared   = "org/shared" // for alice and bob
	public   = "org/public" // for everybody

	ours     = "our-own-canary-9c31"   // the password of each of our own people
	ofAlice  = "canary-of-alice-5d0f"  // at the upstream
	ofBob    = "canary-of-bob-77aa"    // there, too
	nobodies = "canary-of-nobody-1e4b" // a wrong one
)

// image is one that the upstream has.
type image struct{ manifest, layer digest.Digest }

// house is a registry that pulls through from a hub.
type house struct {
	*program.Program
	hub                        *program.Program
	boss                       ask.Caller // of the hub
	root, dev                  ask.Caller // our own: an admin of everything, and a developer on team who may pull everything
	alice, bob, nobody, abroad ask.Caller // abroad is alice, too, but at another upstream
	images                     map[string]image
}

// start starts both. Everybody may pull from us what the upstream gives to everybody.
func start(t *testing.T, admission string) *house {
	t.Helper()
	h := &house{images: map[string]image{}}
	h.hub = program.Start(t, users(t, "boss"), program.Config(`auth:
  users: {htpasswd: users}
  grants:
  - {who: 'user:boss', role: admin, on: '**'}
  - {who: 'user:alice', role: reader, on: org/secret}
  - {who: 'user:alice', role: reader, on: org/shared}
  - {who: 'user:bob', role: reader, on: org/shared}
  - {who: anyone, role: reader, on: org/public}
log: {level: debug}
`))
	h.boss = ask.Caller{At: h.hub.URL, Show: []string{ask.Basic("boss", ours)}}
	for name, password := range map[string]string{"alice": ofAlice, "bob": ofBob} {
		h.boss.Call(t, "POST", "users", map[string]any{"name": name, "password": password}).Want(t, 201)
	}
	for _, repo := range []string{secret, shared, public} {
		layer := wire.Random(50_000)
		d := h.boss.Push(t, repo, layer)
		h.images[repo] = image{h.boss.Put(t, repo, "1.0", ask.Image(layer)), d}
	}
	upstreams := "upstreams:\n"
	for _, name := range []string{upstream, "other.example.com"} {
		upstreams += fmt.Sprintf("- {name: %s, urls: [%q], callers: true, admissionTTL: %s, tagTTL: 1s}\n", name, h.hub.URL, admission)
	}
	h.Program = program.Start(t, users(t, "root", "dev"), program.Config(`auth:
  users: {htpasswd: users}
  grants:
  - {who: 'user:root', role: admin, on: '**'}
  - {who: 'user:dev', role: developer, on: team}
  - {who: 'user:dev', role: reader, on: '**'}
  - {who: anyone, role: reader, on: ghcr.example.com}
metrics: true
log: {level: debug}
`+upstreams))
	as := func(name, password string) ask.Caller {
		return ask.Caller{At: h.URL, Name: name, Show: []string{ask.Basic(name, password)}}
	}
	h.nobody = ask.Caller{At: h.URL}
	h.root, h.dev = as("root", ours), as("dev", ours)
	h.alice, h.bob = as("alice@"+upstream, ofAlice), as("bob@"+upstream, ofBob)
	h.abroad = as("alice@other.example.com", ofAlice)
	return h
}

// users writes a file of users, each with the password of our own people.
func users(t *testing.T, names ...string) program.Option {
	t.Helper()
	text := ""
	for _, name := range names {
		hash, err := bcrypt.GenerateFromPassword([]byte(ours), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("%s:%s\n", name, hash)
	}
	return func(p *program.Program) {
		if err := os.WriteFile(filepath.Join(p.Dir, "users"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// manifest is where an image of the upstream is here.
func manifest(repo, ref string) string { return wire.ManifestPath(upstream+"/"+repo, ref) }

// pulls has somebody pull an image as docker does.
func (h *house) pulls(t *testing.T, c ask.Caller, repo string) {
	t.Helper()
	i := h.images[repo]
	if got := c.Docker(t, "GET", manifest(repo, "1.0"), nil).Want(t, 200); digest.FromBytes(got.Body) != i.manifest {
		t.Errorf("%s gets another manifest than %s", c.Name, i.manifest)
	}
	if got := c.Docker(t, "GET", wire.BlobPath(upstream+"/"+repo, i.layer), nil).Want(t, 200); digest.FromBytes(got.Body) != i.layer {
		t.Errorf("%s gets another layer than %s", c.Name, i.layer)
	}
}

// questions are all ways to ask for what is kept of an image.
func (h *house) questions(repo string) map[string][2]string {
	i, here := h.images[repo], upstream+"/"+repo
	out := map[string][2]string{}
	for what, path := range map[string]string{
		"the tag": manifest(repo, "1.0"), "the digest": manifest(repo, i.manifest.String()), "a blob": wire.BlobPath(here, i.layer), "tags": "/v2/" + here + "/tags/list",
		"referrers": wire.ReferrersPath(here, i.manifest), "by another name": wire.ManifestPath("components/"+here, "1.0"),
		"by ns": wire.ManifestPath(repo, "1.0") + "?ns=" + upstream, "a blob by ns": wire.BlobPath(repo, i.layer) + "?ns=" + upstream,
	} {
		out["GET "+what] = [2]string{"GET", path}
		out["HEAD "+what] = [2]string{"HEAD", path}
	}
	return out
}
