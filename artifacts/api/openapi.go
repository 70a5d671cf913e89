package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"

	"github.com/entrepot/entrepot/door"
)

// openapiYAML describes every path of the table (OpenAPI 3.1); the others describe what is below /api/v1 and has its routes elsewhere.
var (
	//go:embed openapi.yaml
	openapiYAML []byte
	//go:embed openapi_accounts.yaml
	accountsYAML []byte
	//go:embed openapi_operations.yaml
	operationsYAML []byte
)

// openAPI is the description as JSON.
func openAPI() []byte { return described(openapiYAML, accountsYAML, operationsYAML) }

// described is a description in several parts as one. They are part of the program.
func described(parts ...[]byte) []byte {
	whole := map[string]any{}
	for _, part := range parts {
		var doc map[string]any
		if err := yaml.Unmarshal(part, &doc); err != nil {
			panic("description of the API: " + err.Error())
		}
		join(whole, doc, "")
	}
	body, err := json.Marshal(whole)
	if err != nil {
		panic("description of the API: " + err.Error())
	}
	return append(body, '\n')
}

// join adds what a part says to the whole: lists go behind one another, and nothing is said twice.
func join(whole, part map[string]any, at string) {
	for key, value := range part {
		switch old := whole[key].(type) {
		case nil:
			whole[key] = value
		case map[string]any:
			join(old, value.(map[string]any), at+"/"+key)
		case []any:
			whole[key] = append(old, value.([]any)...)
		default:
			panic(fmt.Sprintf("description of the API: %s/%s is there twice", at, key))
		}
	}
}

// getOpenAPI serves the description of this API.
func (a *api) getOpenAPI(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return send(w, r, c, "application/json", a.openapi)
}
