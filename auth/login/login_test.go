package login

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/token"
	"github.com/entrepot/entrepot/storage/kv"
)

// passwords hashes cheaply and counts.
type passwords struct{ checked, wasted atomic.Int64 }

func (p *passwords) Hash(_ context.Context, password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return string(h), err
}

func (p *passwords) Matches(_ context.Context, hash, password string) (bool, error) {
	p.checked.Add(1)
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil, nil
}

func (p *passwords) Waste(context.Context, string) error { p.wasted.Add(1); return nil }

// directory is a provider that knows some people, and notes what it is asked.
type directory struct {
	mu     sync.Mutex
	knows  map[string]string
	asked  []string
	err    error
	remain time.Duration
}

func (d *directory) Login(_ context.Context, name, secret string) (auth.Identity, time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, name+" "+secret)
	want, known := d.knows[name]
	switch {
	case d.err != nil:
		return auth.Identity{}, time.Time{}, d.err
	case !known:
		return auth.Identity{}, time.Time{}, auth.ErrUnknown
	case want != secret:
		return auth.Identity{}, time.Time{}, auth.ErrWrong
	}
	return auth.Identity{Kind: auth.User, Name: name, Groups: []string{"dir"}, Via: "dir:" + name}, time.Now().Add(d.remain), nil
}

func (d *directory) alive(who auth.Identity) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.knows[who.Name]; !ok {
		return auth.ErrWrong
	}
	return nil
}

// house is logins with all that they stand on.
type house struct {
	*Logins
	t         testing.TB
	accounts  *account.Store
	tokens    *token.Issuer
	passwords *passwords
	dir       *directory
	now       atomic.Int64 // seconds that the clock is ahead
}

func build(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, passwords: &passwords{}, dir: &directory{knows: map[string]string{"dora": "directory-secret"}, remain: time.Hour}}
	now := func() time.Time { return time.Now().Add(time.Duration(h.now.Load()) * time.Second) }
	index := kv.NewMemory()
	var err error
	if h.accounts, err = account.Open(t.Context(), account.Config{Index: index, Passwords: h.passwords, Now: now}); err != nil {
		t.Fatal(err)
	}
	if h.tokens, err = token.Open(t.Context(), token.Config{Index: index, Service: "entrepot", Now: now}); err != nil {
		t.Fatal(err)
	}
	h.Logins = New(Config{Accounts: h.accounts, Tokens: h.tokens, Passwords: h.passwords, Now: now})
	h.Use(Source{Name: "dir", Provider: h.dir, Alive: h.dir.alive})
	if _, err := h.accounts.AddUser(t.Context(), "alice", "alice's password", []string{"dmp"}, nil); err != nil {
		t.Fatal(err)
	}
	return h
}

func basicHeader(name, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

// as tells who a header shows, in words.
func (h *house) as(header string) string {
	h.t.Helper()
	who, err := h.Identify(h.t.Context(), auth.Credentials{Authorization: header, Remote: "192.0.2.1"})
	var wait *auth.Wait
	switch {
	case err == nil:
		return who.String()
	case errors.As(err, &wait) && wait.Busy:
		return "busy"
	case errors.As(err, &wait):
		return "wait"
	case errors.Is(err, auth.ErrWrong):
		return "wrong"
	}
	return "fault: " + err.Error()
}

func (h *house) want(header, want string) {
	h.t.Helper()
	if got := h.as(header); got != want {
		h.t.Errorf("%.60q: %s, want %s", header, got, want)
	}
}

func (h *house) robot(name string) string {
	h.t.Helper()
	if _, err := h.accounts.AddRobot(h.t.Context(), account.Robot{Name: name, On: "**"}); err != nil {
		h.t.Fatal(err)
	}
	_, plain, err := h.accounts.AddSecret(h.t.Context(), account.Secret{Of: "robot:" + name, Purpose: account.PurposeSecret})
	if err != nil {
		h.t.Fatal(err)
	}
	return plain
}

func TestIdentify(t *testing.T) {
	h := build(t)
	secret := h.robot("ci-dmp")
	minted, err := h.tokens.Mint(auth.Identity{Kind: auth.Robot, Name: "other"}, auth.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ header, want string }{
		{"", "anonymous"},
		{basicHeader("alice", "alice's password"), "user:alice"},
		{strings.Replace(basicHeader("alice", "alice's password"), "Basic ", "bAsIc   ", 1), "user:alice"},
		{basicHeader("alice", "directory-secret"), "wrong"},
		{basicHeader("dora", "directory-secret"), "user:dora"},
		{basicHeader("dora", "x"), "wrong"},
		{basicHeader("nobody", "x"), "wrong"},
		{basicHeader("alice", ""), "wrong"},
		{basicHeader("", "x"), "wrong"},
		{basicHeader("ci-dmp", secret), "robot:ci-dmp"},
		{basicHeader("token", secret), "robot:ci-dmp"},
		{basicHeader("alice", secret), "wrong"},
		{"Bearer " + secret, "robot:ci-dmp"},
		{"bearer " + minted.Token, "robot:other"},
		{basicHeader("anything", minted.Token), "robot:other"},
		{"Bearer " + minted.Token + "x", "wrong"},
		{"Bearer", "wrong"},
		{"Bearer ", "wrong"},
		{"Basic", "wrong"},
		{"Basic %%%", "wrong"},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("nocolon")), "wrong"},
		{"Digest x", "wrong"},
		{"Negotiate " + strings.Repeat("x", maxShown), "wrong"},
		{basicHeader("alice", strings.Repeat("x", 2000)), "wrong"},
	} {
		h.want(c.header, c.want)
	}
}

