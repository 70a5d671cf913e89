package oidc

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

// hidden are the claims of a person whose ID token says nothing but sub.
var hidden = map[string]any{"preferred_username": nil, "email": nil, "email_verified": nil, "groups": nil}

func TestFinish_asks_for_what_the_ID_token_does_not_say(t *testing.T) {
	user := func(claim string) func(*Config) { return func(c *Config) { c.UserClaim = claim } }
	groupless := func(c *Config) { c.GroupsClaim = "" }
	for _, c := range []struct {
		what     string
		token    map[string]any // changes to the ID token
		userinfo map[string]any // nil: there is no such endpoint
		change   func(*Config)
		name     string // or why there is none
		groups   []string
		asked    int
	}{
		{"all is in the ID token", nil, with(hidden, map[string]any{"preferred_username": "bob", "groups": []string{"admin"}}), nil,
			"alice@corp", []string{"dmp"}, 0},
		{"all is in userinfo", hidden, map[string]any{"preferred_username": "alice", "groups": []string{"core"}}, nil, "alice@corp", []string{"core"}, 1},
		{"a name is enough", map[string]any{"email": nil, "email_verified": nil}, map[string]any{"email": "al@example.com"}, nil,
			"alice@corp", []string{"dmp"}, 0},
		{"nobody is in either", with(hidden, map[string]any{"sub": nil}), map[string]any{"preferred_username": "al"}, nil, "not about", nil, 1},
		{"there is no userinfo", hidden, nil, nil, "id-alice@corp", nil, 0},
		{"nothing is anywhere", hidden, map[string]any{}, nil, "id-alice@corp", nil, 1},

		{"only groups are missing", map[string]any{"groups": nil}, map[string]any{"groups": []string{"core"}}, nil, "alice@corp", []string{"core"}, 1},
		{"groups are null", map[string]any{"groups": []any(nil)}, map[string]any{"groups": "core"}, nil, "alice@corp", []string{"core"}, 1},
		{"groups are none", map[string]any{"groups": []any{}}, map[string]any{"groups": []string{"core"}}, nil, "alice@corp", nil, 0},
		{"groups are not wanted", map[string]any{"groups": nil}, map[string]any{"groups": []string{"core"}}, groupless, "alice@corp", nil, 0},
		{"groups are deep in userinfo", map[string]any{"realm": map[string]any{"a": "b"}}, map[string]any{"realm": map[string]any{"roles": []string{"dev"}}},
			func(c *Config) { c.GroupsClaim = "realm.roles" }, "alice@corp", []string{"dev"}, 1},
		{"groups have a prefix", hidden, map[string]any{"groups": []string{"core", "a\nb"}}, func(c *Config) { c.GroupsPrefix = "corp:" },
			"id-alice@corp", []string{"corp:core"}, 1},

		{"a name in userinfo does not rename", map[string]any{"preferred_username": nil, "groups": nil}, map[string]any{"preferred_username": "bob"}, nil,
			"alice@example.com@corp", nil, 1},
		{"an email that is not verified names nobody", map[string]any{"preferred_username": nil, "email_verified": false},
			map[string]any{"preferred_username": "al"}, nil, "al@corp", []string{"dmp"}, 1},
		{"it stays so", map[string]any{"preferred_username": nil, "email_verified": false}, map[string]any{"email_verified": true}, nil,
			"id-alice@corp", []string{"dmp"}, 1},
		{"an email in userinfo", hidden, map[string]any{"email": "al@example.com", "email_verified": true}, nil, "al@example.com@corp", nil, 1},
		{"an email in userinfo, not verified", hidden, map[string]any{"email": "al@example.com"}, nil, "id-alice@corp", nil, 1},
		{"the same email, verified in userinfo", map[string]any{"preferred_username": nil, "email_verified": nil},
			map[string]any{"email": "alice@example.com", "email_verified": true}, nil, "alice@example.com@corp", []string{"dmp"}, 1},
		{"another email, verified in userinfo", map[string]any{"preferred_username": nil, "email_verified": nil},
			map[string]any{"email": "al@example.com", "email_verified": true}, nil, "id-alice@corp", []string{"dmp"}, 1},
		{"an email in userinfo, verified in the ID token", map[string]any{"preferred_username": nil, "email": nil},
			map[string]any{"email": "al@example.com"}, nil, "id-alice@corp", []string{"dmp"}, 1},

		{"the claim for names", nil, map[string]any{"upn": "al"}, user("upn"), "al@corp", []string{"dmp"}, 1},
		{"the claim for names is in both", map[string]any{"upn": "alice"}, map[string]any{"upn": "bob"}, user("upn"), "alice@corp", []string{"dmp"}, 0},
		{"the claim for names is nowhere", nil, map[string]any{}, user("upn"), "there is no claim upn", nil, 1},
		{"the claim for names is bad", nil, map[string]any{"upn": "a\nb"}, user("upn"), "cannot be named", nil, 1},
		{"sub is always there", hidden, map[string]any{"preferred_username": "bob", "groups": "core"}, user("sub"), "id-alice@corp", []string{"core"}, 1},
		{"sub alone", hidden, map[string]any{"preferred_username": "bob"}, func(c *Config) { c.UserClaim, c.GroupsClaim = "sub", "" },
			"id-alice@corp", nil, 0},
		{"the email names", hidden, map[string]any{"email": "al@example.com", "email_verified": true}, user("email"), "al@example.com@corp", nil, 1},
		{"the email names, verified in userinfo", map[string]any{"email_verified": nil}, map[string]any{"email": "alice@example.com", "email_verified": "true"},
			user("email"), "alice@example.com@corp", []string{"dmp"}, 1},
		{"the email names, another is verified", map[string]any{"email_verified": nil}, map[string]any{"email": "al@example.com", "email_verified": true},
			user("email"), "not verified the email", nil, 1},

		{"claims of tokens stay", hidden, map[string]any{
			"preferred_username": "alice", "iss": "https://evil.example.com", "aud": "evil", "exp": time.Now().Add(1000 * time.Hour).Unix(), "nonce": "n",
		}, nil, "alice@corp", nil, 1},
		{"nobody is named by claims of tokens", nil, map[string]any{"sid": "al"}, user("sid"), "there is no claim sid", nil, 0},
		{"nobody gets groups by claims of tokens", nil, map[string]any{"amr": []string{"admin"}}, func(c *Config) { c.GroupsClaim = "amr" }, "alice@corp", nil, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			issuer := oidctest.Start(t)
			issuer.Person("alice", "dmp")
			issuer.Claims(c.token)
			issuer.Userinfo(c.userinfo)
			got, err := login(t, people(t, issuer, c.change), issuer)
			if n := issuer.Asked("/userinfo"); n != c.asked {
				t.Errorf("userinfo was asked %d times, want %d", n, c.asked)
			}
			if err != nil {
				if outcome(err) != "wrong" || !strings.Contains(err.Error(), c.name) {
					t.Errorf("%v, want %s", err, c.name)
				}
				return
			}
			if got.Name != c.name || !slices.Equal(got.Groups, c.groups) {
				t.Errorf("%s of %q, want %s of %q", got.Name, got.Groups, c.name, c.groups)
			}
			if left := time.Until(got.Until); left < 58*time.Minute || left > time.Hour {
				t.Errorf("good until %s, want the ID token's end in an hour", got.Until)
			}
		})
	}
}

