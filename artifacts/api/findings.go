package api

import (
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/door"
)

// finding is one, with the version that it is about.
type finding struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	artifacts.Finding
}

// listFindings lists what is wrong with versions.
func (a *api) listFindings(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.findings(w, r, c, "")
}

// getFindings lists what is wrong with the versions of a component.
func (a *api) getFindings(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if _, err := a.Catalog.Component(r.Context(), c.On); err != nil {
		return lack(err, "component "+c.On, "it begins with its first version: push one")
	}
	return a.findings(w, r, c, c.On)
}

// findings looks through as many versions as the limit says, so that an answer may have more findings, or none and yet a next part.
func (a *api) findings(w http.ResponseWriter, r *http.Request, c door.Call, component string) error {
	q, err := a.query(r.Context(), c)
	if err != nil {
		return err
	}
	rule := c.Query.Get("rule")
	q.Component, q.Rule = component, rule
	found, err := a.Catalog.Find(r.Context(), q)
	if err != nil {
		return err
	}
	var items []finding
	for _, v := range found.Versions {
		s, err := a.Catalog.State(r.Context(), v.Component, v.Version)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range s.Findings {
			if (q.Level == "" || f.Level == q.Level) && (rule == "" || f.Rule == rule) {
				items = append(items, finding{v.Component, v.Version, f})
			}
		}
	}
	return list(w, r, c, items, found.Next)
}
