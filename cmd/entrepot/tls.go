package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// newTLS returns how connections are encrypted, nil if they are not. The files are read again when they have changed, at most once a second; if
// they are unreadable then, what was read before goes on being used.
func newTLS(c TLS, log *slog.Logger) (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	files := &tlsFiles{config: c, log: log}
	if err := files.read(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.current(), nil },
		// Only asked when GetConfigForClient had nothing to say; ServeTLS wants to see one of them.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &files.current().Certificates[0], nil },
	}, nil
}

type tlsFiles struct {
	config TLS
	log    *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	changed [3]time.Time
	use     *tls.Config
}

func (f *tlsFiles) current() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) > time.Second {
		if f.looked = time.Now(); f.times() != f.changed {
			if err := f.load(); err != nil {
				f.log.Error("read the renewed TLS files; the former ones stay in use", "err", err)
			} else {
				f.log.Info("TLS files were read again", "cert", f.config.Cert)
			}
		}
	}
	return f.use
}

func (f *tlsFiles) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load()
}

func (f *tlsFiles) load() error {
	changed := f.times()
	cert, err := tls.LoadX509KeyPair(f.config.Cert, f.config.Key)
	if err != nil {
		return fmt.Errorf("read tls.cert %s and tls.key %s: %w", f.config.Cert, f.config.Key, err)
	}
	next := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{cert},
	}
	if f.config.ClientCA != "" {
		pem, err := os.ReadFile(f.config.ClientCA)
		if err != nil {
			return fmt.Errorf("read tls.clientCA: %w", err)
		}
		next.ClientCAs = x509.NewCertPool()
		if !next.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read tls.clientCA %s: there is no PEM certificate in it", f.config.ClientCA)
		}
		next.ClientAuth = tls.RequireAndVerifyClientCert
	}
	f.use, f.changed = next, changed
	return nil
}

func (f *tlsFiles) times() (t [3]time.Time) {
	for i, path := range []string{f.config.Cert, f.config.Key, f.config.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}
