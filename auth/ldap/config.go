package ldap

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// New returns the directory that c describes. It checks what can be checked without the network; the errors are for the person who wrote the
// configuration.
func New(c Config) (*Provider, error) {
	c.fill()
	p := &Provider{config: c, logins: make(chan struct{}, maxLogins)}
	for _, text := range strings.Fields(c.URL) {
		s, err := parseServer(text, c.StartTLS)
		if err != nil {
			return nil, err
		}
		p.servers = append(p.servers, s)
	}
	if len(p.servers) == 0 {
		return nil, errors.New("the URL of the directory is missing; write ldaps://HOST")
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.GroupBase != "" {
		base, err := goldap.ParseDN(c.GroupBase)
		if err != nil {
			return nil, fmt.Errorf("the base of groups %q is no DN: %w", c.GroupBase, err)
		}
		p.groupBase = base
	}
	if _, err := p.authorities(); err != nil {
		return nil, err
	}
	if _, err := p.password(); err != nil {
		return nil, err
	}
	return p, nil
}

// fill sets what was left empty.
func (c *Config) fill() {
	c.NameAttribute = cmp.Or(c.NameAttribute, "uid")
	c.UserFilter = cmp.Or(c.UserFilter, "("+c.NameAttribute+"={name})")
	if c.MemberOf == "" {
		c.GroupFilter = cmp.Or(c.GroupFilter, "(|(member={dn})(uniqueMember={dn})(memberUid={name}))")
	}
	c.GroupAttribute = cmp.Or(c.GroupAttribute, "cn")
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Remember = cmp.Or(c.Remember, 2*time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

func (c *Config) check() error {
	for _, a := range []string{c.NameAttribute, c.GroupAttribute, cmp.Or(c.MemberOf, "memberOf")} {
		if !attribute.MatchString(a) {
			return fmt.Errorf("%q is no name of an attribute", a)
		}
	}
	if _, err := goldap.ParseDN(c.UserBase); err != nil || c.UserBase == "" {
		return fmt.Errorf("the base of users %q is no DN; write it like ou=people,dc=example,dc=com", c.UserBase)
	}
	if err := checkFilter("users", c.UserFilter, "{name}"); err != nil {
		return err
	}
	if c.MemberOf != "" && c.GroupFilter != "" {
		return errors.New("there is a filter for groups and an attribute that lists them; choose one")
	}
	if c.MemberOf == "" {
		if err := checkFilter("groups", c.GroupFilter, "{dn}", "{name}"); err != nil {
			return err
		}
	}
	if (c.BindDN == "") != (c.BindPasswordFile == "") {
		return errors.New("whom to search as (the bind DN) and the file with the password go together")
	}
	if c.Timeout < 0 || c.Remember < 0 {
		return fmt.Errorf("a timeout of %v or remembering for %v is less than nothing", c.Timeout, c.Remember)
	}
	return nil
}

var attribute = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)$`) // RFC 4512, section 1.4, "oid"

// checkFilter tells what is wrong with a filter that may hold some fields in braces and must hold one of them: without any, it would be the same
// for everybody.
func checkFilter(whose, filter string, may ...string) error {
	sample, holds := filter, false
	for _, word := range may {
		holds = holds || strings.Contains(filter, word)
		sample = strings.ReplaceAll(sample, word, "a")
	}
	if i := strings.IndexAny(sample, "{}"); i >= 0 {
		return fmt.Errorf("the filter for %s %q has braces around something else than %s (as itself, a brace is \\7b or \\7d)",
			whose, filter, strings.Join(may, " or "))
	}
	if !holds {
		return fmt.Errorf("the filter for %s %q holds no %s, so it would not depend on the user", whose, filter, strings.Join(may, " and no "))
	}
	if _, err := goldap.CompileFilter(sample); err != nil {
		return fmt.Errorf("the filter for %s %q is not written as RFC 4515 says: %w", whose, filter, err)
	}
	return nil
}

// fillFilter puts values into a filter, escaped; what they hold is never taken for a field in braces.
func fillFilter(filter, name, dn string) string {
	return strings.NewReplacer("{name}", goldap.EscapeFilter(name), "{dn}", goldap.EscapeFilter(dn)).Replace(filter)
}

// server is one place where the directory is.
type server struct {
	url  string
	addr string // host:port
	host string // as its certificate names it
	tls  bool   // from the first byte on
}

func parseServer(text string, startTLS bool) (server, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil { // not quoted: there may be a password in it
		return server{}, errors.New("the URL of the directory is written like ldaps://ldap.example.com, without any name or password")
	}
	port := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	if port == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return server{}, fmt.Errorf("%q is no address of a directory; write ldaps://HOST or ldap://HOST, with :PORT if need be, and nothing behind it", text)
	}
	if u.Port() != "" {
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
			return server{}, fmt.Errorf("%q has no port between 1 and 65535", text)
		}
		port = u.Port()
	}
	s := server{url: text, addr: net.JoinHostPort(u.Hostname(), port), host: u.Hostname(), tls: u.Scheme == "ldaps"}
	if !s.tls && !startTLS && !loopback(s.host) {
		return server{}, fmt.Errorf("passwords would cross the network to %s in clear text; write ldaps:// or turn StartTLS on", text)
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
