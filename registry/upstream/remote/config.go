package remote

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Config is one upstream. Zero values are the defaults.
type Config struct {
	Name string   // as in image names: docker.io
	URLs []string // where it is, and its mirrors, in order of preference: https://registry-1.docker.io. /v2/ is appended

	Credentials Source   // nil: anonymous
	Realms      []string // host or host:port of token services that may be told the credentials; the URLs' own hosts, and Docker Hub's, may be anyway
	CA          string   // a PEM file with authorities to trust beside the system's

	Connections int   // requests at once; 16. A quarter is kept free of blobs, so that manifests do not wait for them
	Bandwidth   int64 // bytes a second, over all blobs; 0 is without limit

	ManifestBytes int64 // the largest manifest; 4 MiB
	BlobBytes     int64 // the largest blob; 256 GiB

	Timeouts Timeouts
	Breaker  Breaker

	Log *slog.Logger     // nil: nowhere
	Now func() time.Time // nil: time.Now. For tokens and the breaker
}

// Timeouts bound the waits.
type Timeouts struct {
	Dial   time.Duration // for a connection; 10 s
	Header time.Duration // from a request to the headers of its answer, redirects included; 15 s
	Stall  time.Duration // for a body that stands still (less than 1 KiB), or for all of a small answer; 30 s
}

// Breaker says when a URL is left alone. Failures are: no connection, no answer in time, a body that breaks off, 5xx.
type Breaker struct {
	Failures int           // so many in a row; 3
	Cooldown time.Duration // for so long at first; then one request tries it. 10 s
	Longest  time.Duration // the cooldown doubles with each try that fails, up to this; 5 min
}

// fill sets what was left empty.
func (c *Config) fill() {
	c.Connections = cmp.Or(c.Connections, 16)
	c.ManifestBytes = cmp.Or(c.ManifestBytes, 4<<20)
	c.BlobBytes = cmp.Or(c.BlobBytes, 256<<30)
	c.Timeouts.Dial = cmp.Or(c.Timeouts.Dial, 10*time.Second)
	c.Timeouts.Header = cmp.Or(c.Timeouts.Header, 15*time.Second)
	c.Timeouts.Stall = cmp.Or(c.Timeouts.Stall, 30*time.Second)
	c.Breaker.Failures = cmp.Or(c.Breaker.Failures, 3)
	c.Breaker.Cooldown = cmp.Or(c.Breaker.Cooldown, 10*time.Second)
	c.Breaker.Longest = max(cmp.Or(c.Breaker.Longest, 5*time.Minute), c.Breaker.Cooldown)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler)).With("upstream", c.Name)
	if c.Now == nil {
		c.Now = time.Now
	}
}

func (c *Config) check() error {
	if c.Name == "" || len(c.Name) > 255 || c.Name != clean(c.Name, 255) {
		return fmt.Errorf("name %.40q: write the host by which images are named, as docker.io", c.Name)
	}
	if len(c.URLs) == 0 || len(c.URLs) > 16 {
		return errors.New("it needs one URL, and has at most 16")
	}
	for what, value := range map[string]int64{"connections": int64(c.Connections), "bandwidth": c.Bandwidth, "manifest bytes": c.ManifestBytes,
		"blob bytes": c.BlobBytes, "dial timeout": int64(c.Timeouts.Dial), "header timeout": int64(c.Timeouts.Header),
		"stall timeout": int64(c.Timeouts.Stall), "failures": int64(c.Breaker.Failures), "cooldown": int64(c.Breaker.Cooldown)} {
		if value < 0 {
			return fmt.Errorf("%s is less than nothing", what)
		}
	}
	return nil
}

// parseURL takes the address of a registry.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery ||
		u.Fragment != "" || u.RawPath != "" {
		return nil, errors.New("write it as https://registry.example.com, without a name, a password, a query or a fragment")
	}
	if strings.HasSuffix(u.Path, "/v2") {
		return nil, errors.New("leave /v2 away: it is appended")
	}
	return u, nil
}
