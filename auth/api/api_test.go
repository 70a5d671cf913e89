package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/login"
	"github.com/entrepot/entrepot/auth/oidc"
	"github.com/entrepot/entrepot/auth/token"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/storage/kv"
)

type passwords struct{}

func (passwords) Hash(_ context.Context, password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return string(h), err
}

func (passwords) Matches(_ context.Context, hash, password string) (bool, error) {
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil, nil
}

func (passwords) Waste(context.Context, string) error { return nil }

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// house is the routes of logins behind a door, with users for every role on cloud/dmp.
type house struct {
	t        testing.TB
	index    kv.DB
	accounts *account.Store
	tokens   *token.Issuer
	logins   *login.Logins
	policy   auth.Live
	open     bool
	people   map[string]*oidc.Provider
	server   *httptest.Server
	log      *lines
	ahead    time.Duration
}

// pass is everybody's password.
const pass = "correct horse battery"

func build(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, index: kv.NewMemory(), log: &lines{}, people: map[string]*oidc.Provider{}}
	now := func() time.Time { return time.Now().Add(h.ahead) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.accounts, err = account.Open(t.Context(), account.Config{Index: h.index, Passwords: passwords{}, Now: now, OnChange: h.rebuild})
	must(err)
	h.tokens, err = token.Open(t.Context(), token.Config{Index: h.index, Service: "entrepot", Now: now})
	must(err)
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.logins = login.New(login.Config{Accounts: h.accounts, Tokens: h.tokens, Passwords: passwords{}, Now: now, Log: log})
	_, err = h.accounts.AddUser(t.Context(), "root", pass, nil, &auth.Grant{Role: auth.Admin, On: "**"})
	must(err)
	for _, role := range auth.Roles() {
		if role == auth.Admin {
			continue
		}
		_, err = h.accounts.AddUser(t.Context(), string(role), pass, nil, nil)
		must(err)
		_, err = h.accounts.AddGrant(t.Context(), auth.Grant{Who: "user:" + string(role), Role: role, On: "cloud/dmp/**"})
		must(err)
	}
	h.rebuild()
	handler := door.New(door.Config{
		Policy: &h.policy, Identify: h.logins.Identify, Service: "entrepot", Log: log,
	}, Routes(Config{
		Accounts: h.accounts, Logins: h.logins, Tokens: h.tokens, Rules: h.policy.Rules, Open: func() bool { return h.open },
		Fixed: func() []auth.Grant {
			return []auth.Grant{{ID: "config:1", Who: "group:ops", Role: auth.Admin, On: "**", By: "config"}}
		},
		People:   func(name string) *oidc.Provider { return h.people[name] },
		Service:  "entrepot",
		LoginTTL: 24 * time.Hour, Log: log, Now: now,
	})...)
	h.server = httptest.NewServer(handler)
	t.Cleanup(h.server.Close)
	return h
}

func (h *house) rebuild() {
	var grants []auth.Grant
	for g, err := range h.accounts.Grants(context.Background()) {
		if err != nil {
			h.t.Error(err)
		}
		grants = append(grants, g)
	}
	h.policy.Set(auth.NewRules(append(grants, auth.Grant{Who: "anyone", Role: auth.Reader, On: "public"}), true))
}

