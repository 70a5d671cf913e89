package api

import (
	"net/http"
	"slices"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/door"
)

// schemaEntry is one entry of the list of schemas.
type schemaEntry struct {
	Kind document.Kind `json:"kind"`
	Href string        `json:"href"`
}

// listSchemas lists the JSON Schemas of the documents.
func (a *api) listSchemas(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var items []schemaEntry
	for _, kind := range document.Kinds() {
		items = append(items, schemaEntry{kind, "/schemas/" + string(kind) + ".json"})
	}
	return list(w, r, c, items, "")
}

// getSchema serves one.
func (a *api) getSchema(w http.ResponseWriter, r *http.Request, c door.Call) error {
	kind := document.Kind(c.Last)
	if !slices.Contains(document.Kinds(), kind) {
		return unknown("schema "+quote(c.Last), "/schemas/ lists those there are")
	}
	return send(w, r, c, "application/schema+json", kind.Schema())
}
