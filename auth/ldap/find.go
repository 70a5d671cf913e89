package ldap

import (
	"errors"
	"fmt"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

// person is the entry of a user.
type person struct {
	dn    string
	name  string   // as users are called here
	exact string   // as the directory writes it: memberUid knows upper from lower case
	in    []string // the DNs that MemberOf lists
}

// find returns the one entry for a name.
func (c *connection) find(name string) (person, error) {
	attributes := []string{c.p.config.NameAttribute}
	if c.p.config.MemberOf != "" {
		attributes = append(attributes, c.p.config.MemberOf)
	}
	entries, more, err := c.search("look for the user", c.p.config.UserBase, fillFilter(c.p.config.UserFilter, name, ""), 2, attributes)
	switch {
	case err != nil:
		return person{}, err
	case more || len(entries) > 1:
		return person{}, fmt.Errorf("the filter for users %s matches several entries for this name: make it narrower", c.p.config.UserFilter)
	case len(entries) == 0:
		return person{}, auth.ErrUnknown
	}
	return c.read(entries[0])
}

func (c *connection) read(e *goldap.Entry) (person, error) {
	// To bind with a secret as nobody could mean anything.
	if e.DN == "" || len(e.DN) > maxDN {
		return person{}, fmt.Errorf("the directory found an entry whose DN has %d bytes, not 1 to %d", len(e.DN), maxDN)
	}
	attribute := c.p.config.NameAttribute
	values := e.GetEqualFoldAttributeValues(attribute)
	if len(values) != 1 {
		return person{}, fmt.Errorf("%q has %d values of %s, and a user has one name: choose another name attribute", auth.Clip(e.DN), len(values), attribute)
	}
	p := person{dn: e.DN, name: strings.ToLower(values[0]), exact: values[0]}
	if err := auth.CheckName(p.name); err != nil {
		return person{}, fmt.Errorf("the %s of %q: %w", attribute, auth.Clip(e.DN), err)
	}
	if strings.ContainsAny(p.name, ":@") {
		return person{}, fmt.Errorf("the %s of %q is %q, and names of users hold no ':' and no '@': choose another name attribute",
			attribute, auth.Clip(e.DN), p.name)
	}
	if c.p.config.MemberOf != "" {
		p.in = e.GetEqualFoldAttributeValues(c.p.config.MemberOf)
		for _, a := range e.Attributes {
			// Active Directory's way to give the first 1500 of them only.
			if strings.HasPrefix(strings.ToLower(a.Name), strings.ToLower(c.p.config.MemberOf)+";range=") {
				return person{}, errTooManyGroups
			}
		}
	}
	return p, nil
}

var errTooManyGroups = errors.New("the user is in more groups than can be used: set a narrower base or filter for groups")

// search returns the entries below base that match, and whether the directory has more than the limit. One that knows no limits sends all of them.
func (c *connection) search(what, base, filter string, limit int, attributes []string) (entries []*goldap.Entry, more bool, err error) {
	found, err := c.link.Search(&goldap.SearchRequest{
		BaseDN: base, Scope: goldap.ScopeWholeSubtree, DerefAliases: goldap.NeverDerefAliases,
		SizeLimit: limit, TimeLimit: int(c.p.config.Timeout/time.Second) + 1,
		Filter: filter, Attributes: attributes,
	})
	if goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded) {
		return found.Entries, true, nil
	}
	if err != nil {
		return nil, false, c.fault(fmt.Sprintf("%s below %q", what, base), err)
	}
	return found.Entries, false, nil
}
