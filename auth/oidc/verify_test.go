package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

// gitlab are the claims of an id_token of a GitLab job, without the standard ones.
func gitlab() map[string]any {
	return map[string]any{
		"aud": audience, "sub": "project_path:cloud/dmp/ms-ingestion:ref_type:branch:ref:main", "jti": "0f5c0a52-7f0e-4b3c-b2a1-6d4f5f0c8f11",
		"nbf": time.Now().Add(-5 * time.Second).Unix(), "namespace_id": "72", "namespace_path": "cloud/dmp", "project_id": "2017",
		"project_path": "cloud/dmp/ms-ingestion", "user_id": "11", "user_login": "alice", "user_email": "alice@example.com",
		"user_access_level": "maintainer", "user_identities": []any{map[string]any{"provider": "ldapmain", "extern_uid": "uid=alice,dc=example,dc=com"}},
		"pipeline_id": "574", "pipeline_source": "push", "job_id": "30211", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main",
		"ref_protected": "true", "groups_direct": []any{"cloud/dmp", "cloud/core"}, "environment": "prod", "environment_protected": "true",
		"deployment_tier": "production", "environment_action": "start", "runner_id": 17, "runner_environment": "self-hosted",
		"sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "project_visibility": "internal",
		"ci_config_ref_uri": "gitlab.example.com/cloud/dmp/ms-ingestion//.gitlab-ci.yml@refs/heads/main",
		"ci_config_sha":     "714a629c0b401fdce83e847fc9589983fc6f46bc",
	}
}

// github are those of a job of GitHub Actions.
func github() map[string]any {
	return map[string]any{
		"aud": audience, "sub": "repo:octo-org/octo-repo:environment:prod", "jti": "c8b1f4de-31cf-4c8b-9f4e-2e3d0c1a7b55",
		"nbf": time.Now().Add(-10 * time.Minute).Unix(), "environment": "prod", "ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true",
		"sha": "fb2f3e4b6c3a1a6c4c6d6ad0f0d9b8a7c6e5d4f3", "repository": "octo-org/octo-repo", "repository_id": "74", "repository_owner": "octo-org",
		"repository_owner_id": "65", "repository_visibility": "private", "actor": "octocat", "actor_id": "12", "run_id": "9183", "run_number": "10",
		"run_attempt": "2", "runner_environment": "github-hosted", "workflow": "release", "head_ref": "", "base_ref": "", "event_name": "push",
		"workflow_ref":     "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
		"job_workflow_ref": "octo-org/workflows/.github/workflows/push.yml@refs/tags/v3",
	}
}

// kubernetes are those of a projected service account token.
func kubernetes() map[string]any {
	return map[string]any{
		"aud": []any{audience}, "sub": "system:serviceaccount:shop:cart", "jti": "5e2b7a10-4d7e-4b0a-8a36-0f9a2c1d3e4f", "nbf": time.Now().Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      "shop",
			"node":           map[string]any{"name": "worker-3", "uid": "2a0f"},
			"pod":            map[string]any{"name": "cart-6c9d", "uid": "77c1"},
			"serviceaccount": map[string]any{"name": "cart", "uid": "91be"},
		},
	}
}

