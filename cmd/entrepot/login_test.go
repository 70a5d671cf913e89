package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/entrepot/entrepot/conformance/program"
)

// typed is cli with something on standard input.
func typed(t testing.TB, environ []string, input string, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(input), &stdout, &stderr, environ)
	return code, stdout.String(), stderr.String()
}

// seen is a server that remembers every Authorization header and body that it was sent.
type seen struct {
	*httptest.Server
	mu  sync.Mutex
	all []string
}

func watch(t testing.TB, handler http.HandlerFunc) *seen {
	s := &seen{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		s.all = append(s.all, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+string(body))
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *seen) host() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *seen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.all, "\n")
}

func basicOf(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestLogin_to_another_registry_goes_through_its_token_service keeps what was given, and sends it to the token service alone.
func TestLogin_to_another_registry_goes_through_its_token_service(t *testing.T) {
	var s *seen
	s = watch(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && r.Header.Get("Authorization") == basicOf("ada", "lovelace"):
			fmt.Fprint(w, `{"token":"pass"}`)
		case r.URL.Path == "/token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v2/" && r.Header.Get("Authorization") == "Bearer pass":
		case strings.HasPrefix(r.URL.Path, "/v2/"):
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token",service="other"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			http.NotFound(w, r)
		}
	})
	home := t.TempDir()
	env := []string{"DOCKER_CONFIG=" + home}
	code, _, stderr := typed(t, env, "babbage", "login", s.host(), "-u", "ada", "--password-stdin")
	if code != 1 || !strings.Contains(stderr, "the name or the password is wrong") {
		t.Errorf("a wrong password: exit status %d: %s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(home, "config.json")); err == nil {
		t.Error("a login that was refused is kept")
	}
	code, stdout, stderr := typed(t, env, "lovelace\r\n", "login", s.URL, "-u", "ada", "--password-stdin")
	if code != 0 || stdout != "logged in to "+s.host()+" as ada\n" {
		t.Fatalf("exit status %d: %s%s", code, stdout, stderr)
	}
	kept, err := os.ReadFile(filepath.Join(home, "config.json"))
	if err != nil || !strings.Contains(string(kept), base64.StdEncoding.EncodeToString([]byte("ada:lovelace"))) {
		t.Errorf("%s, %v; want the login in it", kept, err)
	}
	for line := range strings.SplitSeq(s.text(), "\n") {
		if strings.Contains(line, "Basic ") && !strings.HasPrefix(line, "GET /token ") {
			t.Errorf("%s: the password was sent to what is not the token service", line)
		}
	}
	if code, stdout, stderr = typed(t, env, "", "logout", s.host()); code != 0 || stdout != "logged out of "+s.host()+"\n" {
		t.Errorf("exit status %d: %s%s", code, stdout, stderr)
	}
	// Its management is not ours to ask.
	if code, _, stderr = typed(t, env, "", "user", "ls", "--server", s.URL); code != 1 || !strings.Contains(stderr, "is no Entrepôt, or an older one") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}

