package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/entrepot/entrepot/auth"
)

const (
	maxGroups = 500     // of one person
	maxCode   = 4 << 10 // bytes of a code
)

// Started is a login that was begun. Its URL is where the browser goes; the rest the door keeps for the same browser until that comes back, where
// neither other people nor other pages can read or replace it.
type Started struct {
	URL                    string
	State, Nonce, Verifier string
}

// Person is who logged in.
type Person struct {
	Name   string    // with the provider's behind it: alice@corp
	Groups []string  // with the prefix before them
	Until  time.Time // the end of the ID token
}

// HasLogin tells whether people can log in here.
func (p *Provider) HasLogin() bool { return p.oauth.ClientID != "" }

// Begin begins a login that ends at redirectURI, an address of this registry that the issuer knows as its client's (OpenID Connect Core 1.0, section
// 3.1.2.1; RFC 7636). An error is a fault.
func (p *Provider) Begin(ctx context.Context, redirectURI string) (Started, error) {
	_, config, err := p.endpoints(ctx, redirectURI)
	if err != nil {
		return Started{}, p.fault("begin a login", err)
	}
	s := Started{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	s.URL = config.AuthCodeURL(s.State, oauth2.SetAuthURLParam("nonce", s.Nonce), oauth2.S256ChallengeOption(s.Verifier))
	return s, nil
}

// Finish ends a login: state, code and iss are the parameters of those names that the browser came back to redirectURI with; iss is empty if there was
// none (RFC 9207). It returns auth.ErrWrong, wrapped with the reason, if this is not the answer to what was started or the issuer's word is not
// good; any other error is a fault of the issuer's or of the configuration. A login can be finished once.
//
// What the ID token does not say of a person's name and groups, the issuer's userinfo endpoint is asked for, if there is one: once, with the access
// token (OpenID Connect Core 1.0, section 5.3).
func (p *Provider) Finish(ctx context.Context, started Started, redirectURI, state, code, iss string) (Person, error) {
	d, config, err := p.endpoints(ctx, redirectURI)
	if err != nil {
		return Person{}, p.fault("finish a login", err)
	}
	switch {
	case started.State == "" || started.Nonce == "" || started.Verifier == "":
		return Person{}, p.wrong("no login was begun")
	case !same(started.State, state):
		return Person{}, p.wrong("the state is not the one that the login was begun with")
	case iss != "" && iss != p.issuer:
		return Person{}, p.wrong("the answer is of another issuer, %q", auth.Clip(iss))
	case iss == "" && d.SendsIss:
		return Person{}, p.wrong("the answer does not say which issuer it is of, which this one does")
	case code == "" || len(code) > maxCode:
		return Person{}, p.wrong("the code has %d bytes, not 1 to %d", len(code), maxCode)
	}
	got, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.client), code, oauth2.VerifierOption(started.Verifier))
	if err != nil {
		return Person{}, p.refused(err)
	}
	raw, _ := got.Extra("id_token").(string)
	t, err := p.read(ctx, raw, config.ClientID)
	if errors.Is(err, auth.ErrUnknown) {
		return Person{}, p.wrong("the issuer's answer holds no ID token of its own")
	}
	if err != nil {
		return Person{}, err
	}
	if err := checkIDToken(t, config.ClientID, started.Nonce, got.AccessToken); err != nil {
		return Person{}, p.wrong("the ID token: %v", err)
	}
	if err := p.complete(ctx, d, t, got.AccessToken); err != nil {
		return Person{}, err
	}
	return p.person(t)
}

// endpoints returns what the issuer publishes and how to talk to it.
func (p *Provider) endpoints(ctx context.Context, redirectURI string) (*document, *oauth2.Config, error) {
	if !p.HasLogin() {
		return nil, nil, errors.New("there is no client id, so nobody can log in here")
	}
	if u, err := url.Parse(redirectURI); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Fragment != "" {
		return nil, nil, fmt.Errorf("%q is no address to come back to", auth.Clip(redirectURI))
	}
	d, err := p.published.document(ctx, func(*document) bool { return true })
	if err != nil {
		return nil, nil, err
	}
	if d.Authorize == "" || d.Token == "" {
		return nil, nil, errors.New("the issuer publishes no authorization_endpoint and token_endpoint, so nobody can log in there")
	}
	config := p.oauth
	config.RedirectURL = redirectURI
	config.Endpoint = oauth2.Endpoint{AuthURL: d.Authorize, TokenURL: d.Token, AuthStyle: oauth2.AuthStyleInParams}
	if p.secretFile == "" {
		return d, &config, nil
	}
	if config.ClientSecret, err = readSecret(p.secretFile); err != nil {
		return nil, nil, err
	}
	// Which way to show the secret is never tried out: that would show the code twice.
	if len(d.TokenMethods) == 0 || slices.Contains(d.TokenMethods, "client_secret_basic") {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	} else if !slices.Contains(d.TokenMethods, "client_secret_post") {
		return nil, nil, errors.New("the issuer takes no client secret, neither by client_secret_basic nor by client_secret_post")
	}
	return d, &config, nil
}

