package api

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/login"
	"github.com/entrepot/entrepot/auth/oidc"
	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

// browser follows no redirect by itself, and keeps cookies.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 20 * time.Second}
}

func get(t *testing.T, b *http.Client, address string) *http.Response {
	t.Helper()
	res, err := b.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}

// corp gives the house a provider for people.
func (h *house) corp(t *testing.T) *oidctest.Issuer {
	t.Helper()
	issuer := oidctest.Start(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(issuer.ClientSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := oidc.New(oidc.Config{Name: "corp", Issuer: issuer.URL, ClientID: issuer.ClientID, ClientSecretFile: secret, GroupsClaim: "groups"})
	if err != nil {
		t.Fatal(err)
	}
	h.people["corp"], h.people[""] = p, p
	return issuer
}

// come lets a browser log in and returns the answer to its way back.
func (h *house) come(t *testing.T, b *http.Client, issuer *oidctest.Issuer, query string) *http.Response {
	t.Helper()
	begun := get(t, b, h.server.URL+"/auth/login?"+query)
	if begun.StatusCode != http.StatusFound {
		t.Fatalf("begin: %d", begun.StatusCode)
	}
	return get(t, b, h.back(issuer, begun))
}

// back is the address that the provider sends a browser back to.
func (h *house) back(issuer *oidctest.Issuer, begun *http.Response) string {
	return h.server.URL + "/auth/callback?" + issuer.Visit(begun.Header.Get("Location")).Encode()
}

func (h *house) whoami(t *testing.T, b *http.Client) (who auth.Identity, status int) {
	t.Helper()
	res, err := b.Get(h.server.URL + "/api/v1/auth/whoami")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return who, res.StatusCode
	}
	a := answer{Response: res}
	a.body = make([]byte, 4096)
	n, _ := res.Body.Read(a.body)
	a.body = a.body[:n]
	a.into(t, &who)
	return who, 200
}

// TestPeople_log_in_with_a_browser, have the groups that their provider says, and no others from before.
func TestPeople_log_in_with_a_browser(t *testing.T) {
	h := build(t)
	issuer := h.corp(t)
	issuer.Person("alice", "dmp", "ops")
	b := browser(t)
	if _, status := h.whoami(t, b); status != 401 {
		t.Fatalf("before: %d", status)
	}
	back := h.come(t, b, issuer, "provider=corp&return=/somewhere%3Fa=b")
	if back.StatusCode != 303 || back.Header.Get("Location") != "/somewhere?a=b" {
		t.Fatalf("back: %d to %q", back.StatusCode, back.Header.Get("Location"))
	}
	for _, cookie := range back.Cookies() {
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
			t.Errorf("cookie %s: %+v", cookie.Name, cookie)
		}
	}
	who, _ := h.whoami(t, b)
	if who.Kind != "user" || who.Name != "alice@corp" || !slices.Equal(who.Groups, []string{"dmp", "ops"}) {
		t.Errorf("%+v", who)
	}
	issuer.Person("alice", "core")
	h.come(t, b, issuer, "")
	if who, _ := h.whoami(t, b); !slices.Equal(who.Groups, []string{"core"}) {
		t.Errorf("groups of before are still there: %q", who.Groups)
	}
	// A page of another site changes nothing with the cookie, one of ours does.
	post := func(site string) int {
		req, _ := http.NewRequest("POST", h.server.URL+"/auth/logout", nil)
		req.Header.Set("Sec-Fetch-Site", site)
		res, err := b.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if status := post("cross-site"); status != 403 {
		t.Errorf("a stranger's page: %d", status)
	}
	if _, status := h.whoami(t, b); status != 200 {
		t.Error("a stranger's page has logged alice out")
	}
	session := ""
	u, _ := url.Parse(h.server.URL)
	for _, cookie := range b.Jar.Cookies(u) {
		session = cookie.Value
	}
	// The session is a cookie and nothing else, and nothing else is a session.
	h.do("Bearer "+session, "GET", "/api/v1/auth/whoami", "").want(t, 401)
	h.do("alice@corp="+session, "GET", "/api/v1/auth/whoami", "").want(t, 401)
	h.form("grant_type", "refresh_token", "refresh_token", session).want(t, 401)
	var personal struct{ Value string }
	h.do("developer", "POST", "/api/v1/auth/tokens", `{}`).want(t, 201).into(t, &personal)
	for _, other := range []string{personal.Value, pass, "x"} {
		h.do("", "GET", "/api/v1/auth/whoami", "", "Cookie", "entrepot_session="+url.QueryEscape(other)).want(t, 401)
	}
	if status := post("same-origin"); status != 204 {
		t.Errorf("logout: %d", status)
	}
	h.do("", "GET", "/api/v1/auth/whoami", "", "Cookie", "entrepot_session="+session).want(t, 401)
	if strings.Contains(h.log.String(), session) {
		t.Error("the log holds a session")
	}
	// A person who is disabled here cannot come back.
	h.do("root", "PATCH", "/api/v1/auth/users/alice@corp", `{"disabled":true}`).want(t, 200)
	if back := h.come(t, browser(t), issuer, ""); back.StatusCode != 401 {
		t.Errorf("who is disabled comes back: %d", back.StatusCode)
	}
}

// TestPeople_are_led_nowhere_else: neither by what they asked for nor by what they come back with.
func TestPeople_are_led_nowhere_else(t *testing.T) {
	h := build(t)
	issuer := h.corp(t)
	issuer.Person("alice")
	for _, bad := range []string{"//evil.example.com", "https://evil.example.com", `/\evil.example.com`, "/a\r\nX: y", "javascript:alert(1)", "/ x", "x", "/" + strings.Repeat("a", 1000)} {
		if res := get(t, browser(t), h.server.URL+"/auth/login?return="+url.QueryEscape(bad)); res.StatusCode != 400 {
			t.Errorf("%q: %d to %q", bad, res.StatusCode, res.Header.Get("Location"))
		}
	}
	if res := get(t, browser(t), h.server.URL+"/auth/login?provider=none"); res.StatusCode != 404 {
		t.Errorf("a provider that is none: %d", res.StatusCode)
	}
	// What somebody else began is not finished in this browser, nor twice.
	mine, other := browser(t), browser(t)
	begun := get(t, mine, h.server.URL+"/auth/login")
	callback := h.back(issuer, begun)
	if res := get(t, other, callback); res.StatusCode != 400 {
		t.Errorf("without its cookie: %d", res.StatusCode)
	}
	get(t, other, h.server.URL+"/auth/login")
	if res := get(t, other, callback); res.StatusCode != 401 {
		t.Errorf("in another login: %d", res.StatusCode)
	}
	if res := get(t, mine, callback); res.StatusCode != 303 {
		t.Errorf("where it was begun: %d", res.StatusCode)
	}
	if res := get(t, mine, callback); res.StatusCode == 303 {
		t.Error("finished twice")
	}
	h.ahead = loginTime + time.Minute
	late := browser(t)
	h.ahead = 0
	begun = get(t, late, h.server.URL+"/auth/login")
	callback = h.back(issuer, begun)
	h.ahead = loginTime + time.Minute
	if res := get(t, late, callback); res.StatusCode != 400 {
		t.Errorf("too late: %d", res.StatusCode)
	}
	h.ahead = 0
	for _, host := range []string{`evil"x`, "a b", "a,b"} {
		r := h.raw(t, "GET /auth/login HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if r.StatusCode == 302 {
			t.Errorf("host %q: led to %s", host, r.Header.Get("Location"))
		}
	}
}

// TestJobs_exchange_their_token for one of the registry's, as a password, as a Bearer, and by RFC 8693.
func TestJobs_exchange_their_token(t *testing.T) {
	h := build(t)
	issuer := oidctest.Start(t)
	p, err := oidc.New(oidc.Config{Name: "gitlab", Issuer: issuer.URL, Audience: "https://registry.example.com", Bind: []oidc.Binding{
		{Claims: map[string]string{"project_path": "cloud/dmp/*", "ref_protected": "true"}, Role: auth.CIRole, On: "{project_path}"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.logins.Use(login.Source{Name: "gitlab", Provider: p, Tokens: true})
	claims := func(project string, more ...any) string {
		c := map[string]any{"aud": "https://registry.example.com", "sub": "project_path:" + project, "project_path": project, "ref_protected": "true"}
		for i := 0; i < len(more); i += 2 {
			c[more[i].(string)] = more[i+1]
		}
		return issuer.Sign(c)
	}
	const scope = "repository:cloud/dmp/ms-ingestion:pull,push"
	job := claims("cloud/dmp/ms-ingestion")
	for what, m := range map[string]minted{
		"Basic":    h.do("token="+job, "GET", "/auth/token?scope="+scope, "").minted(t),
		"Bearer":   h.do("Bearer "+job, "GET", "/auth/token?scope="+scope, "").minted(t),
		"password": h.form("grant_type", "password", "username", "x", "password", job, "scope", scope, "access_type", "offline").minted(t),
		"exchange": h.form("grant_type", grantExchange, "subject_token", job, "subject_token_type", typeID, "scope", scope).minted(t),
	} {
		who, _, err := h.tokens.Verify(t.Context(), m.Token)
		if err != nil || who.Kind != auth.CI || !strings.HasSuffix(who.Name, "@gitlab") || m.Scope != scope || m.RefreshToken != "" {
			t.Errorf("%s: %v, %v, scope %q", what, who, err, m.Scope)
		}
	}
	if m := h.do("token="+job, "GET", "/auth/token?scope=repository:cloud/dmp/other:pull", "").minted(t); m.Scope != "" {
		t.Errorf("another project's repository: %q", m.Scope)
	}
	for what, bad := range map[string]string{
		"project":   claims("cloud/core/x"),
		"protected": claims("cloud/dmp/x", "ref_protected", "false"),
		"audience":  claims("cloud/dmp/x", "aud", "https://elsewhere.example.com"),
		"expired":   claims("cloud/dmp/x", "exp", time.Now().Add(-time.Hour).Unix()),
		"wide":      claims("cloud/dmp/**"),
		"none":      issuer.SignWith(map[string]any{"alg": "none"}, map[string]any{"aud": "https://registry.example.com", "project_path": "cloud/dmp/x", "ref_protected": "true"}),
	} {
		h.do("token="+bad, "GET", "/auth/token", "").want(t, 401)
		if strings.Contains(h.log.String(), bad) {
			t.Errorf("%s: the log holds the token", what)
		}
	}
}
