package oidc

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

const redirect = "https://registry.example.com/login/corp"

// people returns a provider where people log in.
func people(t testing.TB, i *oidctest.Issuer, change func(*Config)) *Provider {
	t.Helper()
	return provider(t, i, func(c *Config) {
		c.Bind, c.Audience = nil, ""
		c.ClientID, c.ClientSecretFile, c.GroupsClaim = i.ClientID, t.TempDir()+"/secret", "groups"
		replace(t, c.ClientSecretFile, []byte(i.ClientSecret+"\n"))
		if change != nil {
			change(c)
		}
	})
}

// login goes the whole way.
func login(t testing.TB, p *Provider, i *oidctest.Issuer) (Person, error) {
	t.Helper()
	started, err := p.Begin(t.Context(), redirect)
	if err != nil {
		t.Fatal(err)
	}
	q := i.Visit(started.URL)
	return p.Finish(t.Context(), started, redirect, q.Get("state"), q.Get("code"), q.Get("iss"))
}

func TestBegin(t *testing.T) {
	issuer := oidctest.Start(t)
	p := people(t, issuer, func(c *Config) { c.Scopes = []string{"groups"} })
	a, err := p.Begin(t.Context(), redirect)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Begin(t.Context(), redirect)
	if err != nil {
		t.Fatal(err)
	}
	if a.State == b.State || a.Nonce == b.Nonce || a.Verifier == b.Verifier || min(len(a.State), len(a.Nonce)) < 26 || len(a.Verifier) < 43 {
		t.Errorf("not random enough: %+v %+v", a, b)
	}
	u, err := url.Parse(a.URL)
	if err != nil || !strings.HasPrefix(a.URL, issuer.URL+"/authorize?") {
		t.Fatal(a.URL, err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": issuer.ClientID, "redirect_uri": redirect, "scope": "openid groups", "state": a.State, "nonce": a.Nonce,
		"code_challenge_method": "S256", "code_verifier": "", "client_secret": "",
	} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if strings.Contains(a.URL, a.Verifier) || len(q.Get("code_challenge")) != 43 {
		t.Errorf("the browser is shown the verifier, or no challenge: %s", a.URL)
	}
	for _, bad := range []string{"", "/login", "javascript:alert(1)", "https://registry.example.com/#a", "https:///x", "%zz"} {
		if _, err := p.Begin(t.Context(), bad); err == nil {
			t.Errorf("a login may end at %q", bad)
		}
	}
	if _, err := provider(t, issuer, nil).Begin(t.Context(), redirect); err == nil {
		t.Error("a login begins where there is none")
	}
	issuer.Publish(map[string]any{"token_endpoint": nil})
	if _, err := people(t, issuer, nil).Begin(t.Context(), redirect); err == nil || !strings.Contains(err.Error(), "token_endpoint") {
		t.Errorf("a login begins that could not end: %v", err)
	}
}

func TestFinish_says_who_it_is(t *testing.T) {
	issuer := oidctest.Start(t, "EdDSA")
	issuer.Person("alice", "dmp", "core")
	for _, c := range []struct {
		claims     map[string]any
		change     func(*Config)
		name       string // or what is wrong
		groupNames []string
	}{
		{nil, nil, "alice@corp", []string{"dmp", "core"}},
		{nil, func(c *Config) { c.GroupsPrefix = "corp/" }, "alice@corp", []string{"corp/dmp", "corp/core"}},
		{nil, func(c *Config) { c.GroupsClaim = "" }, "alice@corp", nil},
		{nil, func(c *Config) { c.UserClaim = "sub" }, "id-alice@corp", []string{"dmp", "core"}},
		{nil, func(c *Config) { c.UserClaim = "email" }, "alice@example.com@corp", []string{"dmp", "core"}},
		{map[string]any{"preferred_username": nil}, nil, "alice@example.com@corp", []string{"dmp", "core"}},
		{map[string]any{"preferred_username": ""}, nil, "alice@example.com@corp", []string{"dmp", "core"}},
		{map[string]any{"preferred_username": nil, "email_verified": "true"}, nil, "alice@example.com@corp", []string{"dmp", "core"}},
		{map[string]any{"preferred_username": nil, "email_verified": false}, nil, "id-alice@corp", []string{"dmp", "core"}},
		{map[string]any{"preferred_username": nil, "email_verified": nil}, nil, "id-alice@corp", []string{"dmp", "core"}},
		{map[string]any{"email_verified": false}, func(c *Config) { c.UserClaim = "email" }, "not verified the email", nil},
		{nil, func(c *Config) { c.UserClaim = "upn" }, "no claim upn", nil},
		{map[string]any{"preferred_username": "a\nb"}, nil, "cannot be named", nil},
		{map[string]any{"groups": "one"}, nil, "alice@corp", []string{"one"}},
		{map[string]any{"groups": nil}, nil, "alice@corp", nil},
		{map[string]any{"groups": []any{}}, nil, "alice@corp", nil},
		{map[string]any{"groups": []any{"a", "", " b", "c\n", "d\u202e", strings.Repeat("e", 256), "f g", nil, map[string]any{}}}, nil,
			"alice@corp", []string{"a", "f g"}},
		{map[string]any{"realm_access": map[string]any{"roles": []string{"dev"}}}, func(c *Config) { c.GroupsClaim = "realm_access.roles" },
			"alice@corp", []string{"dev"}},
		{nil, func(c *Config) { c.ClientSecretFile = "" }, "look at the client id, its secret", nil},
	} {
		t.Run(auth.Clip(fmt.Sprint(c.name, c.claims)), func(t *testing.T) {
			issuer.Claims(c.claims)
			p, err := login(t, people(t, issuer, c.change), issuer)
			if err != nil {
				if !strings.Contains(err.Error(), c.name) {
					t.Errorf("%v, want %s", err, c.name)
				}
				return
			}
			if p.Name != c.name || !slices.Equal(p.Groups, c.groupNames) {
				t.Errorf("%s of %q, want %s of %q", p.Name, p.Groups, c.name, c.groupNames)
			}
			if left := time.Until(p.Until); left < 58*time.Minute || left > time.Hour {
				t.Errorf("good until %s, want the token's end in an hour", p.Until)
			}
		})
	}
}

func TestFinish_replaces_groups_and_bounds_them(t *testing.T) {
	issuer := oidctest.Start(t)
	var log logs
	p := people(t, issuer, func(c *Config) { c.Log = log.logger() })
	for _, groups := range [][]string{{"dmp", "core"}, {"core"}, {}, {"admin"}} {
		issuer.Person("alice", groups...)
		got, err := login(t, p, issuer)
		if err != nil || got.Name != "alice@corp" || !slices.Equal(got.Groups, groups) {
			t.Errorf("%+v, %v, want %q", got, err, groups)
		}
	}
	issuer.Person("bob")
	if got, err := login(t, p, issuer); err != nil || got.Name != "bob@corp" || got.Groups != nil {
		t.Errorf("%+v, %v, want bob without groups", got, err)
	}
	if log.String() != "" {
		t.Errorf("all is well, and yet: %s", log.String())
	}
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf("a group of the whole company with the number %d", i))
	}
	issuer.Person("carol", many...)
	if got, err := login(t, p, issuer); err != nil || !slices.Equal(got.Groups, many[:maxGroups]) {
		t.Errorf("%d groups, %v, want the first %d", len(got.Groups), err, maxGroups)
	}
	if !strings.Contains(log.String(), "dropped=1500") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("want one line about 1500 groups: %s", log.String())
	}
}

