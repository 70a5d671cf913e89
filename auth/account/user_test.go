package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

func TestUsers_are_added_read_and_listed(t *testing.T) {
	s := open(t)
	ctx := as(t.Context(), "user:root")
	if found, err := s.Anybody(ctx); err != nil || found {
		t.Errorf("anybody in an empty index: %v, %v", found, err)
	}
	u, err := s.AddUser(ctx, "alice", password, []string{"ops", "dev", "ops"}, nil)
	must(t, err)
	want := User{Name: "alice", Groups: []string{"dev", "ops"}, Created: s.now(), By: "user:root"}
	if inJSON(t, u) != inJSON(t, want) {
		t.Errorf("added %+v, want %+v", u, want)
	}
	if got, err := s.User(ctx, "alice"); err != nil || inJSON(t, got) != inJSON(t, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	if found, err := s.Anybody(ctx); err != nil || !found {
		t.Errorf("anybody with a user: %v, %v", found, err)
	}
	for _, name := range []string{"bob", "al", "zoë", "bob.2"} {
		s.user(t, name)
	}
	for after, want := range map[string]string{"": "al alice bob bob.2 zoë", "alice": "bob bob.2 zoë", "b": "bob bob.2 zoë", "bob": "bob.2 zoë", "zoë": "", "\xff": ""} {
		var names []string
		for _, u := range all(t, s.Users(ctx, after)) {
			names = append(names, u.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("users after %q: %s, want %s", after, got, want)
		}
	}
	_, err = s.AddUser(ctx, "alice", password, nil, nil)
	wantCode(t, err, Exists)
	_, err = s.User(ctx, "carol")
	wantCode(t, err, Unknown)
	if got := s.events(t)[0]; got != "user:root user.add user:alice  groups dev, ops" {
		t.Errorf("event %q", got)
	}
}

func TestUsers_need_names_and_passwords_that_can_be(t *testing.T) {
	s := open(t)
	for _, name := range []string{
		"", "Alice", "a b", "a:b", "a@b", "a/b", "a$b", "a!b", " a", "a\n", "a\u00a0b", "-a", ".", "..", "_", "token", "oauth2accesstoken", "a\u202eb", "İ",
		strings.Repeat("a", 256),
	} {
		_, err := s.AddUser(t.Context(), name, password, nil, nil)
		wantCode(t, err, Invalid)
		_, err = s.AddRobot(t.Context(), Robot{Name: name, On: "a"})
		wantCode(t, err, Invalid)
	}
	for _, name := range []string{"a", "0", "alice-b.c_d", "zoë", strings.Repeat("a", 255)} {
		s.user(t, name)
		s.robot(t, name)
	}
	for _, bad := range []string{"", "1234567", "ééééééé", strings.Repeat("a", 1025), "longname", "LongName", "ent_aaaaaaaaaaaaaaaa_", newPlain()} {
		_, err := s.AddUser(t.Context(), "longname", bad, nil, nil)
		wantCode(t, err, Invalid)
		_, err = s.ChangeUser(t.Context(), "a", UserChange{Password: ptr(bad)})
		if bad != "longname" && bad != "LongName" {
			wantCode(t, err, Invalid)
		}
	}
	for _, good := range []string{"12345678", "éééééééé", strings.Repeat("a", 1024), "ent_but not of that form"} {
		_, err := s.ChangeUser(t.Context(), "a", UserChange{Password: ptr(good)})
		must(t, err)
		s.login(t, "a", good)
	}
	for _, groups := range [][]string{{""}, {"a\nb"}, make([]string, MaxGroups+1)} {
		_, err := s.AddUser(t.Context(), "bob", password, groups, nil)
		wantCode(t, err, Invalid)
		_, err = s.ChangeUser(t.Context(), "a", UserChange{Groups: &groups})
		wantCode(t, err, Invalid)
	}
}

func TestChangeUser_says_what_changed(t *testing.T) {
	s := open(t)
	ctx := as(t.Context(), "user:root")
	s.user(t, "alice")
	for _, c := range []struct {
		do   UserChange
		want string // the event's note; empty for none
	}{
		{UserChange{}, ""},
		{UserChange{Disabled: ptr(false)}, ""},
		{UserChange{Groups: &[]string{}}, ""},
		{UserChange{Groups: &[]string{"b", "a"}}, "groups a, b"},
		{UserChange{Groups: &[]string{"a", "b"}}, ""},
		{UserChange{Groups: &[]string{}}, "no groups"},
		{UserChange{Password: ptr("another password")}, "password"},
		{UserChange{Disabled: ptr(true)}, "disabled"},
		{UserChange{Disabled: ptr(true)}, ""},
		{UserChange{Disabled: ptr(false), Password: ptr(password), Groups: &[]string{strings.Repeat("g", 255)}}, "groups " + strings.Repeat("g", 255) + "; password; enabled"},
	} {
		want := ""
		if c.want != "" {
			want = "user:root user.change user:alice  " + c.want
		}
		epoch, changes := s.Epoch(), s.changes.Load()
		if got := s.since(t, func() { _, err := s.ChangeUser(ctx, "alice", c.do); must(t, err) }); got != want {
			t.Errorf("%+v: event %q, want %q", c.do, got, want)
		}
		if moved := s.Epoch() > epoch; moved != (want != "") || moved != (s.changes.Load() > changes) {
			t.Errorf("%+v: the epoch moved: %v, %d calls of OnChange", c.do, moved, s.changes.Load()-changes)
		}
	}
	s.login(t, "alice", password)
	must(t, s.flush(ctx))
	if u, err := s.ChangeUser(ctx, "alice", UserChange{Groups: &[]string{}}); err != nil || !u.LastLogin.Equal(s.now()) {
		t.Errorf("changed %+v, %v, want the last login", u, err)
	}
	_, err := s.ChangeUser(ctx, "bob", UserChange{Disabled: ptr(true)})
	wantCode(t, err, Unknown)
	wantCode(t, s.RemoveUser(ctx, "bob"), Unknown)
	for _, bad := range []string{"", "a\nb", strings.Repeat("a", 5000)} {
		_, err := s.ChangeUser(ctx, bad, UserChange{})
		wantCode(t, err, Unknown)
		_, err = s.User(ctx, bad)
		wantCode(t, err, Unknown)
		wantCode(t, s.RemoveUser(ctx, bad), Unknown)
	}
	groups := make([]string, 100)
	for i := range groups {
		groups[i] = strings.Repeat("é", 50) + fmt.Sprint(i)
	}
	if got := s.since(t, func() { _, err := s.ChangeUser(ctx, "alice", UserChange{Groups: &groups}); must(t, err) }); len(got) > 1100 || !strings.HasSuffix(got, "…") {
		t.Errorf("the event of many groups has %d bytes: %s", len(got), got)
	}
}

// TestAddUser_the_first_is_admin: of many who want to be it at the same time one is.
func TestAddUser_the_first_is_admin(t *testing.T) {
	s := open(t)
	_, err := s.AddUser(t.Context(), "alice", password, nil, &auth.Grant{Role: "king", On: "**"})
	wantCode(t, err, Invalid)
	var first sync.WaitGroup
	var mu sync.Mutex
	admins, late := 0, 0
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		first.Go(func() {
			_, err := s.AddUser(t.Context(), name, password, nil, &auth.Grant{Role: auth.Admin, On: auth.Everywhere})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				admins++
			case Code(err) == Exists:
				late++
			default:
				t.Error(err)
			}
		})
	}
	first.Wait()
	users, grants := all(t, s.Users(t.Context(), "")), all(t, s.Grants(t.Context()))
	if admins != 1 || late != 4 || len(users) != 1 || len(grants) != 1 {
		t.Fatalf("%d became admin, %d were late; users %v, grants %v", admins, late, users, grants)
	}
	if grants[0].Who != "user:"+users[0].Name || grants[0].Role != auth.Admin || grants[0].On != "**" {
		t.Errorf("grant %+v", grants[0])
	}
	if s.Epoch() != 1 || s.changes.Load() != 1 {
		t.Errorf("epoch %d after %d changes, want one of each", s.Epoch(), s.changes.Load())
	}
}

