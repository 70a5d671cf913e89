package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

func TestLogin_by_every_way(t *testing.T) {
	for _, c := range []struct {
		what    string
		require func(*upstreamtest.Upstream)
		source  Source
		ok      bool
	}{
		{"basic", func(up *upstreamtest.Upstream) { up.RequireBasic("alice", "s3cret") }, Static("alice", "s3cret"), true},
		{"basic, wrong", func(up *upstreamtest.Upstream) { up.RequireBasic("alice", "other") }, Static("alice", "s3cret"), false},
		{"basic, nobody", func(up *upstreamtest.Upstream) { up.RequireBasic("alice", "s3cret") }, nil, false},
		{"token", bearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"}), Static("alice", "s3cret"), true},
		{"token, wrong", bearer(upstreamtest.Bearer{User: "alice", Password: "other"}), Static("alice", "s3cret"), false},
		{"token, nobody", bearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"}), nil, false},
		{"token for everybody", bearer(upstreamtest.Bearer{}), nil, true},
		{"token for everybody, elsewhere", bearer(upstreamtest.Bearer{Elsewhere: true}), nil, true},
		{"token of a public repository", bearer(upstreamtest.Bearer{User: "alice", Password: "s3cret", Anonymous: []string{repo}}), nil, true},
		{"identity", bearer(upstreamtest.Bearer{Identity: "s3cret"}), identity("s3cret"), true},
		{"identity, wrong", bearer(upstreamtest.Bearer{Identity: "other"}), identity("s3cret"), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			up := upstreamtest.New(t)
			image := up.PushImage(repo, "1", 100)
			c.require(up)
			var log bytes.Buffer
			r := open(t, up, as(c.source), logged(&log))
			_, err := r.Head(t.Context(), repo, "1")
			if c.ok && err != nil {
				t.Fatal(err)
			}
			if !c.ok {
				e := wantKind(t, err, ErrDenied)
				wantNoSecret(t, "the error", fmt.Sprintf("%v %+v", e, e), "s3cret")
				return
			}
			if _, _, err := pull(t, r, image, 0, 0); err != nil {
				t.Error(err)
			}
			if n := up.Asked("manifests") + up.Asked("blobs"); n != 3 {
				t.Errorf("%d requests for two things, want one more for the challenge", n)
			}
			if n := up.Asked("token"); n > 1 {
				t.Errorf("%d tokens were asked for", n)
			}
			wantNoSecret(t, "the log", log.String(), "s3cret", base64.StdEncoding.EncodeToString([]byte("alice:s3cret")), "token-1")
			if log.Len() == 0 {
				t.Error("nothing is in the log")
			}
		})
	}
}

func bearer(b upstreamtest.Bearer) func(*upstreamtest.Upstream) {
	return func(up *upstreamtest.Upstream) { up.RequireBearer(b) }
}

func identity(token string) Source {
	return func(context.Context) (Credentials, error) { return Credentials{Identity: token}, nil }
}

func TestLogin_by_a_token_of_the_registry(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	up.RequireBearer(upstreamtest.Bearer{})
	if _, err := open(t, up).Head(t.Context(), repo, "1"); err != nil { // makes token-1
		t.Fatal(err)
	}
	up.Forget()
	if _, err := open(t, up, as(Token("token-1-for-team.app"))).Head(t.Context(), repo, "1"); err != nil {
		t.Error(err)
	}
	if up.Asked("token") != 0 {
		t.Error("it fetches another token")
	}
	_, err := open(t, up, as(Token("line\r\nfeed"))).Head(t.Context(), repo, "1")
	wantKind(t, err, ErrDenied)
	wantNoSecret(t, "the error", err.Error(), "feed")
}

func TestToken_is_asked_for_as_it_should_be(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"})
	up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret", Realm: up.URL + "/token?account=x&scope=all"})
	if _, err := open(t, up, as(Static("alice", "s3cret"))).Head(t.Context(), repo, "1"); err != nil {
		t.Fatal(err)
	}
	for _, q := range up.Requests() {
		if q.Kind != "token" {
			continue
		}
		if got := q.Query.Encode(); got != "account=x&scope=repository%3Ateam%2Fapp%3Apull&service=upstream.example.com" || q.Method != "GET" {
			t.Errorf("%s %s", q.Method, got)
		}
		if user, password, ok := (&http.Request{Header: q.Header}).BasicAuth(); !ok || user != "alice" || password != "s3cret" {
			t.Errorf("it shows %q", q.Authorization)
		}
	}
	if up.Asked("token") != 1 {
		t.Error("no token was asked for")
	}
}

func TestToken_is_kept_for_three_quarters_of_its_life(t *testing.T) {
	for life, kept := range map[time.Duration]time.Duration{0: 45 * time.Second, 1000 * time.Second: 750 * time.Second} {
		up, now := upstreamtest.New(t), newClock()
		up.PushImage(repo, "1", 1)
		up.PushImage("team/other", "1", 1)
		up.RequireBearer(upstreamtest.Bearer{Life: life})
		r := open(t, up, clocked(now))
		ask := func(repo string, tokens int) {
			t.Helper()
			if _, err := r.Head(t.Context(), repo, "1"); err != nil {
				t.Fatal(err)
			}
			if n := up.Tokens(); n != tokens {
				t.Errorf("life %v: %d tokens, want %d", life, n, tokens)
			}
		}
		ask(repo, 1)
		ask(repo, 1)
		ask("team/other", 2) // a scope of its own
		now.Pass(kept - time.Millisecond)
		ask(repo, 2)
		now.Pass(time.Millisecond)
		ask(repo, 3)
	}
}

func TestToken_is_fetched_once_for_all_who_wait(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"})
	up.Fault(upstreamtest.Always(upstreamtest.Slow(500), "token"))
	var lookups atomic.Int32
	r := open(t, up, as(func(ctx context.Context) (Credentials, error) {
		lookups.Add(1)
		return Static("alice", "s3cret")(ctx)
	}))
	first, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _, _ = r.Head(first, repo, "1") })
	eventually(t, "the token is under way", func() bool { return up.Asked("token") == 1 })
	for range 10 {
		all.Go(func() {
			if _, err := r.Head(t.Context(), repo, "1"); err != nil {
				t.Error(err)
			}
		})
	}
	cancel() // that the first one goes is no matter to the others
	all.Wait()
	if up.Tokens() != 1 || lookups.Load() != 1 {
		t.Errorf("%d tokens, %d look-ups, want 1", up.Tokens(), lookups.Load())
	}
}

