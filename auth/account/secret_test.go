package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
)

func TestIsSecret(t *testing.T) {
	const id = "abcdefghij234567"
	for s, want := range map[string]bool{
		newPlain():                    true,
		"ent_" + id + "_":             true, // cut short: still no password
		"ent_" + id + "_x":            true,
		"ent_" + id:                   false,
		"ent_" + id[1:] + "_x":        false,
		"ent_" + id[1:] + "1_x":       false,
		"ent_" + id[1:] + "A_x":       false,
		"ent_but a password":          false,
		"ENT_" + id + "_x":            false,
		" ent_" + id + "_x":           false,
		"":                            false,
		"ent_":                        false,
		"ent_" + id + "-" + id:        false,
		"glpat-" + id + "_" + id + id: false,
	} {
		if IsSecret(s) != want {
			t.Errorf("IsSecret(%q) is %v", s, !want)
		}
	}
	seen := map[string]bool{}
	for range 1000 {
		plain := newPlain()
		id := idOf(plain)
		if !isID(id) || seen[id] || seen[plain[len(plain)-43:]] || len(plain) != 64 {
			t.Fatalf("secret %q with the id %q", plain, id)
		}
		seen[id], seen[plain[len(plain)-43:]] = true, true
	}
}

func TestAddSecret_returns_what_it_stored(t *testing.T) {
	s := open(t)
	s.user(t, "alice")
	scope := auth.Scope{{Type: "repository", Name: "a/b", Actions: []string{"pull"}}}
	for _, c := range []Secret{
		{Of: "user:alice", Purpose: PurposeToken, Note: "laptop"},
		{Of: "user:alice", Purpose: PurposeToken, Scope: scope, Expires: s.now().Add(time.Hour + 1).In(time.FixedZone("", 3600))},
		{Of: "user:alice", Purpose: PurposeSession, Scope: auth.Scope{}, Expires: s.now().Add(time.Hour)},
		{Of: "user:alice", Purpose: PurposeLogin, Expires: s.now().Add(time.Hour), ID: "mine", By: "me", Created: time.Unix(1, 0), LastUsed: time.Unix(1, 0)},
	} {
		added, plain, err := s.AddSecret(as(t.Context(), "user:root"), c)
		must(t, err)
		want := c
		want.ID, want.By, want.Created, want.LastUsed, want.Expires = idOf(plain), "user:root", s.now(), time.Time{}, c.Expires.Truncate(time.Millisecond).UTC()
		if inJSON(t, added) != inJSON(t, want) {
			t.Errorf("added %s, want %s", inJSON(t, added), inJSON(t, want))
		}
		got, err := s.Secret(t.Context(), added.ID)
		if err != nil || inJSON(t, got) != inJSON(t, want) || (got.Scope == nil) != (c.Scope == nil) {
			t.Errorf("read %s, %v, want %s", inJSON(t, got), err, inJSON(t, want))
		}
		if who := s.use(t, c.Purpose, plain); (who.Scope == nil) != (c.Scope == nil) || len(who.Scope) != len(c.Scope) {
			t.Errorf("logged in with the scope %v, want %v", who.Scope, c.Scope)
		}
		s.advance(time.Second)
	}
	list, err := s.Secrets(t.Context(), "user:alice")
	must(t, err)
	if len(list) != 4 || list[0].Note != "laptop" || list[3].Purpose != PurposeLogin {
		t.Errorf("secrets %+v, want all four, the oldest first", list)
	}
	for _, of := range []string{"user:bob", "robot:alice", "", "user:", "user:" + strings.Repeat("a", 5000)} {
		if list, err := s.Secrets(t.Context(), of); err != nil || len(list) != 0 {
			t.Errorf("secrets of %.20q: %v, %v", of, list, err)
		}
	}
}

