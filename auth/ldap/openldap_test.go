//go:build clients

package ldap

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

// logs logs somebody in and wants a name and groups.
func logs(t *testing.T, p *Provider, name, secret, wantName string, wantGroups ...string) {
	t.Helper()
	who, until, err := p.Login(t.Context(), name, secret)
	if err != nil {
		t.Errorf("%q: %v", name, err)
		return
	}
	if who.Kind != auth.User || who.Name != wantName || !slices.Equal(who.Groups, wantGroups) || !until.After(time.Now()) {
		t.Errorf("%q: %v in %q until %v, want %s in %q", name, who, who.Groups, until, wantName, wantGroups)
	}
}

func refuses(t *testing.T, p *Provider, name, secret string, want error) {
	t.Helper()
	if who, _, err := p.Login(t.Context(), name, secret); !errors.Is(err, want) || !who.Anonymous() {
		t.Errorf("%q with %q: %v, %v, want %v", name, secret, who, err, want)
	}
}

func TestOpenLDAP_logs_people_in(t *testing.T) {
	s := startSlapd(t)
	p := start(t, s.config())
	logs(t, p, "Alice", "wonder", "alice", "dev", "ops", "unix")
	logs(t, p, "aLICE", "wonder", "alice", "dev", "ops", "unix")
	logs(t, p, "bob", "builder", "bob", "Release Managers")
	logs(t, p, "carol", "singer", "carol")
	logs(t, p, "jörg", "grün", "jörg", "dev")
	logs(t, p, "JÖRG", "grün", "jörg", "dev")
	refuses(t, p, "alice", "Wonder", auth.ErrWrong)
	refuses(t, p, "alice", "builder", auth.ErrWrong)
	refuses(t, p, "none", "wonder", auth.ErrWrong)
	refuses(t, p, "mallory", "wonder", auth.ErrUnknown)
	refuses(t, p, "alice@example.com", "wonder", auth.ErrUnknown)
}

func TestOpenLDAP_never_sees_an_empty_password(t *testing.T) {
	s := startSlapd(t)
	c, err := goldap.DialURL("ldap://" + s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.UnauthenticatedBind(alice); err != nil {
		t.Fatalf("this slapd would not let anybody in without a password, so the test shows nothing: %v", err)
	}
	p := start(t, s.config())
	refuses(t, p, "alice", "", auth.ErrWrong)
	refuses(t, p, "alice", "\x00", auth.ErrWrong)
	refuses(t, p, "mallory", "", auth.ErrWrong)
}

func TestOpenLDAP_finds_nobody_by_grammar(t *testing.T) {
	s := startSlapd(t)
	c := s.config()
	p := start(t, c)
	c.UserFilter = "(&(objectClass=inetOrgPerson)(|(uid={name})(mail={name})))"
	q := start(t, c)
	for _, name := range []string{
		"*", "a*", "al*ce", "alice)(uid=*", "alice))(|(uid=*", "*)(objectClass=*", `alice)(&)`, "(alice)", "alice\x00", "\x00", "alice\\2a", "\\2a",
		"alice,ou=people", "uid=alice," + base, "{name}", "alice&", "|alice", "!alice", "ali\u00adce\u202e",
	} {
		refuses(t, p, name, "wonder", auth.ErrUnknown)
		refuses(t, q, name, "wonder", auth.ErrUnknown)
	}
	logs(t, q, "alice@example.com", "wonder", "alice", "dev", "ops", "unix")
	if _, _, err := q.Login(t.Context(), "team@example.com", "builder"); err == nil || !strings.Contains(err.Error(), "matches several") {
		t.Errorf("a name of two: %v", err)
	}
	logs(t, q, "bob", "builder", "bob", "Release Managers")
}

func TestOpenLDAP_moves_people_between_groups(t *testing.T) {
	s := startSlapd(t)
	p := start(t, s.config())
	c := s.config()
	c.MemberOf, c.GroupBase = "memberOf", "ou=Groups, DC=example,dc=com"
	listed := start(t, c)
	logs(t, p, "bob", "builder", "bob", "Release Managers")
	logs(t, listed, "bob", "builder", "bob", "Release Managers")
	s.modify("cn=dev,"+groups, goldap.AddAttribute, "member", "uid=bob,"+base)
	s.modify("cn=unix,"+groups, goldap.AddAttribute, "memberUid", "bob")
	logs(t, p, "bob", "builder", "bob", "Release Managers", "dev", "unix")
	logs(t, listed, "bob", "builder", "bob", "Release Managers", "dev")
	s.admin(func(c *goldap.Conn) error { return c.Del(goldap.NewDelRequest("cn=Release Managers,"+groups, nil)) })
	s.modify("cn=unix,"+groups, goldap.DeleteAttribute, "memberUid", "bob")
	logs(t, p, "bob", "builder", "bob", "dev")
	logs(t, listed, "bob", "builder", "bob", "dev")
	s.modify("cn=dev,"+groups, goldap.DeleteAttribute, "member", "uid=bob,"+base)
	logs(t, p, "bob", "builder", "bob")
	logs(t, listed, "bob", "builder", "bob")
}

func TestOpenLDAP_over_TLS(t *testing.T) {
	s := startSlapd(t)
	stranger, _, _ := authority(t, loop)
	for _, url := range []string{"ldaps://" + s.private, "ldap://" + s.plain} {
		c := s.config()
		c.URL, c.StartTLS = url, true
		logs(t, start(t, c), "alice", "wonder", "alice", "dev", "ops", "unix")
		for _, ca := range []string{stranger, ""} {
			c.CAFile = ca
			fails(t, start(t, c), "certificate signed by unknown authority")
		}
		c.CAFile = s.ca
		c.URL = strings.Replace(url, loop, "127.83.0.2", 1) // slapd does not listen there
		fails(t, start(t, c), "connection refused")
	}
	c := s.config()
	c.URL, c.CAFile = "ldap://"+s.plain, ""
	logs(t, start(t, c), "alice", "wonder", "alice", "dev", "ops", "unix")
	c.URL = "ldap://ldap.example.com"
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "clear text") {
		t.Errorf("without TLS to another machine: %v", err)
	}
}

