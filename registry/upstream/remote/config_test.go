package remote

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestNew_refuses(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "notes.txt")
	write(t, notes, "no certificate", 0o600)
	for _, c := range []struct {
		what   string
		change func(*Config)
		says   string
	}{
		{"no name", func(c *Config) { c.Name = "" }, "docker.io"},
		{"a name on two lines", func(c *Config) { c.Name = "a\nb" }, "docker.io"},
		{"no URL", func(c *Config) { c.URLs = nil }, "one URL"},
		{"too many URLs", func(c *Config) { c.URLs = make([]string, 17) }, "at most 16"},
		{"no scheme", urls("registry.example.com"), "https://"},
		{"another scheme", urls("ftp://registry.example.com"), "https://"},
		{"a password in it", urls("https://alice:s3cret@registry.example.com"), "without a name"},
		{"a query", urls("https://registry.example.com?x=y"), "without a name"},
		{"/v2", urls("https://registry.example.com/v2/"), "it is appended"},
		{"a realm that is a URL", realms("https://auth.example.com"), "write the host"},
		{"no CA file", func(c *Config) { c.CA = notes + "x" }, "read the CA file"},
		{"a CA file of something else", func(c *Config) { c.CA = notes }, "no certificate"},
		{"negative bandwidth", func(c *Config) { c.Bandwidth = -1 }, "bandwidth"},
		{"negative connections", func(c *Config) { c.Connections = -1 }, "connections"},
		{"a negative timeout", func(c *Config) { c.Timeouts.Stall = -1 }, "stall"},
	} {
		config := Config{Name: "upstream.example.com", URLs: []string{"https://registry.example.com"}}
		c.change(&config)
		_, err := New(config)
		if err == nil {
			t.Errorf("%s is taken", c.what)
			continue
		}
		wantText(t, err, c.says, "upstream")
		wantNoSecret(t, "the error", err.Error(), "s3cret")
	}
}

func TestNew_defaults(t *testing.T) {
	r, err := New(Config{Name: "docker.io", URLs: []string{"https://registry-1.docker.io"}})
	if err != nil {
		t.Fatal(err)
	}
	c := r.config
	if c.Connections != 16 || c.ManifestBytes != 4<<20 || c.Timeouts != (Timeouts{10 * time.Second, 15 * time.Second, 30 * time.Second}) ||
		c.Breaker != (Breaker{3, 10 * time.Second, 5 * time.Minute}) {
		t.Errorf("%+v", c)
	}
	if !r.Healthy() || len(r.Health()) != 1 {
		t.Errorf("%+v", r.Health())
	}
}

// TestProxy_of_the_environment asks through a proxy: this test again, in a process of its own, since the environment is read once.
func TestProxy_of_the_environment(t *testing.T) {
	if os.Getenv("REMOTE_TEST_ASKS") != "" {
		askByProxy(t)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan *http.Request, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				asked <- req
				_, _ = conn.Write([]byte("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			}
			conn.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProxy_of_the_environment$")
	child.Env = append(os.Environ(), "REMOTE_TEST_ASKS=1", "HTTP_PROXY=http://"+l.Addr().String(), "http_proxy=", "NO_PROXY=", "no_proxy=")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(asked) != 1 {
		t.Fatalf("the proxy was asked %d times, want once", len(asked))
	}
	if req := <-asked; req.URL.String() != "http://registry.example.com/v2/team/app/manifests/1" || req.Header.Get("Authorization") != "" {
		t.Errorf("the proxy was asked for %s with %q", req.URL, req.Header.Get("Authorization"))
	}
}

func askByProxy(t *testing.T) {
	r, err := New(Config{Name: "upstream.example.com", URLs: []string{"http://registry.example.com"}, Credentials: Static("alice", "s3cret")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Head(t.Context(), repo, "1")
	wantKind(t, err, ErrDenied)
	wantText(t, err, "write https")
}