func TestAddSecret_refuses_what_makes_no_sense(t *testing.T) {
	s := open(t)
	s.user(t, "alice")
	s.robot(t, "ci")
	s.robot(t, "off")
	_, err := s.ChangeRobot(t.Context(), "off", RobotChange{Disabled: ptr(true)})
	must(t, err)
	end := s.now().Add(time.Hour)
	wide := make(auth.Scope, maxScope+1)
	for _, c := range []struct {
		secret Secret
		want   string
	}{
		{Secret{Of: "user:bob", Purpose: PurposeToken}, Unknown},
		{Secret{Of: "robot:alice", Purpose: PurposeSecret}, Unknown},
		{Secret{Of: "alice", Purpose: PurposeToken}, Unknown},
		{Secret{Of: "node:alice", Purpose: PurposeToken}, Unknown},
		{Secret{Of: "user:" + strings.Repeat("a", 3000), Purpose: PurposeToken}, Unknown},
		{Secret{Of: "robot:off", Purpose: PurposeSecret}, Disabled},
		{Secret{Of: "user:alice", Purpose: PurposeSecret}, Invalid},
		{Secret{Of: "robot:ci", Purpose: PurposeToken}, Invalid},
		{Secret{Of: "robot:ci", Purpose: PurposeSession, Expires: end}, Invalid},
		{Secret{Of: "robot:ci", Purpose: "spare", Expires: end}, Invalid},
		{Secret{Of: "robot:ci", Expires: end}, Invalid},
		{Secret{Of: "robot:ci", Purpose: PurposeLogin}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeSession}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Expires: s.now()}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Expires: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Note: "a\nb"}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Scope: wide}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Scope: auth.Scope{{Name: strings.Repeat("a", 301)}}}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Scope: auth.Scope{{Actions: []string{"pull\n"}}}}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Scope: auth.Scope{{Actions: make([]string, maxScope+1)}}}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeToken, Via: "user:alice:1"}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end, Via: "user:alice:7"}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end, Via: "robot:ci:2"}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end, Via: "secret:" + strings.Repeat("a", 16)}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end, Via: "secret:../x"}, Invalid},
		{Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end, Via: "gitlab"}, Invalid},
	} {
		epoch := s.Epoch()
		got, plain, err := s.AddSecret(t.Context(), c.secret)
		if Code(err) != c.want || plain != "" || got.ID != "" || s.Epoch() != epoch {
			t.Errorf("%+.300v: %v, want code %s and nothing else", c.secret, err, c.want)
		}
	}
}

