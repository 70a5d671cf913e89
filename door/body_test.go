package door

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/auth"
)

// A handler before the door that hides the connection costs the cut of what stands still, not the bodies; the log says so once.
func TestBody_behind_a_handler_that_hides_the_connection(t *testing.T) {
	var log lines
	d := New(Config{Policy: auth.Open, Log: slog.New(slog.NewTextHandler(&log, nil))}, Route{
		Name: "echo", Match: anywhere,
		Methods: map[string]Access{http.MethodPut: {auth.Enter, func(w http.ResponseWriter, r *http.Request, c Call) error {
			return c.Receive(w, r, func(body *Body) error {
				_, err := io.Copy(w, body)
				return err
			})
		}}},
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	}))
	defer server.Close()
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || string(got) != "a body" {
			t.Errorf("%d %q, %v; want the body back", res.StatusCode, got, err)
		}
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if n := strings.Count(log.text.String(), "give its ResponseWriter a method Unwrap"); n != 1 {
		t.Errorf("the operator is told %d times, want once:\n%s", n, log.text.String())
	}
}