func TestFinish_refuses_answers_to_something_else(t *testing.T) {
	issuer := oidctest.Start(t)
	p := people(t, issuer, nil)
	type answer struct {
		started                    Started
		redirect, state, code, iss string
	}
	for _, c := range []struct {
		name, reason string
		change       func(*answer)
	}{
		{"all is well", "", func(*answer) {}},
		{"another state", "state", func(a *answer) { a.state += "x" }},
		{"no state", "state", func(a *answer) { a.state = "" }},
		{"nothing was begun", "no login was begun", func(a *answer) { a.started, a.state = Started{}, "" }},
		{"another nonce", "nonce", func(a *answer) { a.started.Nonce = "another nonce" }},
		{"no nonce", "no login was begun", func(a *answer) { a.started.Nonce = "" }},
		{"another verifier", "does not take the code", func(a *answer) { a.started.Verifier = strings.Repeat("v", 43) }},
		{"no verifier", "no login was begun", func(a *answer) { a.started.Verifier = "" }},
		{"another redirect", "does not take the code", func(a *answer) { a.redirect = "https://registry.example.com/other" }},
		{"another code", "does not take the code", func(a *answer) { a.code = "another" }},
		{"no code", "code has 0 bytes", func(a *answer) { a.code = "" }},
		{"a huge code", "code has 5000 bytes", func(a *answer) { a.code = strings.Repeat("c", 5000) }},
		{"another issuer", "another issuer", func(a *answer) { a.iss = "https://evil.example.com" }},
		{"no issuer", "does not say which issuer", func(a *answer) { a.iss = "" }},
		{"twice", "does not take the code", func(a *answer) {
			if _, err := p.Finish(t.Context(), a.started, a.redirect, a.state, a.code, a.iss); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			started, err := p.Begin(t.Context(), redirect)
			if err != nil {
				t.Fatal(err)
			}
			q := issuer.Visit(started.URL)
			a := answer{started: started, redirect: redirect, state: q.Get("state"), code: q.Get("code"), iss: q.Get("iss")}
			c.change(&a)
			got, err := p.Finish(t.Context(), a.started, a.redirect, a.state, a.code, a.iss)
			refusedFor(t, got, err, "wrong", c.reason)
			for _, secret := range []string{q.Get("code"), started.Verifier, started.Nonce, issuer.ClientSecret} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("a secret is in the error: %v", err)
				}
			}
		})
	}
}