func TestSignedIn_a_person_of_a_provider(t *testing.T) {
	s := open(t)
	ctx := as(t.Context(), "anonymous")
	began := s.now()
	sign := func(groups ...string) (u User) {
		t.Helper()
		u, err := s.SignedIn(ctx, "corp", "alice", groups)
		must(t, err)
		return u
	}
	var u User
	if got := s.since(t, func() { u = sign("b", "a") }); got != "user:alice@corp user.login user:alice@corp  groups a, b" {
		t.Errorf("first login: events %q", got)
	}
	want := User{Name: "alice@corp", Provider: "corp", Groups: []string{"a", "b"}, Created: began, By: "user:alice@corp", LastLogin: began}
	if inJSON(t, u) != inJSON(t, want) {
		t.Errorf("signed in %+v, want %+v", u, want)
	}
	s.advance(time.Hour)
	before := dump(t, s.db)
	if u = sign("a", "b", "a"); dump(t, s.db) != before || !u.LastLogin.Equal(s.now()) {
		t.Error("a login that changed nothing was written at once, or is not the last")
	}
	must(t, s.flush(ctx))
	if u, err := s.User(ctx, "alice@corp"); err != nil || !u.LastLogin.Equal(s.now()) || !u.Created.Equal(began) {
		t.Errorf("read %+v, %v", u, err)
	}
	if got := all(t, s.Users(ctx, "")); len(got) != 1 || !got[0].LastLogin.Equal(s.now()) {
		t.Errorf("listed %+v", got)
	}
	if got := s.since(t, func() { u = sign("c") }); got != "user:alice@corp user.change user:alice@corp  groups c" || strings.Join(u.Groups, " ") != "c" {
		t.Errorf("with other groups: events %q, groups %v; they are replaced", got, u.Groups)
	}
	if u = sign(); len(u.Groups) != 0 {
		t.Errorf("groups %v, want none", u.Groups)
	}
	if who, err := s.Identity(ctx, "user:alice@corp"); err != nil || who.Kind != auth.User || who.Name != "alice@corp" || s.Alive(ctx, who) != nil {
		t.Errorf("identity %+v, %v", who, err)
	}
	if other, err := s.SignedIn(ctx, "lab", "alice", nil); err != nil || other.Name != "alice@lab" {
		t.Errorf("another provider's alice: %+v, %v", other, err)
	}

	for _, do := range []UserChange{{Password: ptr(password)}, {Groups: &[]string{"admins"}}} {
		_, err := s.ChangeUser(ctx, "alice@corp", do)
		wantCode(t, err, Invalid)
	}
	_, err := s.ChangeUser(ctx, "alice@corp", UserChange{Disabled: ptr(true)})
	must(t, err)
	before = dump(t, s.db)
	_, err = s.SignedIn(ctx, "corp", "alice", []string{"new"})
	wantWrong(t, err, "disabled")
	if dump(t, s.db) != before {
		t.Error("a disabled user was changed by a login")
	}
	for _, secret := range []string{password, "", "alice@corp"} {
		if _, _, err := s.Login(ctx, "alice@corp", secret); !errors.Is(err, auth.ErrUnknown) {
			t.Errorf("a password of a provider's user: %v, want %v", err, auth.ErrUnknown)
		}
	}
}

