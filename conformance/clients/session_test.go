//go:build clients

package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/program"
)

// patience bounds every single command: a client that hangs fails its own step, and says which.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "clients: these tests start container engines, which mount file systems: run them as root (make clients)")
		os.Exit(1)
	}
	code := program.Run(m)
	sweep()
	os.Exit(code)
}

// registry returns the host:port of the registry under test: an entrepot of the test's own, or the one that CLIENTS_REGISTRY names.
func registry(t *testing.T, opts ...program.Option) string {
	t.Helper()
	if addr := os.Getenv("CLIENTS_REGISTRY"); addr != "" {
		t.Logf("CLIENTS_REGISTRY: against %s, not against entrepot", addr)
		return addr
	}
	p := program.Start(t, opts...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of entrepot's log:\n%s", p.Tail(40))
		}
	})
	return p.Addr
}

// session is a private folder and an environment in which commands are typed one after the other, as a user would.
type session struct {
	t   *testing.T
	dir string
	env []string
}

// newSession opens a session. Its HOME is its own folder, so that no client reads or leaves anything in the real one.
func newSession(t *testing.T, env ...string) *session {
	t.Helper()
	dir := room(t)
	return &session{t: t, dir: dir, env: append([]string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir}, env...)}
}

// with is the same session with more variables in its environment.
func (s *session) with(env ...string) *session {
	return &session{t: s.t, dir: s.dir, env: append(slices.Clone(s.env), env...)}
}

// run types a command that has to succeed and returns its standard output.
func (s *session) run(name string, args ...string) string {
	s.t.Helper()
	return s.pipe("", name, args...)
}

// pipe is run with something on standard input.
func (s *session) pipe(stdin, name string, args ...string) string {
	s.t.Helper()
	out, all, err := s.try(stdin, name, args...)
	if err != nil {
		s.t.Fatalf("$ %s %s\n%s%v", name, strings.Join(args, " "), all, err)
	}
	return out
}

// fails types a command that has to fail and returns all that it printed.
func (s *session) fails(name string, args ...string) string {
	s.t.Helper()
	return s.failsWith("", name, args...)
}

// failsWith is fails with something on standard input.
func (s *session) failsWith(stdin, name string, args ...string) string {
	s.t.Helper()
	_, all, err := s.try(stdin, name, args...)
	if err == nil {
		s.t.Fatalf("$ %s %s\n%sit succeeded and should not have", name, strings.Join(args, " "), all)
	}
	return all
}

func (s *session) try(stdin, name string, args ...string) (out, all string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, client(s.t, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdin = strings.NewReader(stdin)
	// A client may leave a helper behind that holds the pipes; the session does not wait for it.
	cmd.WaitDelay = 5 * time.Second
	var only bytes.Buffer
	var both transcript
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&only, &both), &both
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it was still running after %v", patience)
	}
	return only.String(), both.String(), err
}

// transcript gathers what a command writes to both its outputs, which come at the same time.
type transcript struct {
	mu   sync.Mutex
	text []byte
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	return len(p), nil
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}

// write puts a file into the session's folder and returns its path.
func (s *session) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// read returns a file of the session's folder.
func (s *session) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// contains fails the test unless out has each of the wanted texts.
func contains(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Fatalf("%q is missing in:\n%s", w, out)
		}
	}
}

// equal fails the test unless a client said exactly what was expected, apart from white space around it.
func equal(t *testing.T, got, want string) {
	t.Helper()
	if g, w := strings.TrimSpace(got), strings.TrimSpace(want); g != w {
		t.Fatalf("got  %q\nwant %q", g, w)
	}
}

// within waits until what is true, at most as long as a command may take.
func within(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ready(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting after %v: %s", patience, what)
		}
	}
}

// field reads JSON that a client printed and returns the value at the path of keys, as JSON again.
func field(t *testing.T, text string, path ...string) string {
	t.Helper()
	raw := json.RawMessage(text)
	for _, key := range path {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil || object[key] == nil {
			t.Fatalf("no %s in:\n%s", strings.Join(path, "."), text)
		}
		raw = object[key]
	}
	return string(raw)
}

// asks sends a request of the test's own, to see the registry with other eyes than the client's. It returns status and body.
func asks(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "+
		"application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json")
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// tail returns the last lines of a log.
func tail(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
