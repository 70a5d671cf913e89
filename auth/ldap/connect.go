package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// connection is one to one server, for one login.
type connection struct {
	p      *Provider
	ctx    context.Context // of the login
	server server
	link   *goldap.Conn
}

// connect connects to a server, and does not return a connection that is not as private as the configuration says. Whatever becomes of it, the
// connection is closed when ctx ends.
func (p *Provider) connect(ctx context.Context, s server) (*connection, error) {
	roots, err := p.authorities()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: roots, ServerName: s.host, MinVersion: tls.VersionTLS12}
	c := &connection{p: p, ctx: ctx, server: s}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, c.lost("connect", err)
	}
	context.AfterFunc(ctx, func() { raw.Close() })
	stream := net.Conn(&bounded{Conn: raw})
	if s.tls {
		private := tls.Client(stream, config)
		if err := private.HandshakeContext(ctx); err != nil {
			return nil, c.lost("start TLS", err)
		}
		stream = private
	}
	c.link = goldap.NewConn(stream, s.tls)
	if end, ok := ctx.Deadline(); ok {
		// Closing the socket ends every wait for the library, unless it has stopped reading, as it does between StartTLS and the handshake.
		c.link.SetTimeout(time.Until(end) + 100*time.Millisecond)
	}
	c.link.Start()
	if !s.tls && p.config.StartTLS {
		if err := c.link.StartTLS(config); err != nil {
			c.close()
			return nil, c.fault("start TLS", err)
		}
	}
	return c, nil
}

// close says goodbye.
func (c *connection) close() { _ = c.link.Unbind() }

// bounded is a connection that receives no more than maxAnswers.
type bounded struct {
	net.Conn
	got atomic.Int64
}

func (b *bounded) Read(p []byte) (int, error) {
	left := maxAnswers - b.got.Load()
	if left <= 0 {
		return 0, fmt.Errorf("the directory sent more than %d bytes", maxAnswers)
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), left)])
	b.got.Add(int64(n))
	return n, err
}

// authorities reads CAFile; nil are those of the system.
func (p *Provider) authorities() (*x509.CertPool, error) {
	if p.config.CAFile == "" {
		return nil, nil
	}
	pem, err := readFile(p.config.CAFile, 4<<20)
	if err != nil {
		return nil, fmt.Errorf("read the certificates that vouch for the directory: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in PEM format in %s", p.config.CAFile)
	}
	return pool, nil
}

// password reads BindPasswordFile; it is empty if there is none.
func (p *Provider) password() (string, error) {
	file := p.config.BindPasswordFile
	if file == "" {
		return "", nil
	}
	text, err := readFile(file, maxSecret+2)
	if err != nil {
		return "", fmt.Errorf("read the password of %s: %w", p.config.BindDN, err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" || strings.Contains(password, "\x00") {
		return "", fmt.Errorf("the password of %s in %s is empty or holds a NUL", p.config.BindDN, file)
	}
	return password, nil
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = errors.New(path + " is too long")
	}
	return text, err
}
