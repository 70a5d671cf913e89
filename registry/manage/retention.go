package manage

import (
	"context"
	"net/http"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain"
)

func (m *manage) retentionRows() []row {
	return []row{
		{"retention-plan", "/retention/plan", map[string]method{http.MethodGet: {m.planRetention, []string{"all", "repository"}}}},
		{"retention-runs", "/retention/runs", map[string]method{http.MethodPost: {m.runRetention, nil}}},
	}
}

// planRetention tells what tags and manifests the next run removes, and with all=true also what stays, and why.
func (m *manage) planRetention(w http.ResponseWriter, r *http.Request, c door.Call) error {
	all, err := truth(c, "all")
	if err != nil {
		return err
	}
	repo := c.Query.Get("repository")
	if repo != "" && !registry.ValidName(repo) {
		return badQuery("repository", auth.Clip(auth.Redact(repo))+" is no repository; write it like cloud/dmp/ms-ingestion")
	}
	if m.Retention == nil {
		return noRetention()
	}
	return m.stream(r.Context(), w, func(ctx context.Context, out *stream) (any, error) {
		return m.Retention.Plan(ctx, repo, func(f retain.Fate) { out.fate(f, f.Goes || all) })
	})
}

// runRetention removes what is not retained now, or follows the run that is under way.
func (m *manage) runRetention(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := read(w, r, c, &struct{}{}); err != nil {
		return err
	}
	if m.Retention == nil {
		return noRetention()
	}
	return watch(c.By(r), m, w, m.Retention.Start)
}

func noRetention() error {
	return refused(notThere, "this registry has no rules of retention; they stand below retention: in the configuration")
}
