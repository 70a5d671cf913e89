package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// client is how the verbs reach registries.
type client struct {
	app      *app
	flag     string // --server
	plain    []string
	tls      []string
	insecure []string
	ca       string

	connect sync.Once
	http    *auth.Client
	own     *http.Client // for /api/ and /auth/: it takes what it is told to send nowhere else
	broken  error
}

// everyHost is what --plain-http, --tls and --insecure mean when they name no host.
const everyHost = "*"

// clientFlags adds the flags that all verbs share that talk to a registry.
func (a *app) clientFlags(cmd *cobra.Command) *client {
	c := &client{app: a}
	f := cmd.Flags()
	f.StringVar(&c.flag, "server", "", "the server of references without a host (otherwise "+envServer+", otherwise "+defaultServer+")")
	f.StringSliceVar(&c.plain, "plain-http", nil, "speak HTTP, not HTTPS, to every host or to the one named")
	f.StringSliceVar(&c.tls, "tls", nil, "speak HTTPS also to loopback hosts, or to the one named; otherwise they are spoken to in HTTP")
	f.StringSliceVar(&c.insecure, "insecure", nil, "take any certificate from every host or from the one named")
	f.StringVar(&c.ca, "ca", "", "also trust the authorities in this PEM file")
	for _, name := range []string{"plain-http", "tls", "insecure"} {
		f.Lookup(name).NoOptDefVal = everyHost
	}
	return c
}

// server returns the host of references that name none.
func (c *client) server() string {
	s := c.flag
	if s == "" {
		s = c.app.getenv(envServer)
	}
	if s == "" {
		return defaultServer
	}
	scheme, host := splitServer(s)
	switch {
	case scheme == "http" && !slices.Contains(c.plain, host):
		c.plain = append(c.plain, host)
	case scheme == "https" && !slices.Contains(c.tls, host):
		c.tls = append(c.tls, host)
	}
	return host
}

// splitServer reads how people name a server: a host, or the URL that the server prints.
func splitServer(s string) (scheme, host string) {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return u.Scheme, u.Host
	}
	return "", strings.TrimSuffix(s, "/")
}

func (c *client) speaksPlain(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	return names(c.plain, host) || isLoopback(strings.Trim(name, "[]")) && !names(c.tls, host)
}

func names(hosts []string, host string) bool {
	return slices.Contains(hosts, everyHost) || slices.Contains(hosts, host)
}

// repository returns the client of ref's repository.
func (c *client) repository(ref registry.Reference) (*remote.Repository, error) {
	h, err := c.open()
	if err != nil {
		return nil, err
	}
	return &remote.Repository{
		Client:               h,
		Reference:            ref,
		PlainHTTP:            c.speaksPlain(ref.Registry),
		TagListPageSize:      1000,
		TagListMaxPages:      pageLimit,
		ReferrerListMaxPages: pageLimit,
		SkipReferrersGC:      true,
	}, nil
}

// pageLimit ends a list whose server always has one more page.
const pageLimit = 10000

// registry returns the client of a host.
func (c *client) registry(host string) (*remote.Registry, error) {
	h, err := c.open()
	if err != nil {
		return nil, err
	}
	r, err := remote.NewRegistry(host)
	if err != nil {
		return nil, fmt.Errorf("%s is no host: write it as HOST[:PORT]", printable(host))
	}
	r.Client, r.PlainHTTP, r.RepositoryListPageSize = h, c.speaksPlain(host), 1000
	return r, nil
}

// url returns an address on a host, in the scheme that is spoken there.
func (c *client) url(host, path string) string {
	if c.speaksPlain(host) {
		return "http://" + host + path
	}
	return "https://" + host + path
}

// do sends a request that oras has no verb for. The caller closes the body.
func (c *client) do(ctx context.Context, method, address string) (*http.Response, error) {
	h, err := c.open()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	if isOwn(req.URL.Path) {
		return c.sendOwn(req)
	}
	return h.Do(req)
}

func (c *client) open() (*auth.Client, error) {
	c.connect.Do(func() { c.http, c.broken = c.dial() })
	return c.http, c.broken
}

func (c *client) dial() (*auth.Client, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	base.ResponseHeaderTimeout = 5 * time.Minute // a registry may hash and sync a large blob before it answers
	base.MaxIdleConnsPerHost = copiers
	if c.ca != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, fmt.Errorf("read --ca: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read --ca: %s has no certificate in PEM form", c.ca)
		}
		base.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	var transport http.RoundTripper = base
	if len(c.insecure) > 0 {
		open := base.Clone()
		open.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // asked for by --insecure, for these hosts only
		transport = byHost{hosts: c.insecure, named: open, others: base}
	}
	credential, err := c.credential()
	if err != nil {
		return nil, err
	}
	again := retry.NewTransport(transport)
	h := &auth.Client{
		Client:     &http.Client{Transport: again},
		Credential: credential,
		Cache:      auth.NewCache(),
		ClientID:   clientID,
	}
	h.SetUserAgent(userAgent())
	c.own = &http.Client{Transport: byMethod{reads: again, writes: transport}, CheckRedirect: stayHere}
	return h, nil
}

// clientID is what the program calls itself before a token service.
const clientID = "entrepot"

func userAgent() string { return "entrepot/" + thisBuild().Version }

// credential tells what there is to log in to a host with: what the environment says, else what docker login has kept, in its file or in the
// helper that the file names.
func (c *client) credential() (auth.CredentialFunc, error) {
	store := credentials.Store(credentials.NewMemoryStore())
	if path := c.app.loginFile(); path != "" {
		file, err := credentials.NewStore(path, credentials.StoreOptions{})
		switch {
		case err == nil:
			store = file
		case !errors.Is(err, os.ErrPermission): // what one may not read is somebody else's login
			return nil, fmt.Errorf("read docker's logins in %s: %w", path, err)
		}
	}
	kept := credentials.Credential(store)
	return func(ctx context.Context, host string) (auth.Credential, error) {
		if given, err := c.app.environmentLogin(host); err != nil || given != auth.EmptyCredential {
			return given, err
		}
		return kept(ctx, host)
	}, nil
}

// loginFile is where docker keeps its logins; it is empty for whoever has no home.
func (a *app) loginFile() string {
	dir := a.getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".docker")
	}
	return filepath.Join(dir, "config.json")
}

// byHost sends some hosts' requests another way.
type byHost struct {
	hosts         []string
	named, others http.RoundTripper
}

func (t byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if names(t.hosts, r.URL.Host) {
		return t.named.RoundTrip(r)
	}
	return t.others.RoundTrip(r)
}

// byMethod repeats what failed, where repeating it does no harm.
type byMethod struct{ reads, writes http.RoundTripper }

func (t byMethod) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return t.reads.RoundTrip(r)
	}
	return t.writes.RoundTrip(r)
}
