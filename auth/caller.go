package auth

import (
	"fmt"
	"strings"
)

// Caller is the kind of those whom an upstream knows, and not this registry: alice at ghcr.example.com is caller:ghcr.example.com/alice. No grant can name one; what
// such a caller may do is to pull what is the upstream's, as far as that one lets her, and whatever everybody may.
const Caller = "caller"

// MaxSecret is the longest secret of a caller, in bytes: it travels in each token.
const MaxSecret = 4 << 10

// Secret is what somebody shows elsewhere. It is behind a function, so that whatever prints an identity cannot print this.
type Secret struct{ reveal func() string }

// NewSecret hides a secret.
func NewSecret(text string) Secret { return Secret{func() string { return text }} }

// Reveal returns the secret itself; empty if there is none.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero tells whether there is none.
func (s Secret) IsZero() bool { return s.reveal == nil }

func (s Secret) String() string { return "(a secret)" }

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// NewCaller returns the identity of whom an upstream knows by a name and a secret. Whether it does is not asked here.
func NewCaller(upstream, name, secret string) (Identity, error) {
	who := Identity{
		Kind: Caller, Name: upstream + "/" + name, Via: Caller + ":" + upstream, Secret: NewSecret(secret),
		Grants: []Grant{{Role: Reader, On: Path(upstream + "/**")}},
	}
	switch {
	case name == "" || strings.Contains(name, ":"):
		return Identity{}, fmt.Errorf("%w: a caller of %s has a name without a colon", ErrWrong, upstream)
	case secret == "" || len(secret) > MaxSecret || strings.ContainsAny(secret, "\r\n\x00"):
		return Identity{}, fmt.Errorf("%w: a caller's secret has 1 to %d bytes, and no line end", ErrWrong, MaxSecret)
	}
	if err := CheckName(name); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	if err := CheckName(who.Name); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	return who, nil
}

// AtUpstream returns of which upstream somebody is a caller, and by which name.
func (i Identity) AtUpstream() (upstream, name string, ok bool) {
	if i.Kind != Caller {
		return "", "", false
	}
	return strings.Cut(i.Name, "/")
}
