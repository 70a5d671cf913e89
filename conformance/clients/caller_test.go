//go:build clients

package clients

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// caller is the test itself at the registry's door, without any client between: nobody in particular, or somebody with a name and a password.
type caller struct {
	base     string       // http://127.0.0.1:port
	http     *http.Client // nil: one that trusts the machine's authorities
	name     string
	password string
}

// ask sends a request and returns the answer with its body read.
func (c caller) ask(t *testing.T, method, path, contentType string, body []byte) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, c.base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.name != "" {
		req.SetBasicAuth(c.name, c.password)
	}
	client := c.http
	if client == nil {
		client = &http.Client{Timeout: patience}
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// send is ask for a request that has to be answered with the wanted status.
func (c caller) send(t *testing.T, method, path, contentType string, body []byte, want int) *http.Response {
	t.Helper()
	res, text := c.ask(t, method, path, contentType, body)
	if res.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d\n%s", method, path, res.Status, want, text)
	}
	return res
}
