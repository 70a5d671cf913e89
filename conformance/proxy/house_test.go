package proxy

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/api"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/kv"
)

// How the upstream is called here, the repository of most tests there, and the same one here.
const (
	name  = "up.example.com"
	there = "team/app"
	app   = name + "/" + there
)

// tagTTL is for how long a tag is fresh, on the house's clock, which stands still unless it is moved.
const tagTTL = time.Minute

// house is a registry that pulls through, with its door.
type house struct {
	t       testing.TB
	up      *upstreamtest.Upstream
	url     string // of the registry
	offline string // of another one on the same stores, which asks nobody
	refused string // of a third one, to whose upstream nobody can connect
	reg     *registry.Registry
	blobs   blob.Store
	index   kv.DB
	clock   *clock
	log     *lines
	gate    *gate
}

// plan is what a house is built by.
type plan struct {
	t      testing.TB
	up     *upstreamtest.Upstream
	remote remote.Config
	proxy  upstream.Upstream
	root   string
}

// patience bounds the waits for an upstream that hangs.
func patience(d time.Duration) func(*plan) {
	return func(p *plan) { p.remote.Timeouts = remote.Timeouts{Dial: d, Header: d, Stall: d} }
}

// overTLS speaks HTTP/2 with the upstream.
func overTLS(p *plan) {
	p.up = upstreamtest.NewTLS(p.t)
	p.remote.URLs, p.remote.CA = []string{p.up.URL}, p.up.CAFile
}

// as logs in to the upstream, which lets nobody else in.
func as(user, password string) func(*plan) {
	return func(p *plan) {
		p.up.RequireBasic(user, password)
		p.remote.Credentials = remote.Static(user, password)
	}
}

// byToken is as, with a token service.
func byToken(user, password string) func(*plan) {
	return func(p *plan) {
		p.up.RequireBearer(upstreamtest.Bearer{User: user, Password: password})
		p.remote.Credentials = remote.Static(user, password)
	}
}

// build puts a house together as the program does.
func build(t testing.TB, changes ...func(*plan)) *house {
	t.Helper()
	h := &house{t: t, index: kv.NewMemory(), clock: &clock{at: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}, log: &lines{}, gate: &gate{}}
	h.up = upstreamtest.New(t)
	p := plan{t: t, up: h.up, proxy: upstream.Upstream{TagTTL: tagTTL}}
	p.remote = remote.Config{Name: name, URLs: []string{h.up.URL}, Breaker: remote.Breaker{Failures: 1000}}
	for _, change := range changes {
		change(&p)
	}
	h.up = p.up
	var err error
	if h.blobs, err = disk.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if h.reg, err = registry.Open(t.Context(), registry.Config{Blobs: h.blobs, Index: h.index, Log: log, Now: h.clock.now, FillTries: 5}); err != nil {
		t.Fatal(err)
	}
	p.remote.Log, p.remote.Now = log, h.clock.now
	h.url = h.serve(p, log)
	p.proxy.Offline = true
	h.offline = h.serve(p, log)
	p.proxy.Offline, p.remote.URLs = false, []string{nowhere}
	h.refused = h.serve(p, log)
	h.fault(nil)
	return h
}

// nowhere is where nobody listens, nor will: the port is none that is given to a test.
const nowhere = "http://127.0.0.1:1"

// serve opens a door to the house's stores.
func (h *house) serve(p plan, log *slog.Logger) string {
	r, err := remote.New(p.remote)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(r.Close)
	p.proxy.Remote = r
	through, err := upstream.New(upstream.Config{Local: h.reg, Below: h.reg, Index: h.index, Upstreams: []upstream.Upstream{p.proxy}, Log: log, Now: h.clock.now})
	if err != nil {
		h.t.Fatal(err)
	}
	var handler http.Handler = door.New(door.Config{Policy: auth.Open, Log: log}, api.Routes(api.Config{Registry: h.reg, Source: through, Fetches: true, Closed: through.Closed})...)
	handler = api.Namespaces(handler, api.Names{Known: through.Known, Root: p.root, Here: func(r *http.Request, repo string) bool { return h.reg.Has(r.Context(), repo) }})
	server := httptest.NewServer(h.gate.watch(handler))
	h.t.Cleanup(server.Close)
	return server.URL
}

// fault lets a function decide what is wrong with each answer of the upstream. None goes out before the gate is open.
func (h *house) fault(decide func(upstreamtest.Request) upstreamtest.Fault) {
	h.up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if err := h.gate.pass(); err != nil {
			h.t.Errorf("%s %s: %v", q.Method, q.Path, err)
		}
		if decide == nil {
			return nil
		}
		return decide(q)
	})
}

// sound looks at all that is stored: nothing wrong may be kept.
func (h *house) sound() {
	h.t.Helper()
	if _, err := registry.Verify(h.t.Context(), h.blobs, h.index, func(problem string) { h.t.Errorf("what is kept: %s", problem) }); err != nil {
		h.t.Error(err)
	}
	eventually(h.t, "no upload is left of what came to an end", func() bool {
		for range h.blobs.Uploads(h.t.Context()) {
			return false
		}
		return true
	})
}

// asked tells how many requests there were about a kind of things since the upstream was told to forget them.
func (h *house) asked(method, kind string) (n int) {
	for _, q := range h.up.Requests() {
		if q.Method == method && q.Kind == kind {
			n++
		}
	}
	return n
}

// clock stands still unless it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) later(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in twenty seconds not yet: %s", what)
		}
	}
}