func TestVerify_of_the_claims_of_real_issuers(t *testing.T) {
	issuer := oidctest.Start(t, "RS256")
	for _, of := range []struct {
		name, kind, nameClaim string
		bind                  Binding
		claims                map[string]any
		who                   string
		grant                 auth.Grant
		wrong                 []map[string]any // changes that are refused
	}{
		{
			name: "gitlab",
			bind: Binding{map[string]string{
				"project_path": "cloud/dmp/*", "ref_protected": "true", "environment": "prod", "runner_id": "1?", "groups_direct": "cloud/dmp",
				"ci_config_ref_uri": "gitlab.example.com/cloud/dmp/**@refs/heads/main",
			}, auth.CIRole, "{project_path}"},
			claims: gitlab(),
			who:    "ci:project_path:cloud/dmp/ms-ingestion:ref_type:branch:ref:main@gitlab",
			grant:  auth.Grant{Role: auth.CIRole, On: "cloud/dmp/ms-ingestion"},
			wrong: []map[string]any{
				{"ref_protected": "false"}, {"ref_protected": nil}, {"ref_protected": "True"}, {"ref_protected": ""}, {"ref_protected": 1},
				{"project_path": "cloud/core/ms-ingestion"}, {"project_path": "cloud/dmp/sub/ms-ingestion"}, {"project_path": "cloud/dmp"},
				{"project_path": "evil/cloud/dmp/x"}, {"project_path": nil}, {"project_path": []any{}}, {"project_path": map[string]any{"a": "b"}},
				{"project_path": "cloud/dmp/ms ingestion"}, {"project_path": "cloud/dmp/.."},
				{"environment": "staging"}, {"environment": "production"}, {"environment": nil}, {"environment": "prod\n"},
				{"runner_id": 170}, {"runner_id": 1}, {"runner_id": 17.5}, {"groups_direct": []any{"cloud/core"}}, {"groups_direct": "cloud"},
				{"ci_config_ref_uri": "gitlab.example.com/cloud/dmp/ms-ingestion//.gitlab-ci.yml@refs/heads/main2"},
			},
		},
		{
			name: "github", nameClaim: "repository",
			bind: Binding{map[string]string{
				"repository_owner_id": "65", "repository": "octo-org/*", "job_workflow_ref": "octo-org/workflows/.github/workflows/push.yml@refs/tags/v*",
				"environment": "prod", "event_name": "push",
			}, auth.CIRole, "apps/{repository}"},
			claims: github(),
			who:    "ci:octo-org/octo-repo@github",
			grant:  auth.Grant{Role: auth.CIRole, On: "apps/octo-org/octo-repo"},
			wrong: []map[string]any{
				{"repository_owner_id": "66"}, {"repository_owner_id": nil}, {"repository": "octo-org-2/octo-repo"}, {"repository": "octocat/octo-repo"},
				{"job_workflow_ref": "octo-org/octo-repo/.github/workflows/push.yml@refs/tags/v3"},
				{"job_workflow_ref": "octo-org/workflows/.github/workflows/push.yml@refs/heads/v3"},
				{"environment": "dev"}, {"environment": nil}, {"event_name": "pull_request"},
			},
		},
		{
			name: "kube", kind: auth.Workload,
			bind: Binding{map[string]string{
				"kubernetes.io.namespace": "shop", "kubernetes.io.serviceaccount.name": "cart", "sub": "system:serviceaccount:*",
			}, auth.Reader, "apps/{kubernetes.io.namespace}"},
			claims: kubernetes(),
			who:    "workload:system:serviceaccount:shop:cart@kube",
			grant:  auth.Grant{Role: auth.Reader, On: "apps/shop"},
			wrong: []map[string]any{
				{"kubernetes.io": nil}, {"kubernetes.io": "shop"}, {"kubernetes.io": map[string]any{"namespace": "shop"}},
				{"kubernetes.io": map[string]any{"namespace": "bank", "serviceaccount": map[string]any{"name": "cart"}}},
				{"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "default"}}},
				{"kubernetes.io.namespace": "bank"}, // the literal name goes first
				{"sub": "system:node:worker-3"},
			},
		},
		{
			name: "nodes", kind: auth.Node, nameClaim: "kubernetes.io.node.name",
			bind:   Binding{map[string]string{"kubernetes.io.node.name": "worker-*"}, auth.NodeRole, "apps"},
			claims: kubernetes(),
			who:    "node:worker-3@nodes",
			grant:  auth.Grant{Role: auth.NodeRole, On: "apps"},
			wrong:  []map[string]any{{"kubernetes.io": map[string]any{"node": map[string]any{"name": "master-1"}}}},
		},
	} {
		t.Run(of.name, func(t *testing.T) {
			p := provider(t, issuer, func(c *Config) {
				c.Name, c.Kind, c.NameClaim, c.Bind = of.name, of.kind, of.nameClaim, []Binding{of.bind}
			})
			who, until, err := p.Verify(t.Context(), issuer.Sign(of.claims))
			if err != nil {
				t.Fatal(err)
			}
			if who.String() != of.who || !slices.Equal(who.Grants, []auth.Grant{of.grant}) || who.Via != "" || who.Scope != nil || who.Groups != nil {
				t.Errorf("%+v\nwant %s with %+v alone", who, of.who, of.grant)
			}
			if left := time.Until(until); left < 58*time.Minute || left > time.Hour {
				t.Errorf("good until %s, want an hour from now", until)
			}
			for _, change := range of.wrong {
				t.Run(fmt.Sprint(change), func(t *testing.T) {
					verify(t, p, issuer.Sign(with(of.claims, change)), "wrong", "no binding admits")
				})
			}
		})
	}
}

func TestVerify_of_what_every_token_says(t *testing.T) {
	issuer, other := oidctest.Start(t), oidctest.Start(t)
	clock := newClock()
	p := provider(t, issuer, func(c *Config) { c.Now = clock.now })
	at := func(d time.Duration) int64 { return clock.now().Add(d).Unix() }
	for _, c := range []struct {
		claims         map[string]any
		result, reason string
	}{
		{nil, "ok", ""},
		{map[string]any{"aud": []string{"a", audience}}, "ok", ""},
		{map[string]any{"aud": nil}, "wrong", "aud"},
		{map[string]any{"aud": []string{}}, "wrong", "aud"},
		{map[string]any{"aud": audience + "/"}, "wrong", "aud"},
		{map[string]any{"aud": []string{"a", "b"}}, "wrong", "aud"},
		{map[string]any{"aud": map[string]any{audience: true}}, "wrong", "aud"},
		{map[string]any{"azp": audience}, "ok", ""},
		{map[string]any{"azp": "somebody-else"}, "wrong", "1 fails on azp"},
		{map[string]any{"azp": []string{audience}}, "wrong", "1 fails on azp"},
		{map[string]any{"iss": other.URL}, "unknown", ""},
		{map[string]any{"iss": issuer.URL + "/"}, "unknown", ""},
		{map[string]any{"iss": nil}, "unknown", ""},
		{map[string]any{"iss": 5}, "unknown", ""},
		{map[string]any{"iss": nil, "ISS": issuer.URL}, "wrong", "issuer"},
		{map[string]any{"exp": nil}, "wrong", "no exp"},
		{map[string]any{"exp": "tomorrow"}, "wrong", "exp is no time"},
		{map[string]any{"exp": fmt.Sprint(at(time.Hour))}, "wrong", "exp is no time"},
		{map[string]any{"exp": json.Number("1e300")}, "wrong", "exp is no time"},
		{map[string]any{"exp": json.Number("1e9999")}, "wrong", "exp is no time"},
		{map[string]any{"exp": -1}, "wrong", "exp is no time"},
		{map[string]any{"exp": 0}, "wrong", "ended"},
		{map[string]any{"exp": at(0)}, "wrong", "ended"},
		{map[string]any{"exp": at(-time.Second)}, "wrong", "ended"},
		{map[string]any{"exp": at(2 * time.Second)}, "ok", ""},
		{map[string]any{"exp": json.Number(fmt.Sprintf("%d.5", at(2*time.Second)))}, "ok", ""},
		{map[string]any{"nbf": at(30 * time.Second)}, "ok", ""},
		{map[string]any{"nbf": at(2 * time.Minute)}, "wrong", "not good before"},
		{map[string]any{"nbf": "x"}, "wrong", "nbf is no time"},
		{map[string]any{"nbf": 0, "iat": nil}, "ok", ""},
		{map[string]any{"iat": at(30 * time.Second)}, "ok", ""},
		{map[string]any{"iat": at(2 * time.Minute)}, "wrong", "yet to come"},
		{map[string]any{"iat": true}, "wrong", "iat is no time"},
		{map[string]any{"iat": nil}, "ok", ""},
		{map[string]any{"sub": nil}, "wrong", "no binding"},
		{map[string]any{"sub": ""}, "wrong", "cannot be named"},
		{map[string]any{"sub": "a\nb"}, "wrong", "cannot be named"},
		{map[string]any{"sub": " a"}, "wrong", "cannot be named"},
		{map[string]any{"sub": "a\u202eb"}, "wrong", "cannot be named"},
		{map[string]any{"sub": strings.Repeat("a", 251)}, "wrong", "cannot be named"},
		{map[string]any{"sub": strings.Repeat("a", 250)}, "ok", ""},
		{map[string]any{"pad": strings.Repeat("a", 25<<10)}, "wrong", "32768 bytes"},
	} {
		t.Run(auth.Clip(fmt.Sprint(c.claims)), func(t *testing.T) {
			verify(t, p, issuer.Sign(with(job(), c.claims)), c.result, c.reason)
		})
	}
	t.Run("until", func(t *testing.T) {
		_, until, err := p.Verify(t.Context(), issuer.Sign(with(job(), map[string]any{"exp": at(90 * time.Second)})))
		if err != nil || until.Unix() != at(90*time.Second) {
			t.Errorf("good until %s (%v), want the token's exp", until, err)
		}
	})
	t.Run("another issuer's key", func(t *testing.T) {
		verify(t, p, other.Sign(with(job(), map[string]any{"iss": issuer.URL})), "wrong", "does not publish")
	})
	t.Run("without bindings", func(t *testing.T) {
		p := provider(t, issuer, func(c *Config) { c.Bind, c.ClientID = nil, "entrepot" })
		verify(t, p, issuer.Sign(job()), "unknown", "")
	})
}

func TestVerify_of_signatures(t *testing.T) {
	issuer := oidctest.Start(t, "RS256", "ES256", "ES384", "ES512", "EdDSA")
	p := provider(t, issuer, nil)
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			verify(t, p, issuer.SignWith(map[string]any{"alg": string(alg)}, job()), "ok", "")
		})
	}
	var asked []string
	trap := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Path) }))
	t.Cleanup(trap.Close)
	evil, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// own signs with a key of one's own that the header brings along.
	own := func(changes map[jose.HeaderKey]any, kid string) string {
		options := (&jose.SignerOptions{EmbedJWK: kid == "", ExtraHeaders: changes}).WithType("JWT")
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: evil, KeyID: kid}}, options)
		if err != nil {
			t.Fatal(err)
		}
		claims, _ := json.Marshal(with(job(), map[string]any{"iss": issuer.URL, "exp": time.Now().Add(time.Hour).Unix()}))
		jws, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	kid := header(t, issuer.SignWith(map[string]any{"alg": "ES256"}, job()))["kid"].(string)
	good := issuer.Sign(job())
	parts := strings.Split(good, ".")
	more := strings.Split(issuer.Sign(with(job(), map[string]any{"sub": "root"})), ".")
	for _, c := range []struct{ name, token, result, reason string }{
		{"alg none", issuer.SignWith(map[string]any{"alg": "none"}, job()), "wrong", `"none"`},
		{"alg HS256 with the public key for a secret", issuer.SignWith(map[string]any{"alg": "HS256"}, job()), "wrong", `"HS256"`},
		{"no alg", edit(t, good, map[string]any{"alg": nil}), "wrong", "algorithm"},
		{"alg of another key", edit(t, good, map[string]any{"alg": "ES256"}), "wrong", "signature is wrong"},
		{"alg of another hash", edit(t, good, map[string]any{"alg": "RS512"}), "wrong", "signature is wrong"},
		{"an embedded key", own(nil, ""), "wrong", "signature is wrong"},
		{"an embedded key with a known kid", edit(t, own(nil, ""), map[string]any{"kid": kid}), "wrong", "signature is wrong"},
		{"a known kid alone", own(nil, kid), "wrong", "signature is wrong"},
		{"a foreign kid", own(nil, "mine"), "wrong", "does not publish"},
		{"jku", own(map[jose.HeaderKey]any{"jku": trap.URL + "/jku"}, "mine"), "wrong", "does not publish"},
		{"x5u", own(map[jose.HeaderKey]any{"x5u": trap.URL + "/x5u"}, "mine"), "wrong", "does not publish"},
		{"x5c that is none", own(map[jose.HeaderKey]any{"x5c": []string{"AAAA"}}, "mine"), "wrong", "header"},
		{"a jku that is not needed", issuer.SignWith(map[string]any{"jku": trap.URL + "/jku"}, job()), "ok", ""},
		{"a foreign kid, signed well", issuer.SignWith(map[string]any{"kid": "mine"}, job()), "wrong", "does not publish"},
		{"no kid, signed well", issuer.SignWith(map[string]any{"kid": nil}, job()), "ok", ""},
		{"what is critical and not known", issuer.SignWith(map[string]any{"crit": []string{"x"}, "x": 1}, job()), "wrong", "signature"},
		{"other claims", parts[0] + "." + more[1] + "." + parts[2], "wrong", "signature is wrong"},
		{"another signature", parts[0] + "." + parts[1] + "." + more[2], "wrong", "signature is wrong"},
		{"no signature", parts[0] + "." + parts[1] + ".", "wrong", "signature is wrong"},
		{"two parts", parts[0] + "." + parts[1], "unknown", ""},
		{"four parts", good + ".", "unknown", ""},
		{"a line end in it", good[:10] + "\n" + good[10:], "unknown", ""},
		{"a space behind it", good + " ", "unknown", ""},
		{"spelled otherwise", good[:len(good)-1] + string(good[len(good)-1]+1), "unknown", ""}, // bits of the last letter that say nothing
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], "unknown", ""},
		{"the JSON form", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "unknown", ""},
		{"nothing", "", "unknown", ""},
		{"dots", "..", "unknown", ""},
		{"a password", "correct horse battery staple", "unknown", ""},
		{"a long password", strings.Repeat("p", 100<<10), "unknown", ""},
		{"claims that are none", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`[1]`)) + "." + parts[2], "unknown", ""},
	} {
		t.Run(c.name, func(t *testing.T) { verify(t, p, c.token, c.result, c.reason) })
	}
	if len(asked) > 0 {
		t.Errorf("addresses out of tokens were asked: %v", asked)
	}
}

