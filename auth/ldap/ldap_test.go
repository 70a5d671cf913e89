package ldap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

func start(t testing.TB, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fails logs alice in, wants that to be a fault whose text holds words, and returns the text.
func fails(t *testing.T, p *Provider, words string) string {
	t.Helper()
	who, until, err := p.Login(t.Context(), "alice", "wonder")
	if err == nil || errors.Is(err, auth.ErrWrong) || errors.Is(err, auth.ErrUnknown) {
		t.Fatalf("%+v, %v: want a fault", who, err)
	}
	if !who.Anonymous() || who.Groups != nil || !until.IsZero() {
		t.Errorf("with a fault came %+v until %v", who, until)
	}
	if !strings.Contains(err.Error(), words) {
		t.Errorf("%v\nwant a text with %q", err, words)
	}
	return err.Error()
}

func TestLogin_binds_searches_and_binds_as_who_was_found(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.Now = func() time.Time { return now }
	p := start(t, c)
	who, until, err := p.Login(t.Context(), "alice", "wonder")
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Identity{Kind: auth.User, Name: "alice", Groups: []string{"dev", "ops"}}
	if !reflect.DeepEqual(who, want) || !until.Equal(now.Add(2*time.Minute)) {
		t.Errorf("%+v until %v, want %+v for 2 minutes", who, until, want)
	}
	order := []string{
		"connect", "bind " + reader, "search " + base + " (uid=alice)", "bind " + alice, "bind " + reader,
		"search " + groupsOfAlice,
	}
	if got := f.asked(); !slices.Equal(got, order) {
		t.Errorf("the directory was asked\n%q\nwant\n%q", got, order)
	}
	if _, _, err := p.Login(t.Context(), "alice", "wander"); !errors.Is(err, auth.ErrWrong) || err.Error() != auth.ErrWrong.Error() {
		t.Errorf("a wrong secret: %v", err)
	}
	if got := f.asked(); !slices.Equal(got, order[:4]) {
		t.Errorf("with a wrong secret, the directory was asked\n%q\nwant\n%q", got, order[:4])
	}
	if _, _, err := p.Login(t.Context(), "bob", "wonder"); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestLogin_searches_anonymously_without_a_bind_DN(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	c.BindDN, c.BindPasswordFile = "", ""
	if who, _, err := start(t, c).Login(t.Context(), "alice", "wonder"); err != nil || len(who.Groups) != 2 {
		t.Fatalf("%+v, %v", who, err)
	}
	got := f.asked()
	if len(got) != 5 || got[1] != "search "+base+" (uid=alice)" || got[2] != "bind "+alice || got[3] != "bind " {
		t.Errorf("the directory was asked %q", got)
	}
}

func TestLogin_asks_nothing_for_what_cannot_be_right(t *testing.T) {
	f := newFake(t)
	p := start(t, f.config(t))
	for _, c := range []struct {
		name, secret string
		want         error
	}{
		{"alice", "", auth.ErrWrong}, // the fake would let her in
		{"alice", "\x00", auth.ErrWrong},
		{"alice", "wonder\x00", auth.ErrWrong},
		{"alice", strings.Repeat("a", maxSecret+1), auth.ErrUnknown},
		{"", "wonder", auth.ErrUnknown},
		{"alice\x00", "wonder", auth.ErrUnknown},
		{"alice\n", "wonder", auth.ErrUnknown},
		{"al\xffice", "wonder", auth.ErrUnknown},
		{strings.Repeat("a", auth.MaxName+1), "wonder", auth.ErrUnknown},
	} {
		if who, _, err := p.Login(t.Context(), c.name, c.secret); !errors.Is(err, c.want) || !who.Anonymous() {
			t.Errorf("%.20q with %.20q: %v, %v, want %v", c.name, c.secret, who, err, c.want)
		}
	}
	if got := f.asked(); len(got) > 0 {
		t.Errorf("the directory was asked %q", got)
	}
}

// TestLogin_escapes looks at the filter as the directory reads it: whatever is typed stays one value.
func TestLogin_escapes(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	c.UserFilter = "(&(objectClass=person)(|(uid={name})(mail={name})))"
	p := start(t, c)
	for _, name := range []string{"*", "alice)(uid=*", "alice))(|(uid=*", "{name}", "{dn}", "a\u0301lice", "a&b|c!d", "#,+;<>="} {
		_, _, err := p.Login(t.Context(), name, "wonder")
		if !errors.Is(err, auth.ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
		e := goldap.EscapeFilter(name)
		want := "search " + base + " (&(objectClass=person)(|(uid=" + e + ")(mail=" + e + ")))"
		if got := f.asked(); len(got) != 3 || got[2] != want {
			t.Errorf("%q: the directory was asked %q, want %q", name, got, want)
		}
	}
}

func TestLogin_escapes_what_the_directory_says_too(t *testing.T) {
	f := newFake(t)
	dn := `cn=A \(*\) {name},` + base
	f.passwords[dn] = "wonder"
	f.found = map[string][]*goldap.Entry{
		base + " (uid=alice)": {entry(dn, "uid", "a*)(cn=*")},
		groups + ` (|(member=cn=A \5c\28\2a\5c\29 {name},` + base + `)(memberUid=a\2a\29\28cn=\2a))`: {entry("cn=dev,"+groups, "cn", "dev")},
	}
	c := f.config(t)
	c.GroupFilter = "(|(member={dn})(memberUid={name}))"
	who, _, err := start(t, c).Login(t.Context(), "alice", "wonder")
	if err != nil || who.Name != "a*)(cn=*" || !slices.Equal(who.Groups, []string{"dev"}) {
		t.Errorf("%+v, %v; the directory was asked %q", who, err, f.asked())
	}
}

func TestLogin_wants_one_usable_entry(t *testing.T) {
	for _, c := range []struct {
		what  string
		found []*goldap.Entry
		words string
	}{
		{"two entries", []*goldap.Entry{entry(alice, "uid", "alice"), entry("uid=alice,ou=x,"+base, "uid", "alice")}, "matches several"},
		{"more than the limit", []*goldap.Entry{entry(alice, "uid", "a"), entry(alice, "uid", "b"), entry(alice, "uid", "c")}, "matches several"},
		{"no DN", []*goldap.Entry{entry("", "uid", "alice")}, "0 bytes"},
		{"a long DN", []*goldap.Entry{entry("uid="+strings.Repeat("a", maxDN), "uid", "alice")}, "4100 bytes"},
		{"no name", []*goldap.Entry{entry(alice, "cn", "alice")}, "0 values of uid"},
		{"two names", []*goldap.Entry{entry(alice, "uid", "alice", "ali")}, "2 values of uid"},
		{"a name like a mail address", []*goldap.Entry{entry(alice, "uid", "alice@corp")}, "no ':' and no '@'"},
		{"a name like a grant", []*goldap.Entry{entry(alice, "uid", "robot:ci")}, "no ':' and no '@'"},
		{"a name that turns text around", []*goldap.Entry{entry(alice, "uid", "a\u202eb")}, "is no name"},
		{"a name that is no text", []*goldap.Entry{entry(alice, "uid", "a\xff")}, "is no name"},
		{"a huge name", []*goldap.Entry{entry(alice, "uid", strings.Repeat("a", 100_000))}, "is no name"},
		{"a name too large to receive", []*goldap.Entry{entry(alice, "uid", strings.Repeat("a", 2<<20))}, "sent more than 1048576 bytes"},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFake(t)
			f.found[base+" (uid=alice)"] = c.found
			if text := fails(t, start(t, f.config(t)), c.words); len(text) > 1000 {
				t.Errorf("the error has %d bytes", len(text))
			}
			if got := f.asked(); len(got) != 3 {
				t.Errorf("the directory was asked %q; want no bind as anybody", got)
			}
		})
	}
}

func TestLogin_takes_three_entries_from_a_directory_without_limits(t *testing.T) {
	f := newFake(t)
	f.instead["search"] = func(m message) {
		for range 3 {
			m.entry(entry(alice, "uid", "alice"))
		}
		m.result(goldap.ApplicationSearchResultDone, 0, "")
	}
	fails(t, start(t, f.config(t)), "matches several")
}

func TestLogin_passes_references_by(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	c.GroupBase = ""
	f.instead["search"] = func(m message) {
		m.reference("ldap://" + f.addr + "/dc=elsewhere")
		m.entry(entry(alice, "uid", "alice"))
		m.reference("ldap://192.0.2.1/dc=elsewhere")
		m.result(goldap.ApplicationSearchResultDone, 0, "")
	}
	if who, _, err := start(t, c).Login(t.Context(), "alice", "wonder"); err != nil || who.Name != "alice" {
		t.Errorf("%+v, %v", who, err)
	}
	if got := f.asked(); len(got) != 4 {
		t.Errorf("the directory was asked %q", got)
	}
}

func TestLogin_tells_what_the_directory_answers(t *testing.T) {
	answer := func(tag ber.Tag, code uint16, words string) func(message) {
		return func(m message) { m.result(tag, code, words) }
	}
	for _, c := range []struct {
		op    string
		code  uint16
		words string // of the directory
		want  []string
	}{
		{"bind " + reader, goldap.LDAPResultInvalidCredentials, "", []string{reader, "check the bind DN and ", "password"}},
		{"bind " + reader, goldap.LDAPResultInvalidCredentials, "80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 533, v4563",
			[]string{"the account is disabled", "533"}},
		{"bind " + reader, goldap.LDAPResultStrongAuthRequired, "", []string{"8 (strong auth required)", "use ldaps://"}},
		{"bind " + alice, goldap.LDAPResultUnwillingToPerform, "", []string{alice, "53 (unwilling to perform)"}},
		{"search", goldap.LDAPResultNoSuchObject, "", []string{base, "32 (no such object)", "does not exist"}},
		{"search", goldap.LDAPResultReferral, "", []string{"10 (referral)", "not followed"}},
		{"search", goldap.LDAPResultOperationsError, "000004DC: a bind must be completed", []string{"000004DC", "set a bind DN"}},
		{"search", goldap.LDAPResultOther, strings.Repeat("x", 100_000), []string{"80 (other)"}},
		{"search", 199, "\x1b[31m\xff", []string{`199`, `"\x1b[31m?"`}},
	} {
		t.Run(fmt.Sprint(c.op, " ", c.code), func(t *testing.T) {
			f := newFake(t)
			tag := ber.Tag(goldap.ApplicationBindResponse)
			if c.op == "search" {
				tag = goldap.ApplicationSearchResultDone
			}
			f.instead[c.op] = answer(tag, c.code, c.words)
			text := ""
			for _, want := range append(c.want, "ldap://"+f.addr) {
				text = fails(t, start(t, f.config(t)), want)
			}
			if len(text) > 1000 {
				t.Errorf("the error has %d bytes", len(text))
			}
		})
	}
}

func TestLogin_gives_the_reason_of_Active_Directory(t *testing.T) {
	for code, want := range map[string]string{
		"52e": auth.ErrWrong.Error(),
		"775": auth.ErrWrong.Error() + ": the account is locked (Active Directory's code 775)",
		"532": auth.ErrWrong.Error() + ": the password has expired (Active Directory's code 532)",
		"fff": auth.ErrWrong.Error(),
	} {
		f := newFake(t)
		f.instead["bind "+alice] = func(m message) {
			m.result(goldap.ApplicationBindResponse, goldap.LDAPResultInvalidCredentials,
				"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data "+code+", v1db1\x00")
		}
		if _, _, err := start(t, f.config(t)).Login(t.Context(), "alice", "wonder"); !errors.Is(err, auth.ErrWrong) || err.Error() != want {
			t.Errorf("%s: %v, want %s", code, err, want)
		}
	}
}

// TestLogin_keeps_secrets lets the directory repeat every password in what it answers to a bind.
func TestLogin_keeps_secrets(t *testing.T) {
	const secret, service = "s3cret-of-alice", "s3cret-of-service"
	var logged bytes.Buffer
	check := func(err error) {
		t.Helper()
		if err == nil {
			t.Fatal("want an error")
		}
		for text := range strings.SplitSeq(fmt.Sprintf("%v\n%+v\n%#v\n%s", err, err, err, logged.String()), "\n") {
			if strings.Contains(text, "s3cret") {
				t.Errorf("a secret is in %q", text)
			}
		}
	}
	for _, who := range []string{reader, alice} {
		for _, code := range []uint16{goldap.LDAPResultInvalidCredentials, goldap.LDAPResultUnavailable, goldap.LDAPResultOther} {
			f := newFake(t)
			f.passwords[reader], f.passwords[alice] = service, secret
			f.instead["bind "+who] = func(m message) {
				m.result(goldap.ApplicationBindResponse, code, "not "+m.op.Children[2].Data.String())
			}
			c := f.config(t)
			c.BindPasswordFile = file(t, "password", service)
			c.URL += " " + c.URL
			c.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, _, err := start(t, c).Login(t.Context(), "alice", secret)
			check(err)
		}
	}
	if !strings.Contains(logged.String(), "the next one is asked") {
		t.Errorf("the log is %q; want the servers that were not available in it", logged.String())
	}
}

// TestLogin_ends_in_time has directories that say nothing, nonsense, or too much, at each step.
func TestLogin_ends_in_time(t *testing.T) {
	hang := func(message) {}
	shut := func(m message) { m.Close() }
	send := func(text string) func(message) { return func(m message) { _, _ = m.Write([]byte(text)) } }
	endless := func(m message) {
		for text := append([]byte("\x04\x7e"), make([]byte, 126)...); ; {
			if _, err := m.Write(text); err != nil {
				return
			}
		}
	}
	refer := func(m message) {
		for range 1200 {
			m.reference("ldap://ldap.example.com/" + strings.Repeat("a", 1000))
		}
		m.result(goldap.ApplicationSearchResultDone, 0, "")
	}
	before := runtime.NumGoroutine()
	t.Run("all", func(t *testing.T) {
		for _, c := range []struct {
			what  string
			do    func(message)
			words string
		}{
			{"hangs", hang, "no answer within 100ms"},
			{"closes", shut, ""},
			{"sends a page", send("HTTP/1.1 400 Bad Request\r\n\r\n"), "no answer within 100ms"},
			{"sends garbage", send("\x30\x84\x7f\xff\xff\xff\x02\x01"), "no answer within 100ms"},
			{"sends nothing in messages", send("\x30\x00\x30\x02\x05\x00\x30\x80\x00\x00"), "no answer within 100ms"},
			{"nests", send(strings.Repeat("\x30\x80", 5000)), ""},
			{"never ends", endless, ""},
			{"refers to many", refer, ""},
		} {
			for _, op := range []string{"bind " + reader, "search", "bind " + alice, "extended"} {
				t.Run(c.what+" at "+op, func(t *testing.T) {
					t.Parallel()
					f := newFake(t)
					f.instead[op] = c.do
					config := f.config(t)
					config.Timeout = 100 * time.Millisecond
					config.StartTLS = op == "extended"
					if c.words == "" {
						config.Timeout = 30 * time.Second
					}
					began := time.Now()
					fails(t, start(t, config), c.words)
					if took := time.Since(began); took > 20*time.Second {
						t.Errorf("it took %v", took)
					}
				})
			}
		}
	})
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			all := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, all[:runtime.Stack(all, true)])
		}
	}
}

