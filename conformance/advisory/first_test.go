package advisory

import (
	"maps"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

var printed = regexp.MustCompile(`(?m)^\s+password: ([A-Z2-7]{20,})$`)

// onAllAddresses lets a program listen on every address of the machine; it is asked on a loopback one.
func onAllAddresses(p *program.Program) {
	_, port, _ := net.SplitHostPort(p.Addr)
	p.Addr, p.URL = "0.0.0.0:"+port, "http://127.0.0.1:"+port
}

// CVE-2026-4404 (Harbor): a fresh registry had an admin with a password that everybody knows. A fresh one that others can reach lets nobody in but with the
// password that it prints once: no guess works, nothing is open, and no second start prints another.
func TestFirstStart_CVE_2026_4404(t *testing.T) {
	for name, opts := range map[string][]program.Option{
		"on all addresses":               {onAllAddresses},
		"with a url":                     {program.Config("url: https://registry.example.com\n")},
		"with anonymous none":            {program.Config("auth: {anonymous: none}\n")},
		"with a grant to who is to come": {program.Config("auth: {grants: [{who: 'user:admin', role: admin, on: '**'}, {who: 'group:admins', role: admin, on: '**'}]}\n")},
	} {
		t.Run(name, func(t *testing.T) {
			p := program.Start(t, opts...)
			var found [][]string
			for deadline := time.Now().Add(5 * time.Second); len(found) != 1; time.Sleep(10 * time.Millisecond) {
				if found = printed.FindAllStringSubmatch(p.Log(), -1); len(found) > 1 || time.Now().After(deadline) {
					t.Fatalf("the program prints %d passwords:\n%s", len(found), p.Log())
				}
			}
			nobody := ask.Caller{At: p.URL}
			admin := nobody.With(ask.Basic("admin", found[0][1]))
			for _, c := range changes("a/app", "b/app", absent(), []byte(`{}`), wire.UploadsPath("a/app")+"x") {
				nobody.Do(t, c.method, c.target, c.body, "Content-Type", c.contentType).Refused(t, "UNAUTHORIZED", 401)
			}
			for _, path := range []string{"/v2/", "/v2/_catalog", "/api/v1/audit", ask.Accounts + "users", ask.Accounts + "whoami"} {
				nobody.Get(t, path).Refused(t, "UNAUTHORIZED", 401)
			}
			nobody.Call(t, "POST", "users", map[string]any{"name": "mallory", "password": password}).Refused(t, "UNAUTHORIZED", 401)
			n := 0
			for _, user := range []string{"admin", "root", "harbor", "token", "robot$admin"} {
				for _, guess := range []string{
					"Harbor12345", "admin", "password", "entrepot", "changeme", "12345678", strings.ToLower(found[0][1]), found[0][1][:20],
					found[0][1] + "x",
				} {
					guesser := nobody.With(ask.Basic(user, guess))
					guesser.From = "127.5." + itoa(n/50) + ".1"
					n++
					guesser.Get(t, "/v2/").Want(t, 401, 429)
				}
			}
			p.Stop()
			p.Restart()
			admin.Get(t, "/v2/").Want(t, 200)
			admin.Put(t, "a/app", "latest", ask.List())
			var who struct{ Name string }
			admin.Get(t, ask.Accounts+"whoami").Want(t, 200).JSON(t, &who)
			if who.Name != "admin" {
				t.Errorf("the admin is %q", who.Name)
			}
			if again := printed.FindString(p.Log()); again != "" {
				t.Errorf("a second start prints %s", again)
			}
			p.Stop()
		})
	}
}

// CVE-2019-16097 (Harbor): whoever made an account could make it an admin, by a field that nobody should have sent. Fields that are not known are refused, and
// so is whatever would make somebody more than who asks.
func TestUnknownFields_CVE_2019_16097(t *testing.T) {
	g := guard(t)
	g.root.Call(t, "POST", "users", map[string]any{"name": "carol", "password": password}).Want(t, 201)
	g.root.Call(t, "POST", "robots", map[string]any{"name": "bot", "on": "a"}).Want(t, 201)
	bodies := []map[string]any{
		{"has_admin_role": true}, {"sysadmin_flag": true}, {"admin": true}, {"role": "admin"}, {"role_id": 1},
		{"grants": []any{map[string]any{"role": "admin", "on": "**"}}},
		{"kind": "user"}, {"id": "x"}, {"provider": ""}, {"by": "user:root"}, {"first": true}, {"generation": 0},
		{"hash": "$2a$04$DYtYEz/IYO8BxzIq9H8ISuyhZbSNXyAT8SP3TZe92Pom.OvxZiTRm"}, {"scope": nil, "of": "user:root"},
		{"purpose": "session"}, {"via": ""}, {"Admin": true}, {"__proto__": map[string]any{"admin": true}},
	}
	before := string(g.root.Get(t, ask.Accounts+"users").Body) + string(g.root.Get(t, ask.Accounts+"grants").Body) + string(g.root.Get(t, ask.Accounts+"robots").Body)
	for i, extra := range bodies {
		for _, r := range []struct {
			method, path string
			body         map[string]any
		}{
			{"POST", "users", map[string]any{"name": "new-" + itoa(i), "password": password}}, {"PATCH", "users/carol", map[string]any{"groups": []string{}}},
			{"POST", "robots", map[string]any{"name": "new-" + itoa(i), "on": "a"}},
			{"PATCH", "robots/bot", map[string]any{"note": "x"}}, {"POST", "robots/bot/secrets", map[string]any{"note": "x"}},
			{"POST", "grants", map[string]any{"who": "user:carol", "role": "reader", "on": "a"}},
			{"POST", "tokens", map[string]any{"note": "x"}}, {"POST", "password", map[string]any{"old": password, "new": "another " + password}},
			{"POST", "keys/rotate", map[string]any{"revoke": false}},
		} {
			if r.path == "grants" && extra["role"] != nil {
				continue // there it belongs
			}
			maps.Copy(r.body, extra)
			if got := g.root.Call(t, r.method, r.path, r.body); got.Status != 400 {
				t.Errorf("%s with %v: %d, want 400 %s", got.Asked, extra, got.Status, got.Excerpt())
			}
			for _, c := range []ask.Caller{g.alice, g.eve, g.nobody} {
				if got := c.Call(t, r.method, r.path, r.body); got.Status < 400 || got.Status >= 500 {
					t.Errorf("%s with %v by %s: %d", got.Asked, extra, c.Name, got.Status)
				}
			}
		}
	}
	if after := string(g.root.Get(t, ask.Accounts+"users").Body) + string(g.root.Get(t, ask.Accounts+"grants").Body) + string(g.root.Get(t, ask.Accounts+"robots").Body); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	// Without such fields nobody becomes more, either.
	for _, c := range []ask.Caller{g.alice, g.eve} {
		c.Call(t, "POST", "users", map[string]any{"name": "mallory", "password": password}).Refused(t, "DENIED", 403)
		c.Call(t, "POST", "grants", map[string]any{"who": c.Name, "role": "admin", "on": "**"}).Refused(t, "DENIED", 403)
	}
	// A form, or text that a stranger's page can make a browser send, is none of ours.
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "text/json"} {
		got := g.root.Do(t, "POST", ask.Accounts+"users", []byte(`{"name":"mallory","password":"`+password+`"}`), "Content-Type", media)
		if got.Status != 400 && got.Status != 415 {
			t.Errorf("as %q: %d", media, got.Status)
		}
	}
}

