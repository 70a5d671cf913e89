package main

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// routes adds to the registry's API what operators ask: /healthz (the process answers), /readyz (it can serve), /metrics and, where the
// configuration says so, /debug/pprof.
func (s *server) routes(api http.Handler, measured *prometheus.Registry) http.Handler {
	operations := http.NewServeMux()
	operations.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	operations.HandleFunc("GET /readyz", s.ready)
	if measured != nil {
		measured.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "entrepot_index_bytes", Help: "Size of the index on its medium."},
				func() float64 { return float64(s.store.index.Size()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "entrepot_store_bytes", Help: "Bytes of blobs stored since the index began, each once."},
				func() float64 { return float64(s.registry.StoredBytes()) }),
		)
		if s.store.free != nil {
			measured.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "entrepot_store_free_bytes", Help: "Bytes left on the content's medium."},
				func() float64 { free, _ := s.store.free(); return float64(free) }))
		}
		operations.Handle("GET /metrics", promhttp.HandlerFor(measured, promhttp.HandlerOpts{}))
	}
	if s.config.Profiles {
		operations.HandleFunc("GET /debug/pprof/", pprof.Index)
		operations.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		operations.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/healthz", path == "/readyz", path == "/metrics", strings.HasPrefix(path, "/debug/pprof/"):
			operations.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// ready answers 200 while requests can be served and 503 with the reason in the log while not, which includes the time of stopping.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.stopping:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	default:
	}
	if err := s.registry.Ready(r.Context()); err != nil {
		s.log.Error("not ready", "err", err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
