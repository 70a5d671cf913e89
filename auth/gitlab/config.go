package gitlab

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
)

const (
	maxProjects = 20
	maxPrefixes = 10
	minPrefix   = 3 // shorter ones would make too many passwords look like tokens
	maxPrefix   = 40
	maxCAFile   = 1 << 20
	maxHeader   = 64 << 10
)

// New returns the provider of a configuration. It checks what can be checked without asking GitLab, and does not ask it.
func New(c Config) (*Provider, error) {
	p, err := newProvider(c)
	if err != nil {
		return nil, fmt.Errorf("gitlab provider: %w", err)
	}
	return p, nil
}

func newProvider(c Config) (*Provider, error) {
	p := &Provider{
		name:     cmp.Or(c.Name, "gitlab"),
		prefixes: c.Prefixes,
		bind:     c.Bind,
		projects: c.DeployProjects,
		push:     c.DeployPush,
		remember: cmp.Or(c.Remember, 2*time.Minute),
		wait:     cmp.Or(c.Timeout, 10*time.Second),
		now:      c.Now,
		log:      cmp.Or(c.Log, slog.New(slog.DiscardHandler)).With("provider", cmp.Or(c.Name, "gitlab")),
	}
	if p.now == nil {
		p.now = time.Now
	}
	if auth.CheckName(p.name) != nil || len(p.name) > 32 || strings.ContainsAny(p.name, "@:/ ") {
		return nil, fmt.Errorf("name %.40q: it has up to 32 characters and no @, colon, slash or space", p.name)
	}
	if p.remember < 0 || p.wait < 0 {
		return nil, errors.New("a time is negative")
	}
	var err error
	if p.url, err = parseURL(c.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if p.url.Scheme != "https" && !loopback(p.url.Hostname()) {
		return nil, fmt.Errorf("url %s: tokens would travel in clear text; write https", c.URL)
	}
	if p.external, err = parseURL(cmp.Or(c.ExternalURL, c.URL)); err != nil {
		return nil, fmt.Errorf("external url: %w", err)
	}
	if err := c.checkLists(); err != nil {
		return nil, err
	}
	p.client, err = c.client()
	return p, err
}

func (c Config) checkLists() error {
	if len(c.Prefixes) > maxPrefixes {
		return fmt.Errorf("there are more than %d prefixes", maxPrefixes)
	}
	for _, prefix := range c.Prefixes {
		if len(prefix) < minPrefix || len(prefix) > maxPrefix || !tokenChars(prefix) {
			return fmt.Errorf("prefix %.50q: it has %d to %d letters, digits, dots, hyphens and underscores", prefix, minPrefix, maxPrefix)
		}
	}
	if len(c.DeployProjects) > maxProjects {
		return fmt.Errorf("there are more than %d projects to ask about with deploy tokens", maxProjects)
	}
	for _, project := range c.DeployProjects {
		if !isProject(project) {
			return fmt.Errorf("project %.50q: write it as group/project", project)
		}
	}
	if c.DeployPush && len(c.DeployProjects) == 0 {
		return errors.New("deploy tokens are to push, but there are no projects for which GitLab could be asked whether they may")
	}
	return nil
}

// parseURL takes the address of a GitLab, as browsers show it.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(s, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery ||
		u.Fragment != "" || u.RawPath != "" || strings.HasSuffix(u.Path, "/") {
		return nil, errors.New("write it as https://gitlab.example.com, without a name, a password, a query or a fragment")
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// client follows no redirect: the token in a header would be sent along.
func (c Config) client() (*http.Client, error) {
	client := http.Client{}
	if c.HTTP != nil {
		client = *c.HTTP
	} else {
		roots, err := authorities(c.CAFile)
		if err != nil {
			return nil, err
		}
		client.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        90 * time.Second,
		}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Jar = nil
	return &client, nil
}

// authorities returns those of the system and of a file; nil without one, which means the system's.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA file: %w", err)
	}
	defer file.Close()
	pem, err := io.ReadAll(io.LimitReader(file, maxCAFile))
	if err != nil {
		return nil, fmt.Errorf("read the CA file %s: %w", path, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in the CA file %s", path)
	}
	return roots, nil
}
