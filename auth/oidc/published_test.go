package oidc

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

// asked tells how often the issuer's keys were asked for, or would have been.
func asked(i *oidctest.Issuer) int { return i.Asked("/.well-known/openid-configuration") }

func TestPublished_an_issuer_that_is_down_at_first_is_asked_again(t *testing.T) {
	issuer, clock := oidctest.Start(t), newClock()
	var log logs
	issuer.Break(oidctest.Down)
	p := provider(t, issuer, func(c *Config) { c.Now, c.Log = clock.now, log.logger() })
	if asked(issuer) != 0 {
		t.Error("New asked the issuer")
	}
	token := issuer.Sign(job())
	for range 5 {
		verify(t, p, token, "fault", "check a token")
	}
	if n := asked(issuer); n != 1 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), issuer.URL) {
		t.Errorf("asked %d times, want 1 and a line about it:\n%s", n, log.String())
	}
	issuer.Break(oidctest.None)
	clock.add(pause - time.Second)
	verify(t, p, token, "fault", "")
	clock.add(time.Second)
	for range 5 {
		verify(t, p, token, "ok", "")
	}
	if n := asked(issuer); n != 2 {
		t.Errorf("asked %d times, want one more", n)
	}
	issuer.Break(oidctest.Down)
	verify(t, p, token, "ok", "")
	verify(t, p, issuer.SignWith(map[string]any{"kid": "new"}, job()), "wrong", "does not publish")
	clock.add(pause)
	verify(t, p, issuer.SignWith(map[string]any{"kid": "new"}, job()), "fault", "")
	verify(t, p, token, "ok", "")
}

func TestPublished_a_rotated_key_is_seen(t *testing.T) {
	issuer, clock := oidctest.Start(t), newClock()
	p := provider(t, issuer, func(c *Config) { c.Now = clock.now })
	before := issuer.Sign(job())
	verify(t, p, before, "ok", "")
	issuer.Rotate()
	after := issuer.Sign(job())
	verify(t, p, after, "wrong", "does not publish") // it was asked a moment ago
	clock.add(pause)
	verify(t, p, after, "ok", "")
	verify(t, p, before, "wrong", "does not publish")

	issuer.Rotate()
	clock.add(pause)
	verify(t, p, issuer.SignWith(map[string]any{"kid": nil}, job()), "ok", "")
	if n := asked(issuer); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestPublished_foreign_keys_let_the_issuer_be_asked_once_in_a_while(t *testing.T) {
	issuer, clock := oidctest.Start(t), newClock()
	p := provider(t, issuer, func(c *Config) { c.Now = clock.now })
	verify(t, p, issuer.Sign(job()), "ok", "")
	clock.add(pause)
	var all sync.WaitGroup
	for i := range 20 {
		token := issuer.SignWith(map[string]any{"kid": fmt.Sprint("k", i)}, job())
		all.Go(func() { verify(t, p, token, "wrong", "does not publish") })
	}
	all.Wait()
	if n := asked(issuer); n != 2 {
		t.Errorf("asked %d times, want one more than at first", n)
	}
}

func TestPublished_nobody_with_a_known_key_waits(t *testing.T) {
	issuer, clock := oidctest.Start(t), newClock()
	p := provider(t, issuer, func(c *Config) { c.Now = clock.now })
	token := issuer.Sign(with(job(), map[string]any{"exp": clock.now().Add(2 * renew).Unix()}))
	verify(t, p, token, "ok", "")
	clock.add(renew)
	issuer.Break(oidctest.Slow)
	foreign := issuer.SignWith(map[string]any{"kid": "new"}, job())
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, _, err := p.Verify(ctx, foreign); outcome(err) != "fault" {
			t.Errorf("who hung up is told %v", err)
		}
	})
	all.Go(func() { verify(t, p, foreign, "wrong", "does not publish") })
	eventually(t, "the issuer is asked", func() bool { return asked(issuer) == 2 })
	verify(t, p, token, "ok", "") // it would not come back if it waited
	cancel()
	verify(t, p, token, "ok", "")
	issuer.Break(oidctest.None)
	all.Wait()
	if n := asked(issuer); n != 2 {
		t.Errorf("asked %d times; that somebody hung up should not matter to the others", n)
	}
}

