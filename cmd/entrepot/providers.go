package main

import (
	"fmt"
	"strconv"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/gitlab"
	"github.com/entrepot/entrepot/auth/htpasswd"
	"github.com/entrepot/entrepot/auth/ldap"
	"github.com/entrepot/entrepot/auth/login"
	"github.com/entrepot/entrepot/auth/oidc"
)

// read makes of the configuration who vouches for whom, and the grants. It asks nobody over the network: a provider that is down must not keep the
// registry from serving all others.
func (a *authority) read(c Auth) (*given, error) {
	g := &given{anonymous: c.Anonymous}
	for i, entry := range c.Grants {
		grant := auth.Grant{ID: "config:" + strconv.Itoa(i+1), Who: entry.Who, Role: auth.Role(entry.Role), On: auth.Path(entry.On), By: "config"}
		if err := grant.Check(); err != nil {
			return nil, fmt.Errorf("auth.grants[%d]: %w", i, err)
		}
		g.grants = append(g.grants, grant)
	}
	if c.Users.Htpasswd != "" {
		file, err := htpasswd.Open(htpasswd.Config{Path: c.Users.Htpasswd, Passwords: a.hasher, Log: a.log})
		if err != nil {
			return nil, fmt.Errorf("auth.users.htpasswd: %w", err)
		}
		g.htpasswd = file
		g.sources = append(g.sources, login.Source{Name: "htpasswd", Provider: file, Alive: file.Alive})
	}
	for i, entry := range c.OIDC {
		if err := a.issuer(g, entry); err != nil {
			return nil, fmt.Errorf("auth.oidc[%d]: %w", i, err)
		}
	}
	for i, entry := range c.GitLab {
		bind, err := oidc.Bind(bindings(entry.Bind))
		if err != nil {
			return nil, fmt.Errorf("auth.gitlab[%d]: %w", i, err)
		}
		p, err := gitlab.New(gitlab.Config{Name: entry.Name, URL: entry.URL, CAFile: entry.CAFile, Prefixes: entry.Prefixes, Bind: bind, Log: a.log})
		if err != nil {
			return nil, fmt.Errorf("auth.gitlab[%d]: %w", i, err)
		}
		g.sources = append(g.sources, login.Source{Name: entry.Name, Provider: p})
	}
	for i, entry := range c.LDAP {
		p, err := ldap.New(ldap.Config{
			URL: entry.URL, StartTLS: entry.StartTLS, CAFile: entry.CAFile, BindDN: entry.BindDN, BindPasswordFile: entry.BindPasswordFile,
			UserBase: entry.UserBase, UserFilter: entry.UserFilter, NameAttribute: entry.NameAttribute,
			GroupBase: entry.GroupBase, GroupFilter: entry.GroupFilter, GroupAttribute: entry.GroupAttribute, Log: a.log,
		})
		if err != nil {
			return nil, fmt.Errorf("auth.ldap[%d]: %w", i, err)
		}
		g.sources = append(g.sources, login.Source{Name: "ldap", Provider: p})
	}
	return g, nil
}

// issuer adds an OpenID provider: for those who show its tokens, for people in a browser, or for both.
func (a *authority) issuer(g *given, c OIDCProvider) error {
	p, err := oidc.New(oidc.Config{
		Name: c.Name, Issuer: c.Issuer, Audience: c.Audience, JWKSFile: c.JWKSFile, CAFile: c.CAFile, Kind: c.Kind, NameClaim: c.NameClaim,
		Bind: bindings(c.Bind), ClientID: c.ClientID, ClientSecretFile: c.ClientSecretFile, Scopes: c.Scopes, UserClaim: c.UserClaim,
		GroupsClaim: c.GroupsClaim, GroupsPrefix: c.GroupsPrefix, Log: a.log,
	})
	if err != nil {
		return err
	}
	if len(c.Bind) > 0 {
		g.sources = append(g.sources, login.Source{Name: c.Name, Provider: p, Tokens: true})
	}
	if p.HasLogin() {
		g.people, g.names = append(g.people, p), append(g.names, c.Name)
	}
	return nil
}

func bindings(all []Binding) []oidc.Binding {
	var made []oidc.Binding
	for _, b := range all {
		made = append(made, oidc.Binding{Claims: b.Claims, Role: auth.Role(b.Role), On: b.On})
	}
	return made
}
