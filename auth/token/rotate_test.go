package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// published returns the ids of the published keys.
func published(t *testing.T, i *Issuer) (all []string) {
	t.Helper()
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(i.Keys(), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		all = append(all, k.ID)
	}
	return all
}

// signedBy returns the id of the key that signs now.
func signedBy(t *testing.T, i *Issuer) string {
	t.Helper()
	p, err := split(mint(t, i, bob))
	if err != nil {
		t.Fatal(err)
	}
	return i.ring.Load().byHeader[p.header].id
}

func tend(t *testing.T, all ...*Issuer) {
	t.Helper()
	for _, i := range all {
		if err := i.tend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRun_rotates_and_refuses_nobody has two processes share an index for some hours, in which several keys follow one another.
func TestRun_rotates_and_refuses_nobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := kv.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		var both []*Issuer
		for range 2 {
			i, err := Open(ctx, Config{Index: db, Service: service, KeyTTL: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, i)
			go i.Run(ctx)
			time.Sleep(20 * time.Second)
		}
		var tokens []Minted
		var signers []string
		known := map[string]time.Time{} // since when both know the key
		for range 5 * 60 {
			time.Sleep(time.Minute)
			for _, i := range both {
				m, err := i.Mint(alice, nil)
				if err != nil {
					t.Fatal(err)
				}
				tokens = append(tokens, m)
			}
			for len(tokens) > 0 && !time.Now().Before(tokens[0].Expires) {
				tokens = tokens[1:]
			}
			for _, m := range tokens {
				takes(t, both[0], m.Token)
				takes(t, both[1], m.Token)
			}
			for _, id := range published(t, both[0]) {
				if _, seen := known[id]; !seen && slices.Contains(published(t, both[1]), id) {
					known[id] = time.Now()
				}
			}
			if id := signedBy(t, both[0]); !slices.Contains(signers, id) {
				if signers = append(signers, id); len(signers) > 1 && time.Since(known[id]) < 4*time.Minute {
					t.Errorf("key %s signs, both know it for %s only", id, time.Since(known[id]))
				}
			}
			for _, k := range rows(t, db) {
				if n := slices.Index(signers, k.id); n > 0 && k.signs.Sub(k.created) < 5*time.Minute {
					t.Errorf("key %s is made at %s and signs at %s", k.id, k.created, k.signs)
				}
			}
			if n := len(rows(t, db)); n > 2 {
				t.Fatalf("%d keys in the index, want at most the one that signs and the one before or after it", n)
			}
		}
		if len(signers) != 6 { // the hours begun
			t.Errorf("%d keys have signed in five hours, want one an hour", len(signers))
		}
		got := events(t, db)
		for n, id := range signers {
			if n < 5 && n > 0 && !slices.Contains(got, "system key.remove key:"+signers[n-1]) {
				t.Errorf("the journal does not say that %s is removed: %q", signers[n-1], got)
			}
			if !slices.Contains(got, "system key.add key:"+id) {
				t.Errorf("the journal does not say that %s is added: %q", id, got)
			}
		}
		cancel()
		synctest.Wait() // both have ended, or the bubble would say so
	})
}

func TestRun_goes_on_when_the_index_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &counter{DB: kv.NewMemory()}
		ctx, cancel := context.WithCancel(t.Context())
		var log bytes.Buffer
		i, err := Open(ctx, Config{Index: db, Service: service, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { i.Run(ctx) })
		db.fail.Store(true)
		time.Sleep(10*time.Minute + time.Second)
		takes(t, i, mint(t, i, alice))
		db.fail.Store(false)
		time.Sleep(10 * time.Minute)
		leave := func() { cancel() } // which is no fault
		db.during.Store(&leave)
		time.Sleep(time.Minute)
		running.Wait()
		if n := strings.Count(log.String(), "signing keys cannot be looked after"); n != 10 {
			t.Errorf("%d warnings, want one for each of ten minutes: %s", n, &log)
		}
	})
}

