// Package oidctest is an OpenID Connect issuer for tests: honest, small, on a loopback port.
//
//	issuer := oidctest.Start(t)                                    // ends with the test
//	token := issuer.Sign(map[string]any{"sub": "job", "aud": "registry"}) // iss, iat and exp are added
//
//	issuer.Person("alice", "dmp")                                  // who sits at the browser from now on
//	answer := issuer.Visit(started.URL)                            // what the browser comes back with: code, state, iss
//
// It keeps the rules for the clients' sake: its authorization endpoint wants a state, a nonce and PKCE with S256, its token endpoint the secret, the
// verifier and the same redirect URI, and a code is good once. It has a userinfo endpoint if a test gives it one, and that wants the access token. It
// shares no code with what it tests: signatures are made with the standard library.
package oidctest

import (
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Issuer is a running issuer.
type Issuer struct {
	URL string // its iss
	CA  []byte // the authority to trust, in PEM; only with StartTLS

	ClientID, ClientSecret string // of its one client. Without a secret, which a test may take away at the start, it is a public client

	t      testing.TB
	server *httptest.Server

	mu         sync.Mutex
	now        func() time.Time
	algorithms []string
	keys       map[string]*key // by family
	metadata   map[string]any  // changes
	fault      Fault
	mended     chan struct{} // closed when the fault ends
	asked      map[string]int
	person     map[string]any
	more       map[string]any // claims in ID tokens
	logins     map[string]login
	info       map[string]any // what only userinfo says; nil without that endpoint
	access     map[string]access
}

// Fault is what is wrong with an issuer.
type Fault int

// The faults.
const (
	None      Fault = iota
	Down            // connections end without an answer
	Slow            // answers come only when the fault ends
	Huge            // bodies do not end before 8 MiB
	Elsewhere       // answers are redirects to /elsewhere on the same server, where everything is served as well
	Mistaken        // the userinfo endpoint speaks of somebody else; all else is well
)

// Start starts an issuer that has a key for each of the algorithms (RS256, ES256, EdDSA, …); without any, for ES256, which is quick to make.
func Start(t testing.TB, algorithms ...string) *Issuer {
	t.Helper()
	i := newIssuer(t, algorithms)
	i.server.Start()
	i.URL = i.server.URL
	return i
}

// StartTLS is Start with https.
func StartTLS(t testing.TB, algorithms ...string) *Issuer {
	t.Helper()
	i := newIssuer(t, algorithms)
	i.server.StartTLS()
	i.URL = i.server.URL
	i.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw})
	return i
}

func newIssuer(t testing.TB, algorithms []string) *Issuer {
	t.Helper()
	i := &Issuer{
		ClientID: "entrepot", ClientSecret: "a secret: with +/% in it", t: t,
		now: time.Now, asked: map[string]int{}, logins: map[string]login{}, access: map[string]access{}, mended: make(chan struct{}),
	}
	if len(algorithms) == 0 {
		algorithms = []string{"ES256"}
	}
	i.algorithms = algorithms
	i.Rotate()
	i.Person("alice")
	routes := http.NewServeMux()
	routes.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	routes.HandleFunc("GET /keys", i.serveKeys)
	routes.HandleFunc("GET /authorize", i.authorize)
	routes.HandleFunc("POST /token", i.token)
	routes.HandleFunc("GET /userinfo", i.userinfo)
	i.server = httptest.NewUnstartedServer(i.faulty(routes))
	t.Cleanup(func() {
		i.Break(None)
		i.server.Close()
	})
	return i
}

// Break lets a fault begin, in place of the one there was; None ends it.
func (i *Issuer) Break(f Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.mended)
	i.fault, i.mended = f, make(chan struct{})
}

// Publish says what is different in the discovery document from now on, in place of what it was told before; nil leaves a field out.
func (i *Issuer) Publish(changes map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.metadata = maps.Clone(changes)
}

// Clock sets the issuer's clock.
func (i *Issuer) Clock(now func() time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = now
}

// Asked tells how often a path was asked for: "/.well-known/openid-configuration", "/keys", "/authorize", "/token", "/userinfo".
func (i *Issuer) Asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// faulty counts requests and lets faults happen.
func (i *Issuer) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.asked[r.URL.Path]++
		fault, mended := i.fault, i.mended
		i.mu.Unlock()
		switch fault {
		case Down:
			panic(http.ErrAbortHandler)
		case Slow:
			select {
			case <-mended:
			case <-r.Context().Done():
				return
			}
		case Huge:
			space := []byte(strings.Repeat(" ", 1<<16))
			for range 8 << 20 / len(space) {
				if _, err := w.Write(space); err != nil {
					return
				}
			}
		case Elsewhere:
			path, there := strings.CutPrefix(r.URL.Path, "/elsewhere")
			if !there {
				http.Redirect(w, r, "/elsewhere"+r.URL.RequestURI(), http.StatusTemporaryRedirect)
				return
			}
			r.URL.Path = path
		}
		next.ServeHTTP(w, r)
	})
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var userinfo any
	if i.info != nil {
		userinfo = i.URL + "/userinfo"
	}
	writeJSON(w, http.StatusOK, merged(map[string]any{
		"userinfo_endpoint":                              userinfo,
		"issuer":                                         i.URL,
		"authorization_endpoint":                         i.URL + "/authorize",
		"token_endpoint":                                 i.URL + "/token",
		"jwks_uri":                                       i.URL + "/keys",
		"response_types_supported":                       []string{"code"},
		"subject_types_supported":                        []string{"public"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"authorization_response_iss_parameter_supported": true,
	}, i.metadata))
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) { w.Write(i.JWKS()) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// over returns what is in all of them; the later ones have the last word.
func over(all ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// merged is over without what is nil in the end.
func merged(all ...map[string]any) map[string]any {
	out := over(all...)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}