// TestCredentials_stay_with_their_host sends a server's management elsewhere by redirects, as a server in the wrong hands could.
func TestCredentials_stay_with_their_host(t *testing.T) {
	thief := watch(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"kind":"user","name":"alice"}`) })
	s := watch(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", ourRealm)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	home := t.TempDir()
	login := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, s.host(), base64.StdEncoding.EncodeToString([]byte("alice:canary-1")))
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"DOCKER_CONFIG=" + home, envServer + "=" + s.host()}
	for _, c := range []struct {
		input string
		args  []string
	}{
		{"canary-2", []string{"login", "-u", "alice", "--password-stdin"}},
		{"canary-3", []string{"user", "add", "bob", "--password-stdin"}},
		{"", []string{"auth", "whoami"}},
		{"", []string{"audit", "tail"}},
	} {
		code, _, stderr := typed(t, env, c.input, c.args...)
		if code != 1 || !strings.Contains(stderr, "sends elsewhere, to "+thief.host()) {
			t.Errorf("%v: exit status %d: %s; want to be told of the redirect", c.args, code, stderr)
		}
	}
	if got := thief.text(); got != "" {
		t.Errorf("another host was asked: %s", got)
	}
	if !strings.Contains(s.text(), basicOf("alice", "canary-1")) {
		t.Error("the server was not shown the login that is its own")
	}
	// Nor does another server get what is kept for this one.
	if code, _, _ := typed(t, append(env, envRobot+"=r", envSecret+"=canary-4"), "", "auth", "whoami", "--server", thief.URL); code != 0 {
		t.Error("the other server did not answer")
	}
	if got := thief.text(); got == "" || strings.Contains(got, "Basic") || strings.Contains(got, "Bearer") {
		t.Errorf("the other server saw %q; want a request without credentials", got)
	}
}

// TestSecrets_are_nowhere_they_should_not_be goes through the verbs with secrets that can be recognised, and looks for them.
func TestSecrets_are_nowhere_they_should_not_be(t *testing.T) {
	p := program.Start(t, program.Env("ENTREPOT_LOG_LEVEL=debug"))
	home := t.TempDir()
	env := []string{"DOCKER_CONFIG=" + home, envServer + "=" + p.Addr}
	secrets := []string{"canary-first-password", "canary-second-password", "canary-wrong-password"}
	var errors strings.Builder
	do := func(want int, input string, args ...string) string {
		t.Helper()
		code, stdout, stderr := typed(t, env, input, args...)
		if code != want {
			t.Fatalf("%v: exit status %d, want %d: %s%s", args, code, want, stdout, stderr)
		}
		errors.WriteString(stderr)
		return strings.TrimSpace(stdout)
	}
	do(0, secrets[0], "user", "add", "alice", "--password-stdin")
	do(1, secrets[2], "login", "-u", "alice", "--password-stdin")
	do(0, secrets[0], "login", "-u", "alice", "--password-stdin")
	secrets = append(secrets, do(0, "", "user", "add", "bob"))
	do(1, secrets[2]+"\n"+secrets[1], "user", "passwd", "--password-stdin")
	do(0, secrets[0]+"\n"+secrets[1], "user", "passwd", "--password-stdin")
	do(0, "", "robot", "add", "ci", "--on", "cloud", "--role", "ci")
	secret, token := do(0, "", "robot", "secret", "add", "ci"), do(0, "", "token", "add")
	secrets = append(secrets, secret, token)
	do(2, "", "token", "rm", token)
	do(2, "", "robot", "secret", "rm", "ci", secret)
	do(0, secrets[1], "login", "-u", "alice", "--password-stdin", "--identity-token=false")
	do(0, token, "login", "--token-stdin")
	do(0, "", "auth", "whoami")
	do(0, secrets[1], "login", "-u", "alice", "--password-stdin")
	kept, err := os.ReadFile(filepath.Join(home, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, refresh, _ := strings.Cut(string(kept), `"identitytoken": "`)
	refresh, _, _ = strings.Cut(refresh, `"`)
	if len(refresh) < 40 {
		t.Fatalf("no identity token in %s", kept)
	}
	do(0, "", "logout")
	secrets = append(secrets, refresh)
	journal := do(1, "", "audit", "tail", "-o", "json")
	for i, s := range secrets {
		for where, text := range map[string]string{"standard error": errors.String(), "the server's log": p.Log(), "the journal": journal} {
			if len(s) < 20 || strings.Contains(text, s) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(s))) {
				t.Errorf("secret %d (%d bytes) is in %s", i, len(s), where)
			}
		}
		if i < len(secrets)-1 && strings.Contains(string(kept), s) {
			t.Errorf("secret %d lies beside the token that stands for it", i)
		}
	}
	if !strings.Contains(p.Log(), "/api/v1/auth/robots/ci/secrets") {
		t.Error("the server's log was not looked at") // it has to hold what is searched for secrets
	}
}

// TestNoSecret_is_an_argument looks at every flag of every verb: others can read a program's arguments.
func TestNoSecret_is_an_argument(t *testing.T) {
	names, checked := []string{"password", "secret", "token", "identity-token"}, 0
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			checked++
			for _, name := range names {
				if f.Name == name && f.Value.Type() != "bool" || strings.HasSuffix(f.Name, "-"+name) && f.Value.Type() != "bool" {
					t.Errorf("%s --%s takes a secret", cmd.CommandPath(), f.Name)
				}
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look((&app{}).root())
	if checked < 100 {
		t.Errorf("only %d flags were looked at", checked)
	}
}

// TestNewPassword_is_hard_to_guess_and_easy_to_read looks at some of them.
func TestNewPassword_is_hard_to_guess_and_easy_to_read(t *testing.T) {
	made := map[string]bool{}
	letters := map[rune]bool{}
	for range 200 {
		p := newPassword()
		if len(p) != 27 || strings.ContainsAny(p, "0O1lIo ") {
			t.Fatalf("%q: want 24 characters that are not taken for others, in four groups", p)
		}
		made[p] = true
		for _, r := range p {
			letters[r] = true
		}
	}
	if len(made) != 200 || len(letters) != 33 {
		t.Errorf("%d different passwords of %d different characters; want 200 of 32 and a hyphen", len(made), len(letters))
	}
}
