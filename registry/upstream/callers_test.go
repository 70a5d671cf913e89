package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

const (
	gated  = "up.example.com"
	secret = "up.example.com/org/secret" // alice's alone
	shared = "up.example.com/org/shared" // alice's and bob's
	public = "up.example.com/org/public" // everybody's
)

// people are whom an upstream's token service knows, and what each may pull. Whoever shows a right password gets a token; what it is good for is another matter.
type people struct {
	mu        sync.Mutex
	passwords map[string]string
	may       map[string][]string // repositories by name; "" is everybody
	open      bool                // its door lets everybody in
	lists     bool                // whether those who may pull may list tags, too
	away      upstreamtest.Fault  // nil: it answers
	tokens    map[string]string   // whose
	asked     []string            // names with passwords that came
}

func (p *people) do(change func(*people)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// fault is how the upstream treats a request. The lock is not held while it answers.
func (p *people) fault(r upstreamtest.Request) upstreamtest.Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.away != nil:
		return p.away
	case r.Kind == "token":
		return p.token
	case r.Kind == "ping" && p.open:
		return nil
	}
	name, known := p.tokens[strings.TrimPrefix(r.Authorization, "Bearer ")]
	switch {
	case !known, r.Kind == "ping" && name == "":
		return challenge
	case r.Kind == "ping":
		return nil
	case !slices.Contains(slices.Concat(p.may[name], p.may[""]), r.Repo), r.Kind == "tags" && !p.lists:
		return upstreamtest.Status(http.StatusForbidden)
	}
	return nil
}

func challenge(u *upstreamtest.Upstream, w http.ResponseWriter, _ *http.Request, _ upstreamtest.Request, _ http.Handler) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+u.URL+`/token",service="up"`)
	w.WriteHeader(http.StatusUnauthorized)
}

func (p *people) token(_ *upstreamtest.Upstream, w http.ResponseWriter, r *http.Request, _ upstreamtest.Request, _ http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, password, shown := r.BasicAuth()
	if shown {
		p.asked = append(p.asked, name+" "+password)
	}
	if shown && (password == "" || p.passwords[name] != password) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := fmt.Sprintf("t%d", len(p.tokens))
	p.tokens[token] = name
	fmt.Fprintf(w, `{"token":%q,"expires_in":36000}`, token) // for far longer than an admission
}

// street is a house whose upstream knows people.
type street struct {
	*Callers
	t      testing.TB
	house  *house
	up     *upstreamtest.Upstream
	people *people
	log    bytes.Buffer
}

func openStreet(t testing.TB, changes ...func(*people)) *street {
	t.Helper()
	h := impatient(t, 5*time.Second)
	s := &street{t: t, house: h, up: h.up, people: &people{
		passwords: map[string]string{"alice": "alice-canary", "bob": "bob-canary"}, tokens: map[string]string{}, lists: true,
		may: map[string][]string{"alice": {"org/secret", "org/shared"}, "bob": {"org/shared"}, "": {"org/public"}},
	}}
	for _, change := range changes {
		change(s.people)
	}
	h.Through.log = slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.up.Fault(s.people.fault)
	var err error
	if s.Callers, err = NewCallers(s.house.Through, CallersConfig{Upstream: gated}); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"org/secret", "org/shared", "org/public"} {
		s.up.PushImage(repo, "1.0", 300, 100_000)
	}
	return s
}

// as is the context of somebody's request; an empty name is nobody in particular.
func (s *street) as(name string) context.Context { return s.with(name, name+"-canary") }

func (s *street) with(name, password string) context.Context {
	if name == "" {
		return s.t.Context()
	}
	return WithCaller(s.t.Context(), gated, remote.Credentials{Username: name, Password: password})
}

// everything asks for all that there is to ask of a repository, as a client would that knows it well, and tells what comes of each.
func (s *street) everything(ctx context.Context, repo string, img upstreamtest.Image) map[string]error {
	out := map[string]error{}
	_, out["HEAD by tag"] = s.Resolve(ctx, repo, "1.0")
	_, out["HEAD by digest"] = s.Resolve(ctx, repo, string(img.Descriptor.Digest))
	_, _, out["GET by tag"] = s.Manifest(ctx, repo, "1.0")
	_, _, out["GET by digest"] = s.Manifest(ctx, repo, string(img.Descriptor.Digest))
	_, out["HEAD of a blob"] = s.Blob(ctx, repo, img.Layers[1].Digest)
	_, content, err := s.OpenBlob(ctx, repo, img.Layers[1].Digest)
	if out["GET of a blob"] = err; err == nil {
		body, err := io.ReadAll(content)
		if err == nil && digest.FromBytes(body) != img.Layers[1].Digest {
			err = errors.New("another blob")
		}
		out["GET of a blob"] = errors.Join(err, content.Close())
	}
	for _, err := range s.Tags(ctx, repo, "") {
		out["tags"] = errors.Join(out["tags"], err)
	}
	for _, err := range s.Referrers(ctx, repo, img.Descriptor.Digest, "", "") {
		out["referrers"] = errors.Join(out["referrers"], err)
	}
	return out
}

