package main

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
)

func (j *judge) auth(a Auth) {
	if a.Anonymous != "" {
		j.oneOf("auth.anonymous", a.Anonymous, "none", "pull", "full")
	}
	j.between("auth.tokenTTL", a.TokenTTL, time.Minute, time.Hour)
	j.between("auth.loginTTL", a.LoginTTL, time.Hour, 365*24*time.Hour)
	for i, g := range a.Grants {
		path := fmt.Sprintf("auth.grants[%d]", i)
		j.who(path+".who", g.Who)
		j.role(path+".role", g.Role)
		j.on(path+".on", g.On)
	}
	names := map[string]string{}
	for i, p := range a.OIDC {
		j.oidc(fmt.Sprintf("auth.oidc[%d]", i), p, names)
	}
	for i, s := range a.GitLab {
		j.gitlab(fmt.Sprintf("auth.gitlab[%d]", i), s, names)
	}
	for i, d := range a.LDAP {
		j.ldap(fmt.Sprintf("auth.ldap[%d]", i), d)
	}
}

func (j *judge) who(path, who string) {
	if who == "" {
		j.missing(path, "write user:NAME, group:NAME, robot:NAME or "+auth.Anyone)
	} else if err := auth.CheckWho(who); err != nil {
		j.wrong(path, "%v", err)
	}
}

func (j *judge) role(path, role string) {
	var known []string
	for _, r := range auth.Roles() {
		known = append(known, string(r))
	}
	if role == "" {
		j.missing(path, "write one of "+strings.Join(known, ", "))
		return
	}
	j.oneOf(path, role, known...)
}

func (j *judge) on(path, on string) {
	if on == "" {
		j.missing(path, "write it like cloud/dmp, or ** for everything")
	} else if err := auth.Path(on).Check(); err != nil {
		j.wrong(path, "%v", err)
	}
}

func (j *judge) oidc(path string, p OIDCProvider, names map[string]string) {
	j.name(path+".name", p.Name, names)
	j.encrypted(path+".issuer", p.Issuer)
	if p.Audience == "" && len(p.Bind) > 0 {
		j.missing(path+".audience", "without it, a token that was made for anybody else would open this registry, too")
	}
	if p.Kind != "" {
		j.oneOf(path+".kind", p.Kind, auth.CI, auth.Workload, auth.Node)
	}
	j.bindings(path+".bind", p.Bind)
	switch {
	case p.ClientSecretFile != "" && p.ClientID == "":
		j.wrong(path+".clientSecretFile", "a client's secret needs its name; set clientID too")
	case p.ClientID == "" && len(p.Bind) == 0:
		j.missing(path+".bind", "without it, and without clientID, this issuer lets nobody in")
	case p.ClientID != "" && p.JWKSFile != "":
		j.wrong(path+".jwksFile", "where people log in, an issuer is asked for its keys; remove jwksFile or clientID")
	}
	j.each(path+".scopes", p.Scopes, scope, "no scope; it has 1 to 255 plain characters, none of them a space")
	if err := auth.CheckName(p.GroupsPrefix + "x"); err != nil {
		j.wrong(path+".groupsPrefix", "with it, groups have no names any more: %v", err)
	}
}

func (j *judge) gitlab(path string, s GitLabServer, names map[string]string) {
	j.name(path+".name", s.Name, names)
	j.encrypted(path+".url", s.URL)
	if len(s.Prefixes) > 10 {
		j.wrong(path+".prefixes", "there are %d; at most 10", len(s.Prefixes))
	}
	j.each(path+".prefixes", s.Prefixes, prefix, "nothing that tokens begin with; it has 3 to 40 letters, digits, dots, hyphens and underscores")
	j.bindings(path+".bind", s.Bind)
}

var (
	providerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	scope        = regexp.MustCompile(`^[!#-[\]-~]{1,255}$`) // RFC 6749, section 3.3
	prefix       = regexp.MustCompile(`^[A-Za-z0-9._-]{3,40}$`)
	claimPart    = regexp.MustCompile(`\{[^{}]+\}`)
)

// name looks at the name of a provider. Names are all the paths of those before.
func (j *judge) name(path, name string, names map[string]string) {
	switch first := names[name]; {
	case name == "":
		j.missing(path, "whom it vouches for is called after it, as in alice@corp")
	case !providerName.MatchString(name):
		j.wrong(path, "%q is no name for a provider; it has 1 to 32 of a-z, 0-9 and -, the last not at its ends", name)
	case first != "":
		j.wrong(path, "%q is taken already, by %s", name, j.origins.place(first))
	default:
		names[name] = path
	}
}

