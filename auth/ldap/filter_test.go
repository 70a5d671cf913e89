package ldap

import (
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
)

// FuzzFilter: whatever the name and the DN are, the filter compiles to the same shape, with them in it as values, byte for byte.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"alice", "*", "a)(uid=*", `\2a`, "\\", "\x00", "{dn}", "{name}", "jörg", "\xff", "", "(&)", "a*b"} {
		f.Add(s, alice+s)
	}
	f.Fuzz(func(t *testing.T, name, dn string) {
		filter := fillFilter("(|(member={dn})(memberUid={name})(!(cn={name})))", name, dn)
		p, err := goldap.CompileFilter(filter)
		if err != nil {
			t.Fatalf("%q: %v", filter, err)
		}
		if p.Tag != goldap.FilterOr || len(p.Children) != 3 || p.Children[2].Tag != goldap.FilterNot || len(p.Children[2].Children) != 1 {
			t.Fatalf("%q has another shape", filter)
		}
		for i, want := range []struct{ attribute, value string }{{"member", dn}, {"memberUid", name}, {"cn", name}} {
			part := p.Children[i]
			if i == 2 {
				part = part.Children[0]
			}
			attribute, value := text(part.Children[0]), text(part.Children[1])
			if part.Tag != goldap.FilterEqualityMatch || attribute != want.attribute || value != want.value {
				t.Errorf("%q compares %s with %q, want %s with %q", filter, attribute, value, want.attribute, want.value)
			}
		}
	})
}

func text(p *ber.Packet) string { return p.Data.String() }
