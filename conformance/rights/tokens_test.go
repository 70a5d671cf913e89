package rights

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// trades are all the ways in which a token could be shown to get another.
func trades(t testing.TB, token, scope string) map[string]wire.Reply {
	t.Helper()
	nobody := anonymous
	query := "/auth/token?" + url.Values{"scope": {scope}, "service": {"entrepot"}}.Encode()
	all := map[string]wire.Reply{
		"as Bearer":                   nobody.With(ask.Bearer(token)).Get(t, query),
		"as a password":               nobody.With(ask.Basic("token", token)).Get(t, query),
		"as a password in a form":     nobody.Form(t, "grant_type", "password", "username", "token", "password", token, "scope", scope),
		"as a refresh token":          nobody.Form(t, "grant_type", "refresh_token", "refresh_token", token, "scope", scope),
		"as Bearer, for a long login": nobody.With(ask.Bearer(token)).Get(t, query+"&offline_token=true&client_id=x"),
	}
	for _, kind := range []string{"access_token", "jwt", "id_token"} {
		all["in exchange, as "+kind] = nobody.Form(t, "grant_type", exchange, "subject_token", token, "subject_token_type", "urn:ietf:params:oauth:token-type:"+kind, "scope", scope)
	}
	return all
}

// TestToken_does_not_renew_itself: a token ends when it says, and is not good for one that ends later or is good for more, whoever it is for. Whoever finds
// one in a log has it for minutes, and a job has the registry for no longer than its own token lasts.
func TestToken_does_not_renew_itself(t *testing.T) {
	path := area(t)
	scope := "repository:" + path + "/app:pull,push"
	now := time.Now().Unix()
	who := person(t, "maintainer", path)
	job := anonymous.With(ask.Bearer(jobToken("renewing", "job-developer")))
	jobScope := "repository:own-job-developer/here:pull,push"
	for what, c := range map[string]struct {
		who           ask.Caller
		scope, narrow string
	}{"a person": {who, scope, "repository:" + path + "/app:pull"}, "a job": {job, jobScope, "repository:own-job-developer/here:pull"}} {
		token, err := c.who.Mint(c.narrow)
		if err != nil {
			t.Fatal(err)
		}
		// The same token, a little older than it is.
		old := ask.ClaimsOf(t, token)
		old.Issued, old.NotBefore, old.Expires = now-200, now-200, now+100
		aged := signed(old)
		anonymous.With(ask.Bearer(aged)).Get(t, ask.Accounts+"whoami").Want(t, 200)
		for way, got := range trades(t, aged, c.scope) {
			if got.Status != 200 {
				continue // what is refused is no longer good
			}
			var minted struct {
				Token   string
				Refresh string `json:"refresh_token"`
			}
			got.JSON(t, &minted)
			is := ask.ClaimsOf(t, minted.Token)
			if is.Expires > old.Expires {
				t.Errorf("the token of %s, %s, is good for one that ends %d s after it", what, way, is.Expires-old.Expires)
			}
			if strings.Contains(string(is.Access), "push") {
				t.Errorf("the token of %s, %s, is good for one of more: %s", what, way, is.Access)
			}
			if minted.Refresh != "" {
				t.Errorf("the token of %s, %s, is good for a login that lasts", what, way)
			}
		}
	}
}

// TestToken_leaves_its_owner_s_secrets_alone: whoever has but a token of nothing does nothing to the tokens, logins and passwords of its owner.
func TestToken_leaves_its_owner_s_secrets_alone(t *testing.T) {
	name := strings.ReplaceAll(area(t), "/", "-")
	root.Call(t, "POST", "users", map[string]any{"name": name, "password": password}).Want(t, 201)
	who := user(name)
	var made struct{ ID, Value string }
	who.Call(t, "POST", "tokens", map[string]any{}).Want(t, 201).JSON(t, &made)
	var narrow struct{ ID, Value string }
	who.Call(t, "POST", "tokens", map[string]any{"scope": []any{map[string]any{"type": "repository", "name": "x/y", "actions": []string{"pull"}}}}).Want(t, 201).JSON(t, &narrow)
	for what, c := range map[string]ask.Caller{
		"a token of nothing": who.Token(t), "a narrow secret": who.With(ask.Bearer(narrow.Value)),
		"a token by a narrow secret": who.With(ask.Bearer(narrow.Value)).Token(t),
	} {
		c.Call(t, "POST", "tokens", map[string]any{}).Refused(t, "DENIED", 403)
		c.Call(t, "POST", "password", map[string]any{"old": password, "new": "another " + password}).Refused(t, "DENIED", 403)
		if got := c.Do(t, "DELETE", ask.Accounts+"tokens/"+made.ID, nil); got.Status != 403 && got.Status != 401 {
			t.Errorf("%s revokes another token of its owner: %d, want 403", what, got.Status)
		}
		c.Do(t, "POST", "/auth/logout", nil).Want(t, 204, 401, 403)
		if got := who.With(ask.Basic(name, made.Value)).Get(t, ask.Accounts+"whoami"); got.Status != 200 {
			t.Errorf("after %s the other token is good for %d", what, got.Status)
			who.Call(t, "POST", "tokens", map[string]any{}).Want(t, 201).JSON(t, &made)
		}
	}
	who.With(ask.Bearer(narrow.Value)).Get(t, ask.Accounts+"whoami").Want(t, 200)
	who.Get(t, ask.Accounts+"whoami").Want(t, 200)
}