// encrypted looks at the address of somebody who is told secrets or whose word is taken.
func (j *judge) encrypted(path, value string) {
	if value == "" {
		j.missing(path, "write it like https://login.example.com")
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		j.wrong(path, "%s is not an address; write it like https://login.example.com", unsecret(value))
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
		j.wrong(path, "%s has more than a scheme, a host and a path", unsecret(value))
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		j.wrong(path, "%q is not encrypted, so anybody on the way could speak in its name; write it with https://", value)
	}
}

// each looks at the texts of a list.
func (j *judge) each(path string, texts []string, want *regexp.Regexp, otherwise string) {
	for i, text := range texts {
		if !want.MatchString(text) {
			j.wrong(fmt.Sprintf("%s[%d]", path, i), "%q is %s", text, otherwise)
		}
	}
}

const (
	claimName  = 255  // the most bytes of a claim's name
	claimValue = 1024 // and of what it must be
)

func (j *judge) bindings(path string, all []Binding) {
	for i, b := range all {
		path := fmt.Sprintf("%s[%d]", path, i)
		if len(b.Claims) == 0 {
			j.missing(path+".claims", "without any, this would admit everybody whom the issuer knows")
		}
		for _, name := range slices.Sorted(maps.Keys(b.Claims)) {
			if name == "" || len(name) > claimName {
				j.wrong(path+".claims", "%q is no name of a claim; it has 1 to %d characters", name, claimName)
			}
			if len(b.Claims[name]) > claimValue {
				j.wrong(path+".claims."+name, "what it must be is longer than %d characters", claimValue)
			}
		}
		j.role(path+".role", b.Role)
		j.template(path+".on", b.On)
	}
}

// template looks at a path in which {claim} stands for what a token says.
func (j *judge) template(path, on string) {
	if !strings.Contains(on, "{") {
		j.on(path, on)
		return
	}
	if auth.Path(claimPart.ReplaceAllString(on, "x")).Check() != nil {
		j.wrong(path, "%q is no path, whatever the claims are; write it like cloud/{project_path}", on)
		return
	}
	for _, at := range claimPart.FindAllStringIndex(on, -1) {
		if at[0] > 0 && on[at[0]-1] != '/' || at[1] < len(on) && on[at[1]] != '/' {
			j.wrong(path, "%q has a claim for a piece between slashes; it can stand for no less than all of it, as in cloud/{project_path}", on)
			return
		}
	}
}

func (j *judge) ldap(path string, d LDAPDirectory) {
	j.directory(path, d)
	switch {
	case d.BindDN != "" && d.BindPasswordFile == "":
		j.wrong(path+".bindDN", "a name alone proves nothing to a directory; set bindPasswordFile too")
	case d.BindPasswordFile != "" && d.BindDN == "":
		j.wrong(path+".bindPasswordFile", "a password needs the name that it belongs to; set bindDN too")
	}
	if d.UserBase == "" {
		j.missing(path+".userBase", "write it like ou=people,dc=example,dc=com")
	}
	if d.GroupBase == "" && (d.GroupFilter != "" || d.GroupAttribute != "") {
		j.missing(path+".groupBase", "write below what groups are, like ou=groups,dc=example,dc=com")
	}
	if d.UserFilter != "" && !strings.Contains(d.UserFilter, "{name}") {
		j.wrong(path+".userFilter", "%q would find the same for everybody; {name} has to stand for who logs in", d.UserFilter)
	}
	if d.GroupFilter != "" && !strings.Contains(d.GroupFilter, "{name}") && !strings.Contains(d.GroupFilter, "{dn}") {
		j.wrong(path+".groupFilter", "%q would find the same for everybody; {dn} or {name} has to stand for who logs in", d.GroupFilter)
	}
}

// directory looks at a directory's addresses, and at whether passwords are encrypted on their way there.
func (j *judge) directory(path string, d LDAPDirectory) {
	addresses := strings.Fields(d.URL)
	if len(addresses) == 0 {
		j.missing(path+".url", "write it like ldaps://ldap.example.com")
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "":
			j.wrong(path+".url", "%s is not the address of a directory; write it like ldaps://ldap.example.com", unsecret(address))
		case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
			j.wrong(path+".url", "%s has more than a scheme and a host; the rest has keys of its own", unsecret(address))
		case u.Scheme == "ldap" && !d.StartTLS && !isLoopback(u.Hostname()):
			j.wrong(path+".url", "%q would send passwords for everybody on the way to read; write ldaps://, or set startTLS: true", address)
		}
	}
	if d.StartTLS && len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a string) bool { return !strings.HasPrefix(a, "ldaps:") }) {
		j.wrong(path+".startTLS", "ldaps:// is encrypted from the start; remove the line, or write ldap://")
	}
}
