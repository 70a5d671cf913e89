package oracle

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/sirupsen/logrus"
)

// upstream is distribution as a registry that is pulled through: it lets nobody in without a password, and notes what it is asked for.
type upstream struct {
	*side
	stop func()

	mu    sync.Mutex
	asked []string // "GET 200 /v2/…"
}

// The name under which it is seen, and the one who may pull there; the hash is that of the password, with the least cost that there is.
const (
	direct   = "X-Direct" // marks the test's own questions, which are not noted
	seenAs   = "up.example.com"
	puller   = "puller"
	password = "to pull with"
	hash     = "$2a$04$Ru/kcdETJkgDVV1r0DUWQu4Bi9M85P4Y5B8XJyWcyqMBDmNTb.uX."
)

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	logrus.SetOutput(io.Discard)
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte(puller+":"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &configuration.Configuration{
		Version: configuration.CurrentVersion,
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": t.TempDir()},
			"delete":      configuration.Parameters{"enabled": true},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
		Auth: configuration.Auth{"htpasswd": configuration.Parameters{"realm": "upstream", "path": users}},
	}
	config.HTTP.Secret = "only for this process"
	app := handlers.NewApp(context.Background(), config)
	u := &upstream{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(direct) == "" {
			w = &noting{ResponseWriter: w, request: r, upstream: u}
		}
		app.ServeHTTP(w, r)
	}))
	u.stop = sync.OnceFunc(func() {
		server.CloseClientConnections()
		server.Close()
	})
	t.Cleanup(u.stop)
	u.side = &side{name: "distribution", url: server.URL}
	return u
}

// noting notes what was asked for before the asker gets to know the answer.
type noting struct {
	http.ResponseWriter
	request  *http.Request
	upstream *upstream
	noted    bool
}

func (n *noting) WriteHeader(code int) {
	n.note(code)
	n.ResponseWriter.WriteHeader(code)
}

func (n *noting) Write(p []byte) (int, error) {
	n.note(http.StatusOK)
	return n.ResponseWriter.Write(p)
}

func (n *noting) note(code int) {
	if n.noted {
		return
	}
	n.noted = true
	n.upstream.mu.Lock()
	defer n.upstream.mu.Unlock()
	n.upstream.asked = append(n.upstream.asked, fmt.Sprintf("%s %d %s", n.request.Method, code, n.request.URL.Path))
}

// content returns how often each manifest and each blob was fetched, or asked about, since this was called last.
func (u *upstream) content() map[string]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := map[string]int{}
	for _, a := range u.asked {
		if (strings.Contains(a, " 200 ") || strings.Contains(a, " 206 ")) && !strings.HasSuffix(a, "/tags/list") {
			all[a]++
		}
	}
	u.asked = nil
	return all
}

// ask asks distribution itself, with the password.
func (u *upstream) ask(t *testing.T, q question) answer {
	t.Helper()
	headers := map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(puller+":"+password)), direct: "yes"}
	for name, value := range q.headers {
		headers[name] = value
	}
	q.headers = headers
	a := u.side.ask(t, q)
	delete(a.Headers, "Docker-Distribution-Api-Version") // Docker's own, and optional; entrepot sends it with /v2/
	return a
}

// through asks the registry that distribution is seen through for the same.
func through(t *testing.T, ours *side, q question) answer {
	t.Helper()
	q.path = "/v2/" + seenAs + strings.TrimPrefix(q.path, "/v2")
	a := ours.ask(t, q)
	for name, value := range a.Headers {
		a.Headers[name] = strings.ReplaceAll(value, seenAs+"/", "")
	}
	body := strings.ReplaceAll(a.Body, seenAs+"/", "")
	if n, err := strconv.Atoi(a.Headers["Content-Length"]); err == nil && q.method == "GET" {
		a.Headers["Content-Length"] = strconv.Itoa(n - len(a.Body) + len(body)) // lists tell the longer name
	}
	a.Body = body
	delete(a.Headers, "Docker-Distribution-Api-Version")
	return a
}
