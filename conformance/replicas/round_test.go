//go:build backends

package replicas

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// round is a load balancer without any memory: each request goes to the next replica, and none is tried again.
type round struct {
	next    atomic.Uint64
	proxies []*httputil.ReverseProxy
}

func newRound(addrs []string) *round {
	r := &round{}
	for _, addr := range addrs {
		to := &url.URL{Scheme: "http", Host: addr}
		r.proxies = append(r.proxies, &httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(to)
				p.Out.Host = p.In.Host
			},
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, IdleConnTimeout: 30 * time.Second},
			FlushInterval: -1,
			ErrorLog:      log.New(io.Discard, "", 0),
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
				w.WriteHeader(http.StatusBadGateway)
			},
		})
	}
	return r
}

func (r *round) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.proxies[(r.next.Add(1)-1)%uint64(len(r.proxies))].ServeHTTP(w, req)
}
