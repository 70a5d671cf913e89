//go:build backends

package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// proxy stands between a store and its server, and makes faults on the way.
type proxy struct {
	*httptest.Server
	target string
	client *http.Client

	mu       sync.Mutex
	requests int
	fault    func(n int, r *http.Request) fault
	late     []*http.Request
}

// fault is what becomes of a request.
type fault string

const (
	none      fault = ""
	slowDown  fault = "503 SlowDown"
	conflict  fault = "409 ExistingObjectIsDirectory"
	reset     fault = "reset amid the request's body"
	lost      fault = "carried out, and the answer lost"
	half      fault = "reset amid the answer"
	silence   fault = "no answer"
	postponed fault = "500, and carried out later"
)

func newProxy(t testing.TB, server *s3test.Server) *proxy {
	p := &proxy{target: strings.TrimPrefix(server.Endpoint, "http://"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

// with lets requests from now on, counted from 1, meet what decide says. It returns how many there were before.
func (p *proxy) with(decide func(n int, r *http.Request) fault) (before int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.requests, p.fault = p.requests, 0, decide
	return before
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests++
	what := none
	if p.fault != nil {
		what = p.fault(p.requests, r)
	}
	p.mu.Unlock()
	switch what {
	case none:
		p.pass(w, r, -1)
	case slowDown:
		io.Copy(io.Discard, r.Body)
		refuse(w, http.StatusServiceUnavailable, "SlowDown")
	case conflict:
		io.Copy(io.Discard, r.Body)
		refuse(w, http.StatusConflict, "ExistingObjectIsDirectory")
	case reset:
		io.CopyN(io.Discard, r.Body, 1000)
		cut(w)
	case lost:
		p.pass(nil, r, -1)
		cut(w)
	case half:
		p.pass(w, r, 1000)
	case silence:
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	case postponed:
		p.keep(r)
		refuse(w, http.StatusInternalServerError, "InternalError")
	}
}

// pass lets the server answer, to w if there is one. Of the answer's body at most so many bytes get through, unless that is negative.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request, most int64) {
	out := p.forward(r, r.Body)
	answer, err := p.client.Do(out)
	if err != nil {
		if w != nil {
			cut(w)
		}
		return
	}
	defer answer.Body.Close()
	if w == nil {
		io.Copy(io.Discard, answer.Body)
		return
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	if answer.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(answer.ContentLength))
	}
	w.WriteHeader(answer.StatusCode)
	if most < 0 {
		io.Copy(w, answer.Body)
		return
	}
	io.CopyN(w, answer.Body, most)
	http.NewResponseController(w).Flush()
	cut(w)
}

// forward makes a request to the server of one to the proxy. The signature is over the host that the client named, so that stays.
func (p *proxy) forward(r *http.Request, body io.Reader) *http.Request {
	out, err := http.NewRequest(r.Method, "http://"+p.target+r.URL.RequestURI(), body)
	if err != nil {
		panic(err)
	}
	out.Host, out.Header, out.ContentLength = r.Host, r.Header.Clone(), r.ContentLength
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return out
}

// keep remembers a request for later.
func (p *proxy) keep(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = append(p.late, p.forward(r, bytes.NewReader(body)))
}

// carryOut sends the server what was kept, and returns how many of these it took.
func (p *proxy) carryOut(t *testing.T) (taken int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.late {
		answer, err := p.client.Do(r)
		if err != nil {
			t.Fatalf("a late request: %v", err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			taken++
		}
	}
	p.late = nil
	return taken
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>for a test</Message></Error>", code)
}

// cut ends a connection as a crashed machine's neighbour would: by a reset.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
