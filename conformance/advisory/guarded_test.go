package advisory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/auth/oidc/oidctest"
	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/rights/ask"
)

// guarded is a program that knows people: root may do everything, alice is a developer on a, bob on b, and eve is a reader on a.
type guarded struct {
	*program.Program
	root, alice, bob, eve, nobody ask.Caller
}

// password is that of everybody in the file of users.
const password = "nobody shall guess it"

const people = `auth:
  users: {htpasswd: users}
  grants:
  - {who: 'user:root', role: admin, on: '**'}
  - {who: 'user:alice', role: developer, on: a}
  - {who: 'user:bob', role: developer, on: b}
  - {who: 'user:eve', role: reader, on: a}
`

// guardPeople is guard with an OpenID provider, by which people log in with a browser, and whose job of the name job is a developer on a.
func guardPeople(t testing.TB, more ...string) (*guarded, *oidctest.Issuer) {
	t.Helper()
	issuer := oidctest.Start(t)
	secret := filepath.Join(t.TempDir(), "client-secret")
	if err := os.WriteFile(secret, []byte(issuer.ClientSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	return guard(t, `  oidc:
  - name: corp
    issuer: `+issuer.URL+`
    audience: entrepot-jobs
    clientID: `+issuer.ClientID+`
    clientSecretFile: `+secret+`
    groupsClaim: groups
    bind:
    - {claims: {sub: job}, role: developer, on: a}
`+strings.Join(more, "")), issuer
}

// guard starts a program that knows people, with more settings beside them.
func guard(t testing.TB, more ...string) *guarded {
	t.Helper()
	var users strings.Builder
	for _, name := range []string{"root", "alice", "bob", "eve"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&users, "%s:%s\n", name, hash)
	}
	file := func(p *program.Program) {
		if err := os.WriteFile(filepath.Join(p.Dir, "users"), []byte(users.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := program.Start(t, file, program.Config(people+strings.Join(more, "")))
	g := &guarded{Program: p, nobody: ask.Caller{At: p.URL}}
	user := func(name string) ask.Caller {
		return ask.Caller{At: p.URL, Name: "user:" + name, Show: []string{ask.Basic(name, password)}}
	}
	g.root, g.alice, g.bob, g.eve = user("root"), user("alice"), user("bob"), user("eve")
	return g
}

// key reads the key that tokens are signed with, for which the program has to stop for a moment.
func (g *guarded) key(t testing.TB) ask.Key {
	t.Helper()
	g.Stop()
	key, err := ask.KeyOf(filepath.Join(g.Dir, "data", "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	g.Restart()
	return key
}
