package oidc

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/entrepot/entrepot/auth"
)

// New returns the provider of a configuration. It checks all that can be checked without asking the issuer, and does not ask it.
func New(c Config) (*Provider, error) {
	p, err := newProvider(c)
	if err != nil {
		return nil, fmt.Errorf("oidc provider %q: %w", auth.Clip(c.Name), err)
	}
	return p, nil
}

func newProvider(c Config) (*Provider, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Provider{
		name:         c.Name,
		issuer:       c.Issuer,
		audience:     c.Audience,
		kind:         cmp.Or(c.Kind, auth.CI),
		nameClaim:    cmp.Or(c.NameClaim, "sub"),
		oauth:        oauth2.Config{ClientID: c.ClientID, Scopes: c.scopes()},
		secretFile:   c.ClientSecretFile,
		userClaim:    c.UserClaim,
		groupsClaim:  c.GroupsClaim,
		groupsPrefix: c.GroupsPrefix,
		now:          c.Now,
		log:          cmp.Or(c.Log, slog.New(slog.DiscardHandler)).With("provider", c.Name),
	}
	if p.now == nil {
		p.now = time.Now
	}
	for i, b := range c.Bind {
		made, err := bind(b)
		if err != nil {
			return nil, fmt.Errorf("binding %d: %w", i+1, err)
		}
		p.bind = append(p.bind, made)
	}
	return p, p.connect(c)
}

// connect sets what the provider asks for keys.
func (p *Provider) connect(c Config) (err error) {
	if c.JWKSFile != "" {
		p.keys, err = openKeyFile(c.JWKSFile)
		return err
	}
	if p.client, err = client(c.HTTP, c.CAFile); err != nil {
		return err
	}
	p.published = &published{
		get: func() (*document, error) { return discover(p.client, p.issuer) },
		now: p.now,
		log: p.log.With("issuer", p.issuer),
	}
	p.keys = p.published
	return nil
}

func (c Config) check() error {
	if !isShort(c.Name) {
		return errors.New("a provider is named by 1 to 32 lower-case letters, digits and hyphens")
	}
	if c.Kind != "" && !slices.Contains([]string{auth.CI, auth.Workload, auth.Node}, c.Kind) {
		return fmt.Errorf("its tokens are for ci, workload or node, not for %q", auth.Clip(c.Kind))
	}
	if len(c.Bind) == 0 && c.ClientID == "" {
		return errors.New("it has neither bindings, for jobs, nor a client id, for people; with neither it lets nobody in")
	}
	if len(c.Bind) > 0 && c.Audience == "" {
		return errors.New("it has bindings but no audience; without one it would take tokens that are meant for somebody else")
	}
	if c.JWKSFile == "" {
		if err := checkURL(c.Issuer, c.Issuer); err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
		if strings.Contains(c.Issuer, "?") {
			return fmt.Errorf("issuer: %q has a query, which no issuer has (OpenID Connect Discovery 1.0, section 2)", auth.Clip(c.Issuer))
		}
	} else if c.Issuer == "" {
		return errors.New("it needs its issuer, exactly as its tokens have it as iss")
	}
	return c.checkPeople()
}

func (c Config) checkPeople() error {
	if c.ClientID == "" {
		return nil
	}
	if c.JWKSFile != "" {
		return errors.New("a file of keys cannot stand in for an issuer where people log in; leave out either the file or the client id")
	}
	if c.ClientSecretFile != "" {
		if _, err := readSecret(c.ClientSecretFile); err != nil {
			return err
		}
	}
	for _, s := range c.Scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("%q is no scope (RFC 6749, section 3.3)", auth.Clip(s))
		}
	}
	if err := auth.CheckName(c.GroupsPrefix + "x"); err != nil {
		return fmt.Errorf("groups prefix: %w", err)
	}
	return nil
}

// isShort tells whether a name may stand behind the @ of identities.
func isShort(name string) bool {
	return name != "" && len(name) <= 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && strings.Trim(name, "-") == name
}

func (c Config) scopes() []string {
	scopes := slices.Clone(c.Scopes)
	if c.Scopes == nil {
		scopes = []string{"profile", "email"}
	}
	if !slices.Contains(scopes, "openid") {
		scopes = append([]string{"openid"}, scopes...)
	}
	return scopes
}

// readSecret returns what is in a file that holds a secret.
func readSecret(path string) (string, error) {
	text, err := readFile(path, 4<<10)
	if err != nil {
		return "", fmt.Errorf("read the client secret: %w", err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return "", fmt.Errorf("the client secret's file %s is empty", path)
	}
	return string(text), nil
}

// readFile reads a file that has at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, most, path)
}

func readAll(r io.Reader, most int64, from string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", from, most)
	}
	return body, nil
}

// trust returns what to check the issuer's certificate with: the system's authorities and those of a file.
func trust(caFile string) (*tls.Config, error) {
	if caFile == "" {
		return nil, nil
	}
	text, err := readFile(caFile, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("read the authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", caFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
