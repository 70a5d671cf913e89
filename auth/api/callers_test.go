package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/login"
	"github.com/entrepot/entrepot/storage/journal"
)

// Whom an upstream knows gets a token by either way of asking, with what she shows there sealed in it; nothing that lasts, and nothing is written of her.
func TestCallers_get_tokens_and_nothing_else(t *testing.T) {
	h := build(t)
	h.logins.UseUpstreams(login.Upstream{Name: "ghcr.example.com", Check: func(_ context.Context, name, secret string) (login.Word, error) {
		if name != "alice" || secret != "canary-secret" {
			return login.Word{}, auth.ErrWrong
		}
		return login.Word{Proven: true, Until: time.Now().Add(time.Minute)}, nil
	}})
	rows := func() int {
		n := 0
		for _, err := range journal.New(h.index).Tail(t.Context(), 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	before := rows()
	scopes := []string{"repository:ghcr.example.com/org/app:pull,push", "repository:cloud/dmp/app:pull,push", "repository:public/app:pull,push", "registry:catalog:*"}
	scope := "scope=" + strings.Join(scopes, "&scope=")
	seen := ""
	take := func(a answer) minted {
		t.Helper()
		a.want(t, 200)
		var m minted
		if err := json.Unmarshal(a.body, &m); err != nil {
			t.Fatal(err)
		}
		if m.RefreshToken != "" || m.Scope != "repository:ghcr.example.com/org/app:pull repository:public/app:pull registry:catalog:*" {
			t.Errorf("a token for %q, refresh token %q", m.Scope, m.RefreshToken)
		}
		seen += string(a.body)
		return m
	}
	const caller = "alice@ghcr.example.com=canary-secret"
	got := take(h.do(caller, "GET", "/auth/token?service=entrepot&offline_token=true&client_id=docker&"+scope, ""))
	form := []string{"grant_type", "password", "username", "alice@ghcr.example.com", "password", "canary-secret", "access_type", "offline", "client_id", "x"}
	for _, scope := range scopes {
		form = append(form, "scope", scope)
	}
	take(h.form(form...))
	who, _, err := h.tokens.Verify(t.Context(), got.Token)
	if err != nil || who.String() != "caller:ghcr.example.com/alice" || who.Secret.Reveal() != "canary-secret" {
		t.Errorf("the token is of %s, %v", who, err)
	}
	h.do("alice@ghcr.example.com=wrong", "GET", "/auth/token", "").want(t, 401)
	for _, shown := range []string{caller, "Bearer " + got.Token} {
		a := h.do(shown, "GET", "/api/v1/auth/whoami", "")
		a.want(t, 200)
		if !strings.Contains(string(a.body), `"name":"ghcr.example.com/alice"`) {
			t.Errorf("whoami: %s", a.body)
		}
		seen += string(a.body)
		for _, path := range []string{"tokens", "users", "robots", "grants", "keys/rotate", "password"} {
			a := h.do(shown, "POST", "/api/v1/auth/"+path, `{}`)
			if a.StatusCode < 400 {
				t.Errorf("POST %s is answered %d: %s", path, a.StatusCode, a.body)
			}
			seen += string(a.body)
		}
		h.do("root", "GET", "/api/v1/auth/can-i?action=pull&as=caller:ghcr.example.com/bob", "").want(t, 400)
	}
	if after := rows(); after != before {
		t.Errorf("%d events were written for a caller", after-before)
	}
	if seen += h.log.String(); strings.Contains(seen, "canary-secret") {
		t.Errorf("the secret was told: %s", seen)
	}
}
