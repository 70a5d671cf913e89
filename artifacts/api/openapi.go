package api

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"go.yaml.in/yaml/v3"

	"github.com/entrepot/entrepot/door"
)

// openapiYAML describes every path of the table (OpenAPI 3.1).
//
//go:embed openapi.yaml
var openapiYAML []byte

// openAPI is the description as JSON.
func openAPI() []byte {
	var doc map[string]any
	err := yaml.Unmarshal(openapiYAML, &doc)
	if err == nil {
		var body []byte
		if body, err = json.Marshal(doc); err == nil {
			return append(body, '\n')
		}
	}
	panic("openapi.yaml: " + err.Error()) // it is part of the program
}

// getOpenAPI serves the description of this API.
func (a *api) getOpenAPI(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return send(w, r, c, "application/json", a.openapi)
}
