package oidc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/zitadel/oidc/v3/example/server/storage"
)

// house is a registry with a provider.
type house struct {
	t        *testing.T
	provider *provider
	registry *registry
}

// local is whom the registry knows without a provider.
var local = who{"local", "local's password"}

// build starts a provider and a registry that believes it, in four ways: as corp, with a secret; as native, by PKCE alone; as discreet, which tells
// little in its ID tokens; and as broken, with a wrong secret. Before the registry starts something may happen to the provider.
func build(t *testing.T, before func(*provider)) *house {
	t.Helper()
	addr := free(t)
	p := provide(t, addr)
	if before != nil {
		before(p)
	}
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte(local.secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	const wrong = "the secret of somebody else"
	r := start(t, addr, fmt.Sprintf(`
auth:
  users:
    htpasswd: %[1]q
  grants:
    - {who: 'user:alice@corp', role: developer, on: cloud/dmp}
    - {who: 'group:corp:ops', role: admin, on: '**'}
    - {who: 'user:local', role: reader, on: public}
  oidc:
    - {name: corp, issuer: %[2]q, clientID: %[3]q, clientSecretFile: %[4]q, groupsClaim: groups, groupsPrefix: 'corp:'}
    - {name: native, issuer: %[2]q, clientID: %[5]q}
    - {name: discreet, issuer: %[2]q, clientID: %[6]q, clientSecretFile: %[4]q, groupsClaim: groups, groupsPrefix: 'discreet:'}
    - {name: broken, issuer: %[2]q, clientID: %[3]q, clientSecretFile: %[7]q}
    - name: jobs
      issuer: %[2]q
      audience: %[8]q
      bind:
        - {claims: {client_id: 'sid*', custom_claim.other: stuff}, role: ci, on: 'cloud/{custom_claim.client}'}
        - {claims: {preferred_username: alice, groups: dmp}, role: ci, on: 'home/{preferred_username}'}
`,
		write(t, filepath.Join(dir, "htpasswd"), local.name+":"+string(hash)+"\n"), p.URL,
		web, write(t, filepath.Join(dir, "secret"), webSecret+"\n"), native, discreet, write(t, filepath.Join(dir, "wrong"), wrong), audience))
	for _, secret := range []string{webSecret, wrong, runnerSecret, alice.Password, carol.Password, local.secret} {
		r.secret(secret)
		r.secret(url.QueryEscape(secret)) // as it travels
	}
	return &house{t, p, r}
}

// come lets somebody log in at a provider with a browser, up to the address that leads back to the registry.
func (h *house) come(b *browser, at string, person *storage.User) (back *url.URL) {
	h.t.Helper()
	form := b.open(h.registry.URL+"/auth/login?return=/api/v1/auth/whoami&provider="+at, "")
	if !strings.HasPrefix(form.at.String(), h.provider.URL+"/login/") {
		h.t.Fatalf("the browser was not led to the provider but to %s: %d %s", form.at, form.status, form.body)
	}
	back = b.fill(form, person.Username, person.Password, h.provider.callback).next()
	if back == nil || bare(back) != h.provider.callback || back.Query().Get("code") == "" {
		h.t.Fatalf("the provider leads the browser to %v, not back with a code", back)
	}
	h.registry.secret(back.Query().Get("code"))
	return back
}

// login is come with the last step; it returns the session, and fails the test if there is none.
func (h *house) login(b *browser, at string, person *storage.User) who {
	h.t.Helper()
	p := b.open(h.come(b, at, person).String(), "").want(200)
	if p.at.Path != "/api/v1/auth/whoami" {
		h.t.Fatalf("after the login the browser is at %s", p.at)
	}
	return h.session(b)
}

// session is what the browser's cookie holds.
func (h *house) session(b *browser) who {
	h.t.Helper()
	return who{"", h.registry.secret(b.cookie(h.registry.URL, "entrepot_session"))}
}

// name is who the registry takes the browser for; empty for nobody.
func (h *house) name(b *browser) string {
	h.t.Helper()
	p := b.open(h.registry.URL+"/api/v1/auth/whoami", "")
	if p.status == http.StatusUnauthorized {
		return ""
	}
	return into[identity](p.want(200)).String()
}

// identity is what whoami answers.
type identity struct {
	Kind, Name string
	Groups     []string
}

func (i identity) String() string { return i.Kind + ":" + i.Name }

// TestPeople_log_in at a provider, are told apart, have its groups, and log out.
func TestPeople_log_in(t *testing.T) {
	for _, c := range []struct {
		at     string
		person *storage.User
		name   string
		groups []string
		asked  int // for userinfo: only if something is missing in the ID token
	}{
		{"corp", alice, "alice@corp", []string{"corp:dmp", "corp:everybody"}, 0},
		{"corp", carol, "carol@corp.example.com@corp", []string{"corp:ops"}, 0},
		{"native", alice, "alice@native", nil, 0},
		{"discreet", alice, "alice@discreet", []string{"discreet:dmp", "discreet:everybody"}, 1},
		{"discreet", carol, "carol@corp.example.com@discreet", []string{"discreet:ops"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t, nil)
			b := newBrowser(t)
			if name := h.name(b); name != "" {
				t.Fatalf("before the login: %s", name)
			}
			session := h.login(b, c.at, c.person)
			got := into[identity](b.open(h.registry.URL+"/api/v1/auth/whoami", "").want(200))
			if got.Kind != "user" || got.Name != c.name || !slices.Equal(got.Groups, c.groups) {
				t.Errorf("%s is %s with the groups %q, want user:%s with %q", c.person.Username, got, got.Groups, c.name, c.groups)
			}
			asked := h.provider.asked()
			for _, token := range asked {
				h.registry.secret(token)
			}
			if len(asked) != c.asked {
				t.Errorf("the provider was asked for userinfo %d times, want %d", len(asked), c.asked)
			}
			b.post(h.registry.URL+"/auth/logout", "").want(204)
			if name := h.name(b); name != "" || b.cookie(h.registry.URL, "entrepot_session") != "" {
				t.Errorf("after the logout: %q", name)
			}
			// Whoever kept the cookie has nothing of it.
			thief := newBrowser(t)
			u, _ := url.Parse(h.registry.URL)
			thief.client.Jar.SetCookies(u, []*http.Cookie{{Name: "entrepot_session", Value: session.secret, Path: "/"}})
			if name := h.name(thief); name != "" {
				t.Errorf("the session is still good after the logout, for %s", name)
			}
		})
	}
}

