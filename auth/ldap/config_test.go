package ldap

import (
	"strings"
	"testing"
	"time"
)

func TestNew_says_what_is_wrong(t *testing.T) {
	good := Config{URL: "ldaps://ldap.example.com", UserBase: base}
	notes, empty, long := file(t, "notes", "no certificate"), file(t, "empty", "\n"), file(t, "long", strings.Repeat("a", maxSecret+3))
	for _, c := range []struct {
		what  string
		set   func(*Config)
		words string
	}{
		{"nothing", func(c *Config) { c.URL = " " }, "is missing"},
		{"web", func(c *Config) { c.URL = "https://ldap.example.com" }, "no address"},
		{"no scheme", func(c *Config) { c.URL = "ldap.example.com:636" }, "no address"},
		{"socket", func(c *Config) { c.URL = "ldapi:///run/slapd" }, "no address"},
		{"no host", func(c *Config) { c.URL = "ldaps://:636" }, "no address"},
		{"base in the URL", func(c *Config) { c.URL = "ldaps://ldap.example.com/dc=example" }, "no address"},
		{"query in the URL", func(c *Config) { c.URL = "ldaps://ldap.example.com?uid" }, "no address"},
		{"password in the URL", func(c *Config) { c.URL = "ldaps://me:s3cret@ldap.example.com" }, "without any name or password"},
		{"broken URL", func(c *Config) { c.URL = "ldaps://me:s3cret@ldap.example.com:port" }, "without any name or password"},
		{"port", func(c *Config) { c.URL = "ldaps://ldap.example.com:65536" }, "no port"},
		{"plain", func(c *Config) { c.URL = "ldap://ldap.example.com" }, "clear text"},
		{"plain, by address", func(c *Config) { c.URL = "ldap://192.0.2.1" }, "clear text"},
		{"plain, a name like loopback", func(c *Config) { c.URL = "ldap://localhost.example.com" }, "clear text"},
		{"plain second", func(c *Config) { c.URL = "ldaps://ldap.example.com ldap://ldap.example.com" }, "clear text"},
		{"no base", func(c *Config) { c.UserBase = "" }, "base of users"},
		{"bad base", func(c *Config) { c.UserBase = "example.com" }, "base of users"},
		{"bad base of groups", func(c *Config) { c.GroupBase = "example.com" }, "base of groups"},
		{"same for everybody", func(c *Config) { c.UserFilter = "(uid=alice)" }, "not depend"},
		{"groups of everybody", func(c *Config) { c.GroupFilter = "(cn=*)" }, "not depend"},
		{"another field", func(c *Config) { c.UserFilter = "(|(uid={name})(mail={mail}))" }, "braces"},
		{"DN before there is one", func(c *Config) { c.UserFilter = "(|(uid={name})(manager={dn}))" }, "braces"},
		{"no filter", func(c *Config) { c.UserFilter = "uid={name})" }, "RFC 4515"},
		{"no filter for groups", func(c *Config) { c.GroupFilter = "((member={dn})" }, "RFC 4515"},
		{"two ways to groups", func(c *Config) { c.MemberOf, c.GroupFilter = "memberOf", "(member={dn})" }, "choose one"},
		{"all attributes", func(c *Config) { c.NameAttribute = "*" }, "no name of an attribute"},
		{"attribute with an option", func(c *Config) { c.GroupAttribute = "cn;lang-de" }, "no name of an attribute"},
		{"attribute that is a filter", func(c *Config) { c.MemberOf = "a)(b" }, "no name of an attribute"},
		{"no password", func(c *Config) { c.BindDN = reader }, "go together"},
		{"password of nobody", func(c *Config) { c.BindPasswordFile = notes }, "go together"},
		{"empty password", func(c *Config) { c.BindDN, c.BindPasswordFile = reader, empty }, "is empty"},
		{"long password", func(c *Config) { c.BindDN, c.BindPasswordFile = reader, long }, "too long"},
		{"no file of a password", func(c *Config) { c.BindDN, c.BindPasswordFile = reader, "/nonexistent" }, "/nonexistent"},
		{"no certificate", func(c *Config) { c.CAFile = notes }, "no certificate"},
		{"no file of certificates", func(c *Config) { c.CAFile = "/nonexistent" }, "/nonexistent"},
		{"negative timeout", func(c *Config) { c.Timeout = -time.Second }, "less than nothing"},
	} {
		config := good
		c.set(&config)
		p, err := New(config)
		if err == nil || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "s3cret") || p != nil {
			t.Errorf("%s: %v\nwant a text with %q", c.what, err, c.words)
		}
	}
}

func TestNew_takes_what_is_right(t *testing.T) {
	for what, c := range map[string]Config{
		"least":    {URL: "ldaps://ldap.example.com", UserBase: base},
		"StartTLS": {URL: "ldap://ldap.example.com:1389/ ldaps://[2001:db8::1]", StartTLS: true, UserBase: base},
		"loopback": {URL: "ldap://127.0.0.2 ldap://[::1]:3890 ldap://LOCALHOST", UserBase: base},
		"directory": {URL: "ldaps://dc1.example.com", UserBase: "dc=example,dc=com", NameAttribute: "sAMAccountName", GroupBase: "dc=example,dc=com",
			UserFilter:  "(&(objectCategory=person)(objectClass=user)(sAMAccountName={name}))",
			GroupFilter: "(member:1.2.840.113556.1.4.1941:={dn})"},
		"listed": {URL: "ldaps://ldap.example.com", UserBase: base, MemberOf: "1.2.840.113556.1.2.102"},
	} {
		if _, err := New(c); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	p := start(t, Config{URL: "ldaps://ldap.example.com ldap://[::1] ldaps://[2001:db8::1]:3636", UserBase: base})
	for i, want := range []string{"ldap.example.com:636", "[::1]:389", "[2001:db8::1]:3636"} {
		if p.servers[i].addr != want {
			t.Errorf("%s, want %s", p.servers[i].addr, want)
		}
	}
}
