package main

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/auth"
)

// mustParse returns the configuration of a file that holds text, with nothing in the environment but what is given.
func mustParse(t *testing.T, text string, environ ...string) Config {
	t.Helper()
	c, err := parseConfig("config.yml", []byte(text), environ)
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	return c
}

func printed(t *testing.T, c Config) string {
	t.Helper()
	var out bytes.Buffer
	if err := writeConfig(&out, c); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestConfig_reads_lists_maps_and_what_is_in_them(t *testing.T) {
	const text = `
auth:
  tokenTTL: 1h
  users: {htpasswd: /etc/users}
  grants:
    - {who: user:alice, role: admin, on: "**"}
  oidc:
    - name: jobs
      issuer: http://[::1]:8080/realm
      audience: registry
      kind: workload
      scopes: [openid, profile]
      bind:
        - claims: {project_path: cloud/*, ref_protected: TRUE, iid: 0x11, weight: 1.50, since: 2026-01-02, "a.b/c": yes}
          role: ci
          on: "{project_path}/**"
        - {claims: {sub: a}, role: reader, on: cloud}
  gitlab:
  ldap:
    - {url: ldaps://ldap.example.com, userBase: dc=com}
`
	want := defaultConfig().Auth
	want.TokenTTL *= 12
	want.Users.Htpasswd = "/etc/users"
	want.Grants = []GrantEntry{{Who: "user:alice", Role: "admin", On: "**"}}
	want.OIDC = []OIDCProvider{{
		Name: "jobs", Issuer: "http://[::1]:8080/realm", Audience: "registry", Kind: "workload", Scopes: []string{"openid", "profile"},
		Bind: []Binding{
			{
				Claims: map[string]string{
					"project_path": "cloud/*", "ref_protected": "true", "iid": "0x11", "weight": "1.50", "since": "2026-01-02", "a.b/c": "yes",
				},
				Role: "ci", On: "{project_path}/**",
			},
			{Claims: map[string]string{"sub": "a"}, Role: "reader", On: "cloud"},
		},
	}}
	want.LDAP = []LDAPDirectory{{URL: "ldaps://ldap.example.com", UserBase: "dc=com"}}
	if got := mustParse(t, text).Auth; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfig_knows_where_each_value_was_given(t *testing.T) {
	const text = `auth:
  grants:
    - who: user:alice
      role: admin
      on: cloud
    - {who: user:bob, role: reader, on: cloud}
  oidc:
    - name: jobs
      issuer: &issuer https://login.example.com
      audience: registry
      bind:
        - role: ci
          claims:
            a.b: c
          on: cloud
  gitlab:
    - name: gitlab
      url: *issuer
`
	places := func(c Config, want map[string]string) {
		t.Helper()
		for path, place := range want {
			if got := c.origin.place(path); got != place {
				t.Errorf("%s is at %q, want %q", path, got, place)
			}
		}
	}
	places(mustParse(t, text, "ENTREPOT_LISTEN=127.0.0.1:0"), map[string]string{
		"listen":                             "ENTREPOT_LISTEN",
		"data":                               "data",
		"auth.tokenTTL":                      "auth.tokenTTL",
		"auth.grants":                        "config.yml:3: auth.grants",
		"auth.grants[0]":                     "config.yml:3: auth.grants[0]",
		"auth.grants[0].on":                  "config.yml:5: auth.grants[0].on",
		"auth.grants[1].role":                "config.yml:6: auth.grants[1].role",
		"auth.oidc[0].issuer":                "config.yml:9: auth.oidc[0].issuer",
		"auth.oidc[0].caFile":                "config.yml:8: auth.oidc[0].caFile",
		"auth.oidc[0].bind[0].claims":        "config.yml:14: auth.oidc[0].bind[0].claims",
		"auth.oidc[0].bind[0].claims.a.b":    "config.yml:14: auth.oidc[0].bind[0].claims.a.b",
		"auth.oidc[0].bind[0].on":            "config.yml:15: auth.oidc[0].bind[0].on",
		"auth.gitlab[0].url":                 "config.yml:9: auth.gitlab[0].url",
		"auth.ldap[0].url":                   "auth.ldap[0].url",
		"auth.oidc[0].bind[0].nothing.there": "config.yml:12: auth.oidc[0].bind[0].nothing.there",
	})
	over := mustParse(t, text, `ENTREPOT_AUTH_GRANTS=[{who: anyone, role: reader, on: public}]`, "ENTREPOT_AUTH_GITLAB=")
	if len(over.Auth.Grants) != 1 || len(over.Auth.GitLab) != 0 || len(over.Auth.OIDC) != 1 {
		t.Errorf("the variables' lists did not take the place of the file's: %+v", over.Auth)
	}
	places(over, map[string]string{
		"auth.grants":         "ENTREPOT_AUTH_GRANTS",
		"auth.grants[0].role": "ENTREPOT_AUTH_GRANTS: auth.grants[0].role",
		"auth.grants[1].role": "ENTREPOT_AUTH_GRANTS: auth.grants[1].role",
		"auth.oidc[0].issuer": "config.yml:9: auth.oidc[0].issuer",
		"auth.gitlab":         "ENTREPOT_AUTH_GITLAB",
	})
}

func TestConfig_refuses(t *testing.T) {
	grants := func(n int) string {
		return "auth: {grants: [" + strings.Repeat("{who: anyone, role: reader, on: a},\n", n) + "]}"
	}
	claims := func(all string) string {
		return "auth: {gitlab: [{name: a, url: https://a.example.com, bind: [{claims: " + all + ", role: ci, on: a}]}]}"
	}
	bomb := `auth:
  oidc:
    - &p
      name: a
      bind: [&b {claims: {a: b}}` + strings.Repeat(", *b", 9_000) + `]
` + strings.Repeat("    - *p\n", 9_000)
	unknown := `auth:
  gitlab:
    - &p {` + strings.Repeat("x: , ", 9_000) + `}
` + strings.Repeat("    - *p\n", 9_000)
	long := strings.Repeat("x", 5_000)
	for _, c := range []struct {
		name, text, variable string
		want                 string // the whole of a single fault; with … in the end, how it begins
	}{
		{"too many entries", grants(listLimit + 1), "", "config.yml:1: auth.grants has 10001 entries, but at most 10000 are taken"},
		{"too many claims", claims("{" + strings.Repeat("a: b,\n", listLimit+1) + "}"), "",
			"config.yml:1: auth.gitlab[0].bind[0].claims has 10001 entries, but at most 10000 are taken"},
		{"a claim with a long name", claims("{? " + long + ": a}"), "", `config.yml:1: auth.gitlab[0].bind[0].claims: "xxx…`},
		{"a claim that has to be long", claims("{sub: " + long + "}"), "",
			"config.yml:1: auth.gitlab[0].bind[0].claims.sub: what it must be is longer than 1024 characters"},
		{"aliases that multiply", bomb, "", "config.yml:5: more than 200000 values up to auth.oidc[…"},
		{"aliases to many faults", unknown, "", "200 faults\n  config.yml:3: unknown key auth.gitlab[0].x\n…"},
		{"more faults than anybody mends", "auth: {grants: [" + strings.Repeat("{who: 17},", 300) + "]}", "", "200 faults\n  config.yml:1: auth.grants[0].who is…"},
		{"an alias within its own anchor", "auth: &a {grants: [*a]}", "", "config.yml:1: unknown key auth.grants[0].grants…"},
		{"a long text", "log: {level: " + long + "}", "", `config.yml:1: log.level: "xxxx…`},
		{"a long key", "? " + long + "\n: a\n", "", "config.yml:1: unknown key xxx…"},
		{"a key that is a list", "auth: {? [a] : b}", "", "config.yml:1: auth has a list where a key should be"},
		{"a list for the whole", "[a]", "", "config.yml:1: the configuration is a list, but it has keys of its own: listen, …"},
		{"bytes for a claim", claims("{a: !!binary aGk=}"), "",
			`config.yml:1: auth.gitlab[0].bind[0].claims.a is "aGk=", but it takes text`},
		{"a star without quotes", "auth:\n  grants:\n    - on: **\n", "",
			`config.yml:3: not YAML: did not find expected alphabetic or numeric character; a value that begins with * needs quotes, as in "**"`},
		{"a variable that is no YAML", "", "ENTREPOT_AUTH_LDAP=- url: a\n  b", "ENTREPOT_AUTH_LDAP: not YAML: line 2: …"},
		{"a variable of two documents", "", "ENTREPOT_AUTH_LDAP=[]\n---\n[]", "ENTREPOT_AUTH_LDAP: a second document begins; there is room for one only"},
		{"a variable for an entry", "", "ENTREPOT_AUTH_GRANTS[0]_ROLE=admin", "ENTREPOT_AUTH_GRANTS[0]_ROLE: unknown variable; did you mean ENTREPOT_AUTH_GRANTS?"},
		{"a secret for a file", "", "ENTREPOT_AUTH_OIDC=[{name: a, issuer: https://a.example.com, clientID: a, clientSecret: geheim}]",
			"ENTREPOT_AUTH_OIDC: unknown key auth.oidc[0].clientSecret; did you mean clientSecretFile?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var environ []string
			if c.variable != "" {
				environ = []string{c.variable}
			}
			_, err := parseConfig("config.yml", []byte(c.text), environ)
			if err == nil {
				t.Fatal("taken")
			}
			got := strings.TrimPrefix(err.Error(), "read configuration: ")
			begin, rest := strings.CutSuffix(c.want, "…")
			if !strings.HasPrefix(got, begin) || !rest && got != begin {
				t.Errorf("%.300q, want %q", got, c.want)
			}
			for line := range strings.Lines(got) {
				if len(line) > faultLimit+20 {
					t.Errorf("a fault has %d bytes", len(line))
				}
			}
		})
	}
	if c := mustParse(t, grants(listLimit)); len(c.Auth.Grants) != listLimit {
		t.Errorf("%d entries, want as many as a list can have, %d", len(c.Auth.Grants), listLimit)
	}
}

// A variable mends what is wrong in the file only for itself: the file's fault is told, and nothing is told twice.
func TestConfig_tells_each_fault_once(t *testing.T) {
	for _, c := range []struct{ text, variable, want string }{
		{"auth: {grants: [{who: 17, role: ci, on: a}]}", "", "config.yml:1: auth.grants[0].who is the number 17, but it takes text"},
		{"auth: {grants: [{wo: anyone, role: ci, on: a}]}", "", "config.yml:1: unknown key auth.grants[0].wo; did you mean who?"},
		{"auth: {grants: [17]}", "", "config.yml:1: auth.grants[0] is the number 17, but it has keys of its own: who, role, on"},
		{"auth: {grants: 17}", `ENTREPOT_AUTH_GRANTS=[{role: ci, on: a}]`, "2 faults\n" +
			"  config.yml:1: auth.grants is the number 17, but it takes a list; each entry begins with - and has who, role, on\n" +
			"  ENTREPOT_AUTH_GRANTS: auth.grants[0].who: missing; write user:NAME, group:NAME, robot:NAME or anyone"},
		{"auth: {grants: [{who: 17, role: ci, on: a}]}", `ENTREPOT_AUTH_GRANTS=[{who: me, role: ci, on: a}]`, "2 faults\n" +
			"  config.yml:1: auth.grants[0].who is the number 17, but it takes text\n" +
			"  ENTREPOT_AUTH_GRANTS: auth.grants[0].who: " + auth.CheckWho("me").Error()},
	} {
		_, err := parseConfig("config.yml", []byte(c.text), []string{c.variable})
		if err == nil || strings.TrimPrefix(err.Error(), "read configuration: ") != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestConfig_print_can_be_loaded_again(t *testing.T) {
	c := sampleConfig()
	c.Auth.OIDC[0].Bind[0].Claims["true"] = "17"
	c.Auth.OIDC[0].Bind[0].Claims["a: b"] = "- [*"
	c.Auth.OIDC[0].Bind[0].Claims["#"] = "two\nlines"
	c.Auth.LDAP[0].UserBase = " ou=\t\u2028'\"\\"
	c.Auth.OIDC[1].Scopes = []string{"a,b", "[", "null", "1.5"}
	if got := mustParse(t, printed(t, c)); !reflect.DeepEqual(got.Auth, c.Auth) {
		t.Errorf("got  %+v\nwant %+v", got.Auth, c.Auth)
	}
}

func TestConfig_print_hides_passwords_wherever_they_are(t *testing.T) {
	c := sampleConfig()
	secret := "https://me:geheim@example.com"
	c.Auth.OIDC[0].Audience, c.Auth.OIDC[0].Bind[0].Claims["iss"], c.Auth.OIDC[1].Scopes[1] = secret, secret, secret
	if text := printed(t, c); strings.Contains(text, "geheim") || strings.Count(text, "https://me:xxxxx@example.com") != 3 {
		t.Errorf("printed:\n%s", text)
	}
}

// What the head of the example tells its reader to do.
func TestExample_lists_are_had_by_taking_away_the_signs(t *testing.T) {
	var out bytes.Buffer
	if err := writeExample(&out); err != nil {
		t.Fatal(err)
	}
	as := mustParse(t, out.String())
	if want := defaultConfig(); printed(t, as) != printed(t, want) {
		t.Error("the example is not the default")
	}
	for _, taken := range []string{"#", "# "} {
		text := regexp.MustCompile(`(?m)^( *)`+taken+`(  +)`).ReplaceAllString(out.String(), "$1$2")
		if got, want := mustParse(t, text), sampleConfig(); !reflect.DeepEqual(got.Auth, want.Auth) {
			t.Errorf("without %q: got  %+v\nwant %+v", taken, got.Auth, want.Auth)
		}
	}
}

func TestExample_tells_what_every_key_is_for(t *testing.T) {
	sentences, err := configSentences()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeExample(&out); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(kind reflect.Type)
	walk = func(kind reflect.Type) {
		for _, k := range (key{value: reflect.New(kind).Elem()}).keys() {
			seen++
			lines := sentences[k.owner+"."+k.field]
			if len(lines) == 0 {
				t.Errorf("%s.%s has no sentence", k.owner, k.field)
				continue
			}
			if begin := "# " + lines[0] + "\n"; !strings.Contains(out.String(), begin) {
				t.Errorf("the example lacks %q", begin)
			}
			switch {
			case k.section():
				walk(k.value.Type())
			case k.sections():
				walk(k.value.Type().Elem())
			}
		}
	}
	walk(reflect.TypeFor[Config]())
	if seen < 60 {
		t.Errorf("%d keys were looked at, that is not all of them", seen)
	}
}