// TestTokens_of_people_end_with_them: one that somebody made in a browser is a password for clients until an admin, who came by the provider too,
// disables that person.
func TestTokens_of_people_end_with_them(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	r, b, admin := h.registry, newBrowser(t), newBrowser(t)
	h.login(b, "corp", alice)
	h.login(admin, "corp", carol)
	made := into[struct{ Value string }](b.post(r.URL+"/api/v1/auth/tokens", `{"note":"laptop"}`).want(201))
	token := who{"alice@corp", r.secret(made.Value)}
	if got := into[identity](r.get(token, "/api/v1/auth/whoami").want(200)); got.String() != "user:alice@corp" {
		t.Errorf("the token is %s's", got)
	}
	const upload = "/v2/cloud/dmp/app/blobs/uploads/"
	bearer := h.bearer(r.get(token, "/auth/token?service=entrepot&scope=repository:cloud/dmp/app:pull,push"))
	r.ask(bearer, "POST", upload, "", "").want(202)
	r.ask(token, "POST", upload, "", "").want(202)
	r.ask(token, "POST", "/v2/cloud/core/app/blobs/uploads/", "", "").want(404) // alice has no business there, not even to know of it

	h.patch(b, `{"disabled":true}`).want(403)
	h.patch(admin, `{"disabled":true}`).want(200)
	r.get(token, "/api/v1/auth/whoami").want(401)
	r.get(token, "/auth/token").want(401)
	r.ask(bearer, "POST", upload, "", "").want(401)
	if name := h.name(b); name != "" {
		t.Errorf("the browser's session outlives %s", name)
	}
	again := newBrowser(t)
	again.open(h.come(again, "corp", alice).String(), "").want(401)
	if name := h.name(again); name != "" {
		t.Errorf("%s was let in again", name)
	}
	// At another provider it is somebody else.
	h.login(newBrowser(t), "native", alice)

	h.patch(admin, `{"disabled":false}`).want(200)
	again.open(h.come(again, "corp", alice).String(), "").want(200)
	if name := h.name(again); name != "user:alice@corp" {
		t.Errorf("enabled again, alice is %q", name)
	}
}

// patch changes alice.
func (h *house) patch(b *browser, change string) page {
	h.t.Helper()
	req, err := http.NewRequest("PATCH", h.registry.URL+"/api/v1/auth/users/alice@corp", strings.NewReader(change))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return send(h.t, b.client, req)
}

// bearer is the token that the token service answers with.
func (h *house) bearer(p page) who {
	h.t.Helper()
	got := into[struct {
		Token string `json:"access_token"`
	}](p.want(200))
	return who{"", h.registry.secret(got.Token)}
}

// TestLogins_of_others_are_refused: neither the end of somebody else's login nor a code that was had with it is taken, and nothing twice.
func TestLogins_of_others_are_refused(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	alices, mallory := newBrowser(t), newBrowser(t)
	theirs, mine := h.come(mallory, "corp", carol), h.come(alices, "corp", alice)
	for what, address := range map[string]string{
		"mallory's answer":            theirs.String(),
		"mallory's code":              mixed(mine, theirs, "code"),
		"mallory's state":             mixed(mine, theirs, "state"),
		"no code":                     mixed(mine, &url.URL{}, "code"),
		"no state":                    mixed(mine, &url.URL{}, "state"),
		"another issuer's answer":     mine.String() + "&iss=" + url.QueryEscape("https://evil.example.com"),
		"a code that there never was": mixed(mine, &url.URL{RawQuery: "code=0123456789abcdef"}, "code"),
	} {
		alices.open(address, "").want(401)
		if name := h.name(alices); name != "" {
			t.Fatalf("%s makes alice's browser %s", what, name)
		}
	}
	// That the code was another login's is what the provider says, and it knows by PKCE alone.
	if !strings.Contains(h.provider.log.String(), "code_verifier") {
		t.Errorf("the provider does not say that the code was taken to another login than its own; its log:\n%s", h.provider.log)
	}
	newBrowser(t).open(mine.String(), "").want(400) // where no login was begun
	alices.open(mine.String(), "").want(200)
	if name := h.name(alices); name != "user:alice@corp" {
		t.Errorf("after all that alice is %q", name)
	}
	h.session(alices)
	again := newBrowser(t)
	back := h.come(again, "corp", alice)
	again.open(back.String(), "").want(200)
	h.session(again)
	if p := again.open(back.String(), ""); p.status < 400 {
		t.Errorf("a login was finished twice: %d", p.status)
	}
}