func TestRotate_publishes_before_it_signs(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	a, b := open(t, db, c), open(t, db, c)
	first, epoch := signedBy(t, a), a.Epoch()
	ctx := journal.By(t.Context(), journal.Actor{Name: "user:root"})
	for range 3 { // while one waits, there is nothing to do
		if err := a.Rotate(ctx, false); err != nil {
			t.Fatal(err)
		}
	}
	keys := published(t, a)
	if len(keys) != 2 || keys[0] != first {
		t.Fatalf("published: %q, want %s and another one", keys, first)
	}
	if got := events(t, db); len(got) != 2 || got[1] != "user:root key.add key:"+keys[1] {
		t.Errorf("journal: %q", got)
	}
	c.pass(lead - time.Second)
	if signedBy(t, a) != first {
		t.Error("the new key signs too early")
	}
	last := mint(t, b, alice)
	c.pass(time.Second)
	if signedBy(t, a) != keys[1] {
		t.Error("the new key does not sign yet")
	}
	late := mint(t, b, alice) // it has not heard of the new key
	takes(t, b, mint(t, a, alice))
	takes(t, a, late)
	c.pass(defaultTTL - 2*time.Second)
	tend(t, a, b)
	takes(t, a, last)
	takes(t, b, late)
	if n := len(rows(t, db)); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	c.pass(lead + 2*time.Second)
	stolen := goodClaims()
	stolen.Issued, stolen.NotBefore, stolen.Expires = c.now().Unix(), c.now().Unix(), c.now().Unix()+60
	takes(t, a, rows(t, db)[1].jws(encode(t, stolen)))
	refuses(t, a, rows(t, db)[0].jws(encode(t, stolen))) // its key has ended, though it is still there
	if got := published(t, a); !slices.Equal(got, keys[1:]) {
		t.Errorf("published: %q, want %q", got, keys[1:])
	}
	if a.Epoch() != epoch {
		t.Error("an epoch ended, but no key has gone yet")
	}
	tend(t, a, b)
	if n := len(rows(t, db)); n != 1 || a.Epoch() == epoch || b.Epoch() == 0 {
		t.Errorf("%d keys, want the new one, in another epoch", n)
	}
	if got := events(t, db); len(got) != 3 || got[2] != "system key.remove key:"+first {
		t.Errorf("journal: %q", got)
	}
}

func TestRotate_with_revoke_withdraws_all_old_tokens(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	a, b, idle := open(t, db, c), open(t, db, c), open(t, db, c)
	if err := a.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	old := []string{mint(t, a, alice), mint(t, b, alice), rows(t, db)[1].jws(encode(t, goodClaims()))}
	epochs := []uint64{a.Epoch(), b.Epoch(), idle.Epoch()}
	if err := a.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	fresh := mint(t, a, alice)
	takes(t, a, fresh)
	takes(t, b, fresh) // which makes it read the keys
	tend(t, idle)
	for n, i := range []*Issuer{a, b, idle} {
		for _, raw := range old {
			refuses(t, i, raw)
		}
		takes(t, i, fresh)
		takes(t, i, mint(t, i, alice))
		if got := published(t, i); len(got) != 1 {
			t.Errorf("published: %q, want the new key alone", got)
		}
		if i.Epoch() == epochs[n] {
			t.Error("the epoch is the same: who keeps what was verified does not hear of it")
		}
	}
	got := events(t, db)
	if len(got) != 5 || !strings.Contains(got[2], "key.remove") || !strings.Contains(got[3], "key.remove") || !strings.Contains(got[4], "key.add") {
		t.Errorf("journal: %q", got)
	}
}

func TestRotate_tells_what_failed(t *testing.T) {
	db := &counter{DB: kv.NewMemory()}
	i := open(t, db, new(clock))
	raw := mint(t, i, alice)
	db.fail.Store(true)
	if err := i.Rotate(t.Context(), true); err == nil || !strings.Contains(err.Error(), "the index is changed, but") {
		t.Errorf("%v, want that the index has new keys", err)
	}
	db.fail.Store(false)
	tend(t, i)
	refuses(t, i, raw)
	raw = mint(t, i, alice)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, revoke := range []bool{false, true} {
		if err := i.Rotate(t.Context(), revoke); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("%v, want %v", err, kv.ErrClosed)
		}
	}
	takes(t, i, raw)
}