func TestFinish_refuses_userinfo_of_somebody_else(t *testing.T) {
	issuer := oidctest.Start(t)
	issuer.Claims(hidden)
	issuer.Userinfo(map[string]any{"preferred_username": "root", "groups": "admin"})
	p := people(t, issuer, nil)
	issuer.Break(oidctest.Mistaken)
	got, err := login(t, p, issuer)
	refusedFor(t, got, err, "wrong", `not about "id-alice"`)
	issuer.Break(oidctest.None)
	if got, err := login(t, p, issuer); err != nil || got.Name != "root@corp" {
		t.Errorf("%+v, %v, want root, as the issuer says now", got, err)
	}
}

// endpoint is a userinfo endpoint that answers as a test wants.
type endpoint struct {
	answer http.HandlerFunc

	mu    sync.Mutex
	shown []string // Authorization headers, of all requests
	paths []string
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.shown = append(e.shown, r.Header.Get("Authorization"))
	e.paths = append(e.paths, r.Method+" "+r.URL.RequestURI())
	e.mu.Unlock()
	e.answer(w, r)
}

// says answers with a body of a type.
func says(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, body)
	}
}

func TestFinish_takes_nothing_else_for_userinfo(t *testing.T) {
	const sub = `"sub":"id-alice"`
	issuer, other := oidctest.Start(t), oidctest.Start(t)
	issuer.Claims(hidden)
	signed := func(by *oidctest.Issuer, header, changes map[string]any) http.HandlerFunc {
		claims := with(map[string]any{"iss": issuer.URL, "aud": issuer.ClientID, "sub": "id-alice", "preferred_username": "al", "exp": nil}, changes)
		return says("application/jwt;charset=utf-8", by.SignWith(header, claims)+"\n")
	}
	for _, c := range []struct {
		what           string
		answer         http.HandlerFunc
		result, reason string
	}{
		{"an object", says("application/json", `{`+sub+`,"preferred_username":"al"}`), "", ""},
		{"an object of another type", says("text/plain", ` {`+sub+`,"preferred_username":"al"} `), "", ""},
		{"nobody", says("application/json", `{"preferred_username":"al"}`), "wrong", `not about "id-alice"`},
		{"null", says("application/json", `{"sub":null,"preferred_username":"al"}`), "wrong", `not about "id-alice"`},
		{"another case", says("application/json", `{"SUB":"id-alice","Sub":"id-alice","sub":"id-Alice"}`), "wrong", `not about "id-alice"`},
		{"a list of subs", says("application/json", `{"sub":["id-alice"]}`), "wrong", `not about "id-alice"`},
		{"a list", says("application/json", `[{`+sub+`}]`), "fault", "no JSON object"},
		{"two objects", says("application/json", `{`+sub+`}{`+sub+`}`), "fault", "something behind"},
		{"half an object", says("application/json", `{`+sub), "fault", "no JSON object"},
		{"nothing", says("application/json", ``), "fault", "no JSON object"},
		{"a page", says("text/html", `<html>`), "fault", "no JSON object"},
		{"too much", says("application/json", `{`+sub+`,"x":"`+strings.Repeat("x", maxBody)+`"}`), "fault", "more than 1048576 bytes"},
		{"401", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization"), http.StatusUnauthorized)
		}, "fault", "401 Unauthorized, not 200"},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "fault", "500"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "fault", "204"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, "fault", "redirects are not followed"},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "fault", "EOF"},
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "fault", "Client.Timeout"},
		{"words of its own", func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 403 no %s\r\nContent-Length: 0\r\n\r\n", r.Header.Get("Authorization"))
		}, "fault", "403 Forbidden"},

		{"signed", signed(issuer, nil, nil), "", ""},
		{"signed, with an end", signed(issuer, nil, map[string]any{"exp": time.Now().Add(time.Minute).Unix()}), "", ""},
		{"signed, ended", signed(issuer, nil, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), "wrong", "userinfo at http"},
		{"signed by another", signed(other, nil, nil), "wrong", "does not publish"},
		{"signed by nobody", signed(issuer, map[string]any{"alg": "none"}, nil), "wrong", "algorithm"},
		{"signed with the public key", signed(issuer, map[string]any{"alg": "HS256"}, nil), "wrong", "algorithm"},
		{"signed for another", signed(issuer, nil, map[string]any{"aud": "other"}), "wrong", "its aud is"},
		{"signed for nobody", signed(issuer, nil, map[string]any{"aud": nil}), "wrong", "its aud is"},
		{"signed as another", signed(issuer, nil, map[string]any{"iss": other.URL}), "wrong", "its issuer is another one"},
		{"signed of another", signed(issuer, nil, map[string]any{"sub": "id-bob"}), "wrong", `not about "id-alice"`},
		{"said to be signed", says("application/jwt", `{`+sub+`}`), "wrong", "cannot be read"},
		{"signed and not said so", says("application/json", issuer.Sign(map[string]any{"sub": "id-alice"})), "fault", "no JSON object"},
		{"encrypted", says("application/jwt", "e30.AA.AA.AA.AA"), "wrong", "cannot be read"},
	} {
		t.Run(c.what, func(t *testing.T) {
			e := &endpoint{answer: c.answer}
			server := httptest.NewServer(e)
			t.Cleanup(server.Close)
			issuer.Publish(map[string]any{"userinfo_endpoint": server.URL + "/me?x=y"})
			var log logs
			got, err := login(t, people(t, issuer, func(c *Config) {
				c.Log, c.HTTP = log.logger(), &http.Client{}
				if strings.Contains(t.Name(), "in_time") {
					c.HTTP.Timeout = time.Second
				}
			}), issuer)
			refusedFor(t, got, err, c.result, c.reason)
			if c.reason == "" && got.Name != "al@corp" {
				t.Errorf("%+v, want al", got)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if !slices.Equal(e.paths, []string{"GET /me?x=y"}) {
				t.Fatalf("asked for %q, want /me once and nothing else", e.paths)
			}
			token, bearer := strings.CutPrefix(e.shown[0], "Bearer ")
			if !bearer || len(token) < 20 {
				t.Fatalf("it was shown %q, want the access token", e.shown[0])
			}
			if strings.Contains(fmt.Sprint(err)+log.String(), token) {
				t.Errorf("the access token is in the error or in the log: %v\n%s", err, log.String())
			}
		})
	}
}

func TestFinish_asks_for_userinfo_no_longer_than_it_may(t *testing.T) {
	issuer := oidctest.Start(t)
	issuer.Claims(hidden)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the browser hangs up
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	issuer.Publish(map[string]any{"userinfo_endpoint": server.URL})
	p := people(t, issuer, nil)
	started, err := p.Begin(ctx, redirect)
	if err != nil {
		t.Fatal(err)
	}
	q := issuer.Visit(started.URL)
	got, err := p.Finish(ctx, started, redirect, q.Get("state"), q.Get("code"), q.Get("iss"))
	refusedFor(t, got, err, "fault", "context canceled")
}

func TestGet_does_not_tell_the_access_token(t *testing.T) {
	c, err := client(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"http://127.0.0.1:1/me", "http://%zz"} {
		if _, _, err := get(t.Context(), c, at, "a secret\nX-More: of it"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want an error without the access token", at, err)
		}
	}
}
