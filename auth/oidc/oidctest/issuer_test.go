package oidctest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	coreos "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

const redirect = "https://app.example.com/back"

// TestIssuer_is_one_to_another_client lets a library that knows nothing of this house go the whole way.
func TestIssuer_is_one_to_another_client(t *testing.T) {
	for _, alg := range []string{"RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			i := oidctest.Start(t, alg)
			i.Person("alice", "dmp")
			op, err := coreos.NewProvider(t.Context(), i.URL)
			if err != nil {
				t.Fatal(err)
			}
			verifier := op.Verifier(&coreos.Config{ClientID: i.ClientID, SupportedSigningAlgs: []string{alg}})
			app := oauth2.Config{ClientID: i.ClientID, ClientSecret: i.ClientSecret, Endpoint: op.Endpoint(), RedirectURL: redirect, Scopes: []string{"openid"}}
			proof := oauth2.GenerateVerifier()
			back := i.Visit(app.AuthCodeURL("a state of some length", coreos.Nonce("a nonce of some length"), oauth2.S256ChallengeOption(proof)))
			if back.Get("state") != "a state of some length" || back.Get("iss") != i.URL {
				t.Errorf("the browser comes back with %v", back)
			}
			got, err := app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(proof))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := got.Extra("id_token").(string)
			id, err := verifier.Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			var claims struct {
				Name   string   `json:"preferred_username"`
				Groups []string `json:"groups"`
			}
			if err := id.Claims(&claims); err != nil || claims.Name != "alice" || len(claims.Groups) != 1 || id.Nonce != "a nonce of some length" {
				t.Errorf("%+v, %+v, %v", id, claims, err)
			}
			if err := id.VerifyAccessToken(got.AccessToken); err != nil {
				t.Error(err)
			}
			if _, err := app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(proof)); err == nil {
				t.Error("a code is good twice")
			}
			i.Rotate()
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				_, err := verifier.Verify(t.Context(), i.Sign(map[string]any{"aud": i.ClientID}))
				if err == nil {
					break
				}
				if time.Now().After(deadline) { // the client may at first take the answer to an earlier question for the keys that there are
					t.Fatalf("a token signed after the keys were rotated: %v", err)
				}
			}
			for _, header := range []map[string]any{{"alg": "none"}, {"alg": "HS256"}, {"kid": "other"}} {
				if _, err := verifier.Verify(t.Context(), i.SignWith(header, map[string]any{"aud": i.ClientID})); err == nil {
					t.Errorf("a token with %v is good", header)
				}
			}
		})
	}
}

func TestIssuer_keeps_the_rules(t *testing.T) {
	i := oidctest.Start(t)
	proof := oauth2.GenerateVerifier()
	ask := url.Values{
		"response_type": {"code"}, "client_id": {i.ClientID}, "redirect_uri": {redirect}, "scope": {"openid"}, "state": {strings.Repeat("s", 16)},
		"nonce": {strings.Repeat("n", 16)}, "code_challenge": {oauth2.S256ChallengeFromVerifier(proof)}, "code_challenge_method": {"S256"},
	}
	for name := range ask {
		for _, value := range []string{"", "x"} {
			q := url.Values{}
			for k, v := range ask {
				q[k] = v
			}
			q.Set(name, value)
			res, err := http.Get(i.URL + "/authorize?" + q.Encode())
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s=%s is answered %s", name, value, res.Status)
			}
		}
	}
	show := func(change func(url.Values)) string {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {i.Visit(i.URL + "/authorize?" + ask.Encode()).Get("code")}, "redirect_uri": {redirect},
			"code_verifier": {proof}, "client_id": {i.ClientID}, "client_secret": {i.ClientSecret},
		}
		change(form)
		res, err := http.PostForm(i.URL+"/token", form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct{ name, value, want string }{
		{"code", "", "invalid_grant"},
		{"code_verifier", strings.Repeat("v", 43), "invalid_grant"},
		{"code_verifier", "", "invalid_grant"},
		{"redirect_uri", redirect + "/", "invalid_grant"},
		{"client_id", "other", "invalid_client"},
		{"client_secret", "", "invalid_client"},
		{"grant_type", "password", "invalid_request"},
		{"unknown", "field", "id_token"},
	} {
		if got := show(func(form url.Values) { form.Set(c.name, c.value) }); !strings.Contains(got, c.want) {
			t.Errorf("%s=%s is answered %s, want %s", c.name, c.value, got, c.want)
		}
	}
	later := time.Now().Add(2 * time.Minute)
	if got := show(func(url.Values) { i.Clock(func() time.Time { return later }) }); !strings.Contains(got, "invalid_grant") {
		t.Errorf("an old code is answered %s", got)
	}
}