func TestTend_mends_what_was_lost(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	i := open(t, db, c)
	if err := i.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	first, next := rows(t, db)[0].id, rows(t, db)[1].id
	lose := func(ids ...string) {
		t.Helper()
		if err := db.Update(t.Context(), func(tx kv.Tx) error {
			for _, id := range ids {
				tx.Delete(keyOf(id))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	old := mint(t, i, alice)
	lose(next)
	tend(t, i)
	takes(t, i, old)
	if id := signedBy(t, i); id == first || id == next {
		t.Error("the key that was to follow is lost, and no other one signs")
	}
	lose(published(t, i)...)
	takes(t, i, old) // nothing is known that could take the place of what was
	if err := i.reload(t.Context()); !errors.Is(err, errNoKeys) {
		t.Errorf("%v, want %v", err, errNoKeys)
	}
	tend(t, i)
	refuses(t, i, old)
	takes(t, i, mint(t, i, alice))
	if n := len(rows(t, db)); n != 1 {
		t.Errorf("%d keys, want a new first one", n)
	}
}

// TestTend_after_a_long_rest has a registry come back long after its key should have been followed.
func TestTend_after_a_long_rest(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	first := signedBy(t, open(t, db, c))
	c.pass(defaultKeyTTL - lead - time.Second)
	if n := len(published(t, open(t, db, c))); n != 1 {
		t.Errorf("%d keys a second too early, want 1", n)
	}
	c.pass(defaultKeyTTL)
	i := open(t, db, c)
	if id := signedBy(t, i); id != first || len(published(t, i)) != 2 {
		t.Errorf("%s signs, want %s until the next one is known to all", id, first)
	}
	c.pass(lead)
	if id := signedBy(t, i); id == first {
		t.Error("the next key does not sign")
	}
}

// TestMint_ends_with_its_key has processes differ in how long a token is good for.
func TestMint_ends_with_its_key(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	a := open(t, db, c)
	b, err := Open(t.Context(), Config{Index: db, Service: service, TTL: time.Hour, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	tend(t, b)
	m, err := b.Mint(alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	if end := start.Add(lead + defaultTTL + lead); !m.Expires.Equal(end) {
		t.Errorf("ends at %s, want %s as its key", m.Expires, end)
	}
	c.pass(m.Expires.Sub(start) - time.Second)
	takes(t, a, m.Token)
	b.ring.Store(newRing(rows(t, db)[:1], b.ring.Load()))
	c.pass(time.Second)
	if m, err := b.Mint(alice, nil); err == nil || !strings.Contains(err.Error(), "no key to sign with") {
		t.Errorf("%+v, %v, want an error: the one key that is known has ended", m, err)
	}
}

func TestIssuer_serves_many_while_keys_change(t *testing.T) {
	db := kv.NewMemory()
	var all []*Issuer
	for range 2 {
		i, err := Open(t.Context(), Config{Index: db, Service: service})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, i)
	}
	var group sync.WaitGroup
	for _, i := range all {
		for range 4 {
			group.Go(func() {
				for range 50 {
					epoch := i.Epoch()
					m, err := i.Mint(alice, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if _, _, err := i.Verify(t.Context(), m.Token); err != nil && i.Epoch() == epoch {
						t.Errorf("refused, and no key has gone: %v", err)
					}
					i.Keys()
				}
			})
		}
		group.Go(func() {
			for n := range 10 {
				if err := errors.Join(i.Rotate(t.Context(), n%2 == 0), i.tend(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := len(rows(t, db)); n < 1 || n > 2 {
		t.Errorf("%d keys, want 1 or 2", n)
	}
}
