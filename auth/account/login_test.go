package account

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
)

func TestLogin_with_a_password(t *testing.T) {
	s := open(t)
	s.user(t, "alice", "dev")
	s.robot(t, "ci")
	who, until, err := s.Login(t.Context(), "alice", password)
	if err != nil || who.String() != "user:alice" || strings.Join(who.Groups, " ") != "dev" || who.Scope != nil || who.Via != "user:alice:1" || !until.Equal(s.now().Add(10*time.Minute)) {
		t.Errorf("logged in as %+v until %s, %v", who, until, err)
	}
	for _, c := range []struct {
		name, password string
		want           error
		compared       int64
	}{
		{"alice", "wrong", auth.ErrWrong, 1},
		{"alice", "", auth.ErrWrong, 1},
		{"alice", password + "\x00", auth.ErrWrong, 1},
		{"alice", strings.ToUpper(password), auth.ErrWrong, 1},
		{"alice", strings.Repeat("a", 2000), auth.ErrWrong, 0},
		{"bob", password, auth.ErrUnknown, 0},
		{"ci", password, auth.ErrUnknown, 0},
		{"bob", "", auth.ErrUnknown, 0},
		{"bob", strings.Repeat("a", 2000), auth.ErrUnknown, 0},
		{"Alice", password, auth.ErrUnknown, 0},
		{"user:alice", password, auth.ErrUnknown, 0},
		{"alice@corp", password, auth.ErrUnknown, 0},
		{"", password, auth.ErrUnknown, 0},
		{"token", password, auth.ErrUnknown, 0},
		{strings.Repeat("a", 5000), password, auth.ErrUnknown, 0},
	} {
		before := s.hasher.compared.Load()
		who, until, err := s.Login(t.Context(), c.name, c.password)
		if !errors.Is(err, c.want) || !who.Anonymous() || !until.IsZero() {
			t.Errorf("%.20q with %.20q: %v, %s, %v, want %v", c.name, c.password, who, until, err, c.want)
		}
		if compared := s.hasher.compared.Load() - before; compared != c.compared {
			t.Errorf("%.20q with %.20q: %d passwords were compared, want %d", c.name, c.password, compared, c.compared)
		}
	}
	_, err = s.ChangeUser(t.Context(), "alice", UserChange{Disabled: ptr(true)})
	must(t, err)
	before := s.hasher.compared.Load()
	_, _, err = s.Login(t.Context(), "alice", password)
	wantWrong(t, err, "a disabled user")
	if s.hasher.compared.Load() != before+1 {
		t.Error("that a user is disabled is said faster than that the password is wrong")
	}
	_, err = s.ChangeUser(t.Context(), "alice", UserChange{Disabled: ptr(false), Password: ptr("another password")})
	must(t, err)
	_, _, err = s.Login(t.Context(), "alice", password)
	wantWrong(t, err, "the old password")
	s.login(t, "alice", "another password")
}

// TestSession_is_good_as_nothing_else: what a browser holds is no password, and no password is a session.
func TestSession_is_good_as_nothing_else(t *testing.T) {
	s := open(t)
	s.user(t, "alice", "dev")
	s.robot(t, "ci")
	session, plain := s.secret(t, "user:alice", PurposeSession, "")
	who, until, err := s.Session(t.Context(), plain)
	if err != nil || who.String() != "user:alice" || strings.Join(who.Groups, " ") != "dev" || who.Via != "secret:"+session.ID || !until.Equal(s.now().Add(10*time.Minute)) {
		t.Errorf("the session is of %+v until %s, %v", who, until, err)
	}
	for _, name := range []string{"alice", "user:alice", "", "token"} {
		_, _, err := s.Login(t.Context(), name, plain)
		wantWrong(t, err, "a session as the password of "+name)
	}
	_, token := s.secret(t, "user:alice", PurposeToken, "")
	_, login := s.secret(t, "user:alice", PurposeLogin, "")
	_, robots := s.secret(t, "robot:ci", PurposeSecret, "")
	for what, shown := range map[string]string{
		"a token": token, "a login": login, "a robot's secret": robots, "a password": password, "nothing": "", "half a session": plain[:40],
		"another session": altered(plain, len(plain)-1),
	} {
		who, until, err := s.Session(t.Context(), shown)
		if wantWrong(t, err, what+" as a session"); !who.Anonymous() || !until.IsZero() {
			t.Errorf("%s as a session is %v until %s", what, who, until)
		}
	}
	s.advance(time.Hour)
	_, _, err = s.Session(t.Context(), plain)
	wantWrong(t, err, "a session that has ended")
}

