package oidc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/entrepot/entrepot/auth"
)

// timeout is how long an answer of the issuer may take; maxBody is how long it may be.
const (
	timeout = 10 * time.Second
	maxBody = 1 << 20
)

// document is what an issuer publishes: the part of its metadata that is needed here (OpenID Connect Discovery 1.0, section 3), and its keys.
type document struct {
	Issuer       string   `json:"issuer"`
	Authorize    string   `json:"authorization_endpoint"`
	Token        string   `json:"token_endpoint"`
	JWKS         string   `json:"jwks_uri"`
	Userinfo     string   `json:"userinfo_endpoint"`
	TokenMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIss     bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207

	keys []jose.JSONWebKey
	at   time.Time // when it was got
}

// client returns the client that asks the issuer. It follows no redirect: whoever answers in the issuer's stead is not the issuer, and requests
// carry secrets.
func client(base *http.Client, caFile string) (*http.Client, error) {
	c := http.Client{}
	if base != nil {
		c = *base
	} else {
		tls, err := trust(caFile)
		if err != nil {
			return nil, err
		}
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        tls,
			TLSHandshakeTimeout:    timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns:           2,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		}
	}
	c.Timeout = cmp.Or(c.Timeout, timeout)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c, nil
}

// discover asks the issuer for what it publishes. Nobody's request is waiting for just this, so it has a time of its own.
func discover(c *http.Client, issuer string) (*document, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*timeout)
	defer cancel()
	var d document
	text, _, err := get(ctx, c, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", "")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read the issuer's metadata: %w", err)
	}
	if d.Issuer != issuer {
		return nil, fmt.Errorf("the issuer calls itself %q, not %q; write it exactly so in the configuration if it is the same", auth.Clip(d.Issuer), issuer)
	}
	for _, u := range []struct{ what, at string }{
		{"jwks_uri", d.JWKS}, {"authorization_endpoint", d.Authorize}, {"token_endpoint", d.Token}, {"userinfo_endpoint", d.Userinfo},
	} {
		if u.at == "" && u.what != "jwks_uri" {
			continue // an issuer of nothing but tokens has none
		}
		if err := checkURL(u.at, issuer); err != nil {
			return nil, fmt.Errorf("the issuer's %s: %w", u.what, err)
		}
	}
	if text, _, err = get(ctx, c, d.JWKS, ""); err != nil {
		return nil, err
	}
	if d.keys, err = parseKeys(text); err != nil {
		return nil, fmt.Errorf("read the issuer's keys at %s: %w", d.JWKS, err)
	}
	return &d, nil
}

// get returns what is at a URL and its media type. If there is an access token, it is shown (RFC 6750, section 2.1); no error holds it.
func get(ctx context.Context, c *http.Client, at, accessToken string) (body []byte, kind string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "entrepot")
	if accessToken != "" {
		req.Header.Set("Authorization", "Bearer "+accessToken)
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, "", err // says what was asked for
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK { // the words behind the number are the issuer's and could quote what it was sent
		return nil, "", fmt.Errorf("get %s: the answer is %d %s, not 200 (redirects are not followed)", at, res.StatusCode, http.StatusText(res.StatusCode))
	}
	if body, err = readAll(res.Body, maxBody, at); err != nil {
		return nil, "", fmt.Errorf("get %s: %w", at, err)
	}
	kind, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	return body, kind, nil
}

// checkURL looks at an address of an issuer. It is https, so that nobody on the way can put other keys there; an issuer on this very machine may use
// http, for itself.
func checkURL(raw, issuer string) error {
	if raw == "" {
		return errors.New("there is no URL")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%q is no URL", auth.Clip(raw))
	}
	if u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is no plain URL like https://gitlab.example.com", auth.Clip(raw))
	}
	own, err := url.Parse(issuer)
	local := err == nil && u.Scheme == "http" && isLoopback(own.Hostname()) && isLoopback(u.Hostname())
	if u.Scheme != "https" && !local {
		return fmt.Errorf("%q must begin with https://", auth.Clip(raw))
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