func TestOpenLDAP_goes_and_comes_back(t *testing.T) {
	s := startSlapd(t)
	c := s.config()
	c.Timeout = 2 * time.Second
	p := start(t, c)
	logs(t, p, "carol", "singer", "carol")
	s.kill()
	fails(t, p, "connection refused")
	s.start()
	logs(t, p, "carol", "singer", "carol")

	// Stopped, it still takes connections, and says nothing.
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	fails(t, p, "no answer within 2s")
	c.URL += " " + c.URL
	fails(t, start(t, c), "no answer within")
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	logs(t, p, "carol", "singer", "carol")
}

func TestOpenLDAP_says_what_is_set_up_wrongly(t *testing.T) {
	s := startSlapd(t)
	for _, c := range []struct {
		what  string
		set   func(*Config)
		words []string
	}{
		{"password", func(c *Config) { c.BindPasswordFile = file(t, "password", "s3cret") }, []string{"refuses", reader, "check the bind DN and /"}},
		{"bind DN", func(c *Config) { c.BindDN = "cn=nobody," + suffix }, []string{"refuses", "cn=nobody,"}},
		{"no DN", func(c *Config) { c.BindDN = "reader" }, []string{"34 (invalid dn syntax)", "reader"}},
		{"base of users", func(c *Config) { c.UserBase = "ou=nobody," + suffix }, []string{"look for the user", "no such object", "ou=nobody"}},
		{"base of groups", func(c *Config) { c.GroupBase = "ou=nobody," + suffix }, []string{"look for the user's groups", "no such object"}},
		{"another server's", func(c *Config) { c.UserBase = "dc=example,dc=org" }, []string{"no such object"}},
		{"anonymous", func(c *Config) { c.BindDN, c.BindPasswordFile = "", "" }, []string{"whoever searches may not see it"}},
		{"name", func(c *Config) { c.NameAttribute, c.UserFilter = "mobile", "(uid={name})" }, []string{"0 values of mobile"}},
	} {
		config := s.config()
		c.set(&config)
		text := fails(t, start(t, config), c.words[0])
		for _, words := range c.words {
			if !strings.Contains(text, words) {
				t.Errorf("%s: %s\nwant a text with %q", c.what, text, words)
			}
		}
		if strings.Contains(text, "s3cret") || strings.Contains(text, "wonder") {
			t.Errorf("%s: a secret is in %s", c.what, text)
		}
	}
}

func TestOpenLDAP_locks_accounts(t *testing.T) {
	s := startSlapd(t)
	p := start(t, s.config())
	logs(t, p, "bob", "builder", "bob", "Release Managers")
	for range 3 {
		refuses(t, p, "bob", "breaker", auth.ErrWrong)
	}
	refuses(t, p, "bob", "builder", auth.ErrWrong)
	logs(t, p, "carol", "singer", "carol")
}

func TestOpenLDAP_serves_many_at_once(t *testing.T) {
	s := startSlapd(t)
	for what, set := range map[string]func(*Config){
		"ldaps":    func(*Config) {},
		"StartTLS": func(c *Config) { c.URL, c.StartTLS = "ldap://"+s.plain, true },
		"plain":    func(c *Config) { c.URL = "ldap://" + s.plain },
	} {
		c := s.config()
		set(&c)
		p := start(t, c)
		began := time.Now()
		const rounds, each = 4 * maxLogins, 4
		var all sync.WaitGroup
		for range rounds {
			all.Go(func() {
				for range each {
					logs(t, p, "alice", "wonder", "alice", "dev", "ops", "unix")
				}
			})
		}
		all.Wait()
		t.Logf("%s: %v a login, %d at once", what, time.Since(began)/rounds/each, maxLogins)
		began = time.Now()
		logs(t, p, "alice", "wonder", "alice", "dev", "ops", "unix")
		t.Logf("%s: %v for one alone", what, time.Since(began))
	}
}
