package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

func TestReferences(t *testing.T) {
	for text, want := range map[string]string{
		"app":                           "srv:1/app",
		"cloud/app:1.0":                 "srv:1/cloud/app:1.0",
		"reg.example.com/app":           "reg.example.com/app",
		"localhost/app:1":               "localhost/app:1",
		"127.0.0.1:5000/docker.io/x/y":  "127.0.0.1:5000/docker.io/x/y",
		"[::1]:5000/app:1":              "[::1]:5000/app:1",
		"app:1@sha256:" + hexOf("00"):   "srv:1/app@sha256:" + hexOf("00"),
		"h.example/app@sha256:" + "zz":  "",
		"App":                           "",
		"app:":                          "srv:1/app",
		"app:a b":                       "",
		"":                              "",
		"../app":                        "",
		"h.example/../app":              "",
		"h.example:99999999999/app":     "h.example:99999999999/app", // what cannot be dialled is the dialler's to say
		"h.example/app:\x1b[31mred":     "",
		"user:secret@h.example/app:1.0": "",
	} {
		got, err := parseReference(text, "srv:1")
		if want == "" {
			if err == nil {
				t.Errorf("%q is read as %s", text, got)
			} else if strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%q: the error would colour the terminal: %q", text, err)
			}
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func hexOf(pair string) string { return strings.Repeat(pair, 32) }

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"oci:dir":                              "oci:dir",
		"oci:dir/x:1.0":                        "oci:dir/x:1.0",
		"oci:dir@sha256:" + hexOf("00"):        "oci:dir@sha256:" + hexOf("00"),
		"oci-archive:/a/b.tar:v1":              "oci-archive:/a/b.tar:v1",
		"docker-archive:a.tar:reg:5000/app:1":  "docker-archive:a.tar:reg:5000/app:1",
		"oci":                                  "srv:1/oci",
		"oci/app:1":                            "srv:1/oci/app:1",
		"oci:":                                 "",
		"oci:dir@sha256:zz":                    "",
		"docker-archive:a.tar:app":             "",
		"docker-archive:a.tar:App:1":           "",
		"oci:dir:a tag":                        "",
		"oci-archive:x.tar@sha256:../../../..": "",
	} {
		got, err := parseEndpoint(text, "srv:1")
		if want == "" {
			if err == nil {
				t.Errorf("%q is read as %s", text, got)
			}
		} else if err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestPlainHTTPIsForLoopback(t *testing.T) {
	c := &client{app: &app{}, plain: []string{"reg.lan:5000"}}
	for host, want := range map[string]bool{
		"127.0.0.1:5000": true, "127.9.9.9": true, "localhost:80": true, "[::1]:5000": true, "reg.lan:5000": true,
		"reg.lan": false, "128.0.0.1:5000": false, "localhost.example.com": false, "127.0.0.1.example.com:5000": false,
	} {
		if got := c.speaksPlain(host); got != want {
			t.Errorf("%s: plain HTTP %v, want %v", host, got, want)
		}
	}
}

// cli runs a verb and returns its exit status and both outputs.
func cli(t testing.TB, environ []string, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr, environ)
	return code, stdout.String(), stderr.String()
}

func newLayout(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	to, err := openLayoutTarget(dir)
	if err != nil {
		t.Fatal(err)
	}
	sample{to}.index("1.0", "hello")
	if err := to.Commit(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// left takes one of what is left, if anything is: several may want it at once.
func left(n *atomic.Int64) bool {
	for {
		have := n.Load()
		if have <= 0 {
			return false
		}
		if n.CompareAndSwap(have, have-1) {
			return true
		}
	}
}

// TestFaultsPass puts a bad network between the client and the registry: answers that fail and transfers that break off.
func TestFaultsPass(t *testing.T) {
	p := program.Start(t, program.Env("ENTREPOT_AUTH_ANONYMOUS=full")) // also through a proxy
	up, _ := url.Parse(p.URL)
	var faults atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(up)
	quiet := log.New(io.Discard, "", 0) // connections break off on purpose here
	proxy.ErrorLog = quiet
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = up.Host
		if faults.Load() > 0 {
			switch {
			case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/uploads/") && left(&faults):
				_, _ = io.CopyN(io.Discard, r.Body, 10)
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && left(&faults):
				head, err := http.Head(p.URL + r.URL.Path)
				if err != nil {
					t.Error(err)
					return
				}
				head.Body.Close()
				w.Header().Set("Content-Length", head.Header.Get("Content-Length"))
				_, _ = w.Write([]byte("half"))
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(bad.Close)
	server := strings.TrimPrefix(bad.URL, "http://")

	layout := newLayout(t)
	faults.Store(2)
	if code, _, stderr := cli(t, nil, "cp", "oci:"+layout, server+"/faults/app"); code != 0 || faults.Load() != 0 {
		t.Fatalf("push: exit status %d with %d faults left: %s", code, faults.Load(), stderr)
	}
	for _, dst := range []string{"oci:" + filepath.Join(t.TempDir(), "l"), "oci-archive:" + filepath.Join(t.TempDir(), "a.tar")} {
		faults.Store(2)
		code, stdout, stderr := cli(t, nil, "cp", server+"/faults/app:1.0", dst)
		if code != 0 || faults.Load() != 0 {
			t.Fatalf("pull to %s: exit status %d with %d faults left: %s", dst, code, faults.Load(), stderr)
		}
		// What came through the bad network is whole: copied on, every digest is checked once more.
		if code, again, stderr := cli(t, nil, "cp", dst, "oci:"+filepath.Join(t.TempDir(), "again")); code != 0 {
			t.Errorf("%s does not hold what it should: %s%s%s", dst, stdout, again, stderr)
		}
	}
	// A fault that does not pass ends the copy, after a bounded number of attempts.
	faults.Store(1000)
	if code, _, stderr := cli(t, nil, "cp", server+"/faults/app:1.0", "oci:"+filepath.Join(t.TempDir(), "never")); code != 1 {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	if n := 1000 - faults.Load(); n > 10*attempts {
		t.Errorf("%d attempts", n)
	}
}

// TestWrongContentIsRefused copies from a registry that gives other bytes than it was asked for.
func TestWrongContentIsRefused(t *testing.T) {
	p := program.Start(t, program.Env("ENTREPOT_AUTH_ANONYMOUS=full")) // also through a proxy
	layout := newLayout(t)
	if code, _, stderr := cli(t, nil, "cp", "oci:"+layout, p.Addr+"/wrong/app"); code != 0 {
		t.Fatal(stderr)
	}
	up, _ := url.Parse(p.URL)
	proxy := httputil.NewSingleHostReverseProxy(up)
	proxy.ModifyResponse = func(res *http.Response) error {
		if res.Request.Method == http.MethodGet && strings.Contains(res.Request.URL.Path, "/blobs/") {
			res.Body = io.NopCloser(io.MultiReader(io.LimitReader(res.Body, res.ContentLength-1), strings.NewReader("!")))
		}
		return nil
	}
	liar := httptest.NewServer(proxy)
	t.Cleanup(liar.Close)
	for _, dst := range []string{"oci:" + filepath.Join(t.TempDir(), "l"), "oci-archive:" + filepath.Join(t.TempDir(), "a.tar"), p.Addr + "/wrong/copy:1"} {
		code, _, stderr := cli(t, nil, "cp", strings.TrimPrefix(liar.URL, "http://")+"/wrong/app:1.0", dst)
		if code != 1 || !strings.Contains(stderr, "the content is sha256:") {
			t.Errorf("%s: exit status %d: %s", dst, code, stderr)
		}
	}
}

// TestTLSAndLogin speaks HTTPS to a server that wants a login, which docker login has kept.
func TestTLSAndLogin(t *testing.T) {
	var agent atomic.Value
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent.Store(r.UserAgent())
		if user, password, ok := r.BasicAuth(); !ok || user != "ada" || password != "lovelace" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`)
			return
		}
		fmt.Fprint(w, `{"repositories":["secret/app"]}`)
	}))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "https://")
	home := t.TempDir()
	ca := filepath.Join(home, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	login := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ada:lovelace")))
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	known, nobody := []string{"DOCKER_CONFIG=" + home}, []string{"DOCKER_CONFIG=" + t.TempDir()}
	for _, c := range []struct {
		name  string
		env   []string
		flags []string
		fault string // "": it works
	}{
		{"an unknown authority", known, []string{"--tls"}, "is signed by an unknown authority; name that authority's file with --ca"},
		{"any certificate", known, []string{"--tls", "--insecure"}, ""},
		{"any certificate of another host", known, []string{"--tls", "--insecure=h.example"}, "unknown authority"},
		{"a known authority", known, []string{"--tls=" + host, "--ca=" + ca}, ""},
		{"an address with its scheme", known, []string{"--server=https://" + host, "--ca", ca}, ""},
		{"no login", nobody, []string{"--tls", "--ca", ca}, "not allowed without a login; log in with: entrepot login " + host},
		{"HTTP only", known, []string{"--plain-http"}, "answered 400"},
	} {
		args := append([]string{"ls", host}, c.flags...)
		if strings.HasPrefix(c.flags[0], "--server") {
			args = append([]string{"ls"}, c.flags...)
		}
		code, stdout, stderr := cli(t, c.env, args...)
		if c.fault == "" && (code != 0 || stdout != "secret/app\n") || c.fault != "" && (code != 1 || !strings.Contains(stderr, c.fault)) {
			t.Errorf("%s: exit status %d: %s%s", c.name, code, stdout, stderr)
		}
	}
	if got := agent.Load().(string); !strings.HasPrefix(got, "entrepot/") {
		t.Errorf("user agent %q", got)
	}
}

func TestUsageFaultsExitWith2(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"ls", "a", "b"}, {"ls", "--nonsense"}, {"inspect", "A"}, {"cp", "a"}, {"rm", "app"}, {"config", "chek"}} {
		if code, _, stderr := cli(t, nil, args...); code != 2 || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "entrepot: ") {
			t.Errorf("%v: exit status %d: %q", args, code, stderr)
		}
	}
}

func TestStrangersCannotPaintTheTerminal(t *testing.T) {
	if got := printable("a\x1b[31mb\nc\u202ed\u009be"); strings.ContainsAny(got, "\x1b\n\u202e\u009b") {
		t.Errorf("%q", got)
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 12897484: "12.3 MiB", 1<<20 - 1: "1.0 MiB", 5 << 40: "5.0 TiB"} {
		if got := humanSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
