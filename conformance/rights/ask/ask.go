// Package ask speaks to a registry as somebody: whoever shows a password, a secret, a token, or nothing.
//
//	alice := ask.Caller{At: p.URL, Name: "user:alice", Show: []string{ask.Basic("alice", password)}}
//	alice.Put(t, "cloud/app", "latest", ask.List())
//	alice.Token(t, "repository:cloud/app:pull").TryPut(t, "cloud/app", "latest", ask.List()).Refused(t, "UNAUTHORIZED", 401)
//
// It also knows the form of the program's tokens, and reads the key that they are signed with from the index of a program that was stopped, so that tests
// can make tokens that are good but for one thing. It follows no redirect and sets no header that was not asked for.
package ask

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// Caller is somebody who asks.
type Caller struct {
	At   string   // the program's URL
	Name string   // as the journal has it: "user:alice"; empty for nobody in particular
	Show []string // the Authorization headers
	From string   // the address that the requests come from, one of 127.0.0.0/8; empty for any
}

// With is the same person who shows something else.
func (c Caller) With(authorization ...string) Caller { c.Show = authorization; return c }

// Basic is the header of a name and a secret (RFC 7617).
func Basic(name, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

// Unbasic is what Basic was made of.
func Unbasic(header string) (name, secret string) {
	text, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(header, "Basic "))
	name, secret, _ = strings.Cut(string(text), ":")
	return name, secret
}

// Bearer is the header of a token (RFC 6750).
func Bearer(token string) string { return "Bearer " + token }

// clients are one for each address that requests come from: whoever fails to log in too often is not listened to for a while.
var clients sync.Map

func client(from string) *http.Client {
	if c, ok := clients.Load(from); ok {
		return c.(*http.Client)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, _ := clients.LoadOrStore(from, &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, addr)
			},
			DisableCompression:  true,
			MaxIdleConnsPerHost: 16,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	})
	return c.(*http.Client)
}

// Send sends one request, to a path or an absolute URL, with headers given as name, value, name, value…, and reads the reply to its end. It may run beside the
// test's own goroutine.
func (c Caller) Send(method, target string, body []byte, headers ...string) (wire.Reply, error) {
	if strings.HasPrefix(target, "/") {
		target = c.At + target
	}
	var src io.Reader
	if body != nil {
		src = bytes.NewReader(body)
	}
	req, err := http.NewRequest(method, target, src)
	if err != nil {
		return wire.Reply{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	for _, a := range c.Show {
		req.Header.Add("Authorization", a)
	}
	res, err := client(c.From).Do(req)
	if err != nil {
		return wire.Reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return wire.Reply{Asked: method + " " + req.URL.RequestURI(), Status: res.StatusCode, Header: res.Header, Length: res.ContentLength, Body: b}, err
}

// Do is Send that ends the test if there is no reply.
func (c Caller) Do(t testing.TB, method, target string, body []byte, headers ...string) wire.Reply {
	t.Helper()
	reply, err := c.Send(method, target, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return reply
}

// Get is Do without anything else.
func (c Caller) Get(t testing.TB, target string) wire.Reply {
	t.Helper()
	return c.Do(t, "GET", target, nil)
}

// Accounts is where accounts are managed.
const Accounts = "/api/v1/auth/"

// Call sends JSON to the management of accounts.
func (c Caller) Call(t testing.TB, method, path string, body any) wire.Reply {
	t.Helper()
	return c.Do(t, method, Accounts+path, wire.JSON(body), "Content-Type", "application/json")
}

// Made is Call that wants something new, and returns its id and, if it is a secret, its value.
func (c Caller) Made(t testing.TB, path string, body any) (id, value string) {
	t.Helper()
	var made struct{ ID, Value string }
	c.Call(t, "POST", path, body).Want(t, 201).JSON(t, &made)
	return made.ID, made.Value
}