func TestPublished_withdrawn_keys_are_forgotten(t *testing.T) {
	issuer, clock := oidctest.Start(t), newClock()
	p := provider(t, issuer, func(c *Config) { c.Now = clock.now })
	issuer.Clock(func() time.Time { return clock.now().Add(keep + renew) })
	token := issuer.Sign(with(job(), map[string]any{"iat": nil}))
	verify(t, p, token, "ok", "")
	issuer.Rotate()
	clock.add(renew - time.Second)
	verify(t, p, token, "ok", "")
	if asked(issuer) != 1 {
		t.Error("asked again before its time")
	}
	clock.add(time.Second)
	verify(t, p, token, "ok", "") // nobody waits for the new keys
	eventually(t, "a key that was withdrawn is refused", func() bool {
		_, _, err := p.Verify(t.Context(), token)
		return outcome(err) == "wrong"
	})
}

func TestPublished_an_issuer_that_is_down_for_long_is_not_believed(t *testing.T) {
	issuer, clock := oidctest.Start(t), newClock()
	p := provider(t, issuer, func(c *Config) { c.Now = clock.now })
	token := issuer.Sign(with(job(), map[string]any{"exp": clock.now().Add(3 * keep).Unix()}))
	verify(t, p, token, "ok", "")
	issuer.Break(oidctest.Down)
	clock.add(keep - time.Second)
	verify(t, p, token, "ok", "")
	eventually(t, "it was asked in vain", func() bool {
		q := p.published.ask()
		<-q.done
		return q.err != nil
	})
	clock.add(pause)
	verify(t, p, token, "fault", "check a token")
	issuer.Break(oidctest.None)
	clock.add(pause)
	verify(t, p, token, "ok", "")
	issuer.Rotate()
	clock.add(keep)
	verify(t, p, token, "wrong", "does not publish")
}

