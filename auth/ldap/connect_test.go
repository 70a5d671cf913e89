package ldap

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// front is a listener that speaks TLS and passes on to the fake what it hears.
func front(t *testing.T, f *fake, config *tls.Config) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", f.addr)
			if err != nil {
				in.Close()
				return
			}
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	return l.Addr().String()
}

func TestConnect_trusts_whom_the_authority_vouches_for(t *testing.T) {
	ca, cert, key := authority(t, "127.0.0.1")
	stranger, _, _ := authority(t, "127.0.0.1")
	_, elsewhere, elsewhereKey := authority(t, "192.0.2.1")
	for _, startTLS := range []bool{false, true} {
		reach := func(cert, key, ca string) (*Provider, *fake) {
			f := newFake(t)
			c := f.config(t)
			c.CAFile, c.StartTLS = ca, startTLS
			if startTLS {
				f.private = private(t, cert, key)
			} else {
				c.URL = "ldaps://" + front(t, f, private(t, cert, key))
			}
			return start(t, c), f
		}
		p, _ := reach(cert, key, ca)
		if who, _, err := p.Login(t.Context(), "alice", "wonder"); err != nil || len(who.Groups) != 2 {
			t.Errorf("StartTLS %v: %+v, %v", startTLS, who, err)
		}
		for what, c := range map[string]struct{ cert, key, ca string }{
			"unknown authority": {cert, key, stranger},
			"the system's":      {cert, key, ""},
			"another host's":    {elsewhere, elsewhereKey, ca},
		} {
			p, f := reach(c.cert, c.key, c.ca)
			fails(t, p, "x509")
			if got := f.asked(); len(got) > 2 || len(got) == 2 && got[1] != "extended" {
				t.Errorf("%s: the directory was asked %q", what, got)
			}
		}
	}
}

// Whoever sits on the line could refuse StartTLS to hear passwords.
func TestConnect_sends_nothing_if_StartTLS_is_refused(t *testing.T) {
	f := newFake(t)
	c := f.config(t)
	c.StartTLS = true
	fails(t, start(t, c), "unsupported extended operation")
	if got := f.asked(); !slices.Equal(got, []string{"connect", "extended"}) {
		t.Errorf("the directory was asked %q", got)
	}
}

func TestConnect_closes_what_it_does_not_trust(t *testing.T) {
	_, cert, key := authority(t, "127.0.0.1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rest := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			rest <- err
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_ = tls.Server(c, private(t, cert, key)).Handshake()
		_, err = io.Copy(io.Discard, c)
		rest <- err
	}()
	fails(t, start(t, Config{URL: "ldaps://" + l.Addr().String(), UserBase: base}), "x509")
	if err := <-rest; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection did not end: %v", err)
	}
}
