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
	var all faults
	wrong := func(path, format string, args ...any) {
		at := path
		switch from := c.origin[path]; {
		case strings.HasPrefix(from, envPrefix):
			at = from
		case from != "":
			at = from + ": " + path
		}
		all = append(all, at+": "+fmt.Sprintf(format, args...))
	}
	oneOf := func(path, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			wrong(path, "%q is none of %s%s", value, strings.Join(allowed, ", "), didYouMean(value, allowed))
		}
	}
	webAddress := func(path, value string, bare bool) {
		if value == "" {
			return
		}
		u, err := url.Parse(value)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
			wrong(path, "%q is not an address; write it like https://registry.example.com", value)
		case bare && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil):
			wrong(path, "%q has more than a scheme and a host; clients always begin at /v2/ of a host", value)
		}
	}

	if _, port, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("listen", "%q is not host:port; write it like 127.0.0.1:5000", c.Listen)
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		wrong("listen", "%q is not a port between 0 and 65535", port)
	}
	webAddress("url", c.URL, true)
	if c.Data == "" && (c.Storage.Disk.Path == "" || c.Index.Bolt.Path == "") {
		wrong("data", "no folder is named; write it like ./data")
	}
	switch {
	case c.TLS.Cert != "" && c.TLS.Key == "":
		wrong("tls.cert", "a certificate needs its private key; set tls.key too")
	case c.TLS.Key != "" && c.TLS.Cert == "":
		wrong("tls.key", "a private key needs its certificate; set tls.cert too")
	case c.TLS.ClientCA != "" && c.TLS.Cert == "":
		wrong("tls.clientCA", "client certificates need TLS; set tls.cert and tls.key too")
	}
	if c.Auth.Anonymous != "" {
		oneOf("auth.anonymous", c.Auth.Anonymous, "none", "pull", "full")
	}
	if b := c.Limits.ManifestBytes; b < 1<<10 || b > 64<<20 {
		wrong("limits.manifestBytes", "%v is not between 1KiB and 64MiB; manifests are held in memory", b)
	}
	for _, d := range []struct {
		path  string
		value time.Duration
		least time.Duration
	}{
		{"limits.uploadTTL", c.Limits.UploadTTL, time.Second},
		{"limits.drain", c.Limits.Drain, 0},
		{"limits.stall", c.Limits.Stall, time.Second},
	} {
		if d.value < d.least {
			wrong(d.path, "%s is too short; at least %s", formatDuration(d.value), formatDuration(d.least))
		}
	}
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "text", "json")
	if host, _, err := net.SplitHostPort(c.Listen); c.Profiles && err == nil && !isLoopback(host) {
		wrong("profiles", "profiles tell strangers too much; listen on a loopback address to serve them")
	}
	webAddress("tracing.endpoint", c.Tracing.Endpoint, false)
	return all
}

// anonymous returns what somebody without a name may do: none, pull or full.
func (c Config) anonymous() string {
	if c.Auth.Anonymous != "" {
		return c.Auth.Anonymous
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && isLoopback(host) {
		return "full"
	}
	return "none"
}

// isLoopback says whether a host (without port or brackets) can only be this machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
