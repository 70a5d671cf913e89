package token

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const service = "registry.example.com"

// start is when the clocks of the tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock stands still until it is moved.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.passed.Load())) }
func (c *clock) pass(some time.Duration) { c.passed.Add(int64(some)) }

// open returns an issuer over db by a clock.
func open(t testing.TB, db kv.DB, c *clock) *Issuer {
	t.Helper()
	i, err := Open(t.Context(), Config{Index: db, Service: service, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func mint(t testing.TB, i *Issuer, who auth.Identity) string {
	t.Helper()
	m, err := i.Mint(who, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.Token
}

// takes wants a token to be good.
func takes(t testing.TB, i *Issuer, raw string) {
	t.Helper()
	if _, _, err := i.Verify(context.Background(), raw); err != nil {
		t.Errorf("a good token is refused: %v", err)
	}
}

// refuses wants a token to be wrong.
func refuses(t testing.TB, i *Issuer, raw string) {
	t.Helper()
	if who, _, err := i.Verify(context.Background(), raw); !errors.Is(err, auth.ErrWrong) {
		t.Errorf("a token that should be refused: %v, %v", who, err)
	}
}

// rows returns the keys in the index.
func rows(t testing.TB, db kv.DB) []*key {
	t.Helper()
	keys, err := readKeys(context.Background(), db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// events returns what the journal says of keys: "key.add key:x".
func events(t testing.TB, db kv.DB) (all []string) {
	t.Helper()
	for line, err := range journal.New(db).Tail(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line.Event.Actor+" "+line.Event.Action+" "+line.Event.Object)
	}
	return all
}

var (
	alice = auth.Identity{
		Kind: auth.User, Name: "alice", Groups: []string{"dmp", "Domain Users"}, Via: "session:1",
		Grants: []auth.Grant{{Role: auth.Reader, On: "cloud/**"}},
	}
	bob = auth.Identity{Kind: auth.User, Name: "bob"}
)

func TestOpen_refuses_what_makes_no_sense(t *testing.T) {
	closed := kv.NewMemory()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Service: service}, "no index"},
		{Config{Index: kv.NewMemory()}, "service of the tokens"},
		{Config{Index: kv.NewMemory(), Service: "a\nb"}, "service of the tokens"},
		{Config{Index: kv.NewMemory(), Service: service, TTL: time.Millisecond}, "choose between 1s and 24h"},
		{Config{Index: kv.NewMemory(), Service: service, TTL: 25 * time.Hour}, "choose between 1s and 24h"},
		{Config{Index: kv.NewMemory(), Service: service, KeyTTL: time.Minute}, "choose at least 1h"},
		{Config{Index: closed, Service: service}, kv.ErrClosed.Error()},
	} {
		if _, err := Open(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestOpen_many_at_once_make_one_first_key(t *testing.T) {
	db := kv.NewMemory()
	all := make([]*Issuer, 8)
	var group sync.WaitGroup
	for n := range all {
		group.Go(func() {
			i, err := Open(t.Context(), Config{Index: db, Service: service})
			if err != nil {
				t.Error(err)
			}
			all[n] = i
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	oneKeyForAll(t, db, all...)
}

func oneKeyForAll(t *testing.T, db kv.DB, all ...*Issuer) {
	t.Helper()
	if n := len(rows(t, db)); n != 1 {
		t.Fatalf("%d keys, want 1", n)
	}
	if got := events(t, db); len(got) != 1 || !strings.HasPrefix(got[0], "system key.add key:") {
		t.Errorf("journal: %q, want one key.add", got)
	}
	for _, a := range all {
		if !bytes.Equal(a.Keys(), all[0].Keys()) {
			t.Errorf("keys %s and %s", a.Keys(), all[0].Keys())
		}
		for _, b := range all {
			takes(t, b, mint(t, a, alice))
		}
	}
}

// interrupted is a database that does something else before each transaction, and gives the transaction up once before it lets it through.
type interrupted struct {
	kv.DB
	before func()
}

func (d interrupted) Update(ctx context.Context, fn func(kv.Tx) error) error {
	again := errors.New("again")
	if err := d.DB.Update(ctx, func(tx kv.Tx) error { return errors.Join(fn(tx), again) }); !errors.Is(err, again) {
		return err
	}
	d.before()
	return d.DB.Update(ctx, fn)
}

func TestOpen_finds_the_key_that_another_made_in_between(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	var other *Issuer
	one := open(t, interrupted{db, func() { other = open(t, db, c) }}, c)
	oneKeyForAll(t, db, one, other)
}

func TestOpen_uses_the_keys_that_are_there(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	raw := mint(t, open(t, db, c), alice)
	takes(t, open(t, db, c), raw)
	if n := len(rows(t, db)); n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
}

// TestOpen_goes_on_when_clocks_differ has a process come up behind the one that made the key.
func TestOpen_goes_on_when_clocks_differ(t *testing.T) {
	db, fast, slow := kv.NewMemory(), new(clock), new(clock)
	fast.pass(20 * time.Second)
	a, b := open(t, db, fast), open(t, db, slow)
	takes(t, a, mint(t, b, alice))
	takes(t, b, mint(t, a, alice))
	if n := len(rows(t, db)); n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
}

func TestIssuer_passes_over_rows_it_cannot_read(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	foreign := newKey(start, start)
	put := func(name string, value []byte) {
		if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(name, value); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	good := rowOf(t, foreign)
	put("auth/key/nothing", nil)
	put("auth/key/noise", []byte("{"))
	put("auth/key/other", []byte(`{"private":"AAAA","signs":"2026-01-01T00:00:00Z"}`))
	put("auth/key/moved", good)
	put(keyOf(foreign.id), bytes.Replace(good, []byte(`"signs":"2026`), []byte(`"signs":"9x26`), 1))
	timeless := newKey(start, time.Time{})
	put(keyOf(timeless.id), rowOf(t, timeless))
	var log bytes.Buffer
	i, err := Open(t.Context(), Config{Index: db, Service: service, Now: c.now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	takes(t, i, mint(t, i, alice))
	for _, name := range []string{"nothing", "noise", "other", "moved", foreign.id, timeless.id} {
		if !strings.Contains(log.String(), "key="+name+" ") {
			t.Errorf("the log does not name %s: %s", name, &log)
		}
	}
	hidesPrivate(t, log.String(), foreign)
	if err := i.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	if err := i.tend(t.Context()); err != nil || log.Len() > 0 {
		t.Errorf("after the old keys were revoked: %v, %s", err, &log)
	}
	if got := events(t, db); len(got) != 9 { // added, 6 and the first one removed, added
		t.Errorf("journal: %q", got)
	}
}

func rowOf(t *testing.T, k *key) []byte {
	t.Helper()
	db := kv.NewMemory()
	if err := db.Update(t.Context(), func(tx kv.Tx) error { return k.put(tx) }); err != nil {
		t.Fatal(err)
	}
	text, err := db.Get(t.Context(), keyOf(k.id))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// hidesPrivate wants a text to hold no spelling of a private key.
func hidesPrivate(t *testing.T, text string, k *key) {
	t.Helper()
	seed := k.private().Seed()
	var r row
	if err := json.Unmarshal(rowOf(t, k), &r); err != nil {
		t.Fatal(err)
	}
	for _, spelling := range []string{
		base64.StdEncoding.EncodeToString(r.Private), base64.RawURLEncoding.EncodeToString(seed), base64.RawStdEncoding.EncodeToString(seed),
		hex.EncodeToString(seed), strings.Trim(fmt.Sprint(seed), "[]"), strings.Trim(fmt.Sprintf("%#v", seed), "[]byte{}"), string(seed),
	} {
		if spelling == "" || strings.Contains(text, spelling) {
			t.Errorf("the private key shows as %q in %q", spelling, text)
		}
	}
}

func TestKey_never_shows_its_private_half(t *testing.T) {
	k := newKey(start, start)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		hidesPrivate(t, fmt.Sprintf(format, k), k)
		hidesPrivate(t, fmt.Sprintf(format, *k), k)
	}
	text, _ := json.Marshal(struct{ Key any }{k.public})
	hidesPrivate(t, string(text), k)
}