// CVE-2026-41888 (distribution), for those who log in: with deletes off nobody deletes content, whatever one may do, and what one shows.
func TestDeletesOff_ForEverybody_CVE_2026_41888(t *testing.T) {
	g := guard(t, "deletes: false\n")
	layer := wire.Random(50)
	blob := g.alice.Push(t, "a/app", layer)
	body := ask.Image(layer)
	d := g.alice.Put(t, "a/app", "pr-1", body)
	for what, c := range map[string]ask.Caller{
		"root": g.root, "alice, whose it is": g.alice, "alice's token": g.alice.Token(t, "repository:a/app:pull,push,delete"),
		"root's token": g.root.Token(t, "repository:a/app:*"), "eve": g.eve, "bob": g.bob, "nobody": g.nobody,
	} {
		for _, path := range []string{
			wire.ManifestPath("a/app", "pr-1"), wire.ManifestPath("a/app", d), wire.BlobPath("a/app", blob), wire.ManifestPath("a/app", "absent"),
		} {
			for _, r := range []request{{"DELETE", path, nil}, {"DELETE", path + "?force=true", nil}, {"POST", path, []string{"X-HTTP-Method-Override", "DELETE"}}} {
				got := c.Do(t, r.method, r.target, nil, r.headers...)
				want := 405
				if what == "nobody" {
					want = 401
				}
				if got.Status != want || strings.Contains(got.Header.Get("Allow"), "DELETE") {
					t.Errorf("%s: %s: %d, Allow: %s, want %d", what, got.Asked, got.Status, got.Header.Get("Allow"), want)
				}
			}
		}
	}
	g.eve.Get(t, wire.ManifestPath("a/app", "pr-1")).Want(t, 200)
	g.eve.Get(t, wire.BlobPath("a/app", blob)).Want(t, 200)
	g.alice.Do(t, "DELETE", g.alice.Begin(t, "a/app"), nil).Want(t, 204) // an upload is no content yet
}

type request struct {
	method, target string
	headers        []string
}
