package door

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what passes the door.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	sent     prometheus.Counter
	received prometheus.Counter
	inFlight prometheus.Gauge
}

func newMetrics(to prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "entrepot_http_requests_total", Help: "Requests answered, by route, method and status."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "entrepot_http_request_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30, 120}}, []string{"route", "method"}),
		sent:     prometheus.NewCounter(prometheus.CounterOpts{Name: "entrepot_http_sent_bytes_total", Help: "Bytes of answers' bodies."}),
		received: prometheus.NewCounter(prometheus.CounterOpts{Name: "entrepot_http_received_bytes_total", Help: "Bytes of uploads and manifests received."}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "entrepot_uploads_in_flight", Help: "Requests that are sending content just now."}),
	}
	if to != nil {
		to.MustRegister(m.requests, m.seconds, m.sent, m.received, m.inFlight)
	}
	return m
}

// routeMetrics keeps what a route counts at hand, since looking it up by labels costs as much as half the request's other work.
type routeMetrics struct {
	all     *metrics
	route   string
	methods sync.Map // method → *methodMetrics
}

type methodMetrics struct {
	seconds  prometheus.Observer
	statuses sync.Map // status → prometheus.Counter
}

func (m *metrics) of(route string) *routeMetrics { return &routeMetrics{all: m, route: route} }

func (m *routeMetrics) observe(method string, out *response, began time.Time) {
	found, ok := m.methods.Load(method)
	if !ok {
		if !knownMethod(method) {
			method = "other" // a client's words must not become labels without bound
		}
		found, _ = m.methods.LoadOrStore(method, &methodMetrics{seconds: m.all.seconds.WithLabelValues(m.route, method)})
	}
	mm := found.(*methodMetrics)
	counter, ok := mm.statuses.Load(out.status)
	if !ok {
		counter, _ = mm.statuses.LoadOrStore(out.status, m.all.requests.WithLabelValues(m.route, method, strconv.Itoa(out.status)))
	}
	counter.(prometheus.Counter).Inc()
	mm.seconds.Observe(time.Since(began).Seconds())
	if out.bytes > 0 {
		m.all.sent.Add(float64(out.bytes))
	}
}

func knownMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	return false
}
