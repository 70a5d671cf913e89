package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// clock is one that the test moves.
type clock struct {
	sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.Lock()
	defer c.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.now = c.now.Add(d)
}

func openKeys(t testing.TB, db kv.DB, c *clock, change ...func(*KeysConfig)) *Keys {
	t.Helper()
	config := KeysConfig{Index: db, Service: "registry.example.com:5000", Overlap: 24 * time.Hour, Now: c.Now}
	for _, f := range change {
		f(&config)
	}
	k, err := OpenKeys(config)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func fingerprints(t testing.TB, k *Keys) (signing, trusted []string) {
	t.Helper()
	signers, err := k.Signers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signers {
		signing = append(signing, s.Fingerprint)
	}
	text, err := k.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range readKeyring(t, text) {
		trusted = append(trusted, fmt.Sprintf("%X", e.PrimaryKey.Fingerprint))
	}
	return signing, trusted
}

// events returns what the journal says, without the ids.
func events(t testing.TB, db kv.DB) (all []string) {
	t.Helper()
	for line, err := range journal.New(db).Tail(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSpace(fmt.Sprint(line.Event.Actor, " ", line.Event.Action, " ", line.Event.Object, " ", line.Event.Note)))
	}
	return all
}

// rowsOf returns the rows of the keys, by their fingerprints.
func rowsOf(t testing.TB, db kv.DB) map[string]row {
	t.Helper()
	all := map[string]row{}
	from, to := kv.Prefix("apt/key/")
	for p, err := range db.Scan(t.Context(), from, to) {
		var r row
		if err == nil {
			err = json.Unmarshal(p.Value, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.Key, "apt/key/")] = r
	}
	return all
}

