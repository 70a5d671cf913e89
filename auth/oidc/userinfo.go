package oidc

import (
	"context"
	"fmt"
	"slices"

	"github.com/entrepot/entrepot/auth"
)

// ofTokens are claims that speak of a token and not of a person (RFC 7519, section 4.1; OpenID Connect Core 1.0, sections 2 and 3.1.3.6). They are
// never taken from userinfo.
var ofTokens = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "auth_time", "acr", "amr", "azp", "at_hash", "c_hash", "s_hash", "sid",
}

// complete fills in what is needed of a person and the ID token leaves to the issuer's userinfo endpoint (OpenID Connect Core 1.0, sections 5.3 and
// 5.4). What is in the ID token stays as it is.
func (p *Provider) complete(ctx context.Context, d *document, t *token, accessToken string) error {
	missing := p.missing(t.claims)
	if len(missing) == 0 || d.Userinfo == "" {
		return nil
	}
	info, err := p.userinfo(ctx, d.Userinfo, accessToken)
	if err != nil {
		return err
	}
	subject, _ := t.claims.text("sub")
	if about, _ := info.text("sub"); about == "" || about != subject { // section 5.3.2
		return p.wrong("the issuer's userinfo is not about %q, of whom its ID token is", auth.Clip(subject))
	}
	t.claims.fill(missing, info)
	return nil
}

// missing returns the claims that would say who somebody is or name their groups, and are not there. Who has a name keeps it: that their groups are
// missing, or are not, must not make somebody else of them.
func (p *Provider) missing(c claims) []string {
	var names []string
	switch claim := p.naming(c); {
	case claim == "sub" && p.userClaim == "":
		names = []string{"preferred_username", "email", "email_verified"}
	case claim == "email":
		names = []string{"email", "email_verified"}
	default:
		names = []string{claim}
	}
	if p.groupsClaim != "" {
		names = append(names, p.groupsClaim)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, there := c.find(name)
		return there || slices.Contains(ofTokens, name)
	})
}

// fill takes claims that are missing from elsewhere. An email and whether it is verified go together: none is verified because another one is.
func (c claims) fill(missing []string, from claims) {
	email, _ := c.text("email")
	other, _ := from.text("email")
	_, verified := c.find("email_verified")
	mixed := email != other && (email != "" || verified)
	for _, name := range missing {
		if v, ok := from.find(name); ok && !(mixed && (name == "email" || name == "email_verified")) {
			c[name] = v
		}
	}
}

// userinfo returns what the issuer's userinfo endpoint says of whom the access token is for.
func (p *Provider) userinfo(ctx context.Context, at, accessToken string) (claims, error) {
	body, kind, err := get(ctx, p.client, at, accessToken)
	if err != nil {
		return nil, p.fault("ask who logged in", err)
	}
	if kind == "application/jwt" {
		return p.signedUserinfo(ctx, at, string(body))
	}
	c, err := parseClaims(body)
	if err != nil {
		return nil, p.fault("read the userinfo at "+at, err)
	}
	return c, nil
}

// signedUserinfo returns what a signed answer says (section 5.3.2): it is the issuer's, for this client. Other than a token it need not end.
func (p *Provider) signedUserinfo(ctx context.Context, at, raw string) (claims, error) {
	t, err := p.checkSignature(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("read the userinfo at %s: %w", at, err)
	}
	if err := p.checkSource(t.claims, p.oauth.ClientID); err != nil {
		return nil, p.wrong("the signed userinfo at %s: %v", at, err)
	}
	if err := p.checkTimes(t); err != nil {
		return nil, p.wrong("the signed userinfo at %s: %v", at, err)
	}
	return t.claims, nil
}