// TestIdentify_sessions: a session counts in a browser's cookie and nowhere else, and nothing else counts there, whatever was remembered of either.
func TestIdentify_sessions(t *testing.T) {
	h := build(t)
	secret := h.robot("ci-dmp")
	_, session, err := h.accounts.AddSecret(t.Context(), account.Secret{Of: "user:alice", Purpose: account.PurposeSession, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		who, err := h.Identify(t.Context(), auth.Credentials{Session: session, Remote: "192.0.2.1"})
		if err != nil || who.String() != "user:alice" {
			t.Errorf("the session is of %v, %v", who, err)
		}
		for _, header := range []string{"Bearer " + session, basicHeader("alice", session), basicHeader("", session), basicHeader("token", session)} {
			h.want(header, "wrong")
		}
		h.want("Bearer "+secret, "robot:ci-dmp")
		for _, shown := range []string{secret, "alice's password", "directory-secret", "x"} {
			if who, err := h.Identify(t.Context(), auth.Credentials{Session: shown, Remote: "192.0.2.1"}); !errors.Is(err, auth.ErrWrong) || !who.Anonymous() {
				t.Errorf("%.8q in a cookie is %v, %v, want wrong", shown, who, err)
			}
		}
	}
	if len(h.dir.asked) > 0 {
		t.Errorf("the directory was asked about %q", h.dir.asked)
	}
}

// TestIdentify_asks_nobody_else about those whom the registry knows itself, nor about what has the form of its own secrets.
func TestIdentify_asks_nobody_else(t *testing.T) {
	h := build(t)
	secret := h.robot("ci-dmp")
	h.as(basicHeader("alice", "wrong"))
	h.as(basicHeader("alice", "alice's password"))
	h.as(basicHeader("ci-dmp", secret))
	h.as(basicHeader("x", secret[:len(secret)-1]))
	h.as("Bearer " + secret[:30])
	if len(h.dir.asked) > 0 {
		t.Errorf("the directory was asked about %q", h.dir.asked)
	}
	if h.as(basicHeader("nobody", "x")); h.passwords.wasted.Load() != 1 {
		t.Error("that nobody is of this name is said faster than that the password is wrong")
	}
}

// TestIdentify_remembers what it has checked, and never what was wrong.
func TestIdentify_remembers(t *testing.T) {
	h := build(t)
	for range 5 {
		h.want(basicHeader("alice", "alice's password"), "user:alice")
		h.want(basicHeader("dora", "directory-secret"), "user:dora")
	}
	for _, spelled := range []string{"Basic  ", "basic ", "BASIC     "} {
		h.want(strings.Replace(basicHeader("alice", "alice's password"), "Basic ", spelled, 1), "user:alice")
	}
	if h.passwords.checked.Load() != 1 || len(h.dir.asked) != 1 {
		t.Errorf("checked %d times, the directory %d times", h.passwords.checked.Load(), len(h.dir.asked))
	}
	h.now.Store(int64(rememberFor/time.Second) + 1)
	h.want(basicHeader("alice", "alice's password"), "user:alice")
	h.want(basicHeader("dora", "directory-secret"), "user:dora")
	if h.passwords.checked.Load() != 2 || len(h.dir.asked) != 2 {
		t.Errorf("later: checked %d times, the directory %d times", h.passwords.checked.Load(), len(h.dir.asked))
	}
	h.dir.remain = -time.Minute // what it says is good for no time at all
	h.now.Add(int64(rememberFor / time.Second))
	for range 3 {
		h.want(basicHeader("dora", "directory-secret"), "user:dora")
	}
	if len(h.dir.asked) != 5 {
		t.Errorf("asked %d times", len(h.dir.asked))
	}
}

// TestIdentify_forgets_at_once what was withdrawn: nothing that is remembered outlives it.
func TestIdentify_forgets_at_once(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	yes, no := true, false
	alice := basicHeader("alice", "alice's password")
	h.want(alice, "user:alice")
	who, err := h.Identify(ctx, auth.Credentials{Authorization: alice})
	must(err)
	minted, err := h.tokens.Mint(who, nil)
	must(err)
	h.want("Bearer "+minted.Token, "user:alice")
	groups := []string{"new"}
	_, err = h.accounts.ChangeUser(ctx, "alice", account.UserChange{Groups: &groups})
	must(err)
	for _, header := range []string{alice, "Bearer " + minted.Token} {
		if who, err := h.Identify(ctx, auth.Credentials{Authorization: header}); err != nil || len(who.Groups) != 1 || who.Groups[0] != "new" {
			t.Errorf("groups %q, %v", who.Groups, err)
		}
	}
	_, err = h.accounts.ChangeUser(ctx, "alice", account.UserChange{Disabled: &yes})
	must(err)
	h.want(alice, "wrong")
	h.want("Bearer "+minted.Token, "wrong")
	_, err = h.accounts.ChangeUser(ctx, "alice", account.UserChange{Disabled: &no})
	must(err)
	h.want(alice, "user:alice")
	h.want("Bearer "+minted.Token, "wrong") // a token of before

	secret := h.robot("ci-dmp")
	robot := basicHeader("ci-dmp", secret)
	h.want(robot, "robot:ci-dmp")
	all, err := h.accounts.Secrets(ctx, "robot:ci-dmp")
	must(err)
	who, err = h.Identify(ctx, auth.Credentials{Authorization: robot})
	must(err)
	minted, err = h.tokens.Mint(who, nil)
	must(err)
	h.want("Bearer "+minted.Token, "robot:ci-dmp")
	must(h.accounts.RevokeSecret(ctx, all[0].ID))
	h.want(robot, "wrong")
	h.want("Bearer "+secret, "wrong")
	h.want("Bearer "+minted.Token, "wrong")

	dora := basicHeader("dora", "directory-secret")
	h.want(dora, "user:dora")
	who, err = h.Identify(ctx, auth.Credentials{Authorization: dora})
	must(err)
	minted, err = h.tokens.Mint(who, nil)
	must(err)
	h.want("Bearer "+minted.Token, "user:dora")
	delete(h.dir.knows, "dora")
	h.Forget()
	h.want(dora, "wrong")
	h.want("Bearer "+minted.Token, "wrong")
	h.Use()
	h.want("Bearer "+minted.Token, "wrong")
}

// TestIdentify_keys_withdrawn: after a leak no token of before is good, whatever is remembered.
func TestIdentify_keys_withdrawn(t *testing.T) {
	h := build(t)
	minted, err := h.tokens.Mint(auth.Identity{Kind: auth.Robot, Name: "x"}, auth.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	h.want("Bearer "+minted.Token, "robot:x")
	if err := h.tokens.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	h.want("Bearer "+minted.Token, "wrong")
}

func TestIdentify_limits_failed_attempts(t *testing.T) {
	h := build(t)
	good := basicHeader("alice", "alice's password")
	h.want(good, "user:alice")
	for i := range nameBurst {
		h.want(basicHeader("alice", fmt.Sprint("guess", i)), "wrong")
	}
	checked := h.passwords.checked.Load()
	h.want(basicHeader("Alice", "guess"), "wait")
	h.want(good, "user:alice") // who is logged in already is not locked out
	if h.passwords.checked.Load() != checked {
		t.Error("a password was checked beyond the limit")
	}
	_, err := h.Identify(t.Context(), auth.Credentials{Authorization: basicHeader("alice", "guess"), Remote: "198.51.100.7"})
	var wait *auth.Wait
	if !errors.As(err, &wait) || wait.After <= 0 || wait.After > namePause || strings.Contains(wait.Error(), "guess") {
		t.Errorf("from elsewhere: %v", err)
	}
	h.now.Add(int64(namePause/time.Second) + 1)
	h.want(basicHeader("alice", "guess again"), "wrong")
	h.want(basicHeader("alice", "guess again"), "wait")

	for i := range sourceBurst * 2 {
		if got := h.as(basicHeader(fmt.Sprint("name", i), "x")); got == "wait" {
			if i < sourceBurst/2 {
				t.Errorf("after %d names", i)
			}
			break
		} else if i == sourceBurst*2-1 {
			t.Error("one source may try as many names as it likes")
		}
	}
	secret := h.robot("ci-dmp")
	for range sourceBurst * 2 {
		_, _ = h.Identify(t.Context(), auth.Credentials{Authorization: basicHeader("ci-dmp", secret[:len(secret)-1]+"!"), Remote: "203.0.113.9"})
	}
	if _, err := h.Identify(t.Context(), auth.Credentials{Authorization: basicHeader("ci-dmp", secret), Remote: "203.0.113.9"}); err != nil {
		t.Errorf("a robot was locked out: %v", err)
	}
	if _, err := h.Identify(t.Context(), auth.Credentials{Authorization: basicHeader("somebody", "x"), Remote: "203.0.113.9"}); !errors.As(err, &wait) {
		t.Errorf("wrong secrets are not counted: %v", err)
	}
}

func TestLimits_of_networks(t *testing.T) {
	now := time.Now()
	l := newLimits(func() time.Time { return now })
	for i := range sourceBurst {
		if err := l.of(fmt.Sprintf("2001:db8:1:2::%x", i), "").take(); err != nil {
			t.Fatal(err)
		}
	}
	if l.of("2001:db8:1:2:ffff::1", "").take() == nil {
		t.Error("one network of IPv6 is as many sources as it likes")
	}
	if l.of("2001:db8:1:3::1", "").take() != nil || l.of("::ffff:192.0.2.1", "").take() != nil {
		t.Error("other sources are refused too")
	}
}

// TestIdentify_source_down: nobody is told that a password is wrong because a directory does not answer.
func TestIdentify_source_down(t *testing.T) {
	h := build(t)
	h.dir.err = errors.New("connection refused")
	for range nameBurst + 5 {
		h.want(basicHeader("dora", "directory-secret"), "busy")
	}
	h.want(basicHeader("alice", "alice's password"), "user:alice")
	h.dir.err = nil
	h.want(basicHeader("dora", "directory-secret"), "user:dora")
}

// TestIdentify_one_check_for_many who come with the same credentials at once.
func TestIdentify_one_check_for_many(t *testing.T) {
	h := build(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { h.want(basicHeader("alice", "alice's password"), "user:alice") })
	}
	all.Wait()
	if n := h.passwords.checked.Load(); n > 5 {
		t.Errorf("checked %d times", n)
	}
}

func TestRecent_is_bounded(t *testing.T) {
	r := newRecent[int, int](100)
	for i := range 10_000 {
		r.put(i, i)
		r.edit(-1, func(n int) int { return n + 1 })
		if _, ok := r.get(0); !ok {
			t.Fatal("what is asked for all the time was forgotten")
		}
	}
	if n := len(r.young) + len(r.old); n > 110 {
		t.Errorf("%d entries", n)
	}
	if n := r.edit(-1, func(n int) int { return n }); n != 10_000 {
		t.Errorf("edited %d times", n)
	}
}

func FuzzIdentify(f *testing.F) {
	h := build(f)
	for _, s := range []string{"", "Basic", basicHeader("alice", "x"), "Bearer x", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer ent_aaaaaaaaaaaaaaaa_x", "Basic Og=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		h.Logins.limits = newLimits(time.Now)
		who, err := h.Identify(context.Background(), auth.Credentials{Authorization: header, Remote: "192.0.2.1"})
		if err == nil && !who.Anonymous() {
			t.Fatalf("%q is %v", header, who)
		}
		if (header != "") != (err != nil) {
			t.Fatalf("%q: %v", header, err)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	h := build(b)
	secret := h.robot("ci-dmp")
	minted, err := h.tokens.Mint(auth.Identity{Kind: auth.Robot, Name: "x"}, auth.Scope{{Type: "repository", Name: "a/b", Actions: []string{"pull"}}})
	if err != nil {
		b.Fatal(err)
	}
	for name, header := range map[string]string{"Basic": basicHeader("ci-dmp", secret), "Bearer": "Bearer " + minted.Token, "password": basicHeader("alice", "alice's password")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Identify(context.Background(), auth.Credentials{Authorization: header}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