func TestLogin_with_a_secret(t *testing.T) {
	s := open(t)
	s.user(t, "alice", "dev")
	s.robot(t, "ci-dmp")
	s.robot(t, "alice") // has a user's name
	_, of := s.secret(t, "robot:ci-dmp", PurposeSecret, "")
	token, mine := s.secret(t, "user:alice", PurposeToken, "")
	_, its := s.secret(t, "robot:alice", PurposeSecret, "")
	who, until, err := s.Login(t.Context(), "alice", mine)
	if err != nil || who.String() != "user:alice" || strings.Join(who.Groups, " ") != "dev" || who.Via != "secret:"+token.ID || !until.Equal(s.now().Add(10*time.Minute)) {
		t.Errorf("logged in as %+v until %s, %v", who, until, err)
	}
	for _, c := range []struct {
		name, secret, want string // no want: auth.ErrWrong
	}{
		{"ci-dmp", of, "robot:ci-dmp"},
		{"robot:ci-dmp", of, "robot:ci-dmp"},
		{"robot$ci-dmp", of, "robot:ci-dmp"},
		{"", of, "robot:ci-dmp"},
		{"token", of, "robot:ci-dmp"},
		{"oauth2accesstoken", of, "robot:ci-dmp"},
		{"<token>", of, "robot:ci-dmp"},
		{"alice", mine, "user:alice"},
		{"user:alice", mine, "user:alice"},
		{"alice", its, "robot:alice"},
		{"user$alice", mine, ""},
		{"robot:alice", mine, ""},
		{"user:alice", its, ""},
		{"robot$alice", mine, ""},
		{"Alice", mine, ""},
		{"bob", mine, ""},
		{"alice", of, ""},
		{"ci", of, ""},
		{"ci-dmp ", of, ""},
		{"alice", mine[:len(mine)-1], ""},
		{"alice", mine + "A", ""},
		{"alice", mine[:22], ""},
		{"alice", mine[:21], ""},
		{"alice", mine + "\n", ""},
		{"alice", altered(mine, 30), ""},
		{"alice", altered(mine, len(mine)-1), ""},
		{"alice", its[:21] + mine[21:], ""}, // another's id
		{"alice", mine[:21] + its[21:], ""},
		{"alice", newPlain(), ""}, // of another registry
	} {
		who, until, err := s.Login(t.Context(), c.name, c.secret)
		if c.want != "" && (err != nil || who.String() != c.want) || c.want == "" && (!errors.Is(err, auth.ErrWrong) || !who.Anonymous() || !until.IsZero()) {
			t.Errorf("%q with %q: %v, %v, want %q", c.name, c.secret, who, err, c.want)
		}
	}
	s.advance(55 * time.Minute)
	if _, until, err := s.Login(t.Context(), "alice", mine); err != nil || !until.Equal(s.now().Add(5*time.Minute)) {
		t.Errorf("five minutes before its end a secret is believed until %s, %v", until, err)
	}
	s.advance(5 * time.Minute)
	_, _, err = s.Login(t.Context(), "alice", mine)
	wantWrong(t, err, "ended")
	wantWrong(t, s.Alive(t.Context(), who), "ended")

	for _, plain := range []string{of, its} {
		_, _, err := s.Login(t.Context(), "", plain)
		wantWrong(t, err, "ended")
	}
	_, forever, err := s.AddSecret(t.Context(), Secret{Of: "robot:ci-dmp", Purpose: PurposeSecret})
	must(t, err)
	s.advance(50 * 365 * 24 * time.Hour)
	who = s.login(t, "ci-dmp", forever)
	_, err = s.ChangeRobot(t.Context(), "ci-dmp", RobotChange{Disabled: ptr(true)})
	must(t, err)
	_, _, err = s.Login(t.Context(), "ci-dmp", forever)
	wantWrong(t, err, "disabled")
	wantWrong(t, s.Alive(t.Context(), who), "disabled")
	_, err = s.ChangeRobot(t.Context(), "ci-dmp", RobotChange{Disabled: ptr(false)})
	must(t, err)
	s.login(t, "ci-dmp", forever)
	must(t, s.Alive(t.Context(), who))
}

