package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetrics_do_not_grow_with_what_clients_invent: no word of a client's becomes a label.
func TestMetrics_do_not_grow_with_what_clients_invent(t *testing.T) {
	measured := prometheus.NewRegistry()
	h := build(t, func(h *house) { h.door.Metrics = measured })
	series := func() map[string]float64 {
		found := map[string]float64{}
		families, err := measured.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				labels := f.GetName()
				for _, l := range m.Label {
					labels += " " + l.GetName() + "=" + l.GetValue()
				}
				found[labels] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return found
	}
	paths := []string{"/v2/", "/v2/a/manifests/x", "/v2/a/blobs/uploads/", "/nowhere"}
	ask := func(method, path string) {
		r := httptest.NewRequest("GET", path, http.NoBody)
		r.Method = method
		h.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, path := range paths {
		ask("GET", path)
		ask("BREW", path)
	}
	before := series()
	for i := range 200 {
		for _, path := range paths {
			ask(fmt.Sprint("BREW", i), path+"?x="+fmt.Sprint(i))
			ask("GET", strings.Replace(path, "/a/", fmt.Sprintf("/a%d/", i), 1))
		}
	}
	after := series()
	if len(after) > len(before) {
		for labels := range after {
			if _, old := before[labels]; !old {
				t.Errorf("new: %s", labels)
			}
		}
	}
	if got := after["entrepot_http_requests_total method=other route=ping status=405"]; got != 201 {
		t.Errorf("requests of other methods: %v", got)
	}
}

// TestMetrics_count: bytes in both directions, and nothing in flight when all is quiet.
func TestMetrics_count(t *testing.T) {
	measured := prometheus.NewRegistry()
	h := build(t, func(h *house) { h.door.Metrics = measured })
	content := octets("counted", 50_000)
	d := h.pushBlob("count/a", content)
	h.do("GET", "/v2/count/a/blobs/"+string(d), nil).want(t, 200)
	where := h.begin("count/a")
	h.do("PATCH", where, []byte("abc")).want(t, 202)
	families, err := measured.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		m := f.Metric[0]
		switch f.GetName() {
		case "entrepot_http_sent_bytes_total":
			if got := m.GetCounter().GetValue(); got != 50_000 {
				t.Errorf("sent %v", got)
			}
		case "entrepot_http_received_bytes_total":
			if got := m.GetCounter().GetValue(); got != 50_003 {
				t.Errorf("received %v", got)
			}
		case "entrepot_uploads_in_flight":
			if got := m.GetGauge().GetValue(); got != 0 {
				t.Errorf("in flight: %v", got)
			}
		}
	}
}