// header returns the header of a token.
func header(t testing.TB, token string) (h map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// edit changes the header of a token and leaves its signature as it is.
func edit(t testing.TB, token string, changes map[string]any) string {
	t.Helper()
	h := with(header(t, token), changes)
	for k, v := range h {
		if v == nil {
			delete(h, k)
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString(text) + "." + rest
}

func TestVerify_grants_all_that_is_bound(t *testing.T) {
	issuer := oidctest.Start(t)
	p := provider(t, issuer, func(c *Config) {
		c.Bind = []Binding{
			{map[string]string{"project_path": "cloud/**"}, auth.Reader, "cloud"},
			{map[string]string{"project_path": "cloud/dmp/*", "ref_protected": "true"}, auth.CIRole, "{project_path}"},
			{map[string]string{"project_path": "cloud/core/*"}, auth.Admin, "**"},
			{map[string]string{"project_path": "cloud/dmp/*", "azp": "broker"}, auth.Developer, "brokered/**"},
		}
	})
	for _, c := range []struct {
		change map[string]any
		want   []auth.Grant
	}{
		{nil, []auth.Grant{{Role: auth.Reader, On: "cloud"}, {Role: auth.CIRole, On: "cloud/dmp/ms-ingestion"}}},
		{map[string]any{"ref_protected": "false"}, []auth.Grant{{Role: auth.Reader, On: "cloud"}}},
		{map[string]any{"azp": "broker"}, []auth.Grant{{Role: auth.Developer, On: "brokered/**"}}},
	} {
		who, _, err := p.Verify(t.Context(), issuer.Sign(with(gitlab(), c.change)))
		if err != nil || !slices.Equal(who.Grants, c.want) {
			t.Errorf("%v: %+v, %v, want %+v", c.change, who.Grants, err, c.want)
		}
	}
	verify(t, p, issuer.Sign(with(gitlab(), map[string]any{"project_path": "x/y"})), "wrong",
		`no binding admits "project_path:cloud/dmp/ms-ingestion:ref_type:branch:ref:main": 1 fails on project_path, 2 fails on project_path`)

	who, _, err := p.Verify(t.Context(), issuer.Sign(gitlab()))
	if err != nil {
		t.Fatal(err)
	}
	rules := auth.NewRules(nil, true)
	if err := rules.Allow(t.Context(), who, auth.Push, "cloud/dmp/ms-ingestion"); err != nil {
		t.Errorf("the job may not push where it is bound: %v", err)
	}
	if rules.Allow(t.Context(), who, auth.Push, "cloud/dmp/other") == nil {
		t.Error("the job may push where it is not bound")
	}
}

func TestVerify_warns_of_tokens_that_live_long(t *testing.T) {
	issuer := oidctest.Start(t)
	var log logs
	clock := newClock()
	p := provider(t, issuer, func(c *Config) { c.Log, c.Now = log.logger(), clock.now })
	verify(t, p, issuer.Sign(job()), "ok", "")
	if log.String() != "" {
		t.Errorf("an ordinary token is worth a line: %s", log.String())
	}
	long := issuer.Sign(with(job(), map[string]any{"iat": clock.now().Unix(), "exp": clock.now().Unix() + 30*3600}))
	verify(t, p, long, "ok", "")
	for _, want := range []string{"level=WARN", "job@corp", "lifetime=30h", issuer.URL} {
		if !strings.Contains(log.String(), want) || strings.Contains(log.String(), long) {
			t.Errorf("want a warning with %s and without the token: %q", want, log.String())
		}
	}
	for _, c := range []struct {
		later time.Duration
		lines int
	}{
		{0, 1}, {time.Hour - time.Second, 1}, {time.Second, 2}, {time.Minute, 2}, {3 * time.Hour, 3},
	} {
		clock.add(c.later)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { verify(t, p, long, "ok", "") })
		}
		all.Wait()
		if n := strings.Count(log.String(), "lives very long"); n != c.lines {
			t.Errorf("after %s more there are %d warnings, want %d", c.later, n, c.lines)
		}
	}
}

func TestLogin_takes_tokens_for_passwords(t *testing.T) {
	issuer := oidctest.Start(t)
	var p auth.Provider = provider(t, issuer, nil)
	for _, c := range []struct{ name, secret, result string }{
		{"gitlab-ci-token", issuer.Sign(job()), "ok"},
		{"", issuer.Sign(job()), "ok"},
		{"alice", "s3cret", "unknown"},
		{"alice", "", "unknown"},
		{"alice", "a.b.c", "unknown"},
		{"alice", issuer.Sign(with(job(), map[string]any{"iss": "https://other.example.com"})), "unknown"},
		{"alice", issuer.Sign(with(job(), map[string]any{"exp": 1})), "wrong"},
	} {
		who, _, err := p.Login(t.Context(), c.name, c.secret)
		if outcome(err) != c.result || err == nil && who.String() != "ci:job@corp" {
			t.Errorf("%q: %v, %v, want %s", c.name, who, err, c.result)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256"} {
		b.Run(alg, func(b *testing.B) {
			issuer := oidctest.Start(b, alg)
			p := provider(b, issuer, func(c *Config) {
				c.Bind = []Binding{{map[string]string{"project_path": "cloud/dmp/*", "ref_protected": "true"}, auth.CIRole, "{project_path}"}}
			})
			token := issuer.Sign(gitlab())
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := p.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
