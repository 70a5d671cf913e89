package oidc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

const audience = "https://registry.example.com"

// clock is one that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// everybody admits every subject of an issuer.
var everybody = []Binding{{Claims: map[string]string{"sub": "**"}, Role: auth.CIRole, On: "cloud"}}

// provider returns one for the issuer's jobs, changed by the test.
func provider(t testing.TB, i *oidctest.Issuer, change func(*Config)) *Provider {
	t.Helper()
	c := Config{Name: "corp", Issuer: i.URL, Audience: audience, Bind: everybody}
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// with returns a copy of claims with changes; nil takes one away.
func with(c map[string]any, changes map[string]any) map[string]any {
	c = maps.Clone(c)
	maps.Copy(c, changes)
	return c
}

// job are the claims of some job.
func job() map[string]any { return map[string]any{"sub": "job", "aud": audience} }

// outcome is what an error means to the caller.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, auth.ErrUnknown):
		return "unknown"
	case errors.Is(err, auth.ErrWrong):
		return "wrong"
	}
	return "fault"
}

// verify verifies a token and wants an outcome, and a reason that says so.
func verify(t testing.TB, p *Provider, token, result, reason string) {
	t.Helper()
	who, until, err := p.Verify(t.Context(), token)
	if got := outcome(err); got != result {
		t.Errorf("%s (%v), want %s", got, err, result)
		return
	}
	if err == nil {
		return
	}
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("the reason is %q, want %q in it", err, reason)
	}
	if who.Kind != "" || who.Grants != nil || !until.IsZero() {
		t.Errorf("beside an error there is %+v until %s", who, until)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 20 && strings.Contains(err.Error(), part) {
			t.Errorf("the token is in the error: %v", err)
		}
	}
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// replace writes a file as careful programs do, by renaming.
func replace(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// jwksFile writes the issuer's keys into a file.
func jwksFile(t testing.TB, i *oidctest.Issuer) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	replace(t, path, i.JWKS())
	return path
}

// eventually wants something to become true soon.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("it did not happen that %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
