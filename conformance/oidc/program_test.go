package oidc

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the binary: the one that ENTREPOT_BIN names, or one that is built from the tree around this module.
var program = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("ENTREPOT_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(folder, "entrepot")
	build := exec.Command("go", "build", "-o", bin, "./cmd/entrepot")
	build.Dir = filepath.Join("..", "..")
	out, err := build.CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return bin, err
})

// folder is for what all tests share.
var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "entrepot-oidc"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(folder)
	os.Exit(status)
}

// registry is the running program.
type registry struct {
	URL string

	t       *testing.T
	log     *log
	secrets []string // which are never to be in the log
}

// start runs the program at an address, with a configuration, until the test ends. Its log, at its most talkative, is looked through for secrets.
func start(t *testing.T, addr, config string) *registry {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatalf("build entrepot: %v", err)
	}
	r := &registry{URL: "http://" + addr, t: t, log: &log{}}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yml")
	write(t, path, config+"\nlog: {level: debug}\n")
	cmd := exec.Command(bin, "serve", "--config", path)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ENTREPOT_LISTEN="+addr)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start entrepot: %v", err)
	}
	end := make(chan struct{})
	go func() { defer close(end); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-end:
		case <-time.After(30 * time.Second):
			t.Error("entrepot did not end within 30 s of SIGTERM")
			_ = cmd.Process.Kill()
			<-end
		}
		for i, secret := range r.secrets {
			if strings.Contains(r.log.String(), secret) {
				t.Errorf("the log holds secret %d of %d, %.8s…", i+1, len(r.secrets), secret)
			}
		}
		if t.Failed() {
			lines := strings.SplitAfter(r.log.String(), "\n")
			t.Logf("the registry's log, its end:\n%s", strings.Join(lines[max(0, len(lines)-40):], ""))
		}
	})
	soon(t, "entrepot is ready", func() bool {
		select {
		case <-end:
			t.Fatalf("entrepot ended at start:\n%s", r.log)
		default:
		}
		res, err := http.Get(r.URL + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return r
}

// secret is one that must never be in the log.
func (r *registry) secret(s string) string {
	r.t.Helper()
	if len(s) < 8 {
		r.t.Fatalf("%q is too short to be looked for", s)
	}
	if !slices.Contains(r.secrets, s) {
		r.secrets = append(r.secrets, s)
	}
	return s
}

// who is what a request shows of who asks: with a name it is Basic, without one it is Bearer.
type who struct{ name, secret string }

var nobody who

// ask sends a request without any cookies.
func (r *registry) ask(as who, method, path, contentType, body string) page {
	r.t.Helper()
	req, err := http.NewRequest(method, r.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	switch {
	case as.name != "":
		req.SetBasicAuth(as.name, as.secret)
	case as.secret != "":
		req.Header.Set("Authorization", "Bearer "+as.secret)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return send(r.t, &http.Client{CheckRedirect: stay, Timeout: 30 * time.Second}, req)
}

func (r *registry) get(as who, path string) page {
	r.t.Helper()
	return r.ask(as, "GET", path, "", "")
}

// exchange asks the token service with a form.
func (r *registry) exchange(pairs ...string) page {
	r.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return r.ask(nobody, "POST", "/auth/token", "application/x-www-form-urlencoded", form.Encode())
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// send sends a request and reads all of the answer.
func send(t *testing.T, client *http.Client, req *http.Request) page {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return page{t, res.StatusCode, req.URL, res.Header, string(body)}
}

// free finds an address that was free a moment ago.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// soon waits until something is true.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	const within = 30 * time.Second
	for deadline := time.Now().Add(within); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