// refused makes an error of one of the exchange, whose own would quote the answer.
func (p *Provider) refused(err error) error {
	const doing = "exchange a code for an ID token"
	no := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &no) {
		return p.fault(doing, err)
	}
	if no.ErrorCode == "invalid_grant" {
		return p.wrong("the issuer does not take the code: it is used up, too old, or another login's")
	}
	if no.ErrorCode != "" {
		return p.fault(doing, fmt.Errorf("the issuer says %q; look at the client id, its secret and its redirect URIs", auth.Clip(no.ErrorCode)))
	}
	return p.fault(doing, fmt.Errorf("the issuer answers %d %s", no.Response.StatusCode, http.StatusText(no.Response.StatusCode)))
}

// checkIDToken looks at what is peculiar to ID tokens (OpenID Connect Core 1.0, sections 3.1.3.7 and 3.1.3.8).
func checkIDToken(t *token, clientID, nonce, accessToken string) error {
	if got, _ := t.claims["nonce"].(string); !same(got, nonce) {
		return errors.New("its nonce is not the one that the login was begun with")
	}
	azp, ok := t.claims["azp"]
	if ok && azp != clientID || !ok && len(t.claims.texts("aud")) > 1 {
		return errors.New("it was made for another client (azp)")
	}
	if want, ok := t.claims["at_hash"]; ok && want != hashOf(accessToken, t.alg) {
		return errors.New("it belongs to another access token (at_hash)")
	}
	return nil
}

// hashOf returns the left half of a hash of an access token, by the hash of the signature's algorithm.
func hashOf(accessToken, alg string) string {
	var h hash.Hash
	switch {
	case strings.HasSuffix(alg, "256"):
		h = sha256.New()
	case strings.HasSuffix(alg, "384"):
		h = sha512.New384()
	default: // Ed25519 uses this hash, too
		h = sha512.New()
	}
	h.Write([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:h.Size()/2])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// naming returns the claim that somebody with these claims is named by.
func (p *Provider) naming(c claims) string {
	if p.userClaim != "" {
		return p.userClaim
	}
	if name, _ := c.text("preferred_username"); name != "" {
		return "preferred_username"
	}
	if email, _ := c.text("email"); email != "" && isVerified(c) {
		return "email"
	}
	return "sub"
}

// isVerified tells whether the issuer has made sure of the email.
func isVerified(c claims) bool {
	verified, _ := c.text("email_verified")
	return verified == "true"
}

// person returns who it is that an ID token was made for.
func (p *Provider) person(t *token) (Person, error) {
	claim := p.naming(t.claims)
	subject, _ := t.claims.text("sub")
	if claim == "email" && !isVerified(t.claims) {
		return Person{}, p.wrong("%q cannot be named: the issuer has not verified the email (email_verified)", auth.Clip(subject))
	}
	name, err := p.nameOf(t.claims, claim)
	if err != nil {
		return Person{}, p.wrong("%q cannot be named: %v", auth.Clip(subject), err)
	}
	return Person{Name: name, Groups: p.groups(name, t.claims), Until: t.until}, nil
}

// groups returns the groups of a person.
func (p *Provider) groups(name string, c claims) (groups []string) {
	if p.groupsClaim == "" {
		return nil
	}
	all := c.texts(p.groupsClaim)
	for _, g := range all {
		if g = p.groupsPrefix + g; len(groups) < maxGroups && auth.CheckName(g) == nil {
			groups = append(groups, g)
		}
	}
	if dropped := len(all) - len(groups); dropped > 0 {
		p.log.Warn("groups of somebody who logged in were dropped: there are too many, or their names are none", "name", name, "dropped", dropped)
	}
	return groups
}
