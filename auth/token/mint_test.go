package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

// payloadOf returns the claims of a token as others see them.
func payloadOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	p, err := split(raw)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(p.payload, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMint_writes_what_others_can_read(t *testing.T) {
	c := new(clock)
	c.pass(700 * time.Millisecond)
	i := open(t, kv.NewMemory(), c)
	m, err := i.Mint(alice, auth.Scope{{Type: "repository", Name: "cloud/a", Actions: []string{"pull", "push"}}})
	if err != nil {
		t.Fatal(err)
	}
	if end := start.Add(5 * time.Minute); !m.Issued.Equal(start) || !m.Expires.Equal(end) {
		t.Errorf("good from %s to %s, want %s to %s", m.Issued, m.Expires, start, end)
	}
	got := payloadOf(t, m.Token)
	if id, _ := got["jti"].(string); len(id) != lenID {
		t.Errorf("id %v", got["jti"])
	}
	delete(got, "jti")
	now := float64(start.Unix())
	want := map[string]any{
		"iss": service, "aud": service, "sub": "user:alice", "kind": "user", "via": "session:1", "exp": now + 300, "nbf": now, "iat": now,
		"groups": []any{"dmp", "Domain Users"}, "grants": []any{map[string]any{"role": "reader", "on": "cloud/**"}},
		"access": []any{map[string]any{"type": "repository", "name": "cloud/a", "actions": []any{"pull", "push"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	nobody := payloadOf(t, mint(t, i, auth.Identity{Scope: auth.Scope{}}))
	if len(nobody) != 8 || nobody["sub"] != "anonymous" || !reflect.DeepEqual(nobody["access"], []any{}) {
		t.Errorf("the anonymous: %v", nobody)
	}
	if again := payloadOf(t, mint(t, i, alice)); again["jti"] == payloadOf(t, mint(t, i, alice))["jti"] {
		t.Errorf("two tokens of one id: %v", again)
	}
}

func TestMint_never_widens_a_credential(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	one := func(kind, name string, actions ...string) auth.Scope {
		return auth.Scope{{Type: kind, Name: name, Actions: actions}}
	}
	narrow := append(one("repository", "cloud/**", "pull", "push"), one("repository", "ran/x", "*")...)
	for _, c := range []struct {
		limit, asked auth.Scope
		want         bool
	}{
		{nil, one("repository", "**", "*"), true},
		{auth.Scope{}, auth.Scope{}, true},
		{auth.Scope{}, one("repository", "a", "pull"), false},
		{auth.Scope{}, one("repository", "a"), true}, // nothing of something
		{narrow, one("repository", "cloud/a", "pull"), true},
		{narrow, one("repository", "cloud/a/**", "push", "pull"), true},
		{narrow, one("repository", "cloud", "pull"), true},
		{narrow, one("repository", "cloud/a", "delete"), false},
		{one("repository", "**", "*"), one("repository", "", "pull"), false},
		{narrow, one("repository", "cloud/a", "pull", "*"), false},
		{narrow, one("repository", "clouds", "pull"), false},
		{narrow, one("repository", "**", "pull"), false},
		{narrow, one("repository", "/**", "pull"), false},
		{narrow, one("registry", "cloud/a", "pull"), false},
		{narrow, one("repository", "ran/x", "delete", "*"), true},
		{narrow, one("repository", "ran/x/y", "pull"), false},
		{narrow, one("repository", "ran/x/**", "pull"), false},
		{one("repository", "**", "pull"), one("repository", "a/**", "pull"), true},
		{one("registry", "**", "*"), one("registry", "catalog", "*"), false},
	} {
		who := auth.Identity{Kind: auth.Robot, Name: "r", Scope: c.limit}
		m, err := i.Mint(who, c.asked)
		if (err == nil) != c.want || err != nil && !errors.Is(err, ErrScope) {
			t.Errorf("%v of %v: %v", c.asked, c.limit, err)
		}
		if err != nil {
			continue
		}
		if got, _, err := i.Verify(t.Context(), m.Token); err != nil || !reflect.DeepEqual(got.Scope, c.asked) {
			t.Errorf("%v, %v, want %v", got.Scope, err, c.asked)
		}
	}
	got, _, err := i.Verify(t.Context(), mint(t, i, auth.Identity{Kind: auth.Robot, Name: "r", Scope: narrow}))
	if err != nil || !reflect.DeepEqual(got.Scope, narrow) {
		t.Errorf("asked for nothing in particular: %v, %v, want %v", got.Scope, err, narrow)
	}
}

func TestMint_refuses_whom_a_token_cannot_hold(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	many := func(n, length int) (all []string) {
		for g := range n {
			all = append(all, fmt.Sprintf("%0*d", length, g))
		}
		return all
	}
	for _, c := range []struct {
		who  auth.Identity
		want string
	}{
		{auth.Identity{Name: "alice"}, "a name without a kind"},
		{auth.Identity{Kind: "pope", Name: "alice"}, "no kind of caller"},
		{auth.Identity{Kind: auth.User}, "is no name"},
		{auth.Identity{Kind: auth.User, Name: strings.Repeat("x", 1<<20)}, "is no name"},
		{auth.Identity{Kind: auth.User, Name: "a\xffb"}, "is no name"},
		{auth.Identity{Kind: auth.User, Name: "a", Groups: []string{" "}}, "group: "},
		{auth.Identity{Kind: auth.User, Name: "a", Groups: many(1001, 4)}, "more than 1000"},
		{auth.Identity{Kind: auth.User, Name: "a", Groups: many(300, 40)}, "more than 16384"},
		{auth.Identity{Kind: auth.User, Name: "a", Grants: make([]auth.Grant, 1001)}, "more than 1000"},
		{auth.Identity{Kind: auth.User, Name: "a", Grants: []auth.Grant{{Role: "x", On: "**"}}}, "grant: "},
		{auth.Identity{Kind: auth.User, Name: "a", Grants: []auth.Grant{{Who: "user:b", Role: auth.Admin, On: "**"}}}, "somebody else"},
		{auth.Identity{Kind: auth.User, Name: "a", Scope: make(auth.Scope, 1001)}, "no scope for this token: more than 1000"},
		{auth.Identity{Kind: auth.User, Name: "a", Scope: auth.Scope{{Name: "a\xff"}}}, "no scope for this token: "},
		{auth.Identity{Kind: auth.User, Name: "a", Scope: auth.Scope{{Name: "a", Actions: many(1001, 4)}}}, "no scope for this token: "},
		{auth.Identity{Kind: auth.User, Name: "a", Scope: slices.Repeat(auth.Scope{{Name: strings.Repeat("n", 500)}}, 30)}, "no scope for this token: with it"},
		{auth.Identity{Kind: auth.User, Name: "a", Via: "\xff"}, "via: "},
	} {
		m, err := i.Mint(c.who, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 || m.Token != "" {
			t.Errorf("%.300q: %.300v, want %q", c.who, err, c.want)
		}
	}
	longest := auth.Identity{Kind: auth.User, Name: "a", Groups: many(270, 40)}
	takes(t, i, mint(t, i, longest))
}

// TestMint_and_Verify_agree has all sorts of callers get a token, and be known by it.
func TestMint_and_Verify_agree(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	other, err := Open(t.Context(), Config{Index: kv.NewMemory(), Service: service, Now: i.c.Now})
	if err != nil {
		t.Fatal(err)
	}
	name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z<>&' äß\x{2029}\x{1F600}]{1,40}`)).Filter(func(s string) bool { return auth.CheckName(s) == nil })
	path := rapid.OneOf(rapid.StringMatching(`[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,3}(/\*\*)?`), rapid.Just("**"))
	grant := rapid.Custom(func(rt *rapid.T) auth.Grant {
		return auth.Grant{Role: rapid.SampledFrom(auth.Roles()).Draw(rt, "role"), On: auth.Path(path.Draw(rt, "on"))}
	})
	text := rapid.StringN(0, 40, 160)
	access := rapid.Custom(func(rt *rapid.T) auth.Access {
		return auth.Access{Type: text.Draw(rt, "type"), Name: text.Draw(rt, "name"), Actions: orNil(rt, text)}
	})
	rapid.Check(t, func(rt *rapid.T) {
		who := auth.Identity{Groups: orNil(rt, name), Grants: orNil(rt, grant), Via: text.Draw(rt, "via")}
		if rapid.Bool().Draw(rt, "known") {
			who.Kind, who.Name = rapid.SampledFrom(auth.Kinds).Draw(rt, "kind"), name.Draw(rt, "name")
		}
		scope := auth.Scope(orNil(rt, access))
		m, err := i.Mint(who, scope)
		if err != nil {
			rt.Fatal(err)
		}
		want := who
		want.Scope = scope
		got, until, err := i.Verify(t.Context(), m.Token)
		if err != nil || !reflect.DeepEqual(got, want) || !until.Equal(m.Expires) {
			rt.Fatalf("%+v until %v, %v\nwant %+v until %v", got, until, err, want, m.Expires)
		}
		if _, _, err := other.Verify(t.Context(), m.Token); err == nil {
			rt.Fatal("an issuer with other keys takes it")
		}
		at := rapid.IntRange(0, len(m.Token)-1).Draw(rt, "at")
		tampered := m.Token[:at] + string(rapid.Byte().Draw(rt, "byte")) + m.Token[at+1:]
		if _, _, err := i.Verify(t.Context(), tampered); err == nil && tampered != m.Token {
			rt.Fatalf("taken with another byte %d: %q", at, tampered)
		}
	})
}

// orNil draws a short list: nil, empty, or of some entries.
func orNil[T any](rt *rapid.T, of *rapid.Generator[T]) []T {
	if rapid.Bool().Draw(rt, "nil") {
		return nil
	}
	return rapid.SliceOfN(of, 0, 4).Draw(rt, "list")
}

func TestMint_drops_what_else_a_grant_says(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	who := auth.Identity{Kind: auth.CI, Name: "x@gitlab", Grants: []auth.Grant{{ID: "config 1", Role: auth.CIRole, On: "a", By: "config", Created: start}}}
	got, _, err := i.Verify(t.Context(), mint(t, i, who))
	if want := []auth.Grant{{Role: auth.CIRole, On: "a"}}; err != nil || !reflect.DeepEqual(got.Grants, want) {
		t.Errorf("%+v, %v, want %+v", got.Grants, err, want)
	}
}

func BenchmarkMint(b *testing.B) {
	i := open(b, kv.NewMemory(), new(clock))
	for b.Loop() {
		mint(b, i, alice)
	}
}

func BenchmarkVerify(b *testing.B) {
	i := open(b, kv.NewMemory(), new(clock))
	raw := mint(b, i, alice)
	for b.Loop() {
		takes(b, i, raw)
	}
}