func TestSignedIn_takes_no_names_that_mean_something_else(t *testing.T) {
	s := open(t)
	for _, c := range [][2]string{
		{"corp", ""}, {"corp", "a!b"}, {"corp", "a\nb"}, {"corp", strings.Repeat("a", 251)}, {"corp", " a"},
		{"", "a"}, {"a@b", "a"}, {"a:b", "a"}, {"a!b", "a"}, {"a b", "a"}, {"a/b", "a"},
	} {
		_, err := s.SignedIn(t.Context(), c[0], c[1], nil)
		wantCode(t, err, Invalid)
	}
	for _, good := range []string{"Alice", "alice@example.com", "project:a/b:ref", strings.Repeat("a", 250)} {
		u, err := s.SignedIn(t.Context(), "corp", good, nil)
		must(t, err)
		who, err := s.Identity(t.Context(), "user:"+u.Name)
		must(t, err)
		must(t, s.Alive(t.Context(), who))
	}
	groups := []string{"ok", "bad\n", "", "ok"}
	for i := range 2 * MaxGroups {
		groups = append(groups, "z"+strings.Repeat("é", 1+i%100)+string(rune(0x4e00+i)))
	}
	u, err := s.SignedIn(t.Context(), "corp", "groupie", groups)
	must(t, err)
	if len(u.Groups) != MaxGroups || u.Groups[0] != "ok" {
		t.Errorf("%d groups kept, the first %q", len(u.Groups), u.Groups[0])
	}
	if again, err := s.SignedIn(t.Context(), "corp", "groupie", groups); err != nil || s.Epoch() != 5 || len(again.Groups) != MaxGroups {
		t.Errorf("the same groups again: epoch %d, %v", s.Epoch(), err)
	}
}