// A server may make the library stop listening during StartTLS; that ends in time, too.
func TestLogin_ends_in_time_when_StartTLS_is_answered_for_another(t *testing.T) {
	f := newFake(t)
	f.instead["extended"] = func(m message) {
		m.id += 7
		m.result(goldap.ApplicationExtendedResponse, 0, "")
	}
	c := f.config(t)
	c.StartTLS, c.Timeout = true, 50*time.Millisecond
	began := time.Now()
	fails(t, start(t, c), "no answer within 50ms")
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestLogin_ends_with_its_context(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.instead["search"] = func(message) { cancel() }
	c := f.config(t)
	c.URL += " " + c.URL
	var logged bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&logged, nil))
	began := time.Now()
	_, _, err := start(t, c).Login(ctx, "alice", "wonder")
	if !errors.Is(err, context.Canceled) || time.Since(began) > 4*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if logged.Len() > 0 {
		t.Errorf("nobody waits for the next server, but the log says %s", &logged)
	}
	if _, _, err := start(t, f.config(t)).Login(ctx, "alice", "wonder"); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended before: %v", err)
	}
}

// Eight logins are under way; the ninth waits for one of them, and no longer than it may.
func TestLogin_bounds_how_many_are_under_way(t *testing.T) {
	f := newFake(t)
	arrived, leave := make(chan bool), make(chan bool)
	f.instead["bind "+alice] = func(m message) {
		arrived <- true
		<-leave
		m.result(goldap.ApplicationBindResponse, 0, "")
	}
	p := start(t, f.config(t))
	var all sync.WaitGroup
	for range maxLogins {
		all.Go(func() {
			if _, _, err := p.Login(t.Context(), "alice", "wonder"); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxLogins {
		<-arrived
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := p.Login(ctx, "alice", "wonder"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "8 others") {
		t.Errorf("the ninth: %v", err)
	}
	close(leave)
	all.Wait()
	go func() { <-arrived }()
	if _, _, err := p.Login(t.Context(), "alice", "wonder"); err != nil {
		t.Errorf("after all others: %v", err)
	}
}

func TestLogin_asks_the_next_server(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := nobody.Addr().String()
	nobody.Close()
	silent := newFake(t)
	silent.instead["bind"] = func(message) {}
	busy := newFake(t)
	busy.instead["bind"] = func(m message) { m.result(goldap.ApplicationBindResponse, goldap.LDAPResultBusy, "") }
	good := newFake(t)
	c := good.config(t)
	c.URL = "ldap://" + gone + " ldap://" + silent.addr + "  ldap://" + busy.addr + "\nldap://" + good.addr
	c.Timeout = 2 * time.Second
	p := start(t, c)
	if who, _, err := p.Login(t.Context(), "alice", "wonder"); err != nil || who.Name != "alice" {
		t.Fatalf("%+v, %v", who, err)
	}
	// What one has answered is not asked again.
	good.asked()
	c.URL = "ldap://" + good.addr + " ldap://" + silent.addr
	p = start(t, c)
	silent.asked()
	for secret, want := range map[string]error{"wander": auth.ErrWrong, "wonder": nil} {
		if _, _, err := p.Login(t.Context(), "alice", secret); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", secret, err, want)
		}
	}
	good.change(func() {
		good.instead["search"] = func(m message) { m.result(goldap.ApplicationSearchResultDone, goldap.LDAPResultNoSuchObject, "") }
	})
	fails(t, p, "no such object")
	if got := silent.asked(); len(got) > 0 {
		t.Errorf("the second server was asked %q", got)
	}
}

func TestLogin_reads_the_password_of_the_bind_DN_each_time(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	p := start(t, c)
	if err := os.WriteFile(c.BindPasswordFile, []byte("new\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text := fails(t, p, c.BindPasswordFile); strings.Contains(text, "new") {
		t.Errorf("the password is in %q", text)
	}
	f.change(func() { f.passwords[reader] = "new" })
	if _, _, err := p.Login(t.Context(), "alice", "wonder"); err != nil {
		t.Error(err)
	}
}