func TestPublished_what_issuers_do_wrong(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		wrong        func(*oidctest.Issuer)
	}{
		{"down", "EOF", func(i *oidctest.Issuer) { i.Break(oidctest.Down) }},
		{"slow", "deadline exceeded", func(i *oidctest.Issuer) { i.Break(oidctest.Slow) }},
		{"huge", "more than 1048576 bytes", func(i *oidctest.Issuer) { i.Break(oidctest.Huge) }},
		{"a redirect", "307", func(i *oidctest.Issuer) { i.Break(oidctest.Elsewhere) }},
		{"another issuer", `calls itself "https://evil.example.com"`, func(i *oidctest.Issuer) {
			i.Publish(map[string]any{"issuer": "https://evil.example.com"})
		}},
		{"a slash more", "calls itself", func(i *oidctest.Issuer) { i.Publish(map[string]any{"issuer": i.URL + "/"}) }},
		{"no keys", "jwks_uri: there is no URL", func(i *oidctest.Issuer) { i.Publish(map[string]any{"jwks_uri": nil}) }},
		{"keys elsewhere without TLS", "jwks_uri", func(i *oidctest.Issuer) { i.Publish(map[string]any{"jwks_uri": "http://192.0.2.1/keys"}) }},
		{"a token endpoint without TLS", "token_endpoint", func(i *oidctest.Issuer) { i.Publish(map[string]any{"token_endpoint": "http://192.0.2.1/token"}) }},
		{"a login page that is a script", "authorization_endpoint", func(i *oidctest.Issuer) {
			i.Publish(map[string]any{"authorization_endpoint": "javascript:alert(1)"})
		}},
		{"userinfo without TLS", "userinfo_endpoint", func(i *oidctest.Issuer) { i.Publish(map[string]any{"userinfo_endpoint": "http://192.0.2.1/me"}) }},
		{"keys in a file", "jwks_uri", func(i *oidctest.Issuer) { i.Publish(map[string]any{"jwks_uri": "file:///etc/passwd"}) }},
		{"keys that are not there", "404", func(i *oidctest.Issuer) { i.Publish(map[string]any{"jwks_uri": i.URL + "/none"}) }},
		{"keys that are none", "no public key", func(i *oidctest.Issuer) {
			i.Publish(map[string]any{"jwks_uri": i.URL + "/.well-known/openid-configuration"})
		}},
		{"metadata of another kind", "metadata", func(i *oidctest.Issuer) { i.Publish(map[string]any{"jwks_uri": 5}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := oidctest.Start(t)
			token := issuer.Sign(job())
			c.wrong(issuer)
			p := provider(t, issuer, func(c *Config) { c.HTTP = &http.Client{Timeout: 200 * time.Millisecond} })
			verify(t, p, token, "fault", c.reason)
			if issuer.Asked("/elsewhere/.well-known/openid-configuration") > 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

func TestPublished_an_issuer_with_authorities_of_its_own(t *testing.T) {
	issuer := oidctest.StartTLS(t)
	p := provider(t, issuer, nil)
	verify(t, p, issuer.Sign(job()), "fault", "certificate")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	replace(t, ca, issuer.CA)
	p = provider(t, issuer, func(c *Config) { c.CAFile = ca })
	verify(t, p, issuer.Sign(job()), "ok", "")
}

func TestCheckURL_wants_https_but_on_this_machine(t *testing.T) {
	for _, c := range []struct {
		at, issuer string
		good       bool
	}{
		{"https://keys.example.com/a?b=c", "https://gitlab.example.com", true},
		{"https://keys.example.com", "http://127.0.0.1", true},
		{"http://127.0.0.1:1/a?b=c", "http://127.0.0.1:2", true},
		{"http://localhost/a", "http://[::1]:2", true},
		{"http://127.0.0.1/a", "https://gitlab.example.com", false},
		{"http://gitlab.example.com/a", "https://gitlab.example.com", false},
		{"http://gitlab.example.com/a", "http://127.0.0.1", false},
		{"http://127.0.0.1.example.com/a", "http://127.0.0.1", false},
		{"HTTP://127.0.0.1/a", "http://127.0.0.1", true},
		{"//127.0.0.1/a", "http://127.0.0.1", false},
		{"/a", "http://127.0.0.1", false},
		{"https://a@gitlab.example.com", "https://gitlab.example.com", false},
		{"https:gitlab.example.com", "https://gitlab.example.com", false},
		{"https://", "https://gitlab.example.com", false},
		{"", "https://gitlab.example.com", false},
	} {
		if err := checkURL(c.at, c.issuer); (err == nil) != c.good {
			t.Errorf("%q of %s: %v, want good: %v", c.at, c.issuer, err, c.good)
		}
	}
}

func TestKeyFile_is_read_again_when_it_changes(t *testing.T) {
	issuer := oidctest.Start(t)
	path := jwksFile(t, issuer)
	p := provider(t, issuer, func(c *Config) { c.JWKSFile = path })
	before := issuer.Sign(job())
	verify(t, p, before, "ok", "")
	issuer.Rotate()
	after := issuer.Sign(job())
	verify(t, p, after, "wrong", "does not publish")
	replace(t, path, issuer.JWKS())
	verify(t, p, after, "ok", "")
	verify(t, p, before, "wrong", "does not publish")
	replace(t, path, []byte("{"))
	verify(t, p, after, "fault", path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	verify(t, p, after, "fault", path)
	replace(t, path, issuer.JWKS())
	verify(t, p, after, "ok", "")
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Fatal(err)
	}
	replace(t, path, []byte("{"))
	verify(t, p, after, "fault", path)
	if err := os.Rename(path+".aside", path); err != nil { // the very file that was read before
		t.Fatal(err)
	}
	verify(t, p, after, "ok", "")
	if n := asked(issuer); n != 0 {
		t.Errorf("the issuer was asked %d times, though its keys are in a file", n)
	}
}
