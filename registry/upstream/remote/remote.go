package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/entrepot/entrepot/registry"
)

// Remote is one upstream. Its methods may be called at the same time.
type Remote struct {
	*upstream
	logins *logins
}

// upstream is what all who ask it share.
type upstream struct {
	config Config
	bases  []*base
	client *http.Client
	trust  trust
	slots  *slots
	pace   *pace
	now    func() time.Time
	log    *slog.Logger
}

// base is one URL of the upstream.
type base struct {
	url     *url.URL
	breaker breaker
}

// New returns the upstream of a configuration. It checks what can be checked without the network.
func New(c Config) (*Remote, error) {
	c.fill()
	r, err := newRemote(c)
	if err != nil {
		return nil, fmt.Errorf("upstream %.60q: %w", c.Name, err)
	}
	return r, nil
}

func newRemote(c Config) (*Remote, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	u := &upstream{config: c, slots: newSlots(c.Connections), pace: &pace{rate: c.Bandwidth}, now: c.Now, log: c.Log}
	var urls []*url.URL
	for _, text := range c.URLs {
		address, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		if c.Credentials != nil && !private(address) {
			u.log.Warn("credentials are not sent over plain http", "url", address.String())
		}
		urls = append(urls, address)
		u.bases = append(u.bases, &base{url: address, breaker: breaker{limits: c.Breaker}})
	}
	var err error
	if u.trust, err = newTrust(c.Name, urls, c.Realms); err != nil {
		return nil, err
	}
	if u.client, err = newClient(c); err != nil {
		return nil, err
	}
	return &Remote{u, newLogins(c.Credentials)}, nil
}

// WithCaller returns the same upstream (its breaker, its bounds) as seen with somebody's own credentials, which are told to no others than those of
// the configuration. It remembers the caller's tokens and quota, so keep it for as long as the caller is known.
func (r *Remote) WithCaller(c Credentials) *Remote {
	return &Remote{r.upstream, newLogins(func(context.Context) (Credentials, error) { return c, nil })}
}

// Name is that of the configuration.
func (r *Remote) Name() string { return r.config.Name }

// Healthy tells whether there is a URL that would be asked.
func (r *Remote) Healthy() bool {
	for _, h := range r.Health() {
		if !h.Open {
			return true
		}
	}
	return false
}

// Health tells how each URL is, in the order of the configuration.
func (r *Remote) Health() []URLHealth {
	var all []URLHealth
	for _, b := range r.bases {
		all = append(all, b.breaker.health(b.url.String(), r.now()))
	}
	return all
}

// Close ends idle connections.
func (r *Remote) Close() { r.client.CloseIdleConnections() }

// Ping asks whether the upstream speaks the protocol (GET /v2/), and takes the credentials if there are any.
func (r *Remote) Ping(ctx context.Context) error {
	_, err := r.fetch(ctx, question{doing: "ping", method: http.MethodGet}, 64<<10)
	if errors.Is(err, ErrDenied) && r.logins.source == nil {
		return nil // it answers; whether it lets everybody pull is up to each repository
	}
	return err
}

// about begins a question about a repository. What cannot be a name is not asked for: there is no such thing.
func (r *Remote) about(doing, repo, kind, ref string) (question, error) {
	repo = CanonicalRepo(r.config.Name, repo)
	q := question{doing: strings.TrimSpace(fmt.Sprintf("%s %.140s", doing, ref)) + fmt.Sprintf(" of %.255s", repo), method: http.MethodGet, repo: repo,
		path: repo + "/" + kind, header: http.Header{}}
	if ref != "" {
		q.path += "/" + ref
	}
	switch {
	case !registry.ValidName(repo):
		return q, r.nothing(clean(q.doing, 500), "the name is not one that a repository can have")
	case ref != "" && kind == "manifests" && registry.ValidTag(ref) || ref == "" || registry.ValidDigest(ref):
		return q, nil
	}
	return q, r.nothing(clean(q.doing, 500), "the reference is neither a tag nor a sha256 or sha512 digest")
}

func (r *Remote) nothing(doing, why string) error {
	return &Error{Upstream: r.config.Name, Doing: doing, Err: errors.New(why), kind: ErrNotFound}
}