func TestToken_that_was_revoked_is_replaced(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	up.RequireBearer(upstreamtest.Bearer{})
	r := open(t, up)
	if _, err := r.Head(t.Context(), repo, "1"); err != nil {
		t.Fatal(err)
	}
	up.RevokeTokens()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := r.Head(t.Context(), repo, "1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := up.Tokens(); n != 2 {
		t.Errorf("%d tokens, want one more for all", n)
	}
}

// TestLogin_that_came_in_the_meantime is good for whoever was refused with an older one.
func TestLogin_that_came_in_the_meantime(t *testing.T) {
	r := open(t, upstreamtest.New(t))
	c := &call{Remote: r, base: r.bases[0], caller: t.Context(), ctx: t.Context()}
	key := loginKey{c.base, repo}
	newer := login{authorization: "Bearer newer", until: time.Now().Add(time.Minute)}
	r.logins.kept[key] = newer
	if got, err := c.login(key, login{authorization: "Bearer older"}, nil); err != nil || got != newer {
		t.Errorf("it is %v, %v", got, err)
	}
	if _, err := c.login(key, newer, nil); err == nil || r.logins.have(key, time.Now()) == newer {
		t.Error("what was refused is kept")
	}
}

func TestLogin_storm_of_401_ends(t *testing.T) {
	for what, require := range map[string]func(*upstreamtest.Upstream){
		"token": bearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"}),
		"basic": func(up *upstreamtest.Upstream) { up.RequireBasic("alice", "s3cret") },
	} {
		up := upstreamtest.New(t)
		require(up)
		up.Fault(upstreamtest.Always(upstreamtest.Always401(), "manifests"))
		r := open(t, up, as(Static("alice", "s3cret")))
		for i := range 3 {
			_, err := r.Head(t.Context(), repo, "1")
			if e := wantKind(t, err, ErrDenied); e.Status != 401 {
				t.Errorf("%s: %+v", what, e)
			}
			if n := up.Count("HEAD", ""); n != 2*(i+1) {
				t.Errorf("%s: %d requests for %d questions, want two for each", what, n, i+1)
			}
		}
		_, _, err := r.Manifest(t.Context(), repo, "1")
		wantText(t, err, "not with")
		wantNoSecret(t, "the error", err.Error(), "s3cret", base64.StdEncoding.EncodeToString([]byte("alice:s3cret")), "token-")
	}
}

