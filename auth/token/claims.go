package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/entrepot/entrepot/auth"
)

const (
	// skew is how far ahead the clock of the process that minted a token may be. A token ends when it says, with no grace.
	skew = 30 * time.Second

	maxList = 1000 // entries of a list
	maxText = 512  // bytes of what auth has no rule for
	lenID   = 22   // characters of 16 bytes in base64
)

// claims are the payload of a token: the registered ones (RFC 7519, section 4.1), the access of Docker's token scope (distribution-spec, "Docker
// Registry v2 Bearer token specification"), and what else makes an identity. A list that is nil is left out, an empty one is not.
type claims struct {
	Issuer    string     `json:"iss"`
	Audience  string     `json:"aud"`
	Subject   string     `json:"sub"` // "user:alice", "anonymous"
	Expires   int64      `json:"exp"` // this and the next two in seconds since 1970
	NotBefore int64      `json:"nbf"`
	Issued    int64      `json:"iat"`
	ID        string     `json:"jti"`
	Kind      string     `json:"kind,omitempty"`
	Groups    []string   `json:"groups,omitzero"`
	Grants    []bound    `json:"grants,omitzero"`
	Access    auth.Scope `json:"access,omitzero"` // left out, it cuts nothing
	Via       string     `json:"via,omitempty"`
	Sealed    string     `json:"sealed,omitempty"` // a caller's secret; see seal.go

	secret auth.Secret // the same, opened
}

// bound is a grant that comes with the credential.
type bound struct {
	Role auth.Role `json:"role"`
	On   auth.Path `json:"on"`
}

// describe puts an identity into the claims.
func (c *claims) describe(who auth.Identity) {
	c.Subject, c.Kind, c.Groups, c.Access, c.Via = who.String(), who.Kind, who.Groups, who.Scope, who.Via
	if who.Grants != nil {
		c.Grants = make([]bound, len(who.Grants))
	}
	for n, g := range who.Grants {
		c.Grants[n] = bound{Role: g.Role, On: g.On}
	}
}

// identity returns whom the claims describe.
func (c *claims) identity() (auth.Identity, error) {
	who := auth.Identity{Kind: c.Kind, Groups: c.Groups, Scope: c.Access, Via: c.Via, Secret: c.secret}
	if c.Kind != "" {
		who.Name = strings.TrimPrefix(c.Subject, c.Kind+":")
	}
	if who.String() != c.Subject {
		return auth.Identity{}, errors.New("its subject is not of its kind")
	}
	if c.Grants != nil {
		who.Grants = make([]auth.Grant, len(c.Grants))
	}
	for n, b := range c.Grants {
		who.Grants[n] = auth.Grant{Role: b.Role, On: b.On}
	}
	return who, checkIdentity(who)
}

// check tells what is wrong with claims whose signature is good. Who is described is for identity to see.
func (c *claims) check(service string, now time.Time) error {
	switch latest := now.Add(skew).Unix(); {
	case c.Audience != service:
		return errors.New("it is for another audience")
	case c.Issued < 0 || c.Expires <= c.Issued || c.Expires <= c.NotBefore || c.Expires-c.Issued > int64(maxTTL/time.Second):
		return errors.New("its times make no sense")
	case now.Unix() >= c.Expires:
		return fmt.Errorf("it ended at %s", time.Unix(c.Expires, 0).UTC().Format(time.RFC3339))
	case c.NotBefore > latest || c.Issued > latest:
		return errors.New("it is not good yet; compare the clocks of the registry's machines")
	case len(c.ID) != lenID:
		return errors.New("its id is none")
	}
	return nil
}

// checkIdentity tells whether a token can hold who, so that what comes out of it is what went in.
func checkIdentity(who auth.Identity) error {
	if who.Kind == "" && who.Name != "" {
		return errors.New("a name without a kind")
	}
	if who.Kind != "" {
		if !slices.Contains(auth.Kinds, who.Kind) && who.Kind != auth.Caller {
			return fmt.Errorf("%.40q is no kind of caller", who.Kind)
		}
		if err := auth.CheckName(who.Name); err != nil {
			return err
		}
	}
	if (who.Kind == auth.Caller) == who.Secret.IsZero() {
		return errors.New("a caller of an upstream without a secret, or somebody else with one")
	}
	if len(who.Groups) > maxList || len(who.Grants) > maxList {
		return fmt.Errorf("more than %d groups or grants", maxList)
	}
	for _, group := range who.Groups {
		if err := auth.CheckName(group); err != nil {
			return fmt.Errorf("group: %w", err)
		}
	}
	for _, g := range who.Grants {
		if g.Who != "" {
			return errors.New("a grant that comes with a credential is for somebody else")
		}
		g.Who = auth.Anyone
		if err := g.Check(); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	if err := checkScope(who.Scope); err != nil {
		return err
	}
	if err := checkTexts([]string{who.Via}); err != nil {
		return fmt.Errorf("via: %w", err)
	}
	return nil
}

func checkScope(scope auth.Scope) error {
	if len(scope) > maxList {
		return fmt.Errorf("%w: more than %d accesses", ErrScope, maxList)
	}
	for _, a := range scope {
		if err := checkTexts(append([]string{a.Type, a.Name}, a.Actions...)); err != nil {
			return fmt.Errorf("%w: %w", ErrScope, err)
		}
	}
	return nil
}

func checkTexts(all []string) error {
	if len(all) > maxList {
		return fmt.Errorf("more than %d words", maxList)
	}
	for _, text := range all {
		if len(text) > maxText || !utf8.ValidString(text) {
			return fmt.Errorf("%.40q is longer than %d bytes or no text", text, maxText)
		}
	}
	return nil
}
