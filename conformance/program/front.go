package program

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"
)

// front is a load balancer without any memory: each request goes to the next replica, and none is tried again. A nil front is none.
type front struct {
	listener net.Listener
	server   *http.Server
	scheme   string
	trust    *tls.Config // how replicas are known that speak TLS
	next     atomic.Uint64
	proxies  []*httputil.ReverseProxy
}

// newFront takes the program's address. It serves when the replicas do.
func (p *Program) newFront() *front {
	p.t.Helper()
	f := &front{scheme: "http"}
	quiet := log.New(io.Discard, "", 0) // clients break off on purpose, and replicas are killed
	f.server = &http.Server{Handler: f, ErrorLog: quiet}
	if strings.HasPrefix(p.URL, "https:") {
		f.scheme = "https"
		f.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{p.certificate()}}
		f.trust = p.ask.Transport.(*http.Transport).TLSClientConfig
	}
	var err error
	if f.listener, err = net.Listen("tcp", p.Addr); err != nil {
		p.t.Fatalf("listen before the replicas: %v", err)
	}
	return f
}

// certificate is the one that the configuration names.
func (p *Program) certificate() tls.Certificate {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.Dir, "config.yml"))
	if err != nil {
		p.t.Fatalf("find the certificate of the replicas: %v", err)
	}
	var config struct {
		TLS struct{ Cert, Key, ClientCA string } `yaml:"tls"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		p.t.Fatalf("find the certificate of the replicas: %v", err)
	}
	if strings.Contains(string(text), "clientCA:") {
		p.t.Fatal("no proxy can show replicas the certificate of its client: start the program with program.Alone")
	}
	at := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(p.Dir, path)
	}
	pair, err := tls.LoadX509KeyPair(at(config.TLS.Cert), at(config.TLS.Key))
	if err != nil {
		p.t.Fatalf("read the certificate of the replicas: %v", err)
	}
	return pair
}

// serve sends what comes, and what has come since the address was taken, to the replicas at addrs.
func (f *front) serve(addrs []string) {
	for _, addr := range addrs {
		to := &url.URL{Scheme: f.scheme, Host: addr}
		f.proxies = append(f.proxies, &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(to)
				r.Out.Host = r.In.Host
			},
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, IdleConnTimeout: 30 * time.Second, TLSClientConfig: f.trust},
			FlushInterval: -1,
			ErrorLog:      f.server.ErrorLog,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				http.Error(w, "the proxy before the replicas: "+err.Error(), http.StatusBadGateway)
			},
		})
	}
	go func() {
		if f.scheme == "https" {
			_ = f.server.ServeTLS(f.listener, "", "")
		} else {
			_ = f.server.Serve(f.listener)
		}
	}()
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.proxies[(f.next.Add(1)-1)%uint64(len(f.proxies))].ServeHTTP(w, r)
}

// refuse lets nobody in any more, and those who are in finish.
func (f *front) refuse() {
	if f == nil {
		return
	}
	_ = f.listener.Close()
	go func() { _ = f.server.Shutdown(context.Background()) }() // it ends with close at the latest
}

// close cuts all connections.
func (f *front) close() {
	if f == nil {
		return
	}
	_ = f.listener.Close()
	_ = f.server.Close()
	for _, p := range f.proxies {
		p.Transport.(*http.Transport).CloseIdleConnections()
	}
}
