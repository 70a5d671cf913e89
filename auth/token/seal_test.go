package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

func aCaller(t testing.TB, name, secret string) auth.Identity {
	t.Helper()
	who, err := auth.NewCaller("ghcr.example.com", name, secret)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// What a caller shows to the upstream comes out of the token on every process over the index, and cannot be read in it.
func TestSeal_opens_on_every_process_and_for_nobody_else(t *testing.T) {
	db, clock := kv.NewMemory(), &clock{}
	one, other := open(t, db, clock), open(t, db, clock)
	long := strings.Repeat("p", auth.MaxSecret)
	lengths := map[int]bool{}
	for _, secret := range []string{"canary", strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("x", 65), "with spaces ", long} {
		who := aCaller(t, "alice", secret)
		m, err := one.Mint(who, auth.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := other.Verify(t.Context(), m.Token)
		if err != nil || got.Secret.Reveal() != secret || got.String() != who.String() || len(got.Grants) != 1 || got.Via != who.Via {
			t.Errorf("%.20q came out as %s, %.20q, %v, %v", secret, got, got.Secret.Reveal(), got.Grants, err)
		}
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(m.Token, ".")[1])
		if bytes.Contains(payload, []byte(secret)) || strings.Contains(m.Token, base64.RawURLEncoding.EncodeToString([]byte(secret))) {
			t.Errorf("the token shows %.20q", secret)
		}
		if len(secret) < 64 {
			lengths[len(m.Token)] = true
		}
	}
	if len(lengths) != 1 {
		t.Errorf("tokens of short passwords have %d lengths, want one", len(lengths))
	}
	// With the keys gone, so is all that was sealed.
	m, err := one.Mint(aCaller(t, "alice", "canary"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	refuses(t, one, m.Token)
}

// A seal opens in its own token alone, even for whoever could sign.
func TestSeal_is_bound_to_its_token(t *testing.T) {
	i := open(t, kv.NewMemory(), &clock{})
	k, err := i.ring.Load().signer(start)
	if err != nil {
		t.Fatal(err)
	}
	good := goodClaims()
	good.describe(aCaller(t, "alice", "canary"))
	if good.Sealed, err = k.seal(&good, auth.NewSecret("canary")); err != nil {
		t.Fatal(err)
	}
	again := good
	if again.Sealed, _ = k.seal(&again, auth.NewSecret("canary")); again.Sealed == good.Sealed {
		t.Error("the same secret is sealed the same way twice")
	}
	takes(t, i, k.jws(encode(t, good)))
	for name, change := range map[string]func(*claims){
		"for somebody else":        func(c *claims) { c.Subject = "caller:ghcr.example.com/bob" },
		"of another upstream":      func(c *claims) { c.Subject = "caller:docker.io/alice" },
		"that ends later":          func(c *claims) { c.Expires += 60 },
		"with another id":          func(c *claims) { c.ID = strings.Repeat("B", lenID) },
		"with a part of the seal":  func(c *claims) { c.Sealed = c.Sealed[:len(c.Sealed)-4] },
		"with something appended":  func(c *claims) { c.Sealed += "AAAA" },
		"with a seal that is none": func(c *claims) { c.Sealed = "AAAA" },
		"with another spelling":    func(c *claims) { c.Sealed += "=" },
		"with too long a seal":     func(c *claims) { c.Sealed = strings.Repeat("A", maxSealed+4) },
		"without a seal":           func(c *claims) { c.Sealed = "" },
		"of no caller": func(c *claims) {
			c.describe(alice)
			c.Sealed, _ = k.seal(c, auth.NewSecret("canary"))
		},
	} {
		c := good
		change(&c)
		if who, _, err := i.Verify(t.Context(), k.jws(encode(t, c))); !errors.Is(err, auth.ErrWrong) || strings.Contains(err.Error(), "canary") {
			t.Errorf("a token %s: %s, %v, want ErrWrong", name, who, err)
		}
	}
}

func TestMint_seals_callers_alone(t *testing.T) {
	i := open(t, kv.NewMemory(), &clock{})
	nobody := aCaller(t, "alice", "canary")
	nobody.Secret = auth.Secret{}
	odd := alice
	odd.Secret = auth.NewSecret("canary")
	long := aCaller(t, "alice", "canary")
	long.Secret = auth.NewSecret(strings.Repeat("canary", 1000))
	holed := aCaller(t, "alice", "canary")
	holed.Secret = auth.NewSecret("canary\x00")
	for name, who := range map[string]auth.Identity{"a caller without a secret": nobody, "a user with one": odd, "a long one": long, "one with a NUL": holed} {
		if m, err := i.Mint(who, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, %v, want an error", name, m, err)
		}
	}
}

func TestIssuer_knows_what_it_has_issued(t *testing.T) {
	clock := &clock{}
	i := open(t, kv.NewMemory(), clock)
	ours := mint(t, i, alice)
	clock.pass(time.Hour)
	other, err := Open(t.Context(), Config{Index: kv.NewMemory(), Service: "other.example.com", Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]bool{
		ours: true, ours + "x": true, ours[:len(ours)-20]: true, mint(t, other, alice): false, "": false, "a.b.c": false, "hunter2": false, "a.e30.c": false,
	} {
		if i.Issued(raw) != want {
			t.Errorf("%.40q is ours: %v, want %v", raw, !want, want)
		}
	}
}