// TestIssuer_has_userinfo if it is given some, for whoever shows an access token.
func TestIssuer_has_userinfo(t *testing.T) {
	i := oidctest.Start(t)
	i.Person("bob")
	if op, err := coreos.NewProvider(t.Context(), i.URL); err != nil {
		t.Fatal(err)
	} else if at := op.UserInfoEndpoint(); at != "" {
		t.Errorf("there is userinfo at %q, want none", at)
	}
	i.Userinfo(map[string]any{"groups": []string{"dmp"}, "email": nil})
	op, err := coreos.NewProvider(t.Context(), i.URL)
	if err != nil {
		t.Fatal(err)
	}
	app := oauth2.Config{ClientID: i.ClientID, ClientSecret: i.ClientSecret, Endpoint: op.Endpoint(), RedirectURL: redirect, Scopes: []string{"openid"}}
	proof := oauth2.GenerateVerifier()
	back := i.Visit(app.AuthCodeURL("a state of some length", coreos.Nonce("a nonce of some length"), oauth2.S256ChallengeOption(proof)))
	got, err := app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(proof))
	if err != nil {
		t.Fatal(err)
	}
	i.Person("carol") // comes too late for this token
	says := func(token *oauth2.Token) (string, map[string]any, error) {
		info, err := op.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
		if err != nil {
			return "", nil, err
		}
		var claims map[string]any
		return info.Subject, claims, info.Claims(&claims)
	}
	if sub, claims, err := says(got); err != nil || sub != "id-bob" || fmt.Sprint(claims) != "map[groups:[dmp] sub:id-bob]" {
		t.Errorf("of %q: %v, %v, want bob's sub and groups", sub, claims, err)
	}
	i.Break(oidctest.Mistaken)
	if sub, _, err := says(got); err != nil || sub == "id-bob" {
		t.Errorf("mistaken, it speaks of %q, %v, want somebody else", sub, err)
	}
	i.Break(oidctest.None)
	if _, _, err := says(&oauth2.Token{AccessToken: "another"}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("another token: %v, want 401", err)
	}
	if n := i.Asked("/userinfo"); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	later := time.Now().Add(10 * time.Minute)
	i.Clock(func() time.Time { return later })
	if _, _, err := says(&oauth2.Token{AccessToken: got.AccessToken}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("an old token: %v, want 401", err)
	}
	i.Userinfo(nil)
	if _, _, err := says(&oauth2.Token{AccessToken: got.AccessToken}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("without userinfo: %v, want 404", err)
	}
}

func TestIssuer_breaks_and_is_mended(t *testing.T) {
	i := oidctest.Start(t)
	at := i.URL + "/keys"
	get := func(wait time.Duration) (int, int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return 0, 0, err
		}
		defer res.Body.Close()
		n, err := io.Copy(io.Discard, res.Body)
		return res.StatusCode, int(n), err
	}
	for _, c := range []struct {
		fault  oidctest.Fault
		failed bool
		status int
		least  int
	}{
		{oidctest.Down, true, 0, 0},
		{oidctest.Slow, true, 0, 0},
		{oidctest.Huge, false, 200, 8 << 20},
		{oidctest.Elsewhere, false, 307, 0},
	} {
		i.Break(c.fault)
		wait := 10 * time.Second
		if c.fault == oidctest.Slow {
			wait = 50 * time.Millisecond
		}
		if status, n, err := get(wait); (err != nil) != c.failed || status != c.status || n < c.least {
			t.Errorf("fault %d: %d, %d bytes, %v", c.fault, status, n, err)
		}
		i.Break(oidctest.None)
		if status, _, err := get(10 * time.Second); err != nil || status != 200 {
			t.Errorf("mended: %d, %v", status, err)
		}
	}
	if n := i.Asked("/keys"); n != 8 {
		t.Errorf("asked %d times, want 8", n)
	}
}
