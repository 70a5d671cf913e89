package oidc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

func TestNew_refuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	issuer := oidctest.Start(t)
	jobs := Config{Name: "gitlab", Issuer: "https://gitlab.example.com", Audience: audience, Bind: everybody}
	people := Config{Name: "corp", Issuer: "https://login.example.com/realm", ClientID: "entrepot"}
	for _, good := range []Config{
		jobs, people,
		{Name: "a-1", Issuer: "https://x.example.com/", Audience: "a", Bind: everybody, Kind: auth.Node, ClientID: "b", Scopes: []string{"openid", "groups"}},
		{Name: "a", Issuer: "http://127.0.0.1:1", ClientID: "b"},
		{Name: "a", Issuer: "http://[::1]", ClientID: "b"},
		{Name: "a", Issuer: "http://localhost/x", ClientID: "b"},
		{Name: "a", Issuer: "kubernetes/serviceaccount", Audience: "a", Bind: everybody, JWKSFile: file("keys.json", string(issuer.JWKS()))},
		{Name: "a", Issuer: "https://x.example.com", ClientID: "b", ClientSecretFile: file("secret", " s\n")},
	} {
		p, err := New(good)
		if err != nil {
			t.Error(err)
		} else if p.Issuer() != good.Issuer || p.HasLogin() != (good.ClientID != "") {
			t.Errorf("%+v: issuer %s, login %v", good, p.Issuer(), p.HasLogin())
		}
	}
	bound := func(b Binding) func(*Config) { return func(c *Config) { c.Bind = []Binding{everybody[0], b} } }
	sub := map[string]string{"sub": "a"}
	for _, c := range []struct {
		base   Config
		change func(*Config)
		reason string
	}{
		{jobs, func(c *Config) { c.Name = "" }, "named by"},
		{jobs, func(c *Config) { c.Name = "GitLab" }, "named by"},
		{jobs, func(c *Config) { c.Name = "a@b" }, "named by"},
		{jobs, func(c *Config) { c.Name = "-a" }, "named by"},
		{jobs, func(c *Config) { c.Name = strings.Repeat("a", 33) }, "named by"},
		{jobs, func(c *Config) { c.Issuer = "" }, "issuer: there is no URL"},
		{jobs, func(c *Config) { c.Issuer = "gitlab.example.com" }, "no plain URL"},
		{jobs, func(c *Config) { c.Issuer = "http://gitlab.example.com" }, "https://"},
		{jobs, func(c *Config) { c.Issuer = "http://127.0.0.1.example.com" }, "https://"},
		{jobs, func(c *Config) { c.Issuer = "http://localhost@gitlab.example.com" }, "no plain URL"},
		{jobs, func(c *Config) { c.Issuer = "ftp://localhost" }, "https://"},
		{jobs, func(c *Config) { c.Issuer = "https://gitlab.example.com?a=b" }, "query"},
		{jobs, func(c *Config) { c.Issuer = "https://gitlab.example.com#a" }, "no plain URL"},
		{jobs, func(c *Config) { c.Issuer = "https://%zz" }, "no URL"},
		{jobs, func(c *Config) { c.Kind = auth.User }, "not for"},
		{jobs, func(c *Config) { c.Audience = "" }, "no audience"},
		{jobs, func(c *Config) { c.Bind = nil }, "nobody in"},
		{jobs, bound(Binding{nil, auth.Reader, "a"}), "binding 2: it wants no claims"},
		{jobs, bound(Binding{map[string]string{"": "a"}, auth.Reader, "a"}), "claim"},
		{jobs, bound(Binding{map[string]string{"sub": strings.Repeat("a", 1025)}, auth.Reader, "a"}), "claim"},
		{jobs, bound(Binding{map[string]string{"sub": "\xff*"}, auth.Reader, "a"}), "no pattern"},
		{jobs, bound(Binding{sub, "owner", "a"}), "no role"},
		{jobs, bound(Binding{sub, auth.Reader, ""}), "path"},
		{jobs, bound(Binding{sub, auth.Reader, "cloud/*"}), "path"},
		{jobs, bound(Binding{sub, auth.Reader, "x{sub}"}), "whole parts"},
		{jobs, func(c *Config) { c.JWKSFile = filepath.Join(dir, "none") }, "no such file"},
		{jobs, func(c *Config) { c.JWKSFile = file("empty.json", `{"keys":[]}`) }, "no public key"},
		{jobs, func(c *Config) { c.JWKSFile = file("bad.json", `[`) }, "no set of keys"},
		{jobs, func(c *Config) { c.JWKSFile, c.Issuer = file("keys.json", string(issuer.JWKS())), "" }, "needs its issuer"},
		{jobs, func(c *Config) { c.CAFile = filepath.Join(dir, "none") }, "no such file"},
		{jobs, func(c *Config) { c.CAFile = file("ca.pem", "none") }, "no certificate"},
		{people, func(c *Config) { c.JWKSFile = file("keys.json", string(issuer.JWKS())) }, "stand in"},
		{people, func(c *Config) { c.ClientSecretFile = filepath.Join(dir, "none") }, "client secret"},
		{people, func(c *Config) { c.ClientSecretFile = file("blank", " \n") }, "empty"},
		{people, func(c *Config) { c.ClientSecretFile = file("huge", strings.Repeat("s", 5000)) }, "more than 4096"},
		{people, func(c *Config) { c.Scopes = []string{"openid profile"} }, "no scope"},
		{people, func(c *Config) { c.GroupsPrefix = "a\n" }, "groups prefix"},
	} {
		config := c.base
		c.change(&config)
		if p, err := New(config); err == nil || p != nil || !strings.Contains(err.Error(), c.reason) || strings.Contains(err.Error(), "sssss") {
			t.Errorf("%+v: %v, want %q", config, err, c.reason)
		}
	}
}

func TestConfig_scopes_always_hold_openid(t *testing.T) {
	for _, c := range []struct{ set, want []string }{
		{nil, []string{"openid", "profile", "email"}},
		{[]string{}, []string{"openid"}},
		{[]string{"groups"}, []string{"openid", "groups"}},
		{[]string{"groups", "openid"}, []string{"groups", "openid"}},
	} {
		if got := (Config{Scopes: c.set}).scopes(); !slices.Equal(got, c.want) {
			t.Errorf("%v become %v, want %v", c.set, got, c.want)
		}
	}
}
