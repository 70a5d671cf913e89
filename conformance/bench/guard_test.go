package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestCredentialsAreShownAsStandardsSay(t *testing.T) {
	if got := basic("Aladdin", "open sesame"); got != "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" { // RFC 7617, section 2
		t.Errorf("%q", got)
	}
	if got := bearer("mF_9.B5f-4.1JqM"); got != "Authorization: Bearer mF_9.B5f-4.1JqM" { // RFC 6750, section 2.1
		t.Errorf("%q", got)
	}
}

// TestLoginsAreAllHashed: what was right before would be remembered, and a name or an address that fails often would not be looked at.
func TestLoginsAreAllHashed(t *testing.T) {
	seen, right := map[string]bool{}, 0
	for n := range 3 * slowUsers {
		name, secret, status := attempt(n)
		if seen[name+":"+secret] {
			t.Fatalf("attempt %d: %s logs in with %q a second time", n, name, secret)
		}
		seen[name+":"+secret] = true
		if (status == 200) != (secret == password) {
			t.Fatalf("attempt %d: %q is to be answered with %d", n, secret, status)
		}
		if status == 200 {
			right++
		}
	}
	if right != slowUsers/2 {
		t.Errorf("%d logins with the right password, want %d", right, slowUsers/2)
	}
}

func TestConnComesFromItsAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &conn{addr: l.Addr().String(), from: net.IPv4(127, 1, 2, 3), until: time.Now().Add(10 * time.Second)}
	if err := c.connect(); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if host, _, _ := net.SplitHostPort(accepted.RemoteAddr().String()); host != "127.1.2.3" {
		t.Errorf("the connection came from %s", host)
	}
}

func TestPeersAreChangedBesideThemselves(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	plain := &peer{ready: "/v2/", command: func(string, string) ([]string, []string, error) {
		return []string{"serve", file}, []string{"A=1"}, os.WriteFile(file, []byte("a: 1\n"), 0o600)
	}}
	changed := plain.with("B=2").configured("b: 2\n")
	for range 2 { // a server is started more than once
		args, env, err := changed.command(dir, "")
		if err != nil || !slices.Equal(args, []string{"serve", file}) || !slices.Equal(env, []string{"A=1", "B=2"}) {
			t.Errorf("%q %q %v", args, env, err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "a: 1\nb: 2\n" {
			t.Errorf("configuration %q, %v", text, err)
		}
	}
	if _, env, err := plain.command(dir, ""); err != nil || len(env) != 1 || plain.ready != "/v2/" || changed.ready != "/" {
		t.Errorf("%q %v, ready at %s and %s", env, err, plain.ready, changed.ready)
	}
}
