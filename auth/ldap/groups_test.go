package ldap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

func TestGroups_are_checked_sorted_and_named_once(t *testing.T) {
	f := newFake(t)
	f.found[groupsOfAlice] = []*goldap.Entry{
		entry("cn=ops,"+groups, "cn", "ops", "Operations"),
		entry("cn=ops,ou=x,"+groups, "CN", "ops"),
		entry("cn=Domain Users,"+groups, "cn", "Domain Users"),
		entry("cn=none,"+groups, "description", "no name"),
		entry("cn=bad,"+groups, "cn", "a\nb", "a\u202eb", `a"b`, "", " a", strings.Repeat("g", auth.MaxName+1), "a\xff"),
	}
	who, _, err := start(t, f.config(t)).Login(t.Context(), "alice", "wonder")
	if want := []string{"Domain Users", "Operations", "ops"}; err != nil || !slices.Equal(who.Groups, want) {
		t.Errorf("%q, %v, want %q", who.Groups, err, want)
	}
}

func TestGroups_are_500_at_most(t *testing.T) {
	f := newFake(t)
	p := start(t, f.config(t))
	found := func(all ...*goldap.Entry) { f.change(func() { f.found[groupsOfAlice] = all }) }
	found(many(maxGroups)...)
	if who, _, err := p.Login(t.Context(), "alice", "wonder"); err != nil || len(who.Groups) != maxGroups {
		t.Errorf("%d groups, %v", len(who.Groups), err)
	}
	found(many(maxGroups + 1)...)
	fails(t, p, "more groups than")
	found(entry("cn=x,"+groups, "cn", names(maxGroups+1)...))
	fails(t, p, "more groups than")
}

// many returns n entries of groups.
func many(n int) []*goldap.Entry {
	var all []*goldap.Entry
	for _, name := range names(n) {
		all = append(all, entry("cn="+name+","+groups, "cn", name))
	}
	return all
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("g%03d", i)
	}
	return all
}

func TestGroups_that_the_user_lists(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	c.MemberOf = "memberOf"
	p := start(t, c)
	list := func(attribute string, dns ...string) {
		e := entry(alice, "uid", "alice")
		e.Attributes = append(e.Attributes, goldap.NewEntryAttribute(attribute, dns))
		f.change(func() { f.found[base+" (uid=alice)"] = []*goldap.Entry{e} })
	}
	list("memberof",
		"cn=dev,"+groups, "CN=Dev,ou=x,OU=Groups,DC=Example,DC=com", "cn=dev,"+groups,
		`cn=a\2cb+ou=y,`+groups, "ou=z,"+groups,
		"cn=admins,ou=elsewhere,dc=example,dc=com", "cn=short", "", "no dn", "cn=x\\", "cn="+strings.Repeat("a", maxDN)+","+groups,
		`cn=a\0ab,`+groups, groups)
	who, _, err := p.Login(t.Context(), "alice", "wonder")
	if want := []string{"Dev", "a,b", "dev"}; err != nil || !slices.Equal(who.Groups, want) {
		t.Errorf("%q, %v, want %q", who.Groups, err, want)
	}
	if got := f.asked(); len(got) != 4 {
		t.Errorf("the directory was asked %q; want no search for groups", got)
	}

	c.GroupBase = ""
	who, _, err = start(t, c).Login(t.Context(), "alice", "wonder")
	if want := []string{"Dev", "a,b", "admins", "dev", "short"}; err != nil || !slices.Equal(who.Groups, want) {
		t.Errorf("groups anywhere: %q, %v, want %q", who.Groups, err, want)
	}

	list("memberOf;range=0-1499", "cn=dev,"+groups)
	fails(t, p, "more groups than")
	var dns []string
	for _, name := range names(maxGroups + 1) {
		dns = append(dns, "cn="+name+","+groups)
	}
	list("memberOf", dns...)
	fails(t, p, "more groups than")
	list("memberOf", dns[:maxGroups]...)
	if who, _, err := p.Login(t.Context(), "alice", "wonder"); err != nil || len(who.Groups) != maxGroups {
		t.Errorf("%d groups, %v", len(who.Groups), err)
	}
}

func TestGroups_without_a_base_are_none(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	c.GroupBase = ""
	who, _, err := start(t, c).Login(t.Context(), "alice", "wonder")
	if err != nil || len(who.Groups) > 0 || len(f.asked()) != 4 {
		t.Errorf("%+v, %v", who, err)
	}
}
