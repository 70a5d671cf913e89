package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestIdentity_names(t *testing.T) {
	for _, c := range []struct {
		who  Identity
		want string
	}{
		{Identity{}, "anonymous"},
		{Identity{Kind: Robot, Name: "ci-dmp"}, "robot:ci-dmp"},
	} {
		if got := c.who.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestRoles is the table of who may do what, written out once more.
func TestRoles(t *testing.T) {
	const all = "knock enter list pull push overwrite attach delete-own delete request approve promote approve-last promote-last govern appoint administer manage audit-own audit"
	for role, want := range map[Role]string{
		Reader:     "knock enter list pull",
		NodeRole:   "knock enter list pull",
		Developer:  "knock enter list pull push overwrite attach delete-own request audit-own",
		CIRole:     "knock enter list pull push overwrite attach request audit-own",
		Maintainer: "knock enter list pull push overwrite attach delete-own delete request approve promote govern appoint administer audit-own audit",
		DomainLead: "knock enter list pull request approve promote approve-last promote-last govern appoint administer audit-own audit",
		Auditor:    "knock enter list audit-own audit",
		Admin:      all,
		"root":     "",
	} {
		var got []string
		for _, a := range Actions {
			if role.Includes(a) {
				got = append(got, string(a))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s\nwant %s", role, strings.Join(got, " "), want)
		}
	}
	if len(Roles()) != 8 {
		t.Error(Roles())
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct {
		path, name string
		want       bool
	}{
		{"cloud/dmp", "cloud/dmp", true},
		{"cloud/dmp", "cloud/dmp/ms-ingestion", true},
		{"cloud/dmp/**", "cloud/dmp", true},
		{"cloud/dmp/**", "cloud/dmp/a/b/c/d", true},
		{"cloud/dm", "cloud/dmp", false},
		{"cloud/dmp", "cloud/dmp-2", false},
		{"cloud/dmp", "cloud", false},
		{"cloud/dmp", "", false},
		{"**", "", true},
		{"**", "anything/at/all", true},
		{"", "", false},
		{"", "a", false},
		{"/**", "a", false},
		{"/**", "", false},
		{"cloud/dmp", "cloud/dmp/..", false},
		{"cloud/dmp", "cloud/dmp/../core", false},
		{"cloud/dmp/**", "cloud/dmp/./a", false},
		{"cloud/dmp", "cloud/dmp/a/b/..", false},
		{"..", "../a", false},
		{"cloud/dmp", "cloud/dmp/...", true},
		{"cloud/dmp", "cloud/dmp/a..b/.c/..d", true},
		{"**", "a/../b", true}, // whoever has everything gets nowhere else by it
	} {
		if got := Path(c.path).Covers(c.name); got != c.want {
			t.Errorf("%q covers %q: %v", c.path, c.name, got)
		}
	}
	for _, good := range []Path{"**", "a", "a/b-c/d_e.f", "a/**"} {
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []Path{"", "/", "/a", "a/", "a//b", "A/b", "a/*", "a/**/b", "**/a", "/**", "a/../b", "a/b\n", "a b", Path(strings.Repeat("a", 256))} {
		if bad.Check() == nil {
			t.Errorf("%q is taken for a path", bad)
		}
	}
	if !Path("a/b").Within("a") || Path("a").Within("a/b") || Path("**").Within("a") || !Path("a/**").Within("**") || !Path("a/**").Within("a") {
		t.Error("what lies within what")
	}
}

// TestPath_covers_without_allocating: each request asks for each grant.
func TestPath_covers_without_allocating(t *testing.T) {
	name := "cloud/dmp/" + strings.Repeat("a/", 100) + "a"
	if n := testing.AllocsPerRun(100, func() {
		if !Path("cloud/dmp/**").Covers(name) {
			t.Error("not covered")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestRules_decide_by_grants_alone(t *testing.T) {
	alice := Identity{Kind: User, Name: "alice", Groups: []string{"dmp"}}
	rules := NewRules([]Grant{
		{Who: "user:alice", Role: Reader, On: "cloud"},
		{Who: "group:dmp", Role: Developer, On: "cloud/dmp/**"},
		{Who: "robot:alice", Role: Admin, On: "**"},
		{Who: "anyone", Role: Reader, On: "public"},
	}, true)
	job := Identity{Kind: CI, Name: "x@gitlab", Grants: []Grant{{Role: CIRole, On: "cloud/dmp/x"}}}
	for _, c := range []struct {
		who   Identity
		do    Action
		on    string
		want  string // "", login, narrow, hidden, or refused
		grant string
	}{
		{alice, Pull, "cloud/core/a", "", "user:alice is reader on cloud"},
		{alice, Push, "cloud/core/a", "refused", ""},
		{alice, Push, "cloud/dmp/a", "", "group:dmp is developer on cloud/dmp/**"},
		{alice, Delete, "cloud/dmp/a", "refused", ""},
		{alice, Pull, "ran/a", "hidden", ""},
		{alice, Pull, "public/a", "", "anyone is reader on public"},
		{alice, Administer, "", "refused", ""},
		{alice, List, "", "", "whoever has logged in may list what they may pull"},
		{alice, Enter, "", "", "whoever has logged in may enter"},
		{Identity{}, Enter, "", "login", ""},
		{Identity{}, List, "", "", "anyone is reader on public"},
		{Identity{}, Pull, "public/a", "", "anyone is reader on public"},
		{Identity{}, Push, "public/a", "login", ""},
		{Identity{}, Pull, "cloud/a", "login", ""},
		{job, Push, "cloud/dmp/x", "", "ci:x@gitlab is ci on cloud/dmp/x"},
		{job, Push, "cloud/dmp/y", "hidden", ""},
		{Identity{Kind: User, Name: "bob"}, Pull, "cloud/a", "hidden", ""},
		{Identity{Kind: User, Name: "alice", Scope: Scope{}}, Pull, "cloud/a", "narrow", ""},
		{Identity{Kind: User, Name: "alice", Scope: Scope{{"repository", "cloud/a", []string{"pull"}}}}, Pull, "cloud/a", "", "user:alice is reader on cloud"},
		{Identity{Kind: User, Name: "alice", Scope: Scope{{"repository", "cloud/a", []string{"pull"}}}}, Pull, "cloud/a/b", "narrow", ""},
		{Identity{Kind: User, Name: "alice", Scope: Scope{{"repository", "cloud/**", []string{"pull"}}}}, Pull, "cloud/a/b", "", "user:alice is reader on cloud"},
		{Identity{Kind: User, Name: "alice", Scope: Scope{{"repository", "ran/x", []string{"*"}}}}, Pull, "ran/x", "hidden", ""},
		{Identity{Kind: Robot, Name: "alice", Scope: Scope{{"repository", "a", []string{"push"}}}}, Overwrite, "a", "", "robot:alice is admin on **"},
		{Identity{Kind: Robot, Name: "alice", Scope: Scope{{"repository", "a", []string{"push"}}}}, Delete, "a", "narrow", ""},
		{Identity{Kind: Robot, Name: "alice", Scope: Scope{{"repository", "a", []string{"pull", "push", "delete"}}}}, Administer, "a", "narrow", ""},
		{Identity{Kind: Robot, Name: "alice", Scope: Scope{{"repository", "a", []string{"*"}}}}, Administer, "", "narrow", ""},
		{Identity{Kind: Robot, Name: "alice", Scope: Scope{{"registry", "catalog", []string{"*"}}}}, List, "", "", "whoever has logged in may list what they may pull"},
		{Identity{Kind: Robot, Name: "alice", Scope: Scope{{"registry", "catalog", []string{"*"}}}}, Administer, "", "narrow", ""},
	} {
		err := rules.Allow(t.Context(), c.who, c.do, c.on)
		got := ""
		var r *Refusal
		if errors.As(err, &r) {
			switch got = "refused"; {
			case r.Login:
				got = "login"
			case r.Narrow:
				got = "narrow"
			case r.Hidden:
				got = "hidden"
			}
		} else if err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("%v %s %s: %q, want %q (%v)", c.who, c.do, c.on, got, c.want, err)
		}
		if d := rules.Decide(c.who, c.do, c.on); err == nil && (!d.Allowed || d.Reason != c.grant) {
			t.Errorf("%v %s %s: %+v", c.who, c.do, c.on, d)
		}
	}
	for _, do := range Actions {
		if (*Rules)(nil).Allow(t.Context(), alice, do, "a") == nil && do != Knock && do != Enter && do != List || Open.Allow(t.Context(), Identity{}, do, "") != nil {
			t.Errorf("%s: no rules, or the open ones", do)
		}
	}
}

func TestRules_who_may_appoint(t *testing.T) {
	rules := NewRules([]Grant{
		{Who: "user:root", Role: Admin, On: "**"},
		{Who: "user:max", Role: Maintainer, On: "cloud/dmp"},
		{Who: "user:lea", Role: DomainLead, On: "cloud"},
		{Who: "user:dev", Role: Developer, On: "**"},
		{Who: "user:sub", Role: Admin, On: "cloud"},
	}, true)
	for _, c := range []struct {
		who, whom string
		role      Role
		on        Path
		want      bool
	}{
		{"root", "user:root", Admin, "**", true},
		{"max", "user:dev", Developer, "cloud/dmp/x", true},
		{"max", "user:dev", Maintainer, "cloud/dmp/**", true},
		{"max", "user:dev", DomainLead, "cloud/dmp", false},
		{"max", "user:dev", Admin, "cloud/dmp", false},
		{"max", "user:dev", Reader, "cloud", false},
		{"max", "user:dev", Reader, "cloud/dmp-2", false},
		{"max", "user:max", Reader, "cloud/dmp", false},
		{"lea", "user:dev", Maintainer, "cloud/core", true},
		{"lea", "user:lea", Maintainer, "cloud/core", false},
		{"lea", "user:dev", Auditor, "cloud", false},
		{"dev", "user:x", Reader, "cloud", false},
		{"sub", "user:sub", Developer, "cloud/a", true},
		{"sub", "user:x", Reader, "**", false},
		{"nobody", "user:x", Reader, "cloud", false},
	} {
		err := rules.MayAppoint(Identity{Kind: User, Name: c.who}, Grant{Who: c.whom, Role: c.role, On: c.on})
		if (err == nil) != c.want {
			t.Errorf("%s gives %s %s on %s: %v", c.who, c.whom, c.role, c.on, err)
		}
	}
}

func TestGrant_Check(t *testing.T) {
	for _, good := range []Grant{
		{Who: "anyone", Role: Reader, On: "**"},
		{Who: "user:alice", Role: Developer, On: "a/b"},
		{Who: "group:Domain Users", Role: Admin, On: "a/**"},
		{Who: "ci:project_path:a/b:ref_type:branch:ref:main@gitlab", Role: CIRole, On: "a"},
	} {
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []Grant{
		{Role: Reader, On: "**"},
		{Who: "alice", Role: Reader, On: "**"},
		{Who: "user: a", Role: Reader, On: "**"},
		{Who: "user:", Role: Reader, On: "**"},
		{Who: "user:a\nb", Role: Reader, On: "**"},
		{Who: "user:a\u202eb", Role: Reader, On: "**"},
		{Who: "pope:a", Role: Reader, On: "**"},
		{Who: "user:a", Role: "owner", On: "**"},
		{Who: "user:a", Role: Reader, On: "a/*"},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken for a grant", bad)
		}
	}
}
