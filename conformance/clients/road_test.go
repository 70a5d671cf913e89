//go:build clients

package clients

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// faraway is an address that is nobody's (RFC 5737). Docker asks for no authority on the loopback network, and takes what refuses it over HTTPS there
// for something that speaks HTTP; so a registry that it shall deal with as with any other needs another address.
const (
	faraway = "192.0.2.1"
	distant = faraway + ":5000" // a registry there
)

// road is a proxy by which everything that a client asks of faraway gets to addr, and nothing gets anywhere else. It returns the variable that a client
// finds it by.
func road(t *testing.T, addr string) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); r.Method != http.MethodConnect || err != nil || host != faraway {
			http.Error(w, "this road leads to "+faraway+" alone", http.StatusForbidden)
			t.Errorf("a client asked the proxy for %s %s", r.Method, r.Host)
			return
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(to, buffered)
			to.Close()
		}()
		_, _ = io.Copy(from, to)
	}))
	t.Cleanup(proxy.Close)
	return "HTTPS_PROXY=" + proxy.URL
}
