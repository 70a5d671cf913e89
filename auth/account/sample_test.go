package account

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cheap hashes passwords as quickly as bcrypt can, and counts what was compared.
type cheap struct{ compared atomic.Int64 }

func (*cheap) Hash(_ context.Context, password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword(short(password), bcrypt.MinCost)
	return string(hash), err
}

func (c *cheap) Matches(_ context.Context, hash, password string) (bool, error) {
	c.compared.Add(1)
	err := bcrypt.CompareHashAndPassword([]byte(hash), short(password))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// short makes a password fit into bcrypt.
func short(password string) []byte {
	sum := sha256.Sum256([]byte(password))
	return sum[:]
}

// clock is a time that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// again is a database that runs each transaction twice, as one may that found another in its way.
type again struct{ kv.DB }

func (a again) Update(ctx context.Context, fn func(kv.Tx) error) error {
	errAgain := errors.New("once more")
	err := a.DB.Update(ctx, func(tx kv.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	return a.DB.Update(ctx, fn)
}

// sample is a store to test with, and what it stands on.
type sample struct {
	*Store
	*clock
	db      kv.DB
	hasher  *cheap
	changes atomic.Int64 // calls of OnChange
}

func open(t testing.TB, with ...func(*Config)) *sample {
	t.Helper()
	s := &sample{clock: newClock(), hasher: &cheap{}}
	c := Config{Index: again{kv.NewMemory()}, Passwords: s.hasher, Now: s.now, OnChange: func() { s.changes.Add(1) }}
	for _, w := range with {
		w(&c)
	}
	store, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.Store, s.db = store, c.Index
	return s
}

// now is both the clock's and the store's; tests mean the clock's.
func (s *sample) now() time.Time { return s.clock.now() }

// as makes the context of somebody.
func as(ctx context.Context, name string) context.Context {
	return journal.By(ctx, journal.Actor{Name: name, Remote: "192.0.2.7", Request: "r-1"})
}

const password = "correct horse battery"

func (s *sample) user(t testing.TB, name string, groups ...string) User {
	t.Helper()
	u, err := s.AddUser(as(t.Context(), "user:root"), name, password, groups, nil)
	must(t, err)
	return u
}

func (s *sample) robot(t testing.TB, name string) Robot {
	t.Helper()
	r, err := s.AddRobot(as(t.Context(), "user:root"), Robot{Name: name, On: "cloud/dmp"})
	must(t, err)
	return r
}

// secret adds one that lasts for an hour.
func (s *sample) secret(t testing.TB, of, purpose, via string) (Secret, string) {
	t.Helper()
	secret, plain, err := s.AddSecret(as(t.Context(), of), Secret{Of: of, Purpose: purpose, Via: via, Expires: s.now().Add(time.Hour)})
	must(t, err)
	return secret, plain
}

func (s *sample) login(t testing.TB, name, secret string) auth.Identity {
	t.Helper()
	who, _, err := s.Login(t.Context(), name, secret)
	must(t, err)
	return who
}

// use shows a secret as what it is for.
func (s *sample) use(t testing.TB, purpose, plain string) auth.Identity {
	t.Helper()
	if purpose != PurposeSession {
		return s.login(t, "", plain)
	}
	who, _, err := s.Session(t.Context(), plain)
	must(t, err)
	return who
}

// events returns what is in the journal, one line each: actor, action, object, path, note.
func (s *sample) events(t testing.TB) (all []string) {
	t.Helper()
	for line, err := range journal.New(s.db).Tail(t.Context(), 0, 0) {
		must(t, err)
		e := line.Event
		if e.Result != "ok" {
			t.Errorf("the result of %s is %q", e.Action, e.Result)
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", e.Actor, e.Action, e.Object, e.Repo, e.Note)))
	}
	return all
}

// since returns the events that do added, with ids of secrets left out.
func (s *sample) since(t testing.TB, do func()) string {
	t.Helper()
	before := len(s.events(t))
	do()
	return strings.Join(s.events(t)[before:], "\n")
}

// dump is the whole database as text.
func dump(t testing.TB, db kv.View) string {
	t.Helper()
	var b strings.Builder
	for p, err := range db.Scan(t.Context(), "", "") {
		must(t, err)
		fmt.Fprintf(&b, "%s = %s\n", p.Key, p.Value)
	}
	return b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode wants a refusal of that code, with a text.
func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if Code(err) != code || len(err.Error()) < 20 {
		t.Errorf("error %v, want code %q", err, code)
	}
}

// wantWrong wants auth.ErrWrong and nothing that looks like a fault.
func wantWrong(t testing.TB, err error, what string) {
	t.Helper()
	if !errors.Is(err, auth.ErrWrong) {
		t.Errorf("%s: error %v, want %v", what, err, auth.ErrWrong)
	}
}

// all collects a sequence.
func all[T any](t testing.TB, seq iter.Seq2[T, error]) (got []T) {
	t.Helper()
	for one, err := range seq {
		must(t, err)
		got = append(got, one)
	}
	return got
}

// drained runs through a sequence and returns its error.
func drained[T any](seq iter.Seq2[T, error]) (last error) {
	for _, err := range seq {
		last = err
	}
	return last
}

func inJSON(t testing.TB, what any) string {
	t.Helper()
	text, err := json.Marshal(what)
	must(t, err)
	return string(text)
}

func ptr[T any](v T) *T { return &v }

func sorted(lines string) string {
	l := strings.Split(lines, "\n")
	slices.Sort(l)
	return strings.Join(l, "\n")
}
