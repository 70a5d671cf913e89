package apt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
)

func TestKey_is_there_for_everybody(t *testing.T) {
	for name, policy := range map[string]auth.Policy{"open": auth.Open, "closed": closed} {
		h := build(t, with(policy))
		ring, err := h.keys.Public(h.ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := h.get("/apt/key.asc").want(200).has("Content-Type", "application/pgp-keys", "Cache-Control", "no-cache", "Etag", `"`+sum(string(ring))+`"`)
		if got.body != string(ring) || !strings.HasPrefix(got.body, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
			t.Errorf("%s: the key is %q", name, got.body)
		}
		h.get("/apt/key.asc", "If-None-Match", got.Header.Get("Etag")).want(304)
		h.get("/apt/key.asc", "as", "wrong").want(200)
		h.do("HEAD", "/apt/key.asc", "").want(200)
		if err := h.keys.Rotate(h.ctx, false); err != nil {
			t.Fatal(err)
		}
		if h.get("/apt/key.asc", "If-None-Match", got.Header.Get("Etag")).want(200).body == got.body {
			t.Error("after a rotation it is the same")
		}
	}
}

func TestSetup_of_a_suite_that_is_open(t *testing.T) {
	h := build(t, with(open("apt/cloud-prod")))
	h.stock()
	got := h.get("/apt/setup.sh?suite=cloud-prod").want(200).has("Content-Type", plain, "Cache-Control", "no-cache").body
	for _, want := range []string{
		"#!/bin/sh\n", "\tURIs: " + h.server.URL + "/apt\n", "\tSuites: cloud-prod\n", "\tComponents: dmp ops\n", "key='" + h.server.URL + "/apt/key.asc'\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the script does not say %q:\n%s", want, got)
		}
	}
	if got := h.get("/apt/setup.sh?suite=cloud-prod&component=ops").want(200).body; !strings.Contains(got, "\tComponents: ops\n") {
		t.Errorf("for one component the script is\n%s", got)
	}
	h.get("/apt/setup.sh?suite=cloud-prod", "as", "host").want(200, "Components: dmp ops")
	h.do("HEAD", "/apt/setup.sh?suite=cloud-prod", "").want(200)
}

func TestSetup_of_a_suite_that_is_not_there(t *testing.T) {
	h := build(t, with(auth.Open))
	h.get("/apt/setup.sh?suite=cloud-prod").want(404, "there is no suite cloud-prod")
	// Whoever says the components need not wait for it.
	h.get("/apt/setup.sh?suite=cloud-prod&component=dmp").want(200, "Components: dmp")
}

// Of a suite that is not open to everybody nothing is told, not even that it is there: whoever asks for a script has not logged in.
func TestSetup_of_a_suite_that_is_closed(t *testing.T) {
	h := build(t, with(open("apt/cloud-staging")))
	h.stock()
	script := func(suite string) string {
		return h.get("/apt/setup.sh?suite="+suite, "as", "all").want(200, "auth.conf.d", "machine $base", "login NAME", "password SECRET", "suite='"+suite+"'").body
	}
	there, gone := script("cloud-prod"), script("cloud-none")
	if strings.ReplaceAll(there, "cloud-prod", "cloud-none") != gone {
		t.Errorf("of a suite that is there it says\n%s\nand of one that is not\n%s", there, gone)
	}
	if strings.Contains(there, "dmp") || strings.Contains(there, "@") {
		t.Errorf("the script says\n%s", there)
	}
}

func TestSetup_is_for_the_address_that_clients_use(t *testing.T) {
	h := build(t)
	h.stock()
	for _, c := range []struct{ host, proto, want string }{
		{"registry.example.com", "", "http://registry.example.com/apt"}, {"registry.example.com:5000", "https", "https://registry.example.com:5000/apt"}, {"[::1]:80", "", "http://[::1]:80/apt"},
	} {
		got := h.get("/apt/setup.sh?suite=cloud-prod", "Host", c.host, "X-Forwarded-Proto", c.proto).want(200).body
		if !strings.Contains(got, "\tURIs: "+c.want+"\n") {
			t.Errorf("asked at %v it says\n%s", c, got)
		}
	}
	for _, host := range []string{"evil'; rm -rf /; '", "a b", "$(id)", "h/x", "-h", "h:port", "_"} {
		req := "/apt/setup.sh?suite=cloud-prod"
		res := h.get(req, "Host", host)
		if res.StatusCode != 400 || strings.Contains(res.body, "#!/bin/sh") {
			t.Errorf("for the host %q: %d %s", host, res.StatusCode, res.body)
		}
	}
	fixed := build(t, func(h *house) { h.url = "https://registry.example.com/" })
	fixed.stock()
	if got := fixed.get("/apt/setup.sh?suite=cloud-prod", "Host", "other.example.com").want(200).body; !strings.Contains(got, "\tURIs: https://registry.example.com/apt\n") || strings.Contains(got, "other") {
		t.Errorf("with an address of its own it says\n%s", got)
	}
}

func TestSetup_takes_names_only(t *testing.T) {
	h := build(t)
	h.stock()
	for query, word := range map[string]string{
		"": "name a suite", "?suite=": "name a suite", "?suite=a%0ab": "name a suite", "?suite=a'b": "name a suite", "?suite=..": "name a suite", "?suite=cloud-prod&suite=x": "give suite once",
		"?suite=cloud-prod&component=": "component", "?suite=cloud-prod&component=a'b": "component", "?suite=cloud-prod&component=dmp&component=a%0ab": "component",
		"?suite=cloud-prod&components=dmp": "no parameter here", "?suite=%zz": "query",
	} {
		h.get("/apt/setup.sh"+query).want(400, word)
	}
}

func TestPin_names_what_is_deployed(t *testing.T) {
	h := build(t)
	h.stock()
	pin := func() string {
		text := h.get("/apt/pin/cloud-prod").want(200, "# What is deployed in cloud-prod.").has("Content-Type", plain, "Cache-Control", private).body
		_, text, _ = strings.Cut(text, "\n\n")
		return text
	}
	want := func(hello string) string {
		text := ""
		if hello != "" {
			text = fmt.Sprintf("Package: hello\nPin: version %s\nPin-Priority: 1001\n\n", hello)
		}
		return text + "Package: probe\nPin: version 1.0\nPin-Priority: 1001\n\n"
	}
	if got := pin(); got != want("1:1.0~rc1+b2") {
		t.Errorf("the pin is %q", got)
	}
	h.promote(service, "2.0.0", prod)
	if got := pin(); got != want("1:3.0~rc1+b2") {
		t.Errorf("after a promotion it is %q", got)
	}
	h.move(artifacts.Order{Kind: artifacts.Rollback, Component: service, Place: prod})
	if got := pin(); got != want("1:1.0~rc1+b2") {
		t.Errorf("after a rollback it is %q", got)
	}
	h.move(artifacts.Order{Kind: artifacts.Withdrawal, Component: service, Place: prod})
	if got := pin(); got != want("") {
		t.Errorf("after a withdrawal it is %q", got)
	}
	h.get("/apt/pin/cloud-test").want(404, "there is no suite cloud-test")
	h.get("/apt/pin/Cloud").want(404, "no such path")
	h.get("/apt/pin/").want(404, "no such path")
}
