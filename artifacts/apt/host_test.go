//go:build clients

package apt

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/entrepot/entrepot/artifacts/apt/apttest"
)

// watch notes which paths clients ask for, with the answers.
type watch struct {
	mu    sync.Mutex
	asked []string // "200 /apt/…", as it came over the wire
}

// watched serves the house by another server, which notes what it is asked, and does something before it answers.
func (h *house) watched(before ...func(path string)) *watch {
	w := &watch{}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		for _, f := range before {
			f(r.URL.Path)
		}
		status := &statusOf{ResponseWriter: out, status: 200}
		h.handler.ServeHTTP(status, r)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked = append(w.asked, fmt.Sprint(status.status, " ", r.URL.EscapedPath()))
	}))
	h.t.Cleanup(server.Close)
	h.server.URL = server.URL
	return w
}

type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// since returns what was asked for since the last call.
func (w *watch) since() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

func contains(all []string, text string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) })
}

// host is a Debian system that knows how to take packages from a house.
type host struct{ *apttest.Host }

func newHost(t *testing.T) *host {
	t.Helper()
	return &host{apttest.NewHost(t)}
}

// setup runs the script of a suite.
func (h *host) setup(t *testing.T, from *house, suite string) (string, error) {
	t.Helper()
	return h.SetUp(t, from.get("/apt/setup.sh?suite="+suite).want(200).body)
}

func (h *host) isSetUp(t *testing.T, from *house, suite string) {
	t.Helper()
	if out, err := h.setup(t, from, suite); err != nil {
		t.Fatalf("set up: %v\n%s", err, out)
	}
}

// login lets apt log in as apt_auth.conf(5) has it.
func (h *host) login(t *testing.T, from *house, name string) {
	t.Helper()
	h.Write(t, "etc/apt/auth.conf.d/entrepot.conf", fmt.Sprintf("machine %s/apt\nlogin %s\npassword %[2]s\n", from.server.URL, name))
}

// keyring and source are where the script puts what it writes.
func (h *house) keyring() string { return "etc/apt/keyrings/entrepot-" + h.fileName() + ".asc" }

func (h *house) source(suite string) string {
	return "etc/apt/sources.list.d/entrepot-" + h.fileName() + "_" + suite + ".sources"
}

func (h *house) fileName() string {
	return strings.ReplaceAll(strings.TrimPrefix(h.server.URL, "http://"), ":", "_")
}