// mixed is an address with one of another's parameters.
func mixed(u, other *url.URL, name string) string {
	q := u.Query()
	q.Set(name, other.Query().Get(name))
	mixed := *u
	mixed.RawQuery = q.Encode()
	return mixed.String()
}

// TestRefusals_of_the_provider are told: to the browser that it did not work, to the operator why.
func TestRefusals_of_the_provider(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	b := newBrowser(t)
	// Our secret is wrong: that is nothing the person could help.
	p := b.open(h.come(b, "broken", alice).String(), "")
	if p.status < 500 || !strings.Contains(p.header.Get("Content-Type"), "json") || !json.Valid([]byte(p.body)) {
		t.Errorf("with a wrong client secret: %d %s", p.status, p.body)
	}
	if name := h.name(b); name != "" {
		t.Errorf("with a wrong client secret the browser is %s", name)
	}
	h.logs("broken", "invalid_client", "look at the client id, its secret")
	// The provider wants no login at all just now.
	authorize := h.provider.URL + "/auth"
	ask := b.open(h.registry.URL+"/auth/login?provider=corp", authorize).next()
	if ask == nil || bare(ask) != authorize {
		t.Fatalf("the browser is led to %v, not to the provider", ask)
	}
	q := ask.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 16 || len(q.Get("nonce")) < 16 {
		t.Errorf("what the provider is asked has no PKCE, state or nonce: %s", ask)
	}
	if p := b.open(ask.String()+"&prompt=none", "").want(400); !strings.Contains(p.body, "login_required") {
		t.Errorf("the browser is not told what the provider said: %s", p.body)
	}
}

// logs wants a line of the registry's log that holds all of these. A request's line is written when it has been answered.
func (h *house) logs(parts ...string) {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		for line := range strings.Lines(h.registry.log.String()) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return
			}
		}
		if time.Now().After(deadline) {
			h.t.Errorf("no line of the log has all of %q", parts)
			return
		}
	}
}

// TestProvider_that_is_down when the registry starts keeps nobody out but those who need it, and them only as long as it is down.
func TestProvider_that_is_down(t *testing.T) {
	t.Parallel()
	var job string
	h := build(t, func(p *provider) {
		job = p.credentials(t, "custom_scope")
		p.down()
	})
	r, p, b := h.registry, h.provider, newBrowser(t)
	r.secret(job)
	if got := into[identity](r.get(local, "/api/v1/auth/whoami").want(200)); got.String() != "user:local" {
		t.Errorf("local is taken for %s", got)
	}
	begin := func() int { return b.open(r.URL+"/auth/login?provider=corp", p.URL+"/auth").status }
	if status := begin(); status < 500 {
		t.Errorf("a login begins while the provider is down: %d", status)
	}
	if got := r.get(who{"job", job}, "/auth/token"); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("a job's token while the provider is down: %d, Retry-After %q; want 503 and a time", got.status, got.header.Get("Retry-After"))
	}
	h.logs("level=WARN", "an OIDC issuer could not be asked", p.URL)
	p.up()
	soon(t, "a login begins, now that the provider is up", func() bool { return begin() == 302 })
	h.login(b, "corp", alice)
}

// TestProvider_with_new_keys is believed when it signs with these, and not any more when somebody shows what it signed with the old ones. What it has
// signed is good while it is down.
func TestProvider_with_new_keys(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	r, p, before, after := h.registry, h.provider, newBrowser(t), newBrowser(t)
	h.login(before, "corp", alice)
	job := who{"job", r.secret(p.credentials(t, "custom_scope"))}
	p.up()
	// The registry has just asked for the keys, and does not ask again at once.
	soon(t, "alice logs in, now that the provider has new keys", func() bool {
		return after.open(h.come(after, "corp", alice).String(), "").status == 200
	})
	h.session(after)
	if name := h.name(before); name != "user:alice@corp" {
		t.Errorf("the session from before the new keys is %q's", name)
	}
	r.get(job, "/auth/token").want(401)

	job = who{"job", r.secret(p.credentials(t, "custom_scope"))}
	p.down()
	r.get(job, "/auth/token").want(200)
	if name := h.name(after); name != "user:alice@corp" {
		t.Errorf("while the provider is down, the session is %q's", name)
	}
}
