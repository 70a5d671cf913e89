package apt

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const service = "cloud/dmp/ms-ingestion"

var (
	staging = artifacts.Place{Domain: "cloud", Environment: "staging"}
	prod    = artifacts.Place{Domain: "cloud", Environment: "prod"}
)

// house is a registry with its catalog, its keys and its doors, on a disk and with a clock of its own.
type house struct {
	t       testing.TB
	ctx     context.Context
	clock   *clock
	blobs   blob.Store
	index   kv.DB
	policy  auth.Policy
	url     string
	stall   time.Duration
	catalog *artifacts.Catalog
	reg     *registry.Registry
	keys    *suite.Keys
	shelf   *intake.Shelf
	log     *lockedLog
	handler http.Handler
	server  *httptest.Server
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lockedLog is a log that tests read.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// people are those who can log in, each with its name as the password.
var people = map[string]auth.Identity{
	"host":   {Kind: auth.Robot, Name: "host"}, // may pull the suite cloud-prod and nothing else
	"dev":    {Kind: auth.User, Name: "dev"},   // develops cloud/dmp
	"all":    {Kind: auth.User, Name: "all"},   // may pull everything
	"nobody": {Kind: auth.User, Name: "nobody"},
	"narrow": {Kind: auth.User, Name: "all", Scope: auth.Scope{{Type: "repository", Name: "apt/cloud-prod", Actions: []string{"pull"}}}},
	"scoped": {Kind: auth.User, Name: "all", Scope: auth.Scope{{Type: "repository", Name: service, Actions: []string{"pull"}}}},
}

var grants = []auth.Grant{
	{Who: "robot:host", Role: auth.Reader, On: "apt/cloud-prod"},
	{Who: "user:dev", Role: auth.Developer, On: "cloud/dmp"},
	{Who: "user:all", Role: auth.Reader, On: auth.Everywhere},
}

// closed is a registry where everybody logs in; open one where, besides, everybody may pull what is given.
var closed = auth.NewRules(grants, true)

func open(on ...auth.Path) *auth.Rules {
	all := append([]auth.Grant(nil), grants...)
	for _, p := range on {
		all = append(all, auth.Grant{Who: auth.Anyone, Role: auth.Reader, On: p})
	}
	return auth.NewRules(all, true)
}

func identify(_ context.Context, shown auth.Credentials) (auth.Identity, error) {
	coded, _ := strings.CutPrefix(shown.Authorization, "Basic ")
	text, _ := base64.StdEncoding.DecodeString(coded)
	name, secret, _ := strings.Cut(string(text), ":")
	who, known := people[name]
	if !known || secret != name {
		return auth.Identity{}, auth.ErrWrong
	}
	return who, nil
}

func build(t testing.TB, change ...func(*house)) *house {
	t.Helper()
	h := &house{
		t: t, ctx: journal.By(t.Context(), journal.Actor{Name: "user:alice"}), clock: &clock{now: time.Now().Add(-time.Hour).Truncate(time.Second)},
		index: kv.NewMemory(), policy: auth.Open, log: &lockedLog{},
	}
	for _, f := range change {
		f(h)
	}
	var err error
	if h.blobs, err = disk.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if h.keys, err = suite.OpenKeys(suite.KeysConfig{Index: h.index, Service: "registry.example.com", Now: h.clock.Now}); err != nil {
		t.Fatal(err)
	}
	off := map[string]artifacts.Level{"version.manifest.missing": artifacts.Off, "version.metadata.missing": artifacts.Off, "version.ownership.missing": artifacts.Off}
	h.catalog = artifacts.New(artifacts.Config{Index: h.index, Keys: h.keys, Now: h.clock.Now, Rules: off})
	h.reg, err = registry.Open(h.ctx, registry.Config{Blobs: h.blobs, Index: h.index, Uploads: kv.NewMemory(), Admissions: []registry.Admission{h.catalog}})
	if err == nil {
		err = h.catalog.Prepare(h.ctx, h.reg)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.shelf = &intake.Shelf{Registry: h.reg, Catalog: h.catalog}
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := Config{Catalog: h.catalog, Registry: h.reg, Keys: h.keys, Shelf: h.shelf, URL: h.url, Log: log}
	h.handler = door.New(door.Config{Policy: h.policy, Identify: identify, URL: h.url, Stall: h.stall, Log: log}, Routes(c)...)
	h.server = httptest.NewServer(h.handler)
	t.Cleanup(h.server.Close)
	return h
}

func with(p auth.Policy) func(*house) { return func(h *house) { h.policy = p } }

// hello makes a package.
func hello(name, version, architecture string) []byte {
	return debtest.Build(debtest.Spec{
		Package: name, Version: version, Arch: architecture, Compression: "gz", More: "Multi-Arch: foreign\n",
		Files: map[string]string{"usr/share/" + name + "/version-" + architecture: version + "\n"},
	})
}

// add stores packages as a version of a component.
func (h *house) add(component, number string, packages ...[]byte) {
	h.t.Helper()
	for _, p := range packages {
		if _, err := h.shelf.Deb(h.ctx, component, number, "", int64(len(p)), bytes.NewReader(p), intake.Put{}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// promote publishes a version a minute later than what was before.
func (h *house) promote(component, number string, at artifacts.Place) {
	h.t.Helper()
	h.move(artifacts.Order{Kind: artifacts.Promotion, Component: component, Version: number, Place: at})
}

func (h *house) move(o artifacts.Order) {
	h.t.Helper()
	h.clock.pass(time.Minute)
	if _, err := h.catalog.Move(h.ctx, o); err != nil {
		h.t.Fatal(err)
	}
}

// stock has three versions of a component, of which the first is in prod and the second in staging, and one of another.
func (h *house) stock() {
	h.t.Helper()
	for i, number := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		h.add(service, number, hello("hello", fmt.Sprintf("1:%d.0~rc1+b2", i+1), "amd64"))
	}
	h.add("cloud/ops/probe", "1.0.0", hello("probe", "1.0", "all"))
	h.promote(service, "1.0.0", prod)
	h.promote(service, "1.1.0", staging)
	h.promote("cloud/ops/probe", "1.0.0", prod)
}

func (h *house) snapshot(name string) suite.Snapshot {
	h.t.Helper()
	s, err := h.catalog.Suite(h.ctx, name)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	t    testing.TB
	body string
}

// do sends a request; headers are given as key, value… A header "as" is who asks.
func (h *house) do(method, path, body string, headers ...string) reply {
	h.t.Helper()
	req := h.request(method, path, body)
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "as" && headers[i+1] != "":
			req.SetBasicAuth(headers[i+1], headers[i+1])
		case headers[i] == "Host":
			req.Host = headers[i+1]
		case headers[i] != "as":
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{res, h.t, string(text)}
}

func (h *house) request(method, path, body string) *http.Request {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.ctx, method, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	return req
}

func (h *house) get(path string, headers ...string) reply {
	h.t.Helper()
	return h.do(http.MethodGet, path, "", headers...)
}

// want checks the status, and that an error is a line of text with these words.
func (r reply) want(status int, words ...string) reply {
	r.t.Helper()
	if r.StatusCode != status {
		r.t.Fatalf("%s %s: status %d, want %d: %.500q", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			r.t.Errorf("%s %s: %q does not say %q", r.Request.Method, r.Request.URL, r.body, word)
		}
	}
	if status >= 400 && r.Request.Method != http.MethodHead {
		if got := r.Header.Get("Content-Type"); got != plain {
			r.t.Errorf("%s %s: an error of type %q", r.Request.Method, r.Request.URL, got)
		}
		if strings.Count(r.body, "\n") != 1 {
			r.t.Errorf("%s %s: the error is not one line: %q", r.Request.Method, r.Request.URL, r.body)
		}
	}
	return r
}

// has checks headers, given as key, value…; an empty value is one that is not there.
func (r reply) has(headers ...string) reply {
	r.t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if got := r.Header.Get(headers[i]); got != headers[i+1] {
			r.t.Errorf("%s %s: %s is %q, want %q", r.Request.Method, r.Request.URL, headers[i], got, headers[i+1])
		}
	}
	return r
}
