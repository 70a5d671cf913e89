package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// Minted is a new token.
type Minted struct {
	Token   string
	Issued  time.Time // in whole seconds, as in the token
	Expires time.Time
}

// ErrScope says that a token cannot have the scope that it was asked for with: it is too long, or more than the credential that asks for it has.
var ErrScope = errors.New("no scope for this token")

// Mint returns a token for who, cut down to scope. A scope that is nil cuts nothing off what who.Scope leaves; no scope may exceed that, or a narrow
// credential would buy a wide token: that is ErrScope. Another error says that a token cannot hold who (see [auth.CheckName], [auth.Grant.Check]), that
// it would be longer than MaxToken, or that there is no key. Of grants, their role and path are kept.
func (i *Issuer) Mint(who auth.Identity, scope auth.Scope) (Minted, error) {
	m, err := i.mint(who, scope)
	if err != nil {
		return Minted{}, fmt.Errorf("mint a token for %.300q: %w", who.String(), err)
	}
	return m, nil
}

func (i *Issuer) mint(who auth.Identity, scope auth.Scope) (Minted, error) {
	if scope == nil {
		scope = who.Scope
	}
	if !within(scope, who.Scope) {
		return Minted{}, fmt.Errorf("%w: it is more than the credential that asks for it has", ErrScope)
	}
	who.Scope = scope
	if err := checkIdentity(who); err != nil {
		return Minted{}, err
	}
	now := i.c.Now()
	k, err := i.ring.Load().signer(now)
	if err != nil {
		return Minted{}, err
	}
	end := now.Add(i.c.TTL)
	if !who.Until.IsZero() && who.Until.Before(end) {
		end = who.Until // a token does not renew itself
	}
	if !k.verifies(end) {
		end = k.until
	}
	c := claims{Issuer: i.c.Service, Audience: i.c.Service, Issued: now.Unix(), NotBefore: now.Unix(), Expires: end.Unix(), ID: newID()}
	c.describe(who)
	if c.Sealed, err = k.seal(&c, who.Secret); err != nil {
		return Minted{}, err
	}
	raw, err := k.token(&c)
	if err != nil {
		return Minted{}, err
	}
	if len(raw) > MaxToken {
		return Minted{}, tooLong(len(raw), len(scope) > 0)
	}
	return Minted{Token: raw, Issued: time.Unix(c.Issued, 0).UTC(), Expires: time.Unix(c.Expires, 0).UTC()}, nil
}

func tooLong(n int, scoped bool) error {
	if scoped {
		return fmt.Errorf("%w: with it the token would have %d bytes, more than %d; ask for less at once", ErrScope, n, MaxToken)
	}
	return fmt.Errorf("it would have %d bytes, more than %d; have the provider tell fewer groups", n, MaxToken)
}

// token returns the claims, signed.
func (k *key) token(c *claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return k.jws(payload), nil
}

// jws returns a payload in the compact form, signed (RFC 7515, section 7.1; RFC 8037, section 3.1).
func (k *key) jws(payload []byte) string {
	signed := k.header + "." + base64url.EncodeToString(payload)
	return signed + "." + base64url.EncodeToString(ed25519.Sign(k.private(), []byte(signed)))
}

// newID returns 16 random bytes.
func newID() string {
	var id [16]byte
	rand.Read(id[:])
	return base64url.EncodeToString(id[:])
}

// within tells whether a scope gives nothing that another one does not. A nil one limits nothing.
func within(scope, limit auth.Scope) bool {
	for _, asked := range scope {
		for _, action := range asked.Actions {
			if limit != nil && !slices.ContainsFunc(limit, func(a auth.Access) bool { return gives(a, asked, action) }) {
				return false
			}
		}
	}
	return true
}

// gives tells whether one access gives an action on all that another one names.
func gives(a, asked auth.Access, action string) bool {
	names := a.Name == asked.Name
	if a.Type == "repository" && asked.Name != "" && (a.Name == string(auth.Everywhere) || strings.HasSuffix(a.Name, "/**")) {
		names = names || auth.Path(asked.Name).Within(auth.Path(a.Name))
	}
	return a.Type == asked.Type && names && (slices.Contains(a.Actions, action) || slices.Contains(a.Actions, "*"))
}
