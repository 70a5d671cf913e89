package rights

import (
	"fmt"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// hashed is a line of a file of users.
func hashed(t testing.TB, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + string(hash) + "\n"
}

// soon is how long a change of a file may take to be in force: one by one for as long as a busy machine takes, but all of them together in no more.
const soon = 3 * time.Second

// TestReload_of_grants_and_users: what the files no longer grant is refused within three seconds, to whoever holds a token, too, and without a restart.
// A faulty file changes nothing.
func TestReload_of_grants_and_users(t *testing.T) {
	t.Parallel()
	config := func(grants ...string) string {
		return "auth:\n  users: {htpasswd: users}\n  grants:\n  - {who: 'user:root', role: admin, on: '**'}\n" + strings.Join(grants, "")
	}
	alice := "  - {who: 'user:alice', role: %s, on: team}\n"
	usersFile := hashed(t, "root", password) + hashed(t, "alice", password)
	p := program.Start(t, func(p *program.Program) { write(p.Dir, "users", usersFile) }, program.Config(config(fmt.Sprintf(alice, "developer"))))
	here := func(name string) ask.Caller { c := user(name); c.At = p.URL; return c }
	root, who := here("root"), here("alice")
	root.Put(t, "team/app", "latest", ask.List())
	token := who.Token(t, "repository:team/app:pull,push,delete", "registry:catalog:*")
	shown := []ask.Caller{who, token}
	status := func(method, path string, body []byte) (all [2]int) {
		for i, c := range shown {
			all[i] = c.Do(t, method, path, body, "Content-Type", ocispec.MediaTypeImageIndex).Status
		}
		return all
	}
	pull := func() [2]int { return status("GET", wire.ManifestPath("team/app", "latest"), nil) }
	push := func() [2]int { return status("PUT", wire.ManifestPath("team/app", "latest"), ask.List()) }
	both := func(n int) [2]int { return [2]int{n, n} }
	changes, began := 0, time.Now()
	comes := func(what string, is func() bool) {
		t.Helper()
		eventually(t, 10*soon, what, is)
		changes++
	}
	if pull() != both(200) || push() != both(201) {
		t.Fatalf("to begin with: %d, %d", pull(), push())
	}
	write(p.Dir, "config.yml", config(fmt.Sprintf(alice, "reader")))
	comes("alice may push no more", func() bool { return push() == both(403) })
	if pull() != both(200) {
		t.Errorf("a reader pulls: %d", pull())
	}
	write(p.Dir, "config.yml", config())
	comes("alice may do nothing", func() bool { return pull() == both(404) && push() == both(404) })
	if got := token.Catalog(t, "", ""); len(got) > 0 {
		t.Errorf("whoever may pull nothing is told of %q", got)
	}
	write(p.Dir, "config.yml", config(fmt.Sprintf(alice, "developer")))
	comes("alice may push again", func() bool { return push() == both(201) })

	// A faulty file is told in the log, and nothing else comes of it.
	write(p.Dir, "config.yml", config(fmt.Sprintf(alice, "lord")))
	write(p.Dir, "users", usersFile+"bob:a password as it is\n")
	comes("the log tells of both", func() bool {
		return strings.Contains(p.Log(), "read the changed configuration") && strings.Contains(p.Log(), "read the users again")
	})
	if push() != both(201) {
		t.Errorf("faulty files changed something: %d", push())
	}
	if strings.Contains(p.Log(), "a password as it is") {
		t.Error("the log tells a password")
	}
	// Whoever has another password is another login, and who is out of the file is out.
	write(p.Dir, "config.yml", config(fmt.Sprintf(alice, "developer")))
	write(p.Dir, "users", hashed(t, "root", password)+hashed(t, "alice", "another "+password))
	comes("the former password is none", func() bool { return push() == both(401) })
	shown[0] = who.With(ask.Basic("alice", "another "+password))
	shown[1] = shown[0].Token(t, "repository:team/app:pull,push")
	if push() != both(201) {
		t.Errorf("with the new password: %d", push())
	}
	write(p.Dir, "users", hashed(t, "root", password))
	comes("alice is out", func() bool { return push() == both(401) && pull() == both(401) })
	if took := time.Since(began); took > time.Duration(changes)*soon {
		t.Errorf("%d changes took %v to be in force, want no more than %v each", changes, took, soon)
	}
	root.Get(t, wire.ManifestPath("team/app", "latest")).Want(t, 200)
}
