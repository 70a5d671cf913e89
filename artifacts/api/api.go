// Package api is the side of the door where programs ask about components: which there are, in which versions, whether those are good, and what is
// deployed where. It also takes documents and files without an OCI client, and moves what is deployed.
//
//	routes := api.Routes(api.Config{Catalog: catalog, Shelf: shelf, File: tree.File, URL: "https://registry.example.com"})
//	handler := door.New(at, slices.Concat(registryapi.Routes(…), routes)...)
//
//	curl https://registry.example.com/api/v1/components/cloud/dmp/ms-ingestion/latest?format=version     → 1.0.2
//	curl https://registry.example.com/index/domain-cloud-prod.yaml
//
// The promises:
//
//   - Every path, parameter and answer is in the OpenAPI 3.1 document at /api/v1/openapi.json, and a test holds both against each other.
//   - Lists are {"items": […], "next": "…"}: next is given back as ?after=, and the Link header has the whole address (RFC 8288). No list and no body that
//     is read is without a bound.
//   - A query parameter that is not known is refused: a misspelt filter must not be none.
//   - Errors are problems (RFC 9457) whose detail says what to do next.
//   - Answers to GET carry an ETag, and If-None-Match is answered with 304 (RFC 9110, section 13.1.2).
//   - Nobody is told of a component that they may not pull: the door asks the policy about the component that a path names, lists leave out what may not
//     be seen, and what is hidden and what does not exist have one answer.
//
// What the answers mean is decided by package artifacts. The same files and folders for people are package artifacts/tree, and for apt artifacts/apt.
package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// Config is what the routes stand on.
type Config struct {
	Catalog  *artifacts.Catalog
	Registry *registry.Registry // that the catalog is of; nothing is asked of it but through the catalog and the shelf
	Shelf    *intake.Shelf      // for what is sent

	// File serves a file of a version: rest is docker/manifest.yaml, generic/fw.bin, metadata.yaml or SHA256SUMS. Nil: there are no files.
	File func(w http.ResponseWriter, r *http.Request, c door.Call, component, version, rest string) error

	URL string           // how clients reach the registry; empty: as the request did
	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

type api struct {
	Config
	openapi []byte
}

// Routes returns the table.
func Routes(c Config) []door.Route {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{Config: c, openapi: openAPI()}
	var routes []door.Route
	for _, row := range a.table() {
		routes = append(routes, row.route())
	}
	return routes
}