func TestToken_services_that_are_broken(t *testing.T) {
	for _, c := range []struct {
		what  string
		fault upstreamtest.Fault
		want  error
		says  string
	}{
		{"down", upstreamtest.NoAnswer(), ErrDown, "log in at"},
		{"500", upstreamtest.Status(500), ErrDown, "token service"},
		{"404", upstreamtest.Status(404), ErrDenied, "token service"},
		{"429", upstreamtest.TooMany(time.Minute), ErrLimited, "1m0s"},
		{"hangs", upstreamtest.HangBeforeHeaders(), ErrDown, "within"},
		{"hangs in the middle", upstreamtest.HangInBody(5), ErrDown, "within"},
		{"truncated", upstreamtest.TruncateAt(5), ErrDown, "broke off"},
		{"giant", upstreamtest.Endless(), ErrBad, "more than 131072 bytes"},
		{"a page", upstreamtest.Status(200), ErrBad, "JSON"},
		{"elsewhere again", upstreamtest.RedirectTo("/"), ErrBad, "307"},
		{"endless headers", upstreamtest.EndlessHeaders(), ErrDown, "HTTP"},
	} {
		t.Run(c.what, func(t *testing.T) {
			up := upstreamtest.New(t)
			up.PushImage(repo, "1", 1)
			up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"})
			up.Fault(upstreamtest.Always(c.fault, "token"))
			r := open(t, up, as(Static("alice", "s3cret")), with(short))
			_, err := r.Head(t.Context(), repo, "1")
			e := wantKind(t, err, c.want)
			wantText(t, err, c.says, "look up manifest 1 of team/app")
			wantNoSecret(t, "the error", e.Error(), "s3cret")
			wantFree(t, r)
			up.Fault(nil)
			if _, err := r.Head(t.Context(), repo, "1"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestParseToken(t *testing.T) {
	for text, want := range map[string]string{
		`{"token":"a"}`: "a 1m0s", `{"access_token":"b","expires_in":300}`: "b 5m0s", `{"token":"a","access_token":"b"}`: "a 1m0s",
		`{"token":"a","expires_in":-5}`: "a 1m0s", `{"token":"a","expires_in":1e300}`: "a 12h0m0s", `{"token":"a","expires_in":0.5}`: "a 1m0s",
		`{"token":""}`: "", `{}`: "", `[]`: "", ``: "", `{"token":"a b"}`: "", `{"token":"a\r\nHost: x"}`: "", `{"token":5}`: "",
		`{"token":"` + strings.Repeat("x", maxToken+1) + `"}`: "", strings.Repeat(" ", maxTokenAnswer) + `{"token":"a"}`: "",
	} {
		token, life, err := parseToken([]byte(text))
		if got := fmt.Sprint(token, " ", life); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%.60s is %s, %v, want %q", text, got, err, want)
		}
	}
}

func TestWithCaller_has_logins_of_its_own(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"})
	r := open(t, up, clocked(newClock()))
	alice := r.WithCaller(Credentials{Username: "alice", Password: "s3cret"})
	if _, err := alice.Head(t.Context(), repo, "1"); err != nil {
		t.Error(err)
	}
	for _, other := range []*Remote{r, r.WithCaller(Credentials{}), r.WithCaller(Credentials{Username: "alice", Password: "wrong"})} {
		_, err := other.Head(t.Context(), repo, "1")
		wantKind(t, err, ErrDenied)
	}
	if _, err := alice.Head(t.Context(), repo, "1"); err != nil {
		t.Error(err)
	}
	up.Fault(upstreamtest.Always(upstreamtest.Status(500)))
	for range 3 {
		_, err := alice.Head(t.Context(), repo, "1")
		wantKind(t, err, ErrDown)
	}
	if r.Healthy() {
		t.Error("the breaker is not shared")
	}
}

func TestLogins_are_bounded(t *testing.T) {
	l, now := newLogins(nil), time.Now()
	for i := range maxLogins + 100 {
		l.tidy(now)
		l.kept[loginKey{nil, fmt.Sprint(i)}] = login{until: now.Add(time.Minute)}
	}
	if n := len(l.kept); n > maxLogins {
		t.Errorf("%d are kept", n)
	}
	if l.tidy(now.Add(time.Minute)); len(l.kept) != 0 {
		t.Errorf("%d are kept beyond their end", len(l.kept))
	}
}

func TestCredentials_that_cannot_be_looked_up(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	up.RequireBasic("alice", "s3cret")
	r := open(t, up, as(func(context.Context) (Credentials, error) { return Credentials{}, errors.New("the vault is sealed") }))
	_, err := r.Head(t.Context(), repo, "1")
	wantKind(t, err, ErrDenied)
	wantText(t, err, "look up the credentials: the vault is sealed")
	if h := r.Health()[0]; h.Failures > 0 {
		t.Error("that is not the upstream's failure")
	}
}

// TestLogin_after_a_challenge_that_does_not_end costs a bounded wait, too.
func TestLogin_after_a_challenge_that_does_not_end(t *testing.T) {
	up := upstreamtest.New(t)
	up.RequireBasic("alice", "s3cret")
	up.Fault(upstreamtest.Always(upstreamtest.HangInBody(10)))
	r := open(t, up, as(Static("alice", "s3cret")), with(short))
	began := time.Now()
	_, _, err := r.Manifest(t.Context(), repo, "1")
	wantKind(t, err, ErrDown)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	wantFree(t, r)
}
