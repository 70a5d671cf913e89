// Package upstreamtest is an upstream registry for tests, on a loopback port: the pull side of the distribution-spec over what a test has put into
// it, and every way in which an upstream can be slow, broken or hostile.
//
//	up := upstreamtest.New(t)                                   // ends with the test, and all that hangs with it
//	image := up.PushImage("library/alpine", "3.20", 1000, 50_000)  // a config and two layers of these sizes
//	up.RequireBearer(upstreamtest.Bearer{User: "robot", Password: "secret", Elsewhere: true})
//	up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
//		if r.Kind == "blobs" && r.Nth == 1 {
//			return upstreamtest.TruncateAt(100)
//		}
//		return nil
//	})
//	…
//	if n := up.Count("GET", "/v2/library/alpine/manifests/3.20"); n != 1 { … }
//
// It shares no code with what it tests, and keeps to the rules where it is not told otherwise: ranges, paging with Link, 404 with error codes.
package upstreamtest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// Upstream is a running registry. Its methods may be called by many at once, and while it is asked.
type Upstream struct {
	URL    string // http://127.0.0.1:PORT
	CAFile string // the authority of its certificate, with NewTLS

	server *httptest.Server
	realm  *httptest.Server // a token service of its own, on another port
	ended  chan struct{}    // closed when the test ends

	mu       sync.Mutex
	repos    map[string]*repo
	requests []Request
	fault    func(Request) Fault
	login    login
	issued   map[string]issued
	tokens   int
	quota    quota
	pageSize int
}

type repo struct {
	manifests map[digest.Digest]manifest
	tags      map[string]digest.Digest
	blobs     map[digest.Digest][]byte
}

type manifest struct {
	mediaType string
	bytes     []byte
}

type quota struct {
	limit, remaining int
	window           time.Duration
}

// New starts an upstream.
func New(t testing.TB) *Upstream {
	t.Helper()
	u := newUpstream(t)
	u.server.Start()
	u.realm.Start()
	u.URL = u.server.URL
	return u
}

// NewTLS is New with https, and with HTTP/2.
func NewTLS(t testing.TB) *Upstream {
	t.Helper()
	u := newUpstream(t)
	for _, server := range []*httptest.Server{u.server, u.realm} {
		server.EnableHTTP2 = true
		server.StartTLS()
	}
	u.URL = u.server.URL
	u.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.server.Certificate().Raw})
	if err := os.WriteFile(u.CAFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return u
}

func newUpstream(t testing.TB) *Upstream {
	u := &Upstream{ended: make(chan struct{}), repos: map[string]*repo{}, issued: map[string]issued{}}
	u.server = httptest.NewUnstartedServer(http.HandlerFunc(u.serve))
	u.realm = httptest.NewUnstartedServer(http.HandlerFunc(u.serve))
	for _, server := range []*httptest.Server{u.server, u.realm} {
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
	}
	t.Cleanup(func() {
		close(u.ended)
		u.server.Close()
		u.realm.Close()
	})
	return u
}

// Close stops the upstream: its port answers no more.
func (u *Upstream) Close() {
	u.server.CloseClientConnections()
	u.server.Close()
}

// Fault lets a function decide what is wrong with each answer from now on; nil (the function, or what it returns) is an honest one.
func (u *Upstream) Fault(decide func(Request) Fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = decide
}

// Always is what Fault takes for one fault in each answer about the kinds of things (blobs, manifests, tags, referrers, token, ping); without any,
// about all.
func Always(f Fault, kinds ...string) func(Request) Fault {
	return func(r Request) Fault {
		if len(kinds) == 0 || slices.Contains(kinds, r.Kind) {
			return f
		}
		return nil
	}
}

// RateLimit sets what is told of the quota in answers about manifests, as Docker Hub does. GETs use it up, and then the answer is 429.
func (u *Upstream) RateLimit(limit, remaining int, window time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.quota = quota{limit, remaining, window}
}

// PageSize bounds how many tags or referrers are in one answer; 0 is without bound.
func (u *Upstream) PageSize(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pageSize = n
}