// want fails the test for whatever comes out of everything with another code; an empty one is success.
func (s *street) want(who string, ctx context.Context, repo string, code ...string) {
	s.t.Helper()
	img := s.image(repo)
	for what, err := range s.everything(ctx, repo, img) {
		if got := registry.Code(err); !slices.Contains(code, got) || got == "" && err != nil {
			s.t.Errorf("%s, %s of %s: %v, want %q", who, what, repo, err, code)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			s.t.Errorf("%s, %s of %s: the error holds a secret: %v", who, what, repo, err)
		}
	}
}

// image returns what 1.0 names in a repository of the upstream, asked for past everything.
func (s *street) image(repo string) upstreamtest.Image {
	s.t.Helper()
	_, there, _ := s.of(repo)
	var away upstreamtest.Fault
	s.people.do(func(p *people) {
		away, p.away = p.away, func(_ *upstreamtest.Upstream, w http.ResponseWriter, r *http.Request, _ upstreamtest.Request, honest http.Handler) {
			honest.ServeHTTP(w, r)
		}
	})
	defer s.people.do(func(p *people) { p.away = away })
	r, err := remote.New(remote.Config{Name: gated, URLs: []string{s.up.URL}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	d, body, err := r.Manifest(s.t.Context(), there, "1.0")
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := registry.ParseManifest(d.MediaType, d.Digest, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return upstreamtest.Image{Descriptor: d, Layers: m.Layers}
}

const (
	denied403 = registry.Denied
	login401  = "LOGIN_NEEDED"
	down503   = registry.UpstreamDown
)

// Each sees what the upstream shows them, whatever is kept here of others'.
func TestCallers_see_what_their_upstream_shows_them(t *testing.T) {
	s := openStreet(t)
	for round, name := range []string{"cold", "warm", "asked again"} {
		if round == 2 {
			s.house.later(10 * time.Minute)
		}
		s.want(name+" alice", s.as("alice"), secret, "")
		s.want(name+" alice", s.as("alice"), shared, "")
		s.want(name+" bob", s.as("bob"), shared, "")
		s.want(name+" bob", s.as("bob"), secret, denied403)
		s.want(name+" bob", s.as("bob"), public, "")
		s.want(name+" nobody", s.as(""), public, "")
		s.want(name+" nobody", s.as(""), secret, login401)
		s.want(name+" alice with a wrong password", s.with("alice", "wrong-canary"), secret, denied403)
		s.want(name+" carol, whom nobody knows", s.as("carol"), secret, denied403)
		// Whoever shows something to another upstream is nobody here.
		other := WithCaller(t.Context(), "other.example.com", remote.Credentials{Username: "alice", Password: "alice-canary"})
		s.want(name+" another upstream's alice", other, secret, login401)
	}
	if log := s.log.String(); strings.Contains(log, "canary") {
		t.Errorf("a secret is in the log: %s", log)
	}
	for _, shown := range s.people.asked {
		if strings.HasPrefix(shown, "alice") && shown != "alice alice-canary" && shown != "alice wrong-canary" {
			t.Errorf("the upstream was shown %q", shown)
		}
	}
}

// The answer for what is kept is the same as for what is not, and as for what does not exist.
func TestCallers_refused_learn_nothing_of_what_is_kept(t *testing.T) {
	s := openStreet(t)
	for _, who := range []string{"bob", ""} {
		before := fmt.Sprint(s.everything(s.as(who), secret, s.image(secret)))
		s.want("alice", s.as("alice"), secret, "")
		s.house.later(time.Minute) // nothing is remembered of the refusal
		if after := fmt.Sprint(s.everything(s.as(who), secret, s.image(secret))); after != before {
			t.Errorf("%q was told\n%s\nand, once it was kept,\n%s", who, before, after)
		}
	}
}

// Many who want the same wait for one question, and within its minutes nobody asks again.
func TestCallers_one_question_for_all(t *testing.T) {
	s := openStreet(t)
	s.want("alice", s.as("alice"), secret, "")
	s.house.later(6 * time.Minute)
	s.up.Forget()
	d := s.image(secret).Layers[1].Digest
	s.up.Forget()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := s.Blob(s.as("alice"), secret, d); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, tokens := s.up.Asked("manifests"), s.up.Asked("token"); n != 2 || tokens != 1 || s.up.Asked("blobs")+s.up.Asked("tags") != 0 {
		t.Errorf("%d questions about manifests, %d tokens: %v; want one HEAD, before and after its login", n, tokens, s.up.Requests())
	}
	s.house.later(4 * time.Minute)
	s.up.Forget()
	if _, err := s.Blob(s.as("alice"), secret, d); err != nil || len(s.up.Requests()) != 0 {
		t.Errorf("%v, %v; want no question within the minutes", err, s.up.Requests())
	}
	// Refusals are remembered, too, but only for a moment.
	for range 5 {
		if _, err := s.Blob(s.as("bob"), secret, d); registry.Code(err) != denied403 {
			t.Error(err)
		}
	}
	first := len(s.up.Requests())
	s.people.do(func(p *people) { p.may["bob"] = append(p.may["bob"], "org/secret") })
	s.house.later(forgetMissing)
	if _, err := s.Blob(s.as("bob"), secret, d); err != nil || first > 6 {
		t.Errorf("%v after %d questions for one refusal", err, first)
	}
}

// A password that was changed there, or a right that was taken, is worth nothing here once the minutes are over, although the upstream's own tokens would last.
func TestCallers_what_the_upstream_takes_back(t *testing.T) {
	for name, take := range map[string]func(*people){
		"the password": func(p *people) { p.passwords["alice"] = "another" },
		"the account":  func(p *people) { delete(p.passwords, "alice") },
		"the right":    func(p *people) { p.may["alice"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := openStreet(t)
			s.want("alice", s.as("alice"), secret, "")
			s.people.do(take)
			if _, err := s.Blob(s.as("alice"), secret, s.image(secret).Layers[1].Digest); err != nil {
				t.Errorf("within the minutes: %v", err)
			}
			s.house.later(5 * time.Minute)
			s.want("alice after them", s.as("alice"), secret, denied403)
			s.people.do(func(p *people) { p.away = upstreamtest.Status(502) })
			s.house.later(time.Minute)
			s.want("alice, while the upstream is away", s.as("alice"), secret, down503)
		})
	}
}

// While the upstream is away, whoever was admitted within the hour goes on.
func TestCallers_while_the_upstream_is_away(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{"5xx": upstreamtest.Status(502), "resets": upstreamtest.NoAnswer(), "429": upstreamtest.TooMany(time.Second)} {
		t.Run(name, func(t *testing.T) {
			s := openStreet(t)
			s.want("alice", s.as("alice"), secret, "")
			s.want("nobody", s.as(""), public, "")
			s.people.do(func(p *people) { p.away = fault })
			refused := []string{down503, registry.UpstreamLimited}
			s.want("bob", s.as("bob"), secret, refused...)
			s.want("alice with a wrong password", s.with("alice", "wrong-canary"), secret, refused...)
			s.want("nobody", s.as(""), secret, refused...)
			s.house.later(59 * time.Minute)
			ctx, notes := registry.WithNotes(s.as("alice"))
			if _, err := s.Resolve(ctx, secret, string(s.image(secret).Descriptor.Digest)); err != nil || notes.Stale == "" {
				t.Errorf("%v, %q; want a note that it could not be asked", err, notes.Stale)
			}
			s.want("alice within the hour", s.as("alice"), secret, "")
			s.want("nobody within the hour", s.as(""), public, "")
			s.house.later(time.Minute)
			s.want("alice after it", s.as("alice"), secret, refused...)
			s.want("nobody after it", s.as(""), public, refused...)
			s.people.do(func(p *people) { p.away = nil })
			s.house.later(time.Minute)
			s.want("alice, when it is back", s.as("alice"), secret, "")
		})
	}
}

// An upstream that lets nobody list tags, and a blob that somebody wants before any manifest.
func TestCallers_where_tags_are_not_listed(t *testing.T) {
	s := openStreet(t, func(p *people) { p.lists = false })
	d := s.image(secret).Layers[1].Digest
	if _, err := s.Blob(s.as("alice"), secret, d); err != nil {
		t.Error("alice:", err)
	}
	if _, err := s.Blob(s.as("bob"), secret, d); registry.Code(err) != denied403 {
		t.Error("bob:", err)
	}
}

// What is told of repositories outside of them is told to those who were admitted just now.
func TestCallers_Admitted(t *testing.T) {
	s := openStreet(t)
	admitted := func(when string, ctx context.Context, repo string, want bool) {
		t.Helper()
		if got := s.Admitted(ctx, repo); got != want {
			t.Errorf("%s: %s is shown: %v, want %v", when, repo, got, want)
		}
	}
	admitted("at first", s.as("alice"), secret, false)
	admitted("what is ours", s.as(""), "cloud/dmp/app", true)
	s.want("alice", s.as("alice"), secret, "")
	s.want("nobody", s.as(""), public, "")
	s.up.Forget()
	admitted("alice", s.as("alice"), secret, true)
	admitted("alice by another password", s.with("alice", "x"), secret, false)
	admitted("bob", s.as("bob"), secret, false)
	admitted("nobody", s.as(""), secret, false)
	admitted("nobody", s.as(""), public, true)
	s.house.later(5 * time.Minute)
	admitted("later", s.as("alice"), secret, false)
	if len(s.up.Requests()) != 0 {
		t.Errorf("the upstream was asked: %v", s.up.Requests())
	}
}

func TestCallers_Login(t *testing.T) {
	s := openStreet(t)
	login := func(name, password string) (bool, error) {
		proven, until, err := s.Login(t.Context(), gated, remote.Credentials{Username: name, Password: password})
		if err == nil && until.Sub(s.now()) > 5*time.Minute {
			t.Errorf("%s is believed until %v", name, until)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error holds a secret: %v", err)
		}
		return proven, err
	}
	right := func(when string, want bool) {
		t.Helper()
		if proven, err := login("alice", "alice-canary"); err != nil || proven != want {
			t.Errorf("%s: %v, %v; want a login, proven: %v", when, proven, err, want)
		}
	}
	wrong := func(when string, want error) {
		t.Helper()
		if _, err := login("alice", "wrong-canary"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	right("at first", true)
	wrong("at first", remote.ErrDenied)
	s.up.Forget()
	right("again", true)
	wrong("again", remote.ErrDenied)
	if len(s.up.Requests()) != 0 {
		t.Errorf("what was just asked is asked again: %v", s.up.Requests())
	}
	s.people.do(func(p *people) { p.away = upstreamtest.Status(503) })
	s.house.later(30 * time.Minute)
	right("while it is away", true)
	wrong("while it is away", remote.ErrDown)
	s.house.later(time.Hour)
	if _, err := login("alice", "alice-canary"); !errors.Is(err, remote.ErrDown) {
		t.Errorf("after an hour: %v, want %v", err, remote.ErrDown)
	}
	s.people.do(func(p *people) { p.away, p.passwords["alice"] = nil, "another" })
	if _, err := login("alice", "alice-canary"); !errors.Is(err, remote.ErrDenied) {
		t.Errorf("with the former password: %v, want %v", err, remote.ErrDenied)
	}
	// Where everybody is let in at the door, nothing is proven, and the repositories tell.
	s.people.do(func(p *people) { p.open, p.passwords["alice"] = true, "alice-canary" })
	s.house.later(time.Hour)
	right("at an open door", false)
	if proven, err := login("alice", "wrong-canary"); proven || err != nil {
		t.Errorf("a wrong password at an open door: %v, %v", proven, err)
	}
	s.want("who has come in by an open door", s.with("alice", "wrong-canary"), secret, denied403)
	for _, name := range []string{"other.example.com", ""} {
		if _, _, err := s.Login(t.Context(), name, remote.Credentials{Username: "a", Password: "b"}); err == nil {
			t.Errorf("a login at %q", name)
		}
	}
}

// However many come, what is remembered of them has an end.
func TestCallers_remember_so_many(t *testing.T) {
	s := openStreet(t)
	for n := range maxPasses + maxPasses/2 {
		s.let(passKey{repo: fmt.Sprint(n)}, pass{at: s.now()})
		s.turn(passKey{repo: fmt.Sprint("x", n)}, remote.ErrDenied)
	}
	if len(s.passes) > maxPasses || len(s.turned) > maxTurnedAway || len(s.passes) < maxPasses/2 {
		t.Errorf("%d passes and %d refusals are remembered", len(s.passes), len(s.turned))
	}
}

func TestNewCallers_refuses(t *testing.T) {
	h := build(t)
	offline := build(t, func(u *Upstream) { u.Offline = true })
	for name, c := range map[string]struct {
		t *Through
		c CallersConfig
	}{
		"no such upstream":   {h.Through, CallersConfig{Upstream: "other.example.com"}},
		"too long":           {h.Through, CallersConfig{Upstream: gated, Admission: 2 * time.Hour}},
		"less than nothing":  {h.Through, CallersConfig{Upstream: gated, Admission: -1}},
		"nobody to be asked": {offline.Through, CallersConfig{Upstream: gated}},
	} {
		if _, err := NewCallers(c.t, c.c); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
