package oidc

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The grant and the types of RFC 8693, section 3.
const (
	exchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessToken = "urn:ietf:params:oauth:token-type:access_token"
	idToken     = "urn:ietf:params:oauth:token-type:id_token"
	anyJWT      = "urn:ietf:params:oauth:token-type:jwt"
)

// token asks the provider's token endpoint as one of its clients does.
func (p *provider) token(t *testing.T, client, secret string, form url.Values) page {
	t.Helper()
	req, err := http.NewRequest("POST", p.URL+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(secret))
	return send(t, &http.Client{}, req).want(200)
}

// credentials returns an access token of the one client that gets one for itself.
func (p *provider) credentials(t *testing.T, scope string) string {
	t.Helper()
	got := into[struct {
		Token string `json:"access_token"`
	}](p.token(t, runner, runnerSecret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}))
	if strings.Count(got.Token, ".") != 2 {
		t.Fatalf("the provider's access token is no JWT: %q", got.Token)
	}
	return got.Token
}

// idToken returns the ID token that a client of the provider gets when alice logs in there: what a job that acts for a person shows.
func (p *provider) idToken(t *testing.T, client string) string {
	t.Helper()
	b := newBrowser(t)
	q := url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {p.callback}, "scope": {"openid profile"}, "state": {"x"}}
	back := b.fill(b.open(p.URL+"/auth?"+q.Encode(), ""), alice.Username, alice.Password, p.callback).next()
	if back == nil || back.Query().Get("code") == "" {
		t.Fatalf("the provider leads to %v, not back with a code", back)
	}
	got := into[struct {
		Token string `json:"id_token"`
	}](p.token(t, client, webSecret, url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {p.callback}}))
	return got.Token
}

// TestJobs_exchange_their_token for one of the registry's, in each way that there is, and may then do what its claims are bound to and nothing else.
func TestJobs_exchange_their_token(t *testing.T) {
	access := func(t *testing.T, p *provider) string { return p.credentials(t, "custom_scope") }
	id := func(t *testing.T, p *provider) string { return p.idToken(t, audience) }
	for _, c := range []struct {
		what              string
		token             func(*testing.T, *provider) string
		kind              string
		name, mine, other string
	}{
		{"access token", access, accessToken, "ci:sid1@jobs", "cloud/sid1/app", "cloud/sid2/app"},
		{"ID token", id, idToken, "ci:id-alice@jobs", "home/alice/app", "home/carol/app"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			h := build(t, nil)
			r := h.registry
			token := r.secret(c.token(t, h.provider))
			scope := "repository:" + c.mine + ":pull,push"
			wide := scope + " repository:" + c.other + ":pull,push"
			for way, p := range map[string]page{
				"exchange":        r.exchange("grant_type", exchange, "subject_token", token, "subject_token_type", c.kind, "scope", wide),
				"exchange of JWT": r.exchange("grant_type", exchange, "subject_token", token, "subject_token_type", anyJWT, "scope", wide),
				"password grant":  r.exchange("grant_type", "password", "username", "job", "password", token, "scope", wide),
				"password":        r.get(who{"job", token}, "/auth/token?scope="+url.QueryEscape(wide)),
				"bearer":          r.get(who{"", token}, "/auth/token?scope="+url.QueryEscape(wide)),
			} {
				got := into[struct {
					Scope   string
					Refresh string `json:"refresh_token"`
				}](p.want(200))
				if got.Scope != scope || got.Refresh != "" {
					t.Errorf("%s: the token is for %q, want %q; refresh token %q, want none", way, got.Scope, scope, got.Refresh)
				}
				ours := h.bearer(p)
				if got := into[identity](r.get(ours, "/api/v1/auth/whoami").want(200)); got.String() != c.name {
					t.Errorf("%s: whoami says %s, want %s", way, got, c.name)
				}
				r.ask(ours, "POST", "/v2/"+c.mine+"/blobs/uploads/", "", "").want(202)
				r.ask(ours, "POST", "/v2/"+c.other+"/blobs/uploads/", "", "").want(404)
			}
			// Some clients show the token itself.
			for _, shown := range []who{{"", token}, {"job", token}} {
				r.ask(shown, "POST", "/v2/"+c.mine+"/blobs/uploads/", "", "").want(202)
				r.ask(shown, "POST", "/v2/"+c.other+"/blobs/uploads/", "", "").want(404)
			}
		})
	}
}

// TestJobs_are_refused whose token is for somebody else, or says nothing that is bound, or was tampered with.
func TestJobs_are_refused(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	r := h.registry
	good := h.provider.credentials(t, "custom_scope")
	parts := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.ReplaceAll(string(payload), `"client":"sid1"`, `"client":"sid2"`)
	if forged == string(payload) {
		t.Fatalf("the token has no claim to forge: %s", payload)
	}
	for _, c := range []struct{ what, token, reason string }{
		{"for another client", h.provider.idToken(t, web), `its aud is`},
		{"without the claims", h.provider.credentials(t, "openid"), "no binding admits"},
		{"forged", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(forged)) + "." + parts[2], "signature is wrong"},
		{"unsigned", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", ""},
	} {
		r.secret(c.token)
		before := len(r.log.String())
		for way, p := range map[string]page{
			"exchange": r.exchange("grant_type", exchange, "subject_token", c.token, "subject_token_type", accessToken),
			"password": r.get(who{"job", c.token}, "/auth/token"),
			"bearer":   r.get(who{"", c.token}, "/api/v1/auth/whoami"),
		} {
			if p.status != 401 {
				t.Errorf("a token %s, by %s: %d, want 401", c.what, way, p.status)
			}
		}
		if told := r.log.String()[before:]; !strings.Contains(told, c.reason) {
			t.Errorf("a token %s: the operator is not told %q:\n%s", c.what, c.reason, told)
		}
	}
	r.get(who{"job", r.secret(good)}, "/auth/token").want(200)
}
