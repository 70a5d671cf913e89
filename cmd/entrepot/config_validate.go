package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// validate names every value that no registry could run with. It looks at nothing but c: whether files exist is found out by
// whoever opens them, so a configuration may be checked on another machine than the one it is for.
func (c Config) validate() error {
	if f := c.faults(); len(f) > 0 {
		return fmt.Errorf("check configuration: %w", f)
	}
	return nil
}

func (c Config) faults() faults {
	j := &judge{origins: c.origin}
	if _, port, err := net.SplitHostPort(c.Listen); err != nil {
		j.wrong("listen", "%q is not host:port; write it like 127.0.0.1:5000", c.Listen)
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		j.wrong("listen", "%q is not a port between 0 and 65535", port)
	}
	j.webAddress("url", c.URL, true)
	if c.Data == "" && (c.Storage.Disk.Path == "" || c.Index.Bolt.Path == "") {
		j.wrong("data", "no folder is named; write it like ./data")
	}
	switch {
	case c.TLS.Cert != "" && c.TLS.Key == "":
		j.wrong("tls.cert", "a certificate needs its private key; set tls.key too")
	case c.TLS.Key != "" && c.TLS.Cert == "":
		j.wrong("tls.key", "a private key needs its certificate; set tls.cert too")
	case c.TLS.ClientCA != "" && c.TLS.Cert == "":
		j.wrong("tls.clientCA", "client certificates need TLS; set tls.cert and tls.key too")
	}
	j.stores(c)
	j.backup(c)
	j.auth(c.Auth)
	j.upstreams(c.Upstreams)
	j.mirrors(mirrorEntries(c.Mirror), c.Upstreams)
	j.artifacts(c.Artifacts)
	j.retention(retentionRules(c.Retention))
	j.quotas(c.Quotas, c.Upstreams)
	if b := c.Limits.ManifestBytes; b < 1<<10 || b > 64<<20 {
		j.wrong("limits.manifestBytes", "%v is not between 1KiB and 64MiB; manifests are held in memory", b)
	}
	if c.Scrub.Rate < 64<<10 {
		j.wrong("scrub.rate", "%v a second would never come to an end; at least 64KiB", c.Scrub.Rate)
	}
	j.peer(c)
	for _, d := range []struct {
		path  string
		value time.Duration
		least time.Duration
	}{
		{"limits.uploadTTL", c.Limits.UploadTTL, time.Second},
		{"gc.every", c.GC.Every, 0},
		{"gc.grace", c.GC.Grace, time.Second},
		{"gc.delay", c.GC.Delay, time.Second},
		{"scrub.every", c.Scrub.Every, 0},
		{"limits.drain", c.Limits.Drain, 0},
		{"limits.stall", c.Limits.Stall, time.Second},
	} {
		if d.value < d.least {
			j.wrong(d.path, "%s is too short; at least %s", formatDuration(d.value), formatDuration(d.least))
		}
	}
	j.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	j.oneOf("log.format", c.Log.Format, "text", "json")
	if host, _, err := net.SplitHostPort(c.Listen); c.Profiles && err == nil && !isLoopback(host) {
		j.wrong("profiles", "profiles tell strangers too much; listen on a loopback address to serve them")
	}
	j.webAddress("tracing.endpoint", c.Tracing.Endpoint, false)
	return j.faults
}

// judge gathers what is wrong with values, each with the place where it was given.
type judge struct {
	origins origins
	faults  faults
}

// wrong says what is wrong with the value of a path, unless that could not even be read.
func (j *judge) wrong(path, format string, args ...any) {
	if !j.origins.unread[path] {
		j.faults.add(j.origins.place(path), format, args...)
	}
}

// missing says that an entry of a list lacks something, unless something could not be read there: that may well be it.
func (j *judge) missing(path, instead string) {
	if !j.origins.unread[parent(path)] {
		j.wrong(path, "missing; %s", instead)
	}
}

func (j *judge) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		j.wrong(path, "%q is none of %s%s", value, strings.Join(allowed, ", "), didYouMean(value, allowed))
	}
}

func (j *judge) between(path string, value, least, most time.Duration) {
	if value < least || value > most {
		j.wrong(path, "%s is not between %s and %s", formatDuration(value), formatDuration(least), formatDuration(most))
	}
}

// webAddress looks at an address that may be left out; bare is one without a path.
func (j *judge) webAddress(path, value string, bare bool) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		j.wrong(path, "%s is not an address; write it like https://registry.example.com", unsecret(value))
	case bare && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil):
		j.wrong(path, "%s has more than a scheme and a host; clients always begin at /v2/ of a host", unsecret(value))
	}
}

// unsecret quotes what should be an address, and keeps to itself what could be a password in it.
func unsecret(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		address = "…" + address[i:]
	}
	return strconv.Quote(address)
}

// isLoopback says whether a host (without port or brackets) can only be this machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
