package door

import (
	"errors"
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/auth"
)

// challenger tells a client how to log in, in the header of a 401 (RFC 9110, section 11.6.1).
type challenger struct {
	url     string
	service string
	tokens  bool // there is a token service
}

// header adds to a refusal what the client needs to know to do better.
func (c challenger) header(h http.Header, r *http.Request, on string, action auth.Action, out Answer, err error) {
	var wait *auth.Wait
	if errors.As(err, &wait) {
		h.Set("Retry-After", RetryAfter(wait))
	}
	if out.Status != http.StatusUnauthorized || h.Get("WWW-Authenticate") != "" {
		return
	}
	base := Base(c.url, r)
	if !c.tokens || base == "" || r.URL.Path != "/v2" && !strings.HasPrefix(r.URL.Path, "/v2/") {
		h.Set("WWW-Authenticate", `Basic realm="entrepot"`)
		return
	}
	value := `Bearer realm="` + base + `/auth/token",service="` + c.service + `"`
	var refusal *auth.Refusal
	if errors.As(err, &refusal) && refusal.Narrow && refusal.On == on {
		action = refusal.Do // the endpoint asked for more than the route
	}
	if scope := action.Scope(on); scope != "" {
		value += `,scope="` + scope + `"`
	}
	switch {
	case errors.Is(err, auth.ErrWrong):
		value += `,error="invalid_token"`
	case errors.As(err, &refusal) && (refusal.Narrow || len(r.Header["Authorization"]) > 0):
		// Also of a token for nobody in particular: without this word containerd asks again and again.
		value += `,error="insufficient_scope"`
	}
	h.Set("WWW-Authenticate", value)
}

// Base returns the registry's address as clients reach it, without a slash at the end: the configured one, else the one that the request was sent to.
// It is empty if the request names no host that could stand in a header.
func Base(configured string, r *http.Request) string {
	if configured != "" {
		return strings.TrimSuffix(configured, "/")
	}
	if r.Host == "" || len(r.Host) > 255 || strings.ContainsFunc(r.Host, notOfHosts) {
		return ""
	}
	// A proxy that took the request over TLS says so. Believing it is safe: at worst a client sends itself to an address that does not answer.
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// CookieName returns what a cookie is called for whoever sent the request. Over TLS it has the prefix that keeps other hosts of the same domain from
// planting one of theirs (RFC 6265bis, section 4.1.3.2).
func CookieName(configured string, r *http.Request, name string) string {
	if strings.HasPrefix(Base(configured, r), "https://") {
		return "__Host-" + name
	}
	return name
}

func notOfHosts(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-:[]_", c))
}
