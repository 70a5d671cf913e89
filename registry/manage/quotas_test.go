package manage

import (
	"net/http"
	"testing"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

func TestQuotas(t *testing.T) {
	h := &house{t: t, index: kv.NewMemory(), stopping: make(chan struct{})}
	var err error
	h.reg, err = registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: h.index, Quotas: []registry.Quota{
		{Path: "team", Max: registry.Usage{Bytes: 1000}}, {Path: registry.Everywhere, Max: registry.Usage{Tags: 7}}, {Path: "other", Max: registry.Usage{Tags: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.serve(Config{Registry: h.reg, Stopping: h.stopping})
	const everything, team = `{"path":"**","max":{"bytes":0,"manifests":0,"tags":7,"repositories":0},"used":{"bytes":0,"manifests":0,"tags":0,"repositories":0},"counted":false}`,
		`{"path":"team","max":{"bytes":1000,"manifests":0,"tags":0,"repositories":0},"used":{"bytes":0,"manifests":0,"tags":0,"repositories":0},"counted":false}`
	status, _, body := h.do("developer", http.MethodGet, "/api/v1/quotas/team/app", "")
	if want := `{"items":[` + everything + "," + team + "]}\n"; status != http.StatusOK || string(body) != want {
		t.Errorf("over team/app: %d %s; want %s", status, body, want)
	}
	status, _, body = h.do("root", http.MethodGet, "/api/v1/quotas?limit=1", "")
	if want := `{"items":[` + everything + `],"next":"**"}` + "\n"; status != http.StatusOK || string(body) != want {
		t.Errorf("the first of all: %d %s; want %s", status, body, want)
	}
	status, _, body = h.do("root", http.MethodGet, "/api/v1/quotas?after=other", "")
	if want := `{"items":[` + team + "]}\n"; status != http.StatusOK || string(body) != want {
		t.Errorf("the last of all: %d %s; want %s", status, body, want)
	}
	for path, want := range map[string]int{"/api/v1/quotas/Team": http.StatusNotFound, "/api/v1/quotas/a..b": http.StatusNotFound, "/api/v1/quotas/": http.StatusNotFound,
		"/api/v1/quotas?all=true": http.StatusBadRequest} {
		if status, _, body := h.do("root", http.MethodGet, path, ""); status != want {
			t.Errorf("%s: %d %s; want %d", path, status, body, want)
		}
	}
	if status, _, _ := h.do("reader", http.MethodGet, "/api/v1/quotas", ""); status != http.StatusForbidden {
		t.Errorf("all quotas for a reader: %d; want 403", status)
	}
}
