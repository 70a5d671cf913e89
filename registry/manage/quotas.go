package manage

import (
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

func (m *manage) quotaRows() []row {
	return []row{{"quotas", "/quotas", map[string]method{http.MethodGet: {m.quotas, paging}}}}
}

// quotaRoute is the part of the table for those who want to know how much room they have: whoever may push to a path may see the quotas that it comes under.
func (m *manage) quotaRoute() door.Route {
	match := func(path string) (on, last string, ok bool) {
		on, ok = strings.CutPrefix(path, base+"/quotas/")
		return on, "", ok && on != ""
	}
	return door.Route{Name: "quotas-over", Match: match, Methods: map[string]door.Access{
		http.MethodGet: {Action: auth.Push, Serve: method{m.quotasOver, paging}.checked},
	}, Errors: door.Problem}
}

// quotas lists all quotas and what is used of them.
func (m *manage) quotas(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return m.listQuotas(w, r, c, func(reg *registry.Registry) ([]registry.QuotaState, error) { return reg.Quotas(r.Context()) })
}

// quotasOver lists those that a path comes under.
func (m *manage) quotasOver(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if !registry.ValidName(c.On) {
		return refused(notThere, "this is no path of repositories")
	}
	return m.listQuotas(w, r, c, func(reg *registry.Registry) ([]registry.QuotaState, error) { return reg.QuotasOver(r.Context(), c.On) })
}

func (m *manage) listQuotas(w http.ResponseWriter, r *http.Request, c door.Call, of func(*registry.Registry) ([]registry.QuotaState, error)) error {
	all := []registry.QuotaState{}
	if m.Registry != nil {
		var err error
		if all, err = of(m.Registry); err != nil {
			return err
		}
	}
	return list(w, r, c, all, func(s registry.QuotaState) string { return s.Path })
}
