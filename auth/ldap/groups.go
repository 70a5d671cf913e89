package ldap

import (
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

// groups returns the names of the groups that somebody is in just now, sorted.
func (c *connection) groups(who person) ([]string, error) {
	var names []string
	if c.p.config.MemberOf != "" {
		names = c.listed(who)
	} else if c.p.config.GroupBase != "" {
		var err error
		if names, err = c.searched(who); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxGroups {
		return nil, errTooManyGroups
	}
	return names, nil
}

// searched asks for the groups, as whoever may search.
func (c *connection) searched(who person) ([]string, error) {
	if err := c.bindService(); err != nil {
		return nil, err
	}
	config := c.p.config
	filter := fillFilter(config.GroupFilter, who.exact, who.dn)
	entries, more, err := c.search("look for the user's groups", config.GroupBase, filter, maxGroups, []string{config.GroupAttribute})
	if err != nil {
		return nil, err
	}
	if more {
		return nil, errTooManyGroups
	}
	var names []string
	for _, e := range entries {
		for _, name := range e.GetEqualFoldAttributeValues(config.GroupAttribute) {
			names = c.add(names, name)
		}
	}
	return names, nil
}

// listed takes the groups from what the user's entry lists. What is no DN, or of an entry elsewhere, is none of them.
func (c *connection) listed(who person) []string {
	var names []string
	for _, text := range who.in {
		dn, err := goldap.ParseDN(text)
		if err != nil || len(dn.RDNs) == 0 || c.p.groupBase != nil && !c.p.groupBase.AncestorOfFold(dn) {
			continue
		}
		for _, part := range dn.RDNs[0].Attributes {
			if strings.EqualFold(part.Type, c.p.config.GroupAttribute) {
				names = c.add(names, part.Value)
			}
		}
	}
	return names
}

// add adds the name of a group; one that no grant could name is left out.
func (c *connection) add(names []string, name string) []string {
	if err := auth.CheckName(name); err != nil {
		c.p.config.Log.DebugContext(c.ctx, "a group of the directory is left out", "reason", err)
		return names
	}
	return append(names, name)
}
