package main

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzConfig loads any file with any list in a variable. What is taken must be good, and must come out of what is printed of it again.
func FuzzConfig(f *testing.F) {
	// Short ones only: with long ones, most of the time goes into making them shorter.
	f.Add("auth:\n  grants:\n    - who: user:alice\n      role: admin\n      'on': '**'\n", `[{who: anyone, role: reader, on: "a"}]`)
	f.Add("auth: {gitlab: [{name: a, url: https://a.example.com, prefixes: ['b,c', d], bind: [{claims: {e: 1, f: '*'}, role: ci, on: g}]}]}", "")
	f.Add("auth: {ldap: [{url: ldap://127.0.0.1, startTLS: true, userBase: a}], tokenTTL: 1h}", "~")
	f.Add("auth: {oidc: [&a {name: a, issuer: https://a.example.com, bind: [{claims: {a: true}, role: ci, on: '{a}'}]}, *a]}", `[{"who":"anyone"}]`)
	f.Add("storage:\n  disk: &a {path: \"a\\nb\"}\ntls: *a\n", "- *a")
	f.Add("limits: {manifestBytes: 17, stall: 1d}\nurl: 'http://a:b@c'\n", "--- a\n--- b")
	f.Fuzz(func(t *testing.T, text, grants string) {
		c, err := parseConfig("config.yml", []byte(text), []string{"ENTREPOT_AUTH_GRANTS=" + grants})
		if err != nil {
			if !strings.Contains(err.Error(), "config.yml:") && !strings.Contains(err.Error(), "ENTREPOT_AUTH_GRANTS: ") {
				t.Errorf("no place is named: %v", err)
			}
			return
		}
		if err := c.validate(); err != nil {
			t.Errorf("what was taken is refused: %v", err)
		}
		once := printed(t, c)
		again, err := parseConfig("printed.yml", []byte(once), nil)
		if err != nil {
			t.Fatalf("what was printed is refused: %v\n%s", err, once)
		}
		if twice := printed(t, again); twice != once {
			t.Errorf("printed:\n%s\nand printed again:\n%s", once, twice)
		}
		if !strings.Contains(once, "xxxxx") && !reflect.DeepEqual(c.Auth, again.Auth) {
			t.Errorf("%+v\ncame back as\n%+v", c.Auth, again.Auth)
		}
	})
}
