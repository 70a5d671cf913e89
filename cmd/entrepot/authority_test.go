package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

// aliceLine is alice:wonderland in a file of users.
const aliceLine = "alice:$2a$04$DYtYEz/IYO8BxzIq9H8ISuyhZbSNXyAT8SP3TZe92Pom.OvxZiTRm\n"

func authorityOf(t *testing.T, index kv.DB, yaml string) *authority {
	t.Helper()
	a, err := openAuthority(t.Context(), mustParse(t, yaml), index, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAuthority_first_start: a registry that knows nobody is open to its own machine, and to others only through an admin whom it has made.
func TestAuthority_first_start(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte(aliceLine), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		listen, auth  string
		open, admin   bool
		mayPull, push bool // the anonymous
	}{
		{"127.0.0.1:0", "{}", true, false, true, true},
		{"localhost:0", "{}", true, false, true, true},
		{"[::1]:0", "{}", true, false, true, true},
		{"0.0.0.0:0", "{}", false, true, false, false},
		{":0", "{}", false, true, false, false},
		{"127.0.0.1:0", "{anonymous: none}", false, true, false, false},
		{"0.0.0.0:0", "{anonymous: pull}", false, true, true, false},
		{"0.0.0.0:0", "{anonymous: full}", false, false, true, true},
		{"127.0.0.1:0", "{users: {htpasswd: " + users + "}}", false, false, false, false},
		{"127.0.0.1:0", "{grants: [{who: anyone, role: reader, on: a}]}", false, true, true, false},
		{"0.0.0.0:0", "{oidc: [{name: a, issuer: https://a.example.com, clientID: b}]}", false, false, false, false},
		{"0.0.0.0:0", "{gitlab: [{name: a, url: https://a.example.com}]}", false, false, false, false},
		{"0.0.0.0:0", `{ldap: [{url: ldaps://a.example.com, userBase: "dc=a"}]}`, false, false, false, false},
	} {
		yaml := fmt.Sprintf("listen: %q\nauth: %s\n", c.listen, c.auth)
		index := kv.NewMemory()
		a := authorityOf(t, index, yaml)
		if a.open.Load() != c.open || (a.first != "") != c.admin {
			t.Errorf("%s: open %v, admin %v", yaml, a.open.Load(), a.first != "")
		}
		if may := a.policy.Allow(t.Context(), auth.Identity{}, auth.Pull, "a/b") == nil; may != c.mayPull {
			t.Errorf("%s: the anonymous may pull: %v", yaml, may)
		}
		if may := a.policy.Allow(t.Context(), auth.Identity{}, auth.Push, "a/b") == nil; may != c.push {
			t.Errorf("%s: the anonymous may push: %v", yaml, may)
		}
		if c.admin {
			who, err := a.logins.Password(t.Context(), "admin", a.first, "")
			if err != nil || a.policy.Allow(t.Context(), who, auth.Administer, "") != nil {
				t.Errorf("%s: the admin: %v, %v", yaml, who, err)
			}
		}
		// No password works that people would try, and there is no second secret.
		if strings.Contains(c.auth, "ldap") {
			continue // nobody shall be asked here
		}
		for _, guess := range []string{"admin", "password", "entrepot", "12345678", "changeme"} {
			if _, err := a.logins.Password(t.Context(), "admin", guess, "192.0.2.1"); !errors.Is(err, auth.ErrWrong) {
				t.Errorf("%s: admin with %s: %v", yaml, guess, err)
			}
		}
		if authorityOf(t, index, yaml).first != "" {
			t.Errorf("%s: a second start makes a second admin", yaml)
		}
	}
}

// TestAuthority_reads_files_again: grants and users follow their files; a faulty file changes nothing.
func TestAuthority_reads_files_again(t *testing.T) {
	dir := t.TempDir()
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "config.yml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	settings := func(role string) string {
		return "auth: {users: {htpasswd: " + users + "}, grants: [{who: user:alice, role: " + role + ", on: cloud}]}\n"
	}
	write(users, aliceLine)
	write(config, settings("reader"))
	file := &configFile{path: config}
	c, err := file.load()
	if err != nil {
		t.Fatal(err)
	}
	a, err := openAuthority(t.Context(), c, kv.NewMemory(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	go a.run(t.Context(), file)
	alice := auth.Identity{Kind: auth.User, Name: "alice"}
	may := func(do auth.Action) bool { return a.policy.Allow(t.Context(), alice, do, "cloud/a") == nil }
	known := func() bool {
		_, err := a.logins.Password(t.Context(), "alice", "wonderland", "")
		return err == nil
	}
	eventually := func(what string, is func() bool) {
		t.Helper()
		for range 1000 {
			if is() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("in ten seconds not yet: %s", what)
	}
	if !may(auth.Pull) || may(auth.Push) || !known() {
		t.Fatal("it does not begin with what the files say")
	}
	write(config, settings("developer"))
	eventually("alice may push", func() bool { return may(auth.Push) })
	write(config, settings("lord"))
	write(users, "alice:plain\n")
	time.Sleep(2 * watchPause)
	if !may(auth.Push) || !known() {
		t.Error("faulty files changed something")
	}
	write(users, "# nobody\n")
	eventually("alice is gone", func() bool { return !known() })
	write(config, settings("reader"))
	eventually("alice may not push", func() bool { return !may(auth.Push) })
}

// TestAuthority_misses_no_change of the configuration between its reading and the moment from which on it is watched.
func TestAuthority_misses_no_change(t *testing.T) {
	file := &configFile{path: filepath.Join(t.TempDir(), "config.yml")}
	write := func(role string) {
		t.Helper()
		if err := os.WriteFile(file.path, []byte("auth: {anonymous: none, grants: [{who: user:alice, role: "+role+", on: cloud}]}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("reader")
	c, err := file.load()
	if err != nil {
		t.Fatal(err)
	}
	if file.changed() {
		t.Error("a file that was just read has changed")
	}
	write("developer")
	a, err := openAuthority(t.Context(), c, kv.NewMemory(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	go a.run(t.Context(), file)
	alice := auth.Identity{Kind: auth.User, Name: "alice"}
	for range 1000 {
		if a.policy.Allow(t.Context(), alice, auth.Push, "cloud/a") == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("in ten seconds not yet: alice may push")
}

// TestReadme_configuration: what the README and the manuals say to write can be written.
func TestReadme_configuration(t *testing.T) {
	for _, path := range []string{"../../README.md", "../../docs/operations.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Errorf("no configuration was found in %s", path)
		}
		for _, block := range blocks {
			authorityOf(t, kv.NewMemory(), string(block[1]))
		}
	}
}

// TestAuthority_open_to_its_own_machine_alone: what comes from elsewhere by way of this machine is refused while everything is open, and so is everything
// once there was somebody, or the configuration says that others reach it.
func TestAuthority_open_to_its_own_machine_alone(t *testing.T) {
	ask := func(a *authority, headers ...string) bool {
		r := httptest.NewRequest("GET", "http://127.0.0.1:5000/v2/", nil)
		for i := 0; i < len(headers); i += 2 {
			if headers[i] == "Host" {
				r.Host = headers[i+1]
				continue
			}
			r.Header.Set(headers[i], headers[i+1])
		}
		return a.local(r) == nil && a.policy.Allow(t.Context(), auth.Identity{}, auth.Push, "a") == nil
	}
	index := kv.NewMemory()
	a := authorityOf(t, index, "listen: 127.0.0.1:0")
	for _, c := range []struct {
		want    bool
		headers []string
	}{
		{true, nil},
		{true, []string{"Host", "registry.local"}},
		{true, []string{"Origin", "http://localhost:3000", "Host", "localhost:5000"}},
		{false, []string{"X-Forwarded-For", "192.0.2.1"}},
		{false, []string{"Forwarded", "for=192.0.2.1"}},
		{false, []string{"Via", "1.1 proxy"}},
		{false, []string{"Origin", "http://rebound.example.com", "Host", "rebound.example.com"}},
		{false, []string{"Sec-Fetch-Site", "same-origin", "Host", "rebound.example.com:5000"}},
	} {
		if got := ask(a, c.headers...); got != c.want {
			t.Errorf("%q: %v", c.headers, got)
		}
	}
	if ask(authorityOf(t, kv.NewMemory(), "listen: 127.0.0.1:0\nurl: https://registry.example.com")) {
		t.Error("a registry with an address for clients is open")
	}
	if !ask(authorityOf(t, kv.NewMemory(), "listen: 127.0.0.1:0\nurl: http://localhost:5000")) {
		t.Error("a registry with a loopback address is not open")
	}
	if _, err := a.accounts.AddUser(t.Context(), "alice", "a long password", nil, nil); err != nil {
		t.Fatal(err)
	}
	if ask(a) {
		t.Error("it is open with a user")
	}
	if err := a.accounts.RemoveUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if ask(a) || a.open.Load() {
		t.Error("it opens again when the last user goes")
	}
	if authorityOf(t, index, "listen: 127.0.0.1:0").first == "" {
		t.Error("nobody can get in any more")
	}
}