func TestKeys_first_one_is_made_once_by_many(t *testing.T) {
	db, c := kv.NewMemory(), &clock{now: noon}
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for i := range 16 {
		k := openKeys(t, db, c)
		all.Go(func() {
			if i%2 == 0 {
				if _, err := k.Public(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			signers, err := k.Signers(t.Context())
			if err != nil || len(signers) != 1 {
				t.Errorf("%d signers, %v", len(signers), err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[signers[0].Fingerprint] = true
		})
	}
	all.Wait()
	if len(seen) != 1 || len(rowsOf(t, db)) != 1 {
		t.Errorf("%d first keys, and %d rows", len(seen), len(rowsOf(t, db)))
	}
	for fingerprint, r := range rowsOf(t, db) {
		if !seen[fingerprint] || len(fingerprint) != 40 || strings.ToUpper(fingerprint) != fingerprint || !r.Created.Equal(noon) || !r.Retires.IsZero() ||
			!strings.HasPrefix(r.Private, "-----BEGIN PGP PRIVATE KEY BLOCK-----") || !strings.HasPrefix(r.Public, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
			t.Errorf("row %s was made at %s and retires at %s", fingerprint, r.Created, r.Retires)
		}
		if got, want := events(t, db), []string{"system key.add apt-key:" + fingerprint + " ed25519"}; !slices.Equal(got, want) {
			t.Errorf("the journal says %q, want %q", got, want)
		}
	}
	opened := openKeys(t, db, c)
	text, err := opened.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range readKeyring(t, text) {
		if got := e.PrimaryIdentity().Name; got != "Entrepôt suite signing (registry.example.com:5000)" {
			t.Errorf("the user id is %q", got)
		}
		if e.PrivateKey != nil || len(e.Subkeys) > 0 || e.PrimaryIdentity().SelfSignature.Hash.String() != "SHA-512" || e.PrimaryIdentity().SelfSignature.KeyLifetimeSecs != nil {
			t.Errorf("the published key has a private half, subkeys, an end, or a weak signature: %v", e)
		}
	}
}

func TestRotate_both_sign_for_a_while(t *testing.T) {
	db, c := kv.NewMemory(), &clock{now: noon}
	k, other := openKeys(t, db, c), openKeys(t, db, c)
	first, trusted := fingerprints(t, k)
	if !slices.Equal(first, trusted) || len(first) != 1 {
		t.Fatalf("at first %q sign, and %q are trusted", first, trusted)
	}
	ring := trusting(t, read(t, k)...)
	c.pass(time.Hour)
	ctx := journal.By(t.Context(), journal.Actor{Name: "user:alice"})
	if err := k.Rotate(ctx, false); err != nil {
		t.Fatal(err)
	}
	both, trusted := fingerprints(t, other)
	if len(both) != 2 || both[0] != first[0] || !slices.Equal(both, trusted) {
		t.Fatalf("after the rotation %q sign, and %q are trusted", both, trusted)
	}
	if err := accepts(t, ring, published(t, other, c), c.now); err != nil {
		t.Errorf("who trusts the old key: %v", err)
	}
	if err := accepts(t, trusting(t, read(t, k)[1]), published(t, other, c), c.now); err != nil {
		t.Errorf("who trusts the new key: %v", err)
	}
	if err := k.Rotate(ctx, false); err == nil || !strings.Contains(err.Error(), first[0]+" does until 2026-05-11T13:00:00Z") {
		t.Errorf("another rotation: %v, want to hear until when", err)
	}
	c.pass(24*time.Hour - time.Second)
	if signing, _ := fingerprints(t, k); len(signing) != 2 {
		t.Errorf("a second before the end %q sign", signing)
	}
	c.pass(time.Second)
	if signing, trusted := fingerprints(t, k); len(signing) != 1 || signing[0] != both[1] || !slices.Equal(trusted, both) {
		t.Errorf("at the end %q sign, and %q are trusted", signing, trusted)
	}
	if err := accepts(t, ring, published(t, other, c), c.now); err == nil {
		t.Error("who trusts the old key alone still accepts what the new one signed")
	}
	if all := rowsOf(t, db); all[both[0]].Private != "" || all[both[1]].Private == "" || all[both[0]].Public == "" {
		t.Errorf("private halves: %t %t", all[both[0]].Private != "", all[both[1]].Private != "")
	}
	c.pass(lately - time.Second)
	if _, trusted := fingerprints(t, k); !slices.Equal(trusted, both) {
		t.Errorf("30 days later %q are trusted", trusted)
	}
	c.pass(time.Second)
	if _, trusted := fingerprints(t, k); !slices.Equal(trusted, both[1:]) || len(rowsOf(t, db)) != 1 {
		t.Errorf("after 30 days %q are trusted", trusted)
	}
	if got, want := events(t, db), []string{
		"system key.add apt-key:" + both[0] + " ed25519",
		"user:alice key.retire apt-key:" + both[0] + " it signs until 2026-05-11T13:00:00Z",
		"user:alice key.add apt-key:" + both[1] + " ed25519",
		"system key.retire apt-key:" + both[0] + " it signs no more, its private half is removed",
		"system key.remove apt-key:" + both[0],
	}; !slices.Equal(got, want) {
		t.Errorf("the journal says %q, want %q", got, want)
	}
	if err := k.Rotate(ctx, false); err != nil {
		t.Errorf("the next rotation: %v", err)
	}
}

// read returns the keys as they are.
func read(t testing.TB, k *Keys) []*key {
	t.Helper()
	r, err := k.read(t.Context(), k.c.Index)
	if err != nil {
		t.Fatal(err)
	}
	return r.keys
}

// published builds a suite with the keys that sign now.
func published(t testing.TB, k *Keys, c *clock) *Snapshot {
	t.Helper()
	signers, err := k.Signers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return build1(t, cloud, few(), c.Now(), nil, signers...)
}

func TestRotate_revokes_at_once(t *testing.T) {
	db, c := kv.NewMemory(), &clock{now: noon}
	k := openKeys(t, db, c)
	first, _ := fingerprints(t, k)
	if err := k.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("apt/key/FF", []byte("no key")); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	signing, trusted := fingerprints(t, k)
	if len(signing) != 1 || signing[0] == first[0] || !slices.Equal(signing, trusted) || len(rowsOf(t, db)) != 1 {
		t.Errorf("%q sign, %q are trusted, and there are %d rows", signing, trusted, len(rowsOf(t, db)))
	}
	if got := events(t, db); !slices.Contains(got, "system key.remove apt-key:"+first[0]) || !slices.Contains(got, "system key.remove apt-key:FF") {
		t.Errorf("the journal says %q", got)
	}
}

func TestRotate_changes_the_algorithm(t *testing.T) {
	db, c := kv.NewMemory(), &clock{now: noon}
	fingerprints(t, openKeys(t, db, c))
	k := openKeys(t, db, c, func(c *KeysConfig) { c.Algorithm = RSA4096 })
	if err := k.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	all, err := k.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Algorithm != Ed25519 || all[1].Algorithm != RSA4096 || all[0].Retires.IsZero() || !all[1].Retires.IsZero() {
		t.Errorf("%v, %+v", err, all)
	}
	for _, key := range read(t, k) {
		if err := accepts(t, trusting(t, key), published(t, k, c), noon); err != nil {
			t.Errorf("%s: %v", key.algorithm, err)
		}
	}
}

// A key that cannot be read must not be replaced without a word: every host would refuse the suites.
func TestKeys_makes_none_in_the_place_of_one_it_cannot_read(t *testing.T) {
	c := &clock{now: noon}
	good := made(t, Ed25519, noon)
	another := made(t, Ed25519, noon)
	text := func(change func(*row)) []byte {
		public, err := keyring([]*key{good})
		if err != nil {
			t.Fatal(err)
		}
		r := row{Public: string(public), Private: good.armored(), Created: noon}
		change(&r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, value := range map[string][]byte{
		"a passphrase":          text(func(r *row) { r.Private = locked(t, good) }),
		"no JSON":               []byte(`{"private":"` + good.armored()),
		"another JSON":          []byte(`[]`),
		"no key":                []byte(`{}`),
		"no armor":              text(func(r *row) { r.Private = "x" }),
		"half of it":            text(func(r *row) { r.Private = r.Private[:len(r.Private)/2] }),
		"the public half":       text(func(r *row) { r.Private = r.Public }),
		"another one's":         text(func(r *row) { r.Private = another.armored() }),
		"the private as public": text(func(r *row) { r.Public, r.Private = r.Private, "" }),
	} {
		db := kv.NewMemory()
		if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(keyOf(good.fingerprint), value); return nil }); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		k := openKeys(t, db, c, func(c *KeysConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		_, err := k.Signers(t.Context())
		if err == nil || !strings.Contains(err.Error(), "rotate the keys and revoke the old ones") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := k.Public(t.Context()); err == nil {
			t.Errorf("%s: there is a keyring", name)
		}
		if !strings.Contains(log.String(), good.fingerprint) || containsSecret(log.String(), good) || containsSecret(log.String(), another) || strings.Contains(fmt.Sprint(err), "BEGIN") {
			t.Errorf("%s: the log says %s", name, &log)
		}
		if len(events(t, db)) > 0 {
			t.Errorf("%s: the journal says %q", name, events(t, db))
		}
		if err := k.Rotate(t.Context(), false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if signing, _ := fingerprints(t, k); len(signing) != 1 || signing[0] == good.fingerprint {
			t.Errorf("%s: after a rotation %q sign", name, signing)
		}
	}
}

// locked returns the private half of a key behind a passphrase, as gpg would export it.
func locked(t testing.TB, k *key) string {
	t.Helper()
	list := readKeyring(t, []byte(k.armored()))
	if err := list[0].PrivateKey.Encrypt([]byte("passphrase")); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w, err := armor.Encode(&b, privateBlock, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(list[0].SerializePrivateWithoutSigning(w, nil), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestKeys_goes_on_when_the_last_one_was_removed(t *testing.T) {
	db, c := kv.NewMemory(), &clock{now: noon}
	k := openKeys(t, db, c)
	first, _ := fingerprints(t, k)
	if err := k.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	both, _ := fingerprints(t, k)
	if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Delete(keyOf(both[1])); return nil }); err != nil {
		t.Fatal(err)
	}
	signing, _ := fingerprints(t, k)
	if len(signing) != 2 || signing[0] != first[0] || signing[1] == both[1] {
		t.Errorf("%q sign, want the old one and another", signing)
	}
	c.pass(24 * time.Hour)
	last, _ := fingerprints(t, k)
	if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Delete(keyOf(last[0])); return nil }); err != nil {
		t.Fatal(err)
	}
	if signing, _ := fingerprints(t, k); len(last) != 1 || len(signing) != 1 || signing[0] == last[0] {
		t.Errorf("%q sign, and when that was removed %q", last, signing)
	}
	over := 0
	for _, e := range events(t, db) {
		if strings.Contains(e, "it signs no more") {
			over++
		}
	}
	if over != 1 {
		t.Errorf("the journal says %d times that the first key signs no more: %q", over, events(t, db))
	}
}

func TestKeys_secrets_are_in_rows_alone(t *testing.T) {
	db, c := kv.NewMemory(), &clock{now: noon}
	var log bytes.Buffer
	k := openKeys(t, db, c, func(c *KeysConfig) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	fingerprints(t, k)
	if err := k.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	keys := read(t, k)
	public, err := k.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	infos, err := k.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := published(t, k, c)
	for _, key := range keys {
		for name, text := range map[string]string{
			"log": log.String(), "journal": strings.Join(events(t, db), "\n"), "keyring": string(public), "list": fmt.Sprintf("%#v", infos),
			"keys": fmt.Sprintf("%#v", k), "InRelease": s.text(t, InRelease), "Release.gpg": s.text(t, ReleaseGPG),
		} {
			if strings.Contains(text, "PRIVATE") || containsSecret(text, key) {
				t.Errorf("the %s shows the private half of %s", name, key.fingerprint)
			}
		}
	}
}

// failing is an index that does not answer.
type failing struct{ kv.DB }

var errIndex = errors.New("the index is away")

func (failing) Update(context.Context, func(kv.Tx) error) error { return errIndex }

func TestKeys_tells_when_the_index_fails(t *testing.T) {
	c := &clock{now: noon}
	k := openKeys(t, failing{kv.NewMemory()}, c)
	_, err1 := k.Signers(t.Context())
	_, err2 := k.Public(t.Context())
	_, err3 := k.List(t.Context())
	for _, err := range []error{err1, err2, err3, k.Rotate(t.Context(), true)} {
		if !errors.Is(err, errIndex) {
			t.Errorf("%v", err)
		}
	}
	db := kv.NewMemory()
	k = openKeys(t, db, c)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Signers(t.Context()); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestOpenKeys_refuses_what_makes_no_key(t *testing.T) {
	for want, c := range map[string]KeysConfig{
		"no index":               {Service: "x"},
		"name the registry":      {Index: kv.NewMemory()},
		"service \"a(b)\"":       {Index: kv.NewMemory(), Service: "a(b)"},
		"service \"a\\nb\"":      {Index: kv.NewMemory(), Service: "a\nb"},
		"choose ed25519 or rsa4": {Index: kv.NewMemory(), Service: "x", Algorithm: "dsa"},
		"choose at least 1h0m0s": {Index: kv.NewMemory(), Service: "x", Overlap: time.Minute},
	} {
		if _, err := OpenKeys(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
