//go:build backends

package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// toll is a way to an S3 server on which single requests meet with an accident.
type toll struct {
	*httptest.Server
	mu     sync.Mutex
	decide func(n int, r *http.Request) string
	n      int
	struck map[string]int
}

// What may become of a request.
const (
	slowDown = "503 SlowDown"
	torn     = "reset amid the request's body"
	lost     = "carried out, and the answer lost"
	half     = "reset amid the answer"
	stuck    = "no answer for a while, and then a reset"
)

var accidents = []string{slowDown, torn, lost, half, stuck}

// stuckFor is how long a request hangs that is stuck.
const stuckFor = 2 * time.Second

var errAccident = errors.New("an accident")

func newToll(t testing.TB, endpoint string) *toll {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	b := &toll{struck: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host // what the signature is over
		},
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ModifyResponse: func(r *http.Response) error {
			switch r.Request.Context().Value(b) {
			case lost:
				return errAccident
			case half:
				r.Body = &broken{r.Body, 1000}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { cut(w) },
	}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serve(w, r, proxy) }))
	b.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

// with lets each request from now on, counted from 1, meet with what decide says; empty is nothing. It returns how many met with what until now.
func (b *toll) with(decide func(n int, r *http.Request) string) (struck map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	struck, b.n, b.decide, b.struck = b.struck, 0, decide, map[string]int{}
	return struck
}

func (b *toll) serve(w http.ResponseWriter, r *http.Request, proxy http.Handler) {
	b.mu.Lock()
	b.n++
	what := ""
	if b.decide != nil {
		if what = b.decide(b.n, r); what != "" {
			b.struck[what]++
		}
	}
	b.mu.Unlock()
	switch what {
	case slowDown:
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "<Error><Code>SlowDown</Code><Message>for a test</Message></Error>")
	case torn:
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		cut(w)
	case stuck:
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(stuckFor):
		case <-r.Context().Done():
		}
		cut(w)
	default:
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), b, what)))
	}
}

// broken is a body of which only so much comes.
type broken struct {
	io.ReadCloser
	left int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errAccident
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err == io.EOF {
		err = errAccident // short answers break off, too
	}
	return n, err
}

// cut ends a connection by a reset.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		reset(conn)
		return
	}
	panic(http.ErrAbortHandler)
}
