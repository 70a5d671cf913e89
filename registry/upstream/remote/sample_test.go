package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

const repo = "team/app"

// short are timeouts for tests in which something hangs.
var short = Timeouts{Dial: time.Second, Header: 200 * time.Millisecond, Stall: 200 * time.Millisecond}

// open returns a client of an upstream, as changes say.
func open(t *testing.T, up *upstreamtest.Upstream, changes ...func(*Config)) *Remote {
	t.Helper()
	c := Config{Name: "upstream.example.com", URLs: []string{up.URL}, CA: up.CAFile}
	for _, change := range changes {
		change(&c)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func as(s Source) func(*Config)            { return func(c *Config) { c.Credentials = s } }
func with(times Timeouts) func(*Config)    { return func(c *Config) { c.Timeouts = times } }
func realms(hosts ...string) func(*Config) { return func(c *Config) { c.Realms = hosts } }
func urls(urls ...string) func(*Config)    { return func(c *Config) { c.URLs = urls } }
func clocked(now *clock) func(*Config)     { return func(c *Config) { c.Now = now.Now } }
func logged(to *bytes.Buffer) func(*Config) {
	return func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// kinds are all that an error can be.
var kinds = []error{ErrNotFound, ErrDenied, ErrLimited, ErrDown, ErrBad}

// wantKind fails unless the error is of this kind, and of no other.
func wantKind(t *testing.T, err, want error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an Error that is %v", err, want)
	}
	is := slices.DeleteFunc(slices.Clone(kinds), func(k error) bool { return !errors.Is(err, k) })
	if len(is) != 1 || is[0] != want {
		t.Fatalf("%v: is %v, want %v", err, is, want)
	}
	if e.Upstream == "" || e.Doing == "" || len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("the error does not tell what it was about, or too much: %q", err)
	}
	return e
}

func wantCount(t *testing.T, up *upstreamtest.Upstream, want int, method, path string, ranges ...string) {
	t.Helper()
	if n := up.Count(method, path, ranges...); n != want {
		t.Errorf("%d requests %s %s %v, want %d", n, method, path, ranges, want)
	}
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want one that says %q", err, part)
		}
	}
}

func wantNoSecret(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows %q: %s", where, secret, text)
		}
	}
}

// wantNobodyTold fails if an upstream got any credentials.
func wantNobodyTold(t *testing.T, up *upstreamtest.Upstream) {
	t.Helper()
	if told := up.Authorizations(); len(told) > 0 {
		t.Errorf("it was told %q", told)
	}
	for _, r := range up.Requests() {
		wantNoSecret(t, "a request", r.Path+" "+r.Query.Encode(), "s3cret")
		for key, values := range r.Header {
			wantNoSecret(t, "header "+key, strings.Join(values, " "), "s3cret", "czNjcmV0")
		}
	}
}

// pull reads a whole blob.
func pull(t *testing.T, r *Remote, image upstreamtest.Image, layer int, offset int64) ([]byte, Body, error) {
	t.Helper()
	body, err := r.Blob(t.Context(), image.Repo, image.Layers[layer].Digest, offset)
	if err != nil {
		return nil, body, err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	return content, body, err
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("it never came to this: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// wantFree fails if a connection is still taken.
func wantFree(t *testing.T, r *Remote) {
	t.Helper()
	eventually(t, "all connections are free", func() bool { return len(r.slots.all) == 0 && len(r.slots.blobs) == 0 })
}
