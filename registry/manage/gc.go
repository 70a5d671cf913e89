package manage

import (
	"context"
	"net/http"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain/collect"
)

func (m *manage) gcRows() []row {
	return []row{
		{"gc-plan", "/gc/plan", map[string]method{http.MethodGet: {m.planGC, []string{"all", "orphans"}}}},
		{"gc-runs", "/gc/runs", map[string]method{http.MethodPost: {m.runGC, nil}}},
	}
}

// planGC tells what content would go, and with all=true also what stays, and why.
func (m *manage) planGC(w http.ResponseWriter, r *http.Request, c door.Call) error {
	all, err := truth(c, "all")
	if err != nil {
		return err
	}
	orphans, err := truth(c, "orphans")
	if err != nil {
		return err
	}
	if m.Collector == nil {
		return refused(notThere, "this registry collects no content")
	}
	return m.stream(r.Context(), w, func(ctx context.Context, out *stream) (any, error) {
		return m.Collector.Plan(ctx, collect.Options{Orphans: orphans}, func(f registry.Fate) { out.fate(f, f.Goes || all) })
	})
}

// runGC has content go now, or follows the run that is under way.
func (m *manage) runGC(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Orphans bool `json:"orphans"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if m.Collector == nil {
		return refused(notThere, "this registry collects no content")
	}
	return watch(c.By(r), m, w, func(ctx context.Context, show func(collect.Progress)) (collect.Result, error) {
		return m.Collector.Start(ctx, collect.Options{Orphans: asked.Orphans}, show)
	})
}