func TestRobots(t *testing.T) {
	s := open(t)
	ctx := as(t.Context(), "user:root")
	r, err := s.AddRobot(ctx, Robot{Name: "ci-dmp", On: "cloud/dmp", Note: "pushes", Disabled: true, By: "me", Created: time.Unix(1, 0)})
	must(t, err)
	want := Robot{Name: "ci-dmp", On: "cloud/dmp", Note: "pushes", Created: s.now(), By: "user:root"}
	if r != want {
		t.Errorf("added %+v, want %+v", r, want)
	}
	if got, err := s.Robot(ctx, "ci-dmp"); err != nil || got != want {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	if found, err := s.Anybody(ctx); err != nil || !found {
		t.Errorf("anybody with a robot: %v, %v", found, err)
	}
	_, err = s.AddRobot(ctx, Robot{Name: "ci-dmp", On: "a"})
	wantCode(t, err, Exists)
	for _, bad := range []Robot{{Name: "x"}, {Name: "x", On: "a//b"}, {Name: "x", On: "a", Note: "a\nb"}, {Name: "x", On: "a", Note: "a\xff"}, {Name: "x", On: "a", Note: strings.Repeat("a", 501)}, {Name: "x", On: "a", Note: "a\u202eb"}} {
		_, err := s.AddRobot(ctx, bad)
		wantCode(t, err, Invalid)
	}
	for _, c := range []struct {
		do   RobotChange
		want string
	}{
		{RobotChange{}, ""},
		{RobotChange{Note: ptr("pushes"), Disabled: ptr(false)}, ""},
		{RobotChange{Note: ptr("pulls"), Disabled: ptr(true)}, "user:root robot.change robot:ci-dmp cloud/dmp note pulls; disabled"},
		{RobotChange{Disabled: ptr(false)}, "user:root robot.change robot:ci-dmp cloud/dmp enabled"},
	} {
		if got := s.since(t, func() { _, err := s.ChangeRobot(ctx, "ci-dmp", c.do); must(t, err) }); got != c.want {
			t.Errorf("%+v: event %q, want %q", c.do, got, c.want)
		}
	}
	_, err = s.ChangeRobot(ctx, "ci-dmp", RobotChange{Note: ptr("\x00")})
	wantCode(t, err, Invalid)
	s.robot(t, "a")
	s.robot(t, "b")
	var names []string
	for _, r := range all(t, s.Robots(ctx, "a")) {
		names = append(names, r.Name)
	}
	if strings.Join(names, " ") != "b ci-dmp" {
		t.Errorf("robots after a: %v", names)
	}
	for _, bad := range []string{"nobody", "", "a\n"} {
		_, err := s.Robot(ctx, bad)
		wantCode(t, err, Unknown)
		_, err = s.ChangeRobot(ctx, bad, RobotChange{})
		wantCode(t, err, Unknown)
		wantCode(t, s.RemoveRobot(ctx, bad), Unknown)
	}
	secret, _ := s.secret(t, "robot:ci-dmp", PurposeSecret, "")
	g, err := s.AddGrant(ctx, auth.Grant{Who: "robot:ci-dmp", Role: auth.CIRole, On: "cloud/dmp"})
	must(t, err)
	got := s.since(t, func() { must(t, s.RemoveRobot(ctx, "ci-dmp")) })
	if want := "user:root robot.remove robot:ci-dmp cloud/dmp\nuser:root secret.revoke secret:" + secret.ID + "  secret of robot:ci-dmp\nuser:root grant.remove robot:ci-dmp cloud/dmp ci"; got != want {
		t.Errorf("events\n%s\nwant\n%s", got, want)
	}
	_, err = s.Robot(ctx, "ci-dmp")
	wantCode(t, err, Unknown)
	_, err = s.Grant(ctx, g.ID)
	wantCode(t, err, Unknown)
}

func TestGrants(t *testing.T) {
	s := open(t)
	ctx := as(t.Context(), "user:root")
	g, err := s.AddGrant(ctx, auth.Grant{ID: "mine", Who: "group:dmp", Role: auth.Developer, On: "cloud/dmp", By: "me", Created: time.Unix(1, 0)})
	must(t, err)
	if want := (auth.Grant{ID: g.ID, Who: "group:dmp", Role: auth.Developer, On: "cloud/dmp", By: "user:root", Created: s.now()}); g != want || !isID(g.ID) {
		t.Errorf("added %+v, want %+v", g, want)
	}
	if got, err := s.Grant(ctx, g.ID); err != nil || got != g {
		t.Errorf("read %+v, %v, want %+v", got, err, g)
	}
	s.advance(time.Hour)
	for _, on := range []auth.Path{"cloud/dmp", "cloud/dmp/**"} { // they mean the same
		epoch := s.Epoch()
		same, err := s.AddGrant(as(t.Context(), "user:other"), auth.Grant{Who: "group:dmp", Role: auth.Developer, On: on})
		if err != nil || same != g || s.Epoch() != epoch {
			t.Errorf("the same again on %s: %+v, %v, epoch %d; want %+v and no change", on, same, err, s.Epoch(), g)
		}
	}
	for _, other := range []auth.Grant{
		{Who: "group:dmp", Role: auth.Reader, On: "cloud/dmp"}, {Who: "group:dm", Role: auth.Developer, On: "cloud/dmp"}, {Who: "group:dmp", Role: auth.Developer, On: "**"},
		{Who: auth.Anyone, Role: auth.Reader, On: "**"}, {Who: "user:of-htpasswd", Role: auth.Reader, On: "**"},
	} {
		if added, err := s.AddGrant(ctx, other); err != nil || added.ID == g.ID {
			t.Errorf("%+v, %v", added, err)
		}
	}
	if got := all(t, s.Grants(ctx)); len(got) != 6 {
		t.Errorf("grants %v", got)
	}
	for _, bad := range []auth.Grant{{}, {Who: "alice", Role: auth.Reader, On: "a"}, {Who: "user:a", Role: "king", On: "a"}, {Who: "user:a", Role: auth.Reader, On: "A"}} {
		_, err := s.AddGrant(ctx, bad)
		wantCode(t, err, Invalid)
	}
	if got := s.since(t, func() { must(t, s.RemoveGrant(ctx, g.ID)) }); got != "user:root grant.remove group:dmp cloud/dmp developer" {
		t.Errorf("event %q", got)
	}
	for _, id := range []string{g.ID, "", "x", "../user/alice", strings.Repeat("a", 16), strings.Repeat("A", 16)} {
		wantCode(t, s.RemoveGrant(ctx, id), Unknown)
		_, err := s.Grant(ctx, id)
		wantCode(t, err, Unknown)
	}
	// Should somebody make a grant whose id is another's, it must not be taken for that.
	other := auth.Grant{Who: "user:mallory", Role: auth.Reader, On: "a"}
	must(t, s.db.Update(ctx, func(tx kv.Tx) error {
		fake := other
		fake.ID = grantID(auth.Grant{Who: "user:mallory", Role: auth.Admin, On: "**"})
		return put(tx, keyGrant(fake.ID), fake)
	}))
	_, err = s.AddGrant(ctx, auth.Grant{Who: "user:mallory", Role: auth.Admin, On: "**"})
	wantCode(t, err, Exists)
}

// TestSystem: without anybody in the context, the system did it.
func TestSystem(t *testing.T) {
	s := open(t)
	u, err := s.AddUser(context.Background(), "alice", password, nil, nil)
	if err != nil || u.By != journal.Who(t.Context()).Name || u.By == "" {
		t.Errorf("%+v, %v", u, err)
	}
}