// TestToken_of_a_login ends with what it rests on: a refresh token with the password that it was given for, a secret, or a logout, and all that it was
// good for with it.
func TestToken_of_a_login(t *testing.T) {
	name := strings.ReplaceAll(area(t), "/", "-")
	root.Call(t, "POST", "users", map[string]any{"name": name, "password": password}).Want(t, 201)
	who := user(name)
	repo := name + "/app"
	grant(t, who, "developer", name)
	who.Put(t, repo, "latest", ask.List())
	log := func(shown ask.Caller) (refresh string) {
		t.Helper()
		var minted struct {
			Refresh string `json:"refresh_token"`
		}
		shown.Get(t, "/auth/token?offline_token=true&client_id=a-client").Want(t, 200).JSON(t, &minted)
		if !strings.HasPrefix(minted.Refresh, "ent_") {
			t.Fatalf("the refresh token is %q", minted.Refresh)
		}
		return minted.Refresh
	}
	renew := func(refresh, scope string) wire.Reply {
		return anonymous.Form(t, "grant_type", "refresh_token", "refresh_token", refresh, "client_id", "a-client", "scope", scope)
	}
	token := func(refresh string) ask.Caller {
		t.Helper()
		var minted struct{ Token string }
		renew(refresh, "repository:"+repo+":pull").Want(t, 200).JSON(t, &minted)
		return anonymous.With(ask.Bearer(minted.Token))
	}
	gone := func(what, refresh string, held ask.Caller) {
		t.Helper()
		if got := renew(refresh, ""); got.Status != 401 && got.Status != 400 {
			t.Errorf("%s: the refresh token is good for %d", what, got.Status)
		}
		if got := held.Get(t, wire.ManifestPath(repo, "latest")); got.Status != 401 {
			t.Errorf("%s: a token that it was good for is good for %d", what, got.Status)
		}
	}
	refresh := log(who)
	held := token(refresh)
	held.Get(t, wire.ManifestPath(repo, "latest")).Want(t, 200)
	anonymous.With(ask.Bearer(refresh)).Do(t, "POST", "/auth/logout", nil).Want(t, 204)
	gone("after the logout", refresh, held)

	refresh = log(who)
	held = token(refresh)
	who.Call(t, "POST", "password", map[string]any{"old": password, "new": "another " + password}).Want(t, 204)
	gone("after another password", refresh, held)
	if got := who.Get(t, ask.Accounts+"whoami"); got.Status != 401 {
		t.Errorf("the former password is good for %d", got.Status)
	}
	who = who.With(ask.Basic(name, "another "+password))

	var made struct{ ID, Value string }
	who.Call(t, "POST", "tokens", map[string]any{"scope": []any{map[string]any{"type": "repository", "name": repo, "actions": []string{"pull"}}}}).Want(t, 201).JSON(t, &made)
	refresh = log(who.With(ask.Basic(name, made.Value)))
	held = token(refresh)
	held.Get(t, wire.ManifestPath(repo, "latest")).Want(t, 200)
	var minted struct{ Token string }
	renew(refresh, "repository:"+repo+":pull,push").Want(t, 200).JSON(t, &minted)
	anonymous.With(ask.Bearer(minted.Token)).TryPut(t, repo, "latest", ask.List()).Refused(t, "UNAUTHORIZED", 401) // no more than the secret has
	anonymous.With(ask.Bearer(refresh)).TryPut(t, repo, "latest", ask.List()).Refused(t, "UNAUTHORIZED", 401)
	who.Do(t, "DELETE", ask.Accounts+"tokens/"+made.ID, nil).Want(t, 204)
	gone("after the secret was revoked", refresh, held)

	refresh = log(who)
	held = token(refresh)
	root.Call(t, "PATCH", "users/"+name, map[string]any{"disabled": true}).Want(t, 200)
	gone("of who is disabled", refresh, held)
	root.Call(t, "PATCH", "users/"+name, map[string]any{"disabled": false}).Want(t, 200)
	gone("of who was disabled for a while", refresh, held)
	who.Get(t, ask.Accounts+"whoami").Want(t, 200)
}

// TestToken_answers: what the token service gives out is what clients of each kind look for, no longer than it may be, and for no cache.
func TestToken_answers(t *testing.T) {
	who := person(t, "developer", area(t))
	got := who.Get(t, "/auth/token?service=entrepot").Want(t, 200).Has(t, "Cache-Control", "no-store")
	var minted map[string]any
	if err := json.Unmarshal(got.Body, &minted); err != nil {
		t.Fatal(err)
	}
	if minted["token"] != minted["access_token"] || minted["expires_in"] != 300. || minted["token_type"] != "Bearer" || minted["refresh_token"] != nil {
		t.Errorf("%v", minted)
	}
	c := ask.ClaimsOf(t, minted["token"].(string))
	if c.Subject != who.Name || c.Audience != "entrepot" || c.Expires-c.Issued != 300 || string(c.Access) != "[]" {
		t.Errorf("%+v", c)
	}
	for _, bad := range [][]string{
		{"grant_type", "password", "username", "a", "username", "b", "password", "c"}, {"grant_type", "client_credentials"},
		{"grant_type", "password", "username", "a"},
		{"grant_type", "refresh_token", "refresh_token", "x"}, {"grant_type", exchange, "subject_token", "x"},
		{"grant_type", exchange, "subject_token", "x", "subject_token_type", "y"}, {},
	} {
		if got := anonymous.Form(t, bad...); got.Status != 400 {
			t.Errorf("%q: %d %s", bad, got.Status, got.Excerpt())
		}
	}
}
