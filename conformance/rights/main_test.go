package rights

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// The program that most tests share; those that configure it start one of their own.
var (
	shared    *program.Program
	root      ask.Caller     // may do everything
	anonymous ask.Caller     // shows nothing
	keys      ask.Key        // what the program signs its tokens with
	retired   string         // root's token from before the keys were revoked
	jobKey    = ask.NewKey() // what signs the tokens of jobs
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4") // whoever asks mostly waits, however few processors there are
	os.Exit(wire.Main(m, ready, files, program.Config(settings())))
}

// password is that of everybody in the file of users.
const password = "nobody shall guess it"

// pool is how many people are in the file whom tests may have for themselves; see person.
const pool = 300

// files writes what the configuration names.
func files(p *program.Program) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	var lines strings.Builder
	add := func(name string) { fmt.Fprintf(&lines, "%s:%s\n", name, hash) }
	add("root")
	for _, w := range teams {
		if w.origin == fromFile {
			add(w.name())
		}
	}
	for i := range pool {
		add(fmt.Sprintf("person-%03d", i))
	}
	write(p.Dir, "users", lines.String())
	write(p.Dir, "jobs.json", string(jobKey.Set()))
}

func write(dir, name, text string) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(path+".new", path); err != nil { // never half of it
		panic(err)
	}
}

// settings are those of the shared program. The file's grants are those of the people in the file of users; everybody else's are made by the API.
func settings() string {
	var b strings.Builder
	b.WriteString("auth:\n  users: {htpasswd: users}\n  grants:\n  - {who: 'user:root', role: admin, on: '**'}\n")
	for _, w := range teams {
		if w.origin == fromFile && w.role != "" {
			for _, on := range w.on() {
				fmt.Fprintf(&b, "  - {who: 'user:%s', role: %s, on: '%s'}\n", w.name(), w.role, on)
			}
		}
	}
	fmt.Fprintf(&b, "  oidc:\n  - name: jobs\n    issuer: %s\n    audience: %s\n    jwksFile: jobs.json\n    bind:\n", jobIssuer, jobAudience)
	for _, w := range teams {
		if w.origin == fromJob && w.role != "" {
			for _, on := range w.on() {
				fmt.Fprintf(&b, "    - {claims: {team: '%s'}, role: %s, on: '%s'}\n", w.name(), w.role, on)
			}
		}
	}
	fmt.Fprintf(&b, "    - {claims: {team: nobody}, role: reader, on: nothing-of-theirs}\n")
	return b.String()
}

// ready rotates the keys of the program, so that there is a token of a revoked one, and reads the new one from the stopped program's index.
func ready(p *program.Program) {
	shared = p
	root, anonymous = user("root"), somebody("")
	retired = must(root.Mint())
	got := must(root.Send("POST", ask.Accounts+"keys/rotate", []byte(`{"revoke":true}`), "Content-Type", "application/json"))
	if got.Status != 204 {
		panic(got.Excerpt())
	}
	p.Stop()
	keys = must(ask.KeyOf(filepath.Join(p.Dir, "data", "index.db")))
	p.Restart()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// somebody asks the shared program.
func somebody(name string, show ...string) ask.Caller {
	return ask.Caller{At: shared.URL, Name: name, Show: show}
}

// user is somebody in the file of users.
func user(name string) ask.Caller { return somebody("user:"+name, ask.Basic(name, password)) }

// eventually polls until something is so; what takes longer than it may fails the test.
func eventually(t testing.TB, within time.Duration, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
