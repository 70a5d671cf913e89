package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/entrepot/entrepot/auth"
)

const (
	maxToken = 32 << 10       // bytes of a token that somebody shows
	leeway   = time.Minute    // how far clocks may be apart
	tooLong  = 24 * time.Hour // a token that lives longer is worth a warning
)

// algorithms are those that a token may be signed with (RFC 7518, section 3; RFC 8037): who can check a signature cannot make one.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Verify returns who it is that a token of this issuer was made for, with a grant for each binding that its claims fulfil, and until when: the end of
// the token. It returns auth.ErrUnknown for what is no token, or not of this issuer, or if there are no bindings; auth.ErrWrong, wrapped with the
// reason, for a token that is not good here or that no binding admits; and any other error if that cannot be told because the issuer's keys are
// out of reach.
func (p *Provider) Verify(ctx context.Context, rawJWT string) (auth.Identity, time.Time, error) {
	if len(p.bind) == 0 {
		return auth.Identity{}, time.Time{}, auth.ErrUnknown
	}
	if len(rawJWT) > maxToken && strings.Count(rawJWT, ".") == 2 {
		return auth.Identity{}, time.Time{}, p.wrong("the token has more than %d bytes", maxToken)
	}
	t, err := p.read(ctx, rawJWT, p.audience)
	if err != nil {
		return auth.Identity{}, time.Time{}, err
	}
	subject, _ := t.claims.text("sub")
	grants, why := p.grants(t.claims)
	if len(grants) == 0 {
		return auth.Identity{}, time.Time{}, p.wrong("no binding admits %q: %s", auth.Clip(subject), why)
	}
	name, err := p.nameOf(t.claims, p.nameClaim)
	if err != nil {
		return auth.Identity{}, time.Time{}, p.wrong("%q cannot be named: %v", auth.Clip(subject), err)
	}
	if t.lifetime > tooLong {
		p.warn(name, t.lifetime)
	}
	return auth.Identity{Kind: p.kind, Name: name, Grants: grants}, t.until, nil
}

// warn says, but not more than once an hour, that a token lives long: jobs show theirs all the time.
func (p *Provider) warn(name string, lifetime time.Duration) {
	now, last := p.now(), p.warned.Load()
	if last != nil && now.Sub(*last) < time.Hour || !p.warned.CompareAndSwap(last, &now) {
		return
	}
	const what = "a token lives very long; make its issuer give out shorter ones (this is said at most once an hour)"
	p.log.Warn(what, "issuer", p.issuer, "name", name, "lifetime", lifetime)
}

// nameOf returns the name that a claim gives.
func (p *Provider) nameOf(c claims, claim string) (string, error) {
	value, ok := c.text(claim)
	if !ok || value == "" {
		return "", fmt.Errorf("there is no claim %s", claim)
	}
	name := value + "@" + p.name
	return name, auth.CheckName(name)
}

// token is one that was verified.
type token struct {
	claims   claims
	alg      string
	until    time.Time
	lifetime time.Duration // zero if it does not say when it was made
}

// read verifies a token of this issuer and that it is meant for audience now.
func (p *Provider) read(ctx context.Context, raw, audience string) (*token, error) {
	parts, ok := split(raw)
	if !ok {
		return nil, auth.ErrUnknown
	}
	var says struct {
		Iss string `json:"iss"`
	}
	if json.Unmarshal(parts[1], &says) != nil || says.Iss != p.issuer {
		return nil, auth.ErrUnknown
	}
	t, err := p.checkSignature(ctx, raw)
	if err != nil {
		return nil, err
	}
	if err := p.checkClaims(t, audience); err != nil {
		subject, _ := t.claims.text("sub")
		return nil, p.wrong("the token of %q: %v", auth.Clip(subject), err)
	}
	return t, nil
}

// split takes a token apart, if it has the shape of one (RFC 7515, section 3.1): three parts in base64url without padding.
func split(raw string) (parts [3][]byte, ok bool) {
	if strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, "\r\n") { // base64 would skip line ends
		return parts, false
	}
	for i, part := range strings.SplitN(raw, ".", 3) {
		var err error
		if parts[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return parts, false
		}
	}
	return parts, len(parts[0]) > 0 && len(parts[1]) > 0
}

// checkSignature returns what the token says if a key of the issuer signed it. Keys in the token's own header are not looked at.
func (p *Provider) checkSignature(ctx context.Context, raw string) (*token, error) {
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if alg := (*jose.ErrUnexpectedSignatureAlgorithm)(nil); errors.As(err, &alg) {
		return nil, p.wrong("the token is signed with the algorithm %q, which is not one of %v", auth.Clip(string(alg.Got)), algorithms)
	}
	if err != nil {
		return nil, p.wrong("the token's header cannot be read") // the reason might quote it
	}
	head := jws.Signatures[0].Protected
	var payload []byte
	var known bool
	err = p.keys.find(ctx, func(keys []jose.JSONWebKey) bool {
		payload, known = nil, false
		for _, k := range keys {
			if head.KeyID != "" && head.KeyID != k.KeyID || k.Algorithm != "" && k.Algorithm != head.Algorithm {
				continue
			}
			known = true
			if payload, _ = jws.Verify(k.Key); payload != nil {
				return true
			}
		}
		return known && head.KeyID != "" // then newer keys would not help
	})
	switch {
	case err != nil:
		return nil, p.fault("check a token", err)
	case !known:
		return nil, p.wrong("the token is signed with a key that the issuer does not publish: kid %q, alg %s", auth.Clip(head.KeyID), head.Algorithm)
	case payload == nil:
		return nil, p.wrong("the token's signature is wrong")
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, p.wrong("the token: %v", err)
	}
	return &token{claims: c, alg: head.Algorithm}, nil
}

// checkClaims looks at what all tokens say (RFC 7519, section 4.1) and fills in the token's times.
func (p *Provider) checkClaims(t *token, audience string) error {
	if err := p.checkSource(t.claims, audience); err != nil {
		return err
	}
	if err := p.checkTimes(t); err != nil {
		return err
	}
	if t.until.IsZero() {
		return errors.New("it has no exp, so it would never end")
	}
	return nil
}

// checkSource looks at whom something signed is from and for.
func (p *Provider) checkSource(c claims, audience string) error {
	if iss, _ := c["iss"].(string); iss != p.issuer {
		return errors.New("its issuer is another one")
	}
	if aud := c.texts("aud"); !slices.Contains(aud, audience) {
		return fmt.Errorf("its aud is %s, not %q", auth.Clip(fmt.Sprintf("%q", aud)), audience)
	}
	return nil
}

// checkTimes looks at whether now is a token's time, and fills that in. One without an end stays without.
func (p *Provider) checkTimes(t *token) error {
	exp, err1 := t.claims.time("exp")
	nbf, err2 := t.claims.time("nbf")
	iat, err3 := t.claims.time("iat")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	now := p.now()
	switch {
	case !exp.IsZero() && !now.Before(exp):
		return fmt.Errorf("it ended at %s", exp.UTC().Format(time.RFC3339))
	case nbf.After(now.Add(leeway)):
		return fmt.Errorf("it is not good before %s; do the clocks agree?", nbf.UTC().Format(time.RFC3339))
	case iat.After(now.Add(leeway)):
		return fmt.Errorf("it was made at %s, which is yet to come; do the clocks agree?", iat.UTC().Format(time.RFC3339))
	}
	t.until = exp
	if iat.IsZero() {
		iat = nbf
	}
	if !iat.IsZero() && !exp.IsZero() {
		t.lifetime = exp.Sub(iat)
	}
	return nil
}