// answer is one, read to its end.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request as a user ("" is nobody, "Bearer …" a token).
func (h *house) do(as, method, path, body string, headers ...string) answer {
	h.t.Helper()
	req, err := http.NewRequest(method, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(as, "Bearer ") || strings.HasPrefix(as, "Basic ") {
		req.Header.Set("Authorization", as)
	} else if as != "" {
		name, secret, found := strings.Cut(as, "=")
		if !found {
			secret = pass
		}
		req.SetBasicAuth(name, secret)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req) // no redirects
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	r := answer{Response: res}
	if r.body, err = io.ReadAll(res.Body); err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (r answer) want(t testing.TB, status int) answer {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	return r
}

func (r answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
}

func (r answer) minted(t testing.TB) minted {
	t.Helper()
	var m minted
	r.want(t, 200).into(t, &m)
	if m.Token == "" || m.Token != m.AccessToken || m.ExpiresIn != 300 || m.TokenType != "Bearer" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v", r.body, r.Header)
	}
	return m
}

func (h *house) form(values ...string) answer {
	h.t.Helper()
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Add(values[i], values[i+1])
	}
	return h.do("", "POST", "/auth/token", v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// TestToken_scopes: what is in a token is what was asked for, as far as it was granted.
func TestToken_scopes(t *testing.T) {
	h := build(t)
	const mine = "repository:cloud/dmp/a:"
	for _, c := range []struct {
		as, scope, want string
	}{
		{"developer", mine + "pull,push", mine + "pull,push"},
		{"developer", mine + "push,pull", mine + "pull,push"},
		{"developer", mine + "*", mine + "pull,push,delete"},
		{"ci", mine + "*", mine + "pull,push"},
		{"maintainer", mine + "*", mine + "*"},
		{"root", mine + "*", mine + "*"},
		{"reader", mine + "pull,push,delete,*", mine + "pull"},
		{"domain-lead", mine + "pull,push", mine + "pull"},
		{"auditor", mine + "pull,push", ""},
		{"developer", "repository:cloud/core/a:pull,push", ""},
		{"developer", "repository:cloud/dmp-2/a:pull", ""},
		{"developer", "repository:nowhere/a:pull", ""},
		{"", mine + "pull", ""},
		{"", "repository:public/a:pull,push", "repository:public/a:pull"},
		{"developer", "", ""},
		{"developer", mine + "pull repository:public/x:pull", mine + "pull repository:public/x:pull"},
		{"developer", mine + "pull " + mine + "push", mine + "pull,push"},
		{"developer", "repository(plugin):cloud/dmp/a:pull", mine + "pull"},
		{"developer", "registry:catalog:*", "registry:catalog:*"},
		{"developer", "registry:catalog:pull", ""},
		{"developer", "repository:cloud/dmp/**:pull", ""},
		{"developer", "repository:host.example.com:5000/cloud/dmp/a:pull", ""},
		{"developer", "toy:cloud/dmp/a:pull", ""},
		{"developer", mine + "fly", ""},
		{"developer", mine, ""},
		{"developer", "repository:CLOUD/DMP/a:pull", ""},
	} {
		m := h.do(c.as, "GET", "/auth/token?service=entrepot&account=x&"+url.Values{"scope": {c.scope}}.Encode(), "").minted(t)
		if m.Scope != c.want || m.RefreshToken != "" {
			t.Errorf("%s asks for %q: %q, want %q", c.as, c.scope, m.Scope, c.want)
		}
		who, _, err := h.tokens.Verify(t.Context(), m.Token)
		if err != nil || text(who.Scope) != c.want || who.Scope == nil || who.Name != c.as {
			t.Errorf("%s: the token holds %v, %v", c.as, who, err)
		}
	}
	m := h.do("developer", "GET", "/auth/token?scope="+url.QueryEscape(mine+"pull")+"&scope="+url.QueryEscape("repository:public/x:pull"), "").minted(t)
	if m.Scope != mine+"pull repository:public/x:pull" {
		t.Errorf("two parameters: %q", m.Scope)
	}
	for _, bad := range []string{"x", "repository", "repository:a", ":a:pull", "repository::pull", strings.Repeat("repository:a/b:pull ", 101), "repository:" + strings.Repeat("a", 17<<10) + ":pull",
		"repository:a:" + strings.Repeat("pull,", 30)} {
		h.do("developer", "GET", "/auth/token?"+url.Values{"scope": {bad}}.Encode(), "").want(t, 400)
	}
}

func TestToken_wrong_credentials(t *testing.T) {
	h := build(t)
	for _, as := range []string{"developer=wrong", "nobody=x", "Basic x", "Bearer x", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyOnJvb3QifQ."} {
		r := h.do(as, "GET", "/auth/token?scope=repository:public/a:pull", "").want(t, 401)
		if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic realm=") || strings.Contains(string(r.body), "token") {
			t.Errorf("%s: %v %s", as, r.Header, r.body)
		}
	}
	for range 20 {
		h.do("developer=wrong", "GET", "/auth/token", "")
	}
	r := h.do("developer=wrong", "GET", "/auth/token", "").want(t, 429)
	if r.Header.Get("Retry-After") == "" || r.Header.Get("Retry-After") == "0" {
		t.Errorf("Retry-After: %q", r.Header.Get("Retry-After"))
	}
	if strings.Contains(h.log.String(), pass) || strings.Contains(h.log.String(), base64.StdEncoding.EncodeToString([]byte("developer:"+pass))) {
		t.Error("the log holds a password")
	}
}

func TestToken_offline(t *testing.T) {
	h := build(t)
	for _, ask := range []func() answer{
		func() answer {
			return h.do("developer", "GET", "/auth/token?offline_token=true&client_id=docker&scope=repository:cloud/dmp/a:pull", "")
		},
		func() answer {
			return h.form("grant_type", "password", "username", "developer", "password", pass, "access_type", "offline", "client_id", "docker", "scope", "repository:cloud/dmp/a:pull")
		},
	} {
		m := ask().minted(t)
		if m.RefreshToken == "" || m.Scope != "repository:cloud/dmp/a:pull" {
			t.Fatalf("%+v", m)
		}
		again := h.form("grant_type", "refresh_token", "refresh_token", m.RefreshToken, "service", "entrepot", "scope", "repository:cloud/dmp/b:pull,push").minted(t)
		if again.Scope != "repository:cloud/dmp/b:pull,push" || again.RefreshToken != m.RefreshToken {
			t.Errorf("%+v", again)
		}
		who, _, err := h.tokens.Verify(t.Context(), again.Token)
		if err != nil || who.String() != "user:developer" {
			t.Error(who, err)
		}
		all, err := h.accounts.Secrets(t.Context(), "user:developer")
		if err != nil || !slices.ContainsFunc(all, func(s account.Secret) bool { return s.Note == "login of docker" && s.Purpose == account.PurposeLogin }) {
			t.Error(all, err)
		}
		new := "another good password"
		if _, err := h.accounts.ChangeUser(t.Context(), "developer", account.UserChange{Password: &new}); err != nil {
			t.Fatal(err)
		}
		h.form("grant_type", "refresh_token", "refresh_token", m.RefreshToken).want(t, 401)
		old := pass
		if _, err := h.accounts.ChangeUser(t.Context(), "developer", account.UserChange{Password: &old}); err != nil {
			t.Fatal(err)
		}
	}
	if m := h.do("", "GET", "/auth/token?offline_token=true", "").minted(t); m.RefreshToken != "" {
		t.Error("nobody in particular has a refresh token")
	}
}

func TestToken_oauth(t *testing.T) {
	h := build(t)
	m := h.form("grant_type", "password", "username", "developer", "password", pass, "scope", "repository:cloud/dmp/a:pull").minted(t)
	if m.RefreshToken != "" {
		t.Error("a refresh token that nobody asked for")
	}
	exchanged := h.form("grant_type", grantExchange, "subject_token", m.Token, "subject_token_type", typeAccess, "scope", "repository:cloud/dmp/a:pull,push").minted(t)
	if exchanged.IssuedType != typeAccess || exchanged.Scope != "repository:cloud/dmp/a:pull" {
		t.Errorf("a narrow token was exchanged for %+v", exchanged)
	}
	for _, c := range []struct {
		form   []string
		status int
		code   string
	}{
		{[]string{"grant_type", "password", "username", "developer", "password", "wrong"}, 401, "invalid_grant"},
		{[]string{"grant_type", "password", "username", "developer"}, 400, "invalid_request"},
		{[]string{"grant_type", "refresh_token", "refresh_token", "x"}, 400, "invalid_grant"},
		{[]string{"grant_type", "refresh_token", "refresh_token", m.Token}, 400, "invalid_grant"},
		{[]string{"grant_type", "refresh_token", "refresh_token", "ent_aaaaaaaaaaaaaaaa_" + strings.Repeat("x", 43)}, 401, "invalid_grant"},
		{[]string{"grant_type", "client_credentials"}, 400, "unsupported_grant_type"},
		{nil, 400, "unsupported_grant_type"},
		{[]string{"grant_type", grantExchange, "subject_token", m.Token, "subject_token_type", "saml"}, 400, "invalid_request"},
		{[]string{"grant_type", grantExchange, "subject_token", m.Token, "subject_token_type", typeJWT, "actor_token", "x"}, 400, "invalid_request"},
		{[]string{"grant_type", grantExchange, "subject_token", m.Token + "x", "subject_token_type", typeJWT}, 401, "invalid_grant"},
		{[]string{"grant_type", "password", "username", "developer", "password", pass, "scope", "x"}, 400, "invalid_scope"},
	} {
		var e struct{ Error string }
		r := h.form(c.form...).want(t, c.status)
		if r.into(t, &e); e.Error != c.code {
			t.Errorf("%q: %s", c.form, r.body)
		}
	}
	h.form("grant_type", "password", "grant_type", "refresh_token").want(t, 400)
	h.do("", "POST", "/auth/token", `{"grant_type":"password"}`).want(t, 400)
	h.do("", "POST", "/auth/token?grant_type=password&username=developer&password="+url.QueryEscape(pass), "").want(t, 400) // what is in the address does not count
	h.do("", "POST", "/auth/token", strings.Repeat("a=b&", 20<<10), "Content-Type", "application/x-www-form-urlencoded").want(t, 400)
}

func TestUsers(t *testing.T) {
	h := build(t)
	h.do("root", "POST", "/api/v1/auth/users", `{"name":"bob","password":"a long password","groups":["dmp"]}`).want(t, 201)
	h.do("root", "POST", "/api/v1/auth/users", `{"name":"bob","password":"a long password"}`).want(t, 409)
	for _, bad := range []string{`{"name":"eve","password":"a long password","admin":true}`, `{"name":"eve","password":"x"}`, `{"name":"e/ve","password":"a long password"}`, `[]`, `{`, `{} {}`, ``,
		`{"name":"` + strings.Repeat("x", 70<<10) + `"}`} {
		if r := h.do("root", "POST", "/api/v1/auth/users", bad, "Content-Type", "application/json"); r.StatusCode != 400 && r.StatusCode != 413 {
			t.Errorf("%.60s: %d", bad, r.StatusCode)
		}
	}
	h.do("root", "POST", "/api/v1/auth/users", `{"name":"eve","password":"a long password"}`, "Content-Type", "text/plain").want(t, 400)
	var who struct {
		Kind, Name string
		Groups     []string
		Grants     []auth.Grant
	}
	h.do("bob=a long password", "GET", "/api/v1/auth/whoami", "").want(t, 200).into(t, &who)
	if who.Kind != "user" || who.Name != "bob" || len(who.Groups) != 1 || who.Grants == nil {
		t.Errorf("%+v", who)
	}
	h.do("root", "PATCH", "/api/v1/auth/users/bob", `{"disabled":true}`).want(t, 200)
	h.do("bob=a long password", "GET", "/api/v1/auth/whoami", "").want(t, 401)
	h.do("root", "PATCH", "/api/v1/auth/users/bob", `{"disabled":false,"password":"a newer password"}`).want(t, 200)
	h.do("bob=a newer password", "POST", "/api/v1/auth/password", `{"old":"a newer password","new":"the newest password"}`).want(t, 204)
	h.do("bob=a newer password", "GET", "/api/v1/auth/whoami", "").want(t, 401)
	h.do("bob=the newest password", "POST", "/api/v1/auth/password", `{"old":"wrong","new":"the newest password"}`).want(t, 401)
	if r := h.do("root", "GET", "/api/v1/auth/users", "").want(t, 200); strings.Contains(string(r.body), "$2") || !strings.Contains(string(r.body), `"bob"`) {
		t.Errorf("%s", r.body)
	}
	h.do("root", "GET", "/api/v1/auth/users/bob", "").want(t, 200)
	h.do("root", "DELETE", "/api/v1/auth/users/bob", "").want(t, 204)
	h.do("root", "GET", "/api/v1/auth/users/bob", "").want(t, 404)
	h.do("maintainer", "GET", "/api/v1/auth/users", "").want(t, 403)
	h.do("", "GET", "/api/v1/auth/users", "").want(t, 401)
}

// TestFirst_user of an open registry becomes its admin; before there is one, nothing else closes the registry.
func TestFirst_user(t *testing.T) {
	h := build(t)
	for _, name := range append([]string{"root"}, "reader", "node", "developer", "ci", "maintainer", "domain-lead", "auditor") {
		if err := h.accounts.RemoveUser(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	h.open = true
	h.policy.Set(auth.Open)
	h.do("", "POST", "/api/v1/auth/robots", `{"name":"x"}`).want(t, 409)
	h.do("", "POST", "/api/v1/auth/grants", `{"who":"user:x","role":"reader","on":"**"}`).want(t, 409)
	if r := h.do("", "POST", "/api/v1/auth/users", `{"name":"first","password":"a long password"}`, "Sec-Fetch-Site", "cross-site").want(t, 403); len(r.body) == 0 {
		t.Error("no word of why")
	}
	if r := h.do("", "POST", "/api/v1/auth/users", `{"name":"first","password":"a long password"}`).want(t, 201); !strings.Contains(string(r.body), `"first":true`) {
		t.Errorf("%s", r.body)
	}
	h.open = false
	h.do("first=a long password", "GET", "/api/v1/auth/users", "").want(t, 200)
	h.do("", "GET", "/api/v1/auth/users", "").want(t, 401)
}

func TestRobots_and_secrets(t *testing.T) {
	h := build(t)
	h.do("maintainer", "POST", "/api/v1/auth/robots", `{"name":"ci-dmp","on":"cloud/dmp","note":"builds"}`).want(t, 201)
	h.do("maintainer", "POST", "/api/v1/auth/robots", `{"name":"ci-core","on":"cloud/core"}`).want(t, 403)
	h.do("maintainer", "POST", "/api/v1/auth/robots", `{"name":"ci-all"}`).want(t, 403)
	h.do("developer", "POST", "/api/v1/auth/robots", `{"name":"x","on":"cloud/dmp"}`).want(t, 403)
	h.do("root", "POST", "/api/v1/auth/robots", `{"name":"ci-core","on":"cloud/core"}`).want(t, 201)
	for _, path := range []string{"/api/v1/auth/robots/ci-core", "/api/v1/auth/robots/none", "/api/v1/auth/robots/ci-core/secrets"} {
		if r := h.do("maintainer", "GET", path, "").want(t, 404); !strings.Contains(string(r.body), "that you may see") {
			t.Errorf("%s: %s", path, r.body)
		}
	}
	if r := h.do("maintainer", "GET", "/api/v1/auth/robots", ""); strings.Contains(string(r.body), "ci-core") || !strings.Contains(string(r.body), "ci-dmp") {
		t.Errorf("%s", r.body)
	}
	var secret struct {
		ID, Value string
		Expires   time.Time
	}
	h.do("maintainer", "POST", "/api/v1/auth/robots/ci-dmp/secrets", `{"note":"runner 1"}`).want(t, 201).into(t, &secret)
	if d := time.Until(secret.Expires); d < secretTTL-time.Hour || d > secretTTL+time.Hour {
		t.Errorf("it ends at %v", secret.Expires)
	}
	h.do("ci-dmp="+secret.Value, "GET", "/api/v1/auth/whoami", "").want(t, 200)
	h.do("Bearer "+secret.Value, "GET", "/api/v1/auth/whoami", "").want(t, 200)
	if r := h.do("maintainer", "GET", "/api/v1/auth/robots/ci-dmp/secrets", "").want(t, 200); strings.Contains(string(r.body), secret.Value) || !strings.Contains(string(r.body), secret.ID) {
		t.Errorf("%s", r.body)
	}
	for _, bad := range []string{`{"expires":"2001-01-01T00:00:00Z"}`, `{"never":true,"expires":"2101-01-01T00:00:00Z"}`, `{"scope":[{"type":"x","name":"a","actions":["pull"]}]}`,
		`{"scope":[{"type":"repository","name":"a","actions":[]}]}`, `{"scope":[{"type":"repository","name":"a","actions":["fly"]}]}`, `{"scope":[{"type":"repository","name":"../a","actions":["pull"]}]}`} {
		h.do("maintainer", "POST", "/api/v1/auth/robots/ci-dmp/secrets", bad).want(t, 400)
	}
	m := h.do("ci-dmp="+secret.Value, "GET", "/auth/token?offline_token=true", "").minted(t)
	h.do("root", "DELETE", "/api/v1/auth/robots/ci-core/secrets/"+secret.ID, "").want(t, 404) // another robot's
	h.do("maintainer", "DELETE", "/api/v1/auth/robots/ci-dmp/secrets/"+secret.ID, "").want(t, 204)
	h.do("ci-dmp="+secret.Value, "GET", "/api/v1/auth/whoami", "").want(t, 401)
	h.do("Bearer "+m.Token, "GET", "/api/v1/auth/whoami", "").want(t, 401)
	h.form("grant_type", "refresh_token", "refresh_token", m.RefreshToken).want(t, 401)
	h.do("maintainer", "PATCH", "/api/v1/auth/robots/ci-dmp", `{"disabled":true}`).want(t, 200)
	h.do("maintainer", "DELETE", "/api/v1/auth/robots/ci-dmp", "").want(t, 204)
}

func TestTokens_of_ones_own(t *testing.T) {
	h := build(t)
	var s struct{ ID, Value string }
	h.do("developer", "POST", "/api/v1/auth/tokens", `{"note":"laptop","scope":[{"type":"repository","name":"cloud/dmp/**","actions":["pull"]}]}`).want(t, 201).into(t, &s)
	as := "developer=" + s.Value
	if m := h.do(as, "GET", "/auth/token?scope=repository:cloud/dmp/a:pull,push", "").minted(t); m.Scope != "repository:cloud/dmp/a:pull" {
		t.Errorf("a token to pull with is good for %q", m.Scope)
	}
	h.do(as, "POST", "/api/v1/auth/tokens", `{}`).want(t, 403) // a narrow token makes no wide one
	h.do(as, "POST", "/api/v1/auth/password", `{"old":"`+pass+`","new":"a new password"}`).want(t, 403)
	h.do(as, "GET", "/api/v1/auth/tokens", "").want(t, 403)
	h.do(as, "POST", "/auth/logout", "").want(t, 403)
	h.do("reader", "DELETE", "/api/v1/auth/tokens/"+s.ID, "").want(t, 404)
	if r := h.do("developer", "GET", "/api/v1/auth/tokens", "").want(t, 200); !strings.Contains(string(r.body), s.ID) || strings.Contains(string(r.body), s.Value) {
		t.Errorf("%s", r.body)
	}
	h.do("developer", "DELETE", "/api/v1/auth/tokens/"+s.ID, "").want(t, 204)
	h.do(as, "GET", "/api/v1/auth/whoami", "").want(t, 401)
}

// TestLogout ends the login that is shown, be it cut down or not, and not the one behind a token that is cut down.
func TestLogout(t *testing.T) {
	h := build(t)
	var narrow struct{ ID, Value string }
	h.do("developer", "POST", "/api/v1/auth/tokens", `{"scope":[{"type":"repository","name":"cloud/dmp/**","actions":["pull"]}]}`).want(t, 201).into(t, &narrow)
	for what, as := range map[string]string{"a password": "developer", "a token that is cut down": "developer=" + narrow.Value} {
		login := h.do(as, "GET", "/auth/token?offline_token=true", "").minted(t).RefreshToken
		token := h.do("Bearer "+login, "GET", "/auth/token", "").minted(t).Token
		r := h.do("Bearer "+token, "POST", "/auth/logout", "").want(t, 403)
		if !strings.Contains(string(r.body), "nobody can log out") {
			t.Errorf("%s", r.body)
		}
		h.do("Bearer "+token, "GET", "/api/v1/auth/tokens", "").want(t, 403)
		if got := h.do("Bearer "+login, "GET", "/api/v1/auth/whoami", ""); got.StatusCode != 200 {
			t.Errorf("the login with %s was ended by a token that it was good for: %d", what, got.StatusCode)
		}
		h.do("Bearer "+login, "POST", "/auth/logout", "").want(t, 204)
		h.do("Bearer "+login, "GET", "/api/v1/auth/whoami", "").want(t, 401)
		h.do("Bearer "+token, "GET", "/api/v1/auth/whoami", "").want(t, 401)
	}
	h.do("developer", "POST", "/auth/logout", "").want(t, 204) // a password has nothing that could end
	h.do("developer="+narrow.Value, "GET", "/api/v1/auth/whoami", "").want(t, 200)
}

func TestGrants(t *testing.T) {
	h := build(t)
	add := func(as, who, role, on string) answer {
		return h.do(as, "POST", "/api/v1/auth/grants", `{"who":"`+who+`","role":"`+role+`","on":"`+on+`"}`)
	}
	var g auth.Grant
	add("maintainer", "user:reader", "developer", "cloud/dmp/x").want(t, 201).into(t, &g)
	if g.By != "user:maintainer" || g.ID == "" {
		t.Errorf("%+v", g)
	}
	if m := h.do("reader", "GET", "/auth/token?scope=repository:cloud/dmp/x:push", "").minted(t); m.Scope != "repository:cloud/dmp/x:push" {
		t.Errorf("a grant is not in force at once: %q", m.Scope)
	}
	add("maintainer", "user:reader", "admin", "cloud/dmp/x").want(t, 403)
	add("maintainer", "user:reader", "domain-lead", "cloud/dmp/x").want(t, 403)
	add("maintainer", "user:maintainer", "ci", "cloud/dmp/x").want(t, 403)
	add("maintainer", "user:reader", "developer", "**").want(t, 403)
	add("maintainer", "user:reader", "developer", "cloud").want(t, 403)
	add("domain-lead", "user:reader", "domain-lead", "cloud/dmp").want(t, 201)
	add("developer", "user:reader", "reader", "cloud/dmp").want(t, 403)
	add("root", "group:dmp", "owner", "cloud").want(t, 400)
	add("root", "dmp", "reader", "cloud").want(t, 400)
	add("root", "user:x", "reader", "Cloud/*").want(t, 400)
	if r := h.do("maintainer", "GET", "/api/v1/auth/grants", "").want(t, 200); strings.Contains(string(r.body), `"**"`) || !strings.Contains(string(r.body), g.ID) {
		t.Errorf("a maintainer sees %s", r.body)
	}
	if r := h.do("root", "GET", "/api/v1/auth/grants", "").want(t, 200); !strings.Contains(string(r.body), "config:1") {
		t.Errorf("an admin sees %s", r.body)
	}
	h.do("root", "DELETE", "/api/v1/auth/grants/config:1", "").want(t, 400)
	h.do("maintainer", "DELETE", "/api/v1/auth/grants/config:1", "").want(t, 404)
	h.do("maintainer", "DELETE", "/api/v1/auth/grants/"+g.ID, "").want(t, 204)
	if m := h.do("reader", "GET", "/auth/token?scope=repository:cloud/dmp/x:push", "").minted(t); m.Scope != "" {
		t.Errorf("a grant that was taken is still in force: %q", m.Scope)
	}
}

func TestCanI(t *testing.T) {
	h := build(t)
	var d struct {
		Allowed bool
		Reason  string
		Grant   *auth.Grant
	}
	ask := func(as, query string, status int) answer {
		return h.do(as, "GET", "/api/v1/auth/can-i?"+query, "").want(t, status)
	}
	ask("developer", "action=push&on=cloud/dmp/x", 200).into(t, &d)
	if !d.Allowed || d.Reason != "user:developer is developer on cloud/dmp/**" || d.Grant == nil {
		t.Errorf("%+v", d)
	}
	d.Grant = nil
	ask("developer", "action=promote&on=cloud/dmp/x", 200).into(t, &d)
	if d.Allowed || d.Grant != nil {
		t.Errorf("%+v", d)
	}
	ask("maintainer", "action=push&on=cloud/dmp/x&as=user:reader", 200).into(t, &d)
	if d.Allowed {
		t.Errorf("%+v", d)
	}
	ask("maintainer", "action=push&on=cloud/core/x&as=user:reader", 403)
	ask("developer", "action=push&on=cloud/dmp/x&as=user:reader", 403)
	ask("root", "action=pull&on=cloud/dmp/x&as=anonymous", 200).into(t, &d)
	if d.Allowed {
		t.Errorf("%+v", d)
	}
	ask("root", "action=pull&on=public/x&as=group:nobody", 200)
	ask("root", "action=pull&on=public/x&as=robot:none", 404)
	ask("root", "action=pull&on=public/x&as=nobody", 400)
	ask("root", "action=fly", 400)
	ask("root", "action=pull&on=../x", 400)
	ask("", "action=pull", 401)
}

// TestRotate withdraws what was signed before.
func TestRotate(t *testing.T) {
	h := build(t)
	m := h.do("developer", "GET", "/auth/token", "").minted(t)
	before := string(h.do("", "GET", "/auth/keys", "").want(t, 200).body)
	h.do("maintainer", "POST", "/api/v1/auth/keys/rotate", `{}`).want(t, 403)
	h.do("root", "POST", "/api/v1/auth/keys/rotate", `{"revoke":true}`).want(t, 204)
	h.do("Bearer "+m.Token, "GET", "/api/v1/auth/whoami", "").want(t, 401)
	if string(h.do("", "GET", "/auth/keys", "").want(t, 200).body) == before {
		t.Error("the same keys")
	}
	h.do("Bearer "+h.do("developer", "GET", "/auth/token", "").minted(t).Token, "GET", "/api/v1/auth/whoami", "").want(t, 200)
}

func FuzzScopes(f *testing.F) {
	f.Add("repository:cloud/dmp/a:pull,push registry:catalog:*")
	f.Add("repository(plugin):host:5000/a:*")
	f.Fuzz(func(t *testing.T, s string) {
		asked, err := parseScopes([]string{s})
		if err != nil {
			return
		}
		if len(cut(asked, nil, func(auth.Action, string) bool { return false })) > 0 {
			t.Errorf("%q gives something that nobody granted", s)
		}
		for _, a := range cut(asked, nil, func(do auth.Action, on string) bool { return do == auth.Pull }) {
			if a.Type != "repository" || !slices.Equal(a.Actions, []string{"pull"}) {
				t.Errorf("%q: %v", s, a)
			}
		}
	})
}

// raw sends a request as it is written.
func (h *house) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}