// TestAddSecret_rests_on_the_credential: what was given for a credential ends with it, lasts no longer and may no more.
func TestAddSecret_rests_on_the_credential(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	s.user(t, "alice")
	s.robot(t, "ci")
	end := s.now().Add(time.Hour)
	scope := auth.Scope{{Type: "repository", Name: "cloud/**", Actions: []string{"pull", "push"}}}
	root, _, err := s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeSecret, Expires: end, Scope: scope})
	must(t, err)
	login, _, err := s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeLogin, Expires: end.Add(time.Hour), Via: viaSecret + root.ID})
	must(t, err)
	if !login.Expires.Equal(end) || inJSON(t, login.Scope) != inJSON(t, scope) {
		t.Errorf("the login lasts until %s and may %v, want %s and %v", login.Expires, login.Scope, end, scope)
	}
	next, plain, err := s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeLogin, Expires: end.Add(-time.Minute), Via: viaSecret + login.ID})
	must(t, err)
	if next.Via != viaSecret+root.ID || !next.Expires.Equal(end.Add(-time.Minute)) {
		t.Errorf("what rests on a login rests on %s until %s, want %s", next.Via, next.Expires, viaSecret+root.ID)
	}
	must(t, s.RevokeSecret(ctx, login.ID))
	who := s.login(t, "ci", plain) // it has taken the other's place
	for _, c := range []struct {
		scope auth.Scope
		want  string
	}{
		{auth.Scope{}, ""},
		{auth.Scope{{Type: "repository", Name: "cloud/a", Actions: []string{"pull"}}, {Type: "repository", Name: "cloud/**", Actions: []string{"push", "pull"}}}, ""},
		{auth.Scope{{Type: "repository", Name: "cloud/a/**", Actions: nil}}, ""},
		{auth.Scope{{Type: "repository", Name: "cloud/a", Actions: []string{"delete"}}}, Invalid},
		{auth.Scope{{Type: "repository", Name: "cloud/a", Actions: []string{"*"}}}, Invalid},
		{auth.Scope{{Type: "repository", Name: "**", Actions: []string{"pull"}}}, Invalid},
		{auth.Scope{{Type: "repository", Name: "clouds", Actions: []string{"pull"}}}, Invalid},
		{auth.Scope{{Type: "repository", Name: "", Actions: []string{"pull"}}}, Invalid},
		{auth.Scope{{Type: "registry", Name: "catalog", Actions: []string{"pull"}}}, Invalid},
	} {
		if _, _, err := s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeLogin, Expires: end, Via: who.Via, Scope: c.scope}); Code(err) != c.want || c.want == "" && err != nil {
			t.Errorf("%v within %v: %v, want code %q", c.scope, scope, err, c.want)
		}
	}
	got := s.since(t, func() { must(t, s.RevokeSecret(as(ctx, "user:root"), root.ID)) })
	if want := "user:root secret.revoke secret:" + root.ID + "  secret of robot:ci"; !strings.HasPrefix(got, want+"\n") || strings.Count(got, "  login of robot:ci") != 4 {
		t.Errorf("events\n%s\nwant %s, and four logins", got, want)
	}
	wantWrong(t, s.Alive(ctx, who), "a login whose secret was revoked")
	_, _, err = s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeLogin, Expires: end, Via: viaSecret + root.ID})
	wantWrong(t, err, "a login for a secret that was revoked")

	// Of others, and of what has ended, nothing comes.
	token, tokenPlain, err := s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeToken, Expires: end})
	must(t, err)
	_, _, err = s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeLogin, Expires: end, Via: viaSecret + token.ID})
	wantWrong(t, err, "a login for another's token")
	alice := s.login(t, "alice", password)
	session, sessionPlain, err := s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeSession, Expires: end, Via: alice.Via})
	must(t, err)
	login, loginPlain, err := s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end, Via: viaSecret + token.ID})
	must(t, err)
	_, err = s.ChangeUser(ctx, "alice", UserChange{Password: ptr("another password")})
	must(t, err)
	_, err = s.Secret(ctx, session.ID)
	wantCode(t, err, Unknown)
	_, _, err = s.Session(ctx, sessionPlain)
	wantWrong(t, err, "a session begun with the old password")
	wantWrong(t, s.Alive(ctx, alice), "a login with the old password")
	_, _, err = s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeSession, Expires: end, Via: alice.Via})
	wantWrong(t, err, "a session for the old password")
	s.login(t, "alice", tokenPlain) // a token is no login
	s.login(t, "alice", loginPlain)
	s.advance(time.Hour)
	_, _, err = s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end.Add(time.Hour), Via: viaSecret + token.ID})
	wantWrong(t, err, "a login for a token that has ended")
	_, err = s.Secret(ctx, login.ID)
	must(t, err) // ended, but known
}

// TestAddSecret_keeps_to_the_bound: what was asked for is not more than the bound, and what comes with logging in takes the place of the oldest.
func TestAddSecret_keeps_to_the_bound(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	s.user(t, "alice")
	end := s.now().Add(24 * time.Hour)
	add := func(purpose string, expires time.Time) (string, error) {
		s.advance(time.Millisecond)
		added, _, err := s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: purpose, Expires: expires})
		return added.ID, err
	}
	list := func() (ids []string) {
		t.Helper()
		all, err := s.Secrets(ctx, "user:alice")
		must(t, err)
		for _, one := range all {
			ids = append(ids, one.ID)
		}
		return ids
	}
	var ids []string
	want := func(purpose string, expires time.Time, goes ...string) {
		t.Helper()
		var id string
		got := s.since(t, func() {
			var err error
			id, err = add(purpose, expires)
			must(t, err)
		})
		ids = append(slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(goes, id) }), id)
		if now := list(); !slices.Equal(now, ids) {
			t.Fatalf("%d secrets, want %d", len(now), len(ids))
		}
		if revoked := strings.Count(got, "secret.revoke"); revoked > len(goes) {
			t.Errorf("%d were revoked: %s", revoked, got)
		}
	}
	for range MaxSecrets {
		want(PurposeToken, time.Time{})
	}
	_, err := add(PurposeToken, end)
	wantCode(t, err, Full)
	for range 3 {
		want(PurposeSession, end)
	}
	for range MaxSecrets - 3 {
		want(PurposeLogin, end)
	}
	want(PurposeLogin, s.now().Add(time.Minute), ids[MaxSecrets+3]) // the oldest login goes, not a session
	want(PurposeSession, end, ids[MaxSecrets+3])
	short := ids[len(ids)-2]
	s.advance(time.Hour)
	want(PurposeLogin, end, short) // what has ended goes first
	for range 96 {
		want(PurposeSession, end, ids[slices.IndexFunc(ids, func(id string) bool {
			one, err := s.Secret(ctx, id)
			must(t, err)
			return one.Purpose == PurposeLogin
		})])
	}
	want(PurposeSession, end, ids[MaxSecrets]) // without any login the oldest session goes
	must(t, s.RevokeSecret(ctx, ids[5]))
	ids = slices.Delete(ids, 5, 6)
	want(PurposeToken, s.now().Add(time.Minute))
	s.advance(time.Hour)
	want(PurposeToken, time.Time{}, ids[len(ids)-1])
}