func TestAlive_asks_for_the_credential_itself(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	s.user(t, "alice")
	s.user(t, "bob")
	s.robot(t, "ci")
	one, plain := s.secret(t, "robot:ci", PurposeSecret, "")
	alice, ci := s.login(t, "alice", password), s.login(t, "ci", plain)
	named, err := s.Identity(ctx, "robot:ci")
	must(t, err)
	for _, who := range []auth.Identity{alice, ci, named, {}, {Kind: auth.CI, Name: "x@gitlab"}} {
		if err := s.Alive(ctx, who); err != nil {
			t.Errorf("%+v: %v", who, err)
		}
	}
	for _, who := range []auth.Identity{
		{Kind: auth.User, Name: "bob", Via: alice.Via},
		{Kind: auth.Robot, Name: "alice", Via: alice.Via},
		{Kind: auth.User, Name: "ci", Via: ci.Via},
		{Via: ci.Via},
		{Kind: auth.User, Name: "alice", Via: alice.Via + "0"},
		{Kind: auth.User, Name: "alice", Via: "user:alice:01"},
		{Kind: auth.User, Name: "alice", Via: "user:alice:"},
		{Kind: auth.User, Name: "alice", Via: "user:alice"},
		{Kind: auth.User, Name: "carol", Via: "user:carol:1"},
		{Kind: auth.Robot, Name: "ci", Via: "secret:"},
		{Kind: auth.Robot, Name: "ci", Via: "secret:" + plain},
		{Kind: auth.Robot, Name: "ci", Via: "secret:" + strings.Repeat("a", 16)},
		{Kind: auth.Robot, Name: "ci", Via: "gitlab"},
		{Kind: auth.Robot, Name: "ci", Via: ":" + one.ID},
		{Kind: auth.Robot, Name: "ci", Via: strings.Repeat("x:", 5000)},
	} {
		wantWrong(t, s.Alive(ctx, who), who.Via)
	}

	// Groups are those of now.
	_, err = s.ChangeUser(ctx, "alice", UserChange{Groups: &[]string{"dev"}})
	must(t, err)
	alice.Scope = auth.Scope{}
	if who, err := s.Current(ctx, alice); err != nil || strings.Join(who.Groups, " ") != "dev" || who.Via != alice.Via || who.Scope == nil {
		t.Errorf("%+v, %v", who, err)
	}

	// An account of the same name is another one.
	must(t, s.RemoveUser(ctx, "alice"))
	wantWrong(t, s.Alive(ctx, alice), "removed")
	s.user(t, "alice")
	wantWrong(t, s.Alive(ctx, alice), "removed and added again")
	must(t, s.RemoveRobot(ctx, "ci"))
	s.robot(t, "ci")
	for _, who := range []auth.Identity{ci, named} {
		wantWrong(t, s.Alive(ctx, who), "removed and added again")
	}
	alice = s.login(t, "alice", password)
	for _, disabled := range []bool{true, false} {
		_, err := s.ChangeUser(ctx, "alice", UserChange{Disabled: &disabled})
		must(t, err)
		wantWrong(t, s.Alive(ctx, alice), "disabled for a while")
	}
}

func TestIdentity(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	s.user(t, "alice", "dev")
	s.robot(t, "ci")
	if who, err := s.Identity(ctx, "user:alice"); err != nil || who.String() != "user:alice" || strings.Join(who.Groups, " ") != "dev" || who.Via != "user:alice:1" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, name := range []string{"", "alice", "user:", "user:bob", "robot:alice", "node:ci", "user:a\nb", "user:" + strings.Repeat("a", 5000)} {
		_, err := s.Identity(ctx, name)
		wantCode(t, err, Unknown)
		wantWrong(t, err, name)
		if len(err.Error()) > 1500 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
	_, err := s.ChangeRobot(ctx, "ci", RobotChange{Disabled: ptr(true)})
	must(t, err)
	_, err = s.Identity(ctx, "robot:ci")
	wantCode(t, err, Disabled)
	wantWrong(t, err, "disabled")
}

// altered returns a secret with another character at one place.
func altered(plain string, at int) string {
	other := "A"
	if plain[at] == 'A' {
		other = "B"
	}
	return plain[:at] + other + plain[at+1:]
}