// refusedFor wants that a login failed so, or that it did not if there is no reason.
func refusedFor(t testing.TB, got Person, err error, result, reason string) {
	t.Helper()
	if reason == "" {
		if err != nil || got.Name == "" {
			t.Errorf("%+v, %v", got, err)
		}
		return
	}
	if outcome(err) != result || !strings.Contains(fmt.Sprint(err), reason) || got.Name != "" {
		t.Errorf("%+v, %s: %v, want %s: %s", got, outcome(err), err, result, reason)
	}
}

func TestFinish_refuses_ID_tokens_that_are_not_for_it(t *testing.T) {
	issuer, other := oidctest.Start(t), oidctest.Start(t)
	ended := time.Now().Add(-time.Second).Unix()
	for _, c := range []struct {
		claims map[string]any
		reason string
	}{
		{map[string]any{"azp": issuer.ClientID}, ""},
		{map[string]any{"aud": []string{"other", issuer.ClientID}, "azp": issuer.ClientID}, ""},
		{map[string]any{"at_hash": nil}, ""},
		{map[string]any{"aud": "other"}, "aud"},
		{map[string]any{"aud": audience}, "aud"},
		{map[string]any{"aud": []string{"other", issuer.ClientID}}, "azp"},
		{map[string]any{"azp": "other"}, "azp"},
		{map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"},
		{map[string]any{"at_hash": 1}, "at_hash"},
		{map[string]any{"nonce": "AAAAAAAAAAAAAAAAAAAAAAAAAA"}, "nonce"},
		{map[string]any{"nonce": nil}, "nonce"},
		{map[string]any{"iss": other.URL}, "no ID token of its own"},
		{map[string]any{"exp": ended}, "ended"},
		{map[string]any{"exp": nil}, "no exp"},
	} {
		t.Run(fmt.Sprint(c.claims), func(t *testing.T) {
			issuer.Claims(c.claims)
			got, err := login(t, people(t, issuer, nil), issuer)
			refusedFor(t, got, err, "wrong", c.reason)
		})
	}
}

func TestFinish_tells_faults_from_wrong_answers(t *testing.T) {
	for _, c := range []struct {
		name, result, reason string
		wrong                func(*oidctest.Issuer, *Config)
	}{
		{"another secret", "fault", `"invalid_client"`, func(_ *oidctest.Issuer, c *Config) {
			replace(t, c.ClientSecretFile, []byte("an old secret"))
		}},
		{"down", "fault", "EOF", func(i *oidctest.Issuer, _ *Config) { i.Break(oidctest.Down) }},
		{"slow", "fault", "deadline exceeded", func(i *oidctest.Issuer, _ *Config) { i.Break(oidctest.Slow) }},
		{"huge", "fault", "exchange a code", func(i *oidctest.Issuer, _ *Config) { i.Break(oidctest.Huge) }},
		{"a redirect", "fault", "307", func(i *oidctest.Issuer, _ *Config) { i.Break(oidctest.Elsewhere) }},
		{"a key that is not published yet", "wrong", "does not publish", func(i *oidctest.Issuer, _ *Config) { i.Rotate() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := oidctest.Start(t)
			var config Config
			p := people(t, issuer, func(c *Config) {
				c.HTTP = &http.Client{Timeout: 300 * time.Millisecond}
				config = *c
			})
			started, err := p.Begin(t.Context(), redirect)
			if err != nil {
				t.Fatal(err)
			}
			q := issuer.Visit(started.URL)
			c.wrong(issuer, &config)
			got, err := p.Finish(t.Context(), started, redirect, q.Get("state"), q.Get("code"), q.Get("iss"))
			refusedFor(t, got, err, c.result, c.reason)
			if n := issuer.Asked("/token"); n != 1 {
				t.Errorf("the code was shown %d times, want once", n)
			}
			if issuer.Asked("/elsewhere/token") > 0 {
				t.Error("the secret was taken to where a redirect led")
			}
			if strings.Contains(fmt.Sprint(err), "secret with") || strings.Contains(fmt.Sprint(err), "an old secret") {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

func TestFinish_shows_the_secret_as_the_issuer_wants(t *testing.T) {
	for _, c := range []struct {
		methods []string
		reason  string
	}{
		{nil, ""},
		{[]string{"client_secret_basic"}, ""},
		{[]string{"client_secret_post"}, ""},
		{[]string{"private_key_jwt"}, "takes no client secret"},
	} {
		issuer := oidctest.Start(t)
		issuer.Publish(map[string]any{"token_endpoint_auth_methods_supported": c.methods, "authorization_response_iss_parameter_supported": nil})
		p := people(t, issuer, nil)
		if c.reason != "" {
			if _, err := p.Begin(t.Context(), redirect); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v: %v, want %s", c.methods, err, c.reason)
			}
			continue
		}
		started, err := p.Begin(t.Context(), redirect)
		if err != nil {
			t.Fatal(err)
		}
		q := issuer.Visit(started.URL)
		got, err := p.Finish(t.Context(), started, redirect, q.Get("state"), q.Get("code"), "") // an issuer without RFC 9207
		refusedFor(t, got, err, "", "")
	}
	t.Run("a public client", func(t *testing.T) {
		issuer := oidctest.Start(t)
		issuer.ClientSecret = ""
		got, err := login(t, people(t, issuer, func(c *Config) { c.ClientSecretFile = "" }), issuer)
		refusedFor(t, got, err, "", "")
		if n := issuer.Asked("/token"); n != 1 {
			t.Errorf("the code was shown %d times, want once", n)
		}
	})
}
