package token

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

// fixed returns an issuer with one key that is always the same, so that what a fuzzer keeps stays worth keeping.
func fixed(f *testing.F) (*Issuer, *key) {
	f.Helper()
	k := keyFrom(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), start, start, time.Time{})
	db := kv.NewMemory()
	if err := db.Update(f.Context(), func(tx kv.Tx) error { return k.put(tx) }); err != nil {
		f.Fatal(err)
	}
	return open(f, db, new(clock)), k
}

func seeds(f *testing.F) (all [][]byte) {
	f.Helper()
	nobody := claims{Issuer: service, Audience: service, Issued: start.Unix(), NotBefore: start.Unix(), Expires: start.Unix() + 60, ID: strings.Repeat("B", lenID)}
	nobody.describe(auth.Identity{Scope: auth.Scope{{Type: "repository", Name: "a/**", Actions: []string{"pull", "*"}}}})
	return [][]byte{encode(f, goodClaims()), encode(f, nobody)}
}

// FuzzVerify shows tokens to an issuer that has minted two: it takes these, and nothing else.
func FuzzVerify(f *testing.F) {
	i, k := fixed(f)
	minted := map[string]bool{}
	for _, payload := range seeds(f) {
		raw := k.jws(payload)
		minted[raw] = true
		f.Add(raw)
		f.Add(raw + "=")
		f.Add(strings.Replace(raw, ".", "\n.", 1))
		f.Add(newKey(start, start).jws(payload))
		f.Add(forge(k, `{"alg":"none","kid":"x"}`, payload))
	}
	f.Add(k.jws([]byte(`{"iss":"https://gitlab.example.com"}`)))
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		who, until, err := i.Verify(t.Context(), raw)
		if (err == nil) != minted[raw] {
			t.Fatalf("%q: %v until %v, %v", raw, who, until, err)
		}
		if err != nil && !errors.Is(err, auth.ErrWrong) && !errors.Is(err, auth.ErrUnknown) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

// FuzzClaims shows an issuer payloads with its own good signature: what it takes is, to the letter, what it would have written for the same caller.
func FuzzClaims(f *testing.F) {
	i, k := fixed(f)
	for _, payload := range seeds(f) {
		f.Add(payload)
		f.Add(bytes.Replace(payload, []byte(`"kind"`), []byte(`"KIND"`), 1))
		f.Add(bytes.Replace(payload, []byte(`,`), []byte(`,"x":1,`), 1))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		who, until, err := i.Verify(t.Context(), k.jws(payload))
		if err != nil {
			return
		}
		if err := checkIdentity(who); err != nil {
			t.Fatal(err)
		}
		c, err := parseClaims(payload)
		if err != nil {
			t.Fatal(err)
		}
		again := claims{Issuer: service, Audience: service, Expires: until.Unix(), NotBefore: c.NotBefore, Issued: c.Issued, ID: c.ID}
		again.describe(who)
		if text := encode(t, again); !bytes.Equal(text, payload) || !until.After(start) {
			t.Fatalf("taken: %s\nwritten: %s", payload, text)
		}
	})
}
