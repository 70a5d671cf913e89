package login

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
)

// abroad is an upstream that knows some people, and notes what it is asked.
type abroad struct {
	mu     sync.Mutex
	knows  map[string]string
	asked  []string
	err    error // what it says instead
	open   bool  // it lets everybody in
	before func()
}

func (a *abroad) check(_ context.Context, name, secret string) (Word, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.before != nil {
		a.before()
	}
	a.asked = append(a.asked, name+" "+secret)
	switch {
	case a.err != nil:
		return Word{}, a.err
	case !a.open && a.knows[name] != secret:
		return Word{}, auth.ErrWrong
	}
	return Word{Proven: !a.open, Until: time.Now().Add(time.Minute)}, nil
}

// embassy is a house with an upstream whose people log in.
type embassy struct {
	*house
	*abroad
	log *bytes.Buffer
}

func buildEmbassy(t testing.TB) *embassy {
	t.Helper()
	e := &embassy{build(t), &abroad{knows: map[string]string{"alice": "canary-of-alice", "org/bob": "canary-of-bob", "al@corp.example.com": "canary-of-al"}}, &bytes.Buffer{}}
	e.Logins.log = slog.New(slog.NewTextHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e.UseUpstreams(Upstream{Name: "ghcr.example.com", Check: e.check})
	e.dir.knows["dora@example.com"] = "directory-secret"
	return e
}

// Who is of an upstream is asked about there and nowhere else, however carelessly the name is written; and nobody else is asked about there.
func TestCallers_are_asked_about_at_their_upstream_alone(t *testing.T) {
	e := buildEmbassy(t)
	for _, c := range []struct{ name, secret, want string }{
		{"alice@ghcr.example.com", "canary-of-alice", "caller:ghcr.example.com/alice"},
		{"alice@GHCR.Example.com", "canary-of-alice", "caller:ghcr.example.com/alice"},
		{"alice@ghcr.example.com.", "canary-of-alice", "caller:ghcr.example.com/alice"},
		{"alice@ghcr.example.com ", "canary-of-alice", "caller:ghcr.example.com/alice"},
		{"org/bob@ghcr.example.com", "canary-of-bob", "caller:ghcr.example.com/org/bob"},
		{"al@corp.example.com@ghcr.example.com", "canary-of-al", "caller:ghcr.example.com/al@corp.example.com"},
		{"alice@ghcr.example.com", "alice's password", "wrong"},
		{"@ghcr.example.com", "canary-of-alice", "wrong"},
		{" @ghcr.example.com", "canary-of-alice", "wrong"},
		{"dora@ghcr.example.com", "directory-secret", "wrong"},
	} {
		e.want(basicHeader(c.name, c.secret), c.want)
	}
	if len(e.dir.asked) > 0 || e.passwords.checked.Load()+e.passwords.wasted.Load() > 0 {
		t.Errorf("the directory was asked %q, passwords were looked at %d times; want nothing of upstreams' people", e.dir.asked, e.passwords.checked.Load())
	}
	e.asked = nil
	e.want(basicHeader("alice", "alice's password"), "user:alice")
	e.want(basicHeader("alice", "canary-of-alice"), "wrong")
	e.want(basicHeader("dora@example.com", "directory-secret"), "user:dora@example.com")
	e.want(basicHeader("alice@ghcr.example.com.evil.example.com", "canary-of-alice"), "wrong")
	e.want(basicHeader("ghcr.example.com", "canary-of-alice"), "wrong")
	if len(e.asked) > 0 {
		t.Errorf("the upstream was asked about others' people: %q", e.asked)
	}
	if strings.Contains(e.log.String(), "canary") {
		t.Errorf("a secret is in the log: %s", e.log)
	}
}

// Our own secrets and tokens are not told to an upstream, be they good, wrong or not whole.
func TestCallers_show_nothing_of_ours(t *testing.T) {
	e := buildEmbassy(t)
	secret := e.robot("ci-dmp")
	minted, err := e.tokens.Mint(auth.Identity{Kind: auth.User, Name: "alice"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{secret, secret + "x", secret[:30], minted.Token, minted.Token + "x", minted.Token[:len(minted.Token)-10]} {
		e.want(basicHeader("alice@ghcr.example.com", shown), "wrong")
	}
	if len(e.asked) > 0 {
		t.Errorf("the upstream was shown %q", e.asked)
	}
	foreign := "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2dpdGxhYi5leGFtcGxlLmNvbSJ9.AAAA"
	e.knows["job"] = foreign
	e.want(basicHeader("job@ghcr.example.com", foreign), "caller:ghcr.example.com/job")
}

// The token that a caller gets holds what the upstream wants to be shown, and is good for as long as the upstream is one whose people log in.
func TestCallers_tokens(t *testing.T) {
	e := buildEmbassy(t)
	header := basicHeader("alice@ghcr.example.com", "canary-of-alice")
	who, err := e.Identify(t.Context(), auth.Credentials{Authorization: header, Remote: "192.0.2.1"})
	if err != nil || who.Secret.Reveal() != "canary-of-alice" || !who.Until.IsZero() {
		t.Fatalf("%s, until %v, %v", who, who.Until, err)
	}
	minted, err := e.tokens.Mint(who, auth.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	e.asked = nil
	for range 2 {
		got, err := e.Token(t.Context(), minted.Token)
		if err != nil || got.String() != who.String() || got.Secret.Reveal() != "canary-of-alice" {
			t.Errorf("the token is of %s, %v; want %s with what she shows", got, err, who)
		}
		// Whatever changes among accounts makes what is remembered be looked at again.
		yes := true
		if _, err := e.accounts.ChangeUser(t.Context(), "alice", account.UserChange{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
	}
	e.want(header, who.String())
	if len(e.asked) > 0 {
		t.Errorf("the upstream was asked again: %q", e.asked)
	}
	e.UseUpstreams()
	e.want("Bearer "+minted.Token, "wrong")
	e.want(header, "wrong")
	if len(e.asked) > 0 {
		t.Errorf("an upstream that takes no callers any more was asked: %q", e.asked)
	}
}

// Nobody guesses passwords at an upstream through us, and whoever tries is nothing to our own people.
func TestCallers_attempts_are_limited_and_counted_apart(t *testing.T) {
	e := buildEmbassy(t)
	for n := range 3 * sourceBurst {
		want := "wrong"
		if n >= nameBurst {
			want = "wait"
		}
		e.want(basicHeader("alice@ghcr.example.com", "guess"+strings.Repeat("x", n)), want)
	}
	if len(e.asked) != nameBurst {
		t.Errorf("the upstream was asked %d times, want %d", len(e.asked), nameBurst)
	}
	e.want(basicHeader("alice@ghcr.example.com", "canary-of-alice"), "wait")
	for n := range 3 * sourceBurst {
		e.as(basicHeader("x"+strings.Repeat("y", n)+"@ghcr.example.com", "guess"))
	}
	if len(e.asked) > sourceBurst {
		t.Errorf("the upstream was asked %d times from one address, want %d at most", len(e.asked), sourceBurst)
	}
	e.want(basicHeader("alice", "alice's password"), "user:alice")
	e.want(basicHeader("dora", "directory-secret"), "user:dora")
	e.now.Add(int64(2 * sourceBurst * sourcePause / time.Second))
	e.want(basicHeader("alice@ghcr.example.com", "canary-of-alice"), "caller:ghcr.example.com/alice")
}

// Where the upstream lets everybody in at its door, each try counts, as nobody was told there that it was wrong.
func TestCallers_at_an_open_door_count_all_the_same(t *testing.T) {
	e := buildEmbassy(t)
	e.open = true
	for n := range nameBurst {
		e.want(basicHeader("alice@ghcr.example.com", "guess"+strings.Repeat("x", n)), "caller:ghcr.example.com/alice")
	}
	e.want(basicHeader("alice@ghcr.example.com", "one more"), "wait")
	e.want(basicHeader("alice@ghcr.example.com", "guess"), "caller:ghcr.example.com/alice") // which is remembered
}

// While the upstream cannot be asked nobody logs in there, and nothing is counted.
func TestCallers_while_the_upstream_is_away(t *testing.T) {
	e := buildEmbassy(t)
	e.err = errors.New("it does not answer")
	for n := range 3 * nameBurst {
		e.want(basicHeader("alice@ghcr.example.com", "guess"+strings.Repeat("x", n)), "busy")
	}
	e.err = nil
	e.want(basicHeader("alice@ghcr.example.com", "canary-of-alice"), "caller:ghcr.example.com/alice")
	// Who leaves before the answer has asked all the same.
	tries := 0
	for n := range 3 * nameBurst {
		ctx, leave := context.WithCancel(t.Context())
		e.before, e.err = func() { tries++; leave() }, context.Canceled
		_, _ = e.Identify(ctx, auth.Credentials{Authorization: basicHeader("org/bob@ghcr.example.com", "left"+strings.Repeat("x", n)), Remote: "192.0.2.7"})
		leave()
	}
	if tries != nameBurst {
		t.Errorf("%d tries of who left before the answer, want %d", tries, nameBurst)
	}
	if strings.Contains(e.log.String(), "canary") || strings.Contains(e.log.String(), "guess") {
		t.Errorf("a secret is in the log: %s", e.log)
	}
}