func TestAddSecret_at_the_bound_by_many_at_once(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	s.user(t, "alice")
	s.robot(t, "ci")
	end := s.now().Add(time.Hour)
	var mu sync.Mutex
	added, full := 0, 0
	last := map[string]bool{}
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 20 {
				_, _, err := s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeSecret})
				mu.Lock()
				if err == nil {
					added++
				} else if Code(err) == Full {
					full++
				} else {
					t.Error(err)
				}
				mu.Unlock()
				one, plain, err := s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeLogin, Expires: end})
				if err != nil {
					t.Errorf("a login must not fail: %v", err)
				}
				mu.Lock()
				last[one.ID] = true
				mu.Unlock()
				if _, _, err := s.Login(ctx, "", plain); err != nil && !errors.Is(err, auth.ErrWrong) { // others may have taken its place
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	if added != MaxSecrets || full != 60 {
		t.Errorf("%d secrets were added and %d refused, want %d and 60", added, full, MaxSecrets)
	}
	for _, of := range []string{"robot:ci", "user:alice"} {
		list, err := s.Secrets(ctx, of)
		if err != nil || len(list) != MaxSecrets {
			t.Errorf("%s has %d secrets, %v", of, len(list), err)
		}
		for _, one := range list {
			if of == "user:alice" && !last[one.ID] {
				t.Errorf("nobody added %s", one.ID)
			}
		}
	}
	if events := len(s.events(t)); events != 2+100+160+60 {
		t.Errorf("%d events, want 2 accounts, 100 secrets, 160 logins, 60 of which had to go", events)
	}
}

func TestRevokeSecret(t *testing.T) {
	s := open(t)
	s.robot(t, "ci")
	one, plain := s.secret(t, "robot:ci", PurposeSecret, "")
	two, other := s.secret(t, "robot:ci", PurposeSecret, "")
	who := s.login(t, "ci", plain)
	s.advance(2 * time.Hour)
	must(t, s.RevokeSecret(t.Context(), two.ID)) // has ended; may be taken away all the same
	must(t, s.RevokeSecret(t.Context(), one.ID))
	wantWrong(t, s.Alive(t.Context(), who), "revoked")
	for _, plain := range []string{plain, other} {
		_, _, err := s.Login(t.Context(), "ci", plain)
		wantWrong(t, err, "revoked")
	}
	for _, id := range []string{one.ID, "", "x", plain, strings.Repeat("A", 16), "../user/a"} {
		wantCode(t, s.RevokeSecret(t.Context(), id), Unknown)
		_, err := s.Secret(t.Context(), id)
		wantCode(t, err, Unknown)
	}
}

func TestHeld_row_round_trip(t *testing.T) {
	now := time.UnixMilli(1772366401000)
	for _, h := range []held{
		{"a", PurposeSecret, now, time.Time{}, ""},
		{"a", PurposeLogin, now, now.Add(time.Hour), "user:a\tb:7"},
	} {
		if got, ok := parseHeld("a", h.value()); !ok || fmt.Sprint(got) != fmt.Sprint(h) {
			t.Errorf("%v became %v", h, got)
		}
	}
	for _, bad := range []string{"", "a\t1\t2", "a\tx\t2\t", "a\t1\tx\t"} {
		if _, ok := parseHeld("a", []byte(bad)); ok {
			t.Errorf("%q is taken for a row", bad)
		}
	}
}
