package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	maxHeader = 64 << 10
	maxCAFile = 1 << 20
)

// newClient follows no redirects: see follow.
func newClient(c Config) (*http.Client, error) {
	roots, err := authorities(c.CA)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer(c.Timeouts.Dial),
			TLSHandshakeTimeout:    c.Timeouts.Dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: c.Timeouts.Header, PingTimeout: c.Timeouts.Header},
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    c.Connections,
			MaxIdleConns:           4 * c.Connections,
			IdleConnTimeout:        90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// authorities returns those of the system and of a file; nil without one, which means the system's.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := readFile(path, maxCAFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in the CA file %s", path)
	}
	return roots, nil
}

// readFile refuses files longer than most.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return text, err
}

// sentTo is the key under which a context has the host:port that the upstream sent us to.
type sentTo struct{}

var errGuarded = errors.New("it points to this machine or its neighbours on the link, where it has no business")

// dialer does not let an upstream point us at what only this machine can reach: services on loopback, or the metadata of a cloud on the link. Not by
// a name, either: what counts is the address. (A proxy has to see to that by itself.)
func dialer(timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: timeout}
	guarded := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		ip := at.Addr()
		if err != nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
			return errGuarded
		}
		return nil
	}}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if ctx.Value(sentTo{}) == address {
			return guarded.DialContext(ctx, network, address)
		}
		return plain.DialContext(ctx, network, address)
	}
}
