package oidc

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// page is an answer.
type page struct {
	t      *testing.T
	status int
	at     *url.URL // what was asked for
	header http.Header
	body   string
}

// want fails the test if the answer has another status.
func (p page) want(status int) page {
	p.t.Helper()
	if p.status != status {
		p.t.Fatalf("%s: %d, want %d; %s", p.at.Path, p.status, status, p.body)
	}
	return p
}

// into reads the JSON of an answer.
func into[T any](p page) (v T) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.body), &v); err != nil {
		p.t.Fatalf("%s: %v: %s", p.at.Path, err, p.body)
	}
	return v
}

// next is where the answer sends the browser, nil if nowhere.
func (p page) next() *url.URL {
	p.t.Helper()
	if p.status < 300 || p.status > 399 || p.header.Get("Location") == "" {
		return nil
	}
	u, err := p.at.Parse(p.header.Get("Location"))
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}

// browser keeps cookies, follows redirects and fills in forms.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, CheckRedirect: stay, Timeout: 30 * time.Second}}
}

// open asks for an address and follows where it leads, but not to the page before, an address without its query: there it stops, and what it
// returns is the answer that leads there.
func (b *browser) open(address, before string) page {
	b.t.Helper()
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(send(b.t, b.client, req), before)
}

func (b *browser) follow(p page, before string) page {
	b.t.Helper()
	for range 10 {
		u := p.next()
		if u == nil || bare(u) == before {
			return p
		}
		req, err := http.NewRequest("GET", u.String(), nil)
		if err != nil {
			b.t.Fatal(err)
		}
		p = send(b.t, b.client, req)
	}
	b.t.Fatalf("led on without end, at last to %s", p.at)
	return p
}

// bare is an address without its query.
func bare(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// post sends what a script of a page of the registry's own would.
func (b *browser) post(address, body string) page {
	b.t.Helper()
	req, err := http.NewRequest("POST", address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	return send(b.t, b.client, req)
}

var (
	formAction = regexp.MustCompile(`<form [^>]*action="([^"]*)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// fill sends the form of a login page back, with a name and a password in it.
func (b *browser) fill(p page, name, password, before string) page {
	b.t.Helper()
	p.want(200)
	action := formAction.FindStringSubmatch(p.body)
	if action == nil || !strings.Contains(p.body, `name="username"`) || !strings.Contains(p.body, `name="password"`) {
		b.t.Fatalf("%s is no page to log in on: %s", p.at, p.body)
	}
	to, err := p.at.Parse(html.UnescapeString(action[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	form := url.Values{"username": {name}, "password": {password}}
	for _, hidden := range formHidden.FindAllStringSubmatch(p.body, -1) {
		form.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
	}
	req, err := http.NewRequest("POST", to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.follow(send(b.t, b.client, req), before)
}

// cookie returns the value of a cookie that the browser would send to an address.
func (b *browser) cookie(address, name string) string {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}
