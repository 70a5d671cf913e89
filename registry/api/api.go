// Package api is the registry's door to the street: the OCI distribution API over HTTP, and the journal beside it.
//
// [New] returns a handler for /v2/… and /api/v1/audit. Each route is one line of the table in routes.go: which paths, which method, which
// right it needs, which endpoint serves it. An endpoint reads the request, calls one method of the registry and writes the answer; if it
// returns an error, the door (door.go) tells the client what it may know, in the specification's envelope, and the log the rest.
//
//	handler := api.New(api.Config{Registry: reg, Policy: auth.Everything, Log: log})
//
// Rules of registries are not here but in package registry; who may do what is decided by [auth.Policy], once, in the door.
package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/registry"
)

// Config is what the door stands on.
type Config struct {
	Registry  *registry.Registry
	Policy    auth.Policy
	NoDeletes bool                  // every DELETE of content is answered 405
	Stall     time.Duration         // a body that is being received and stands still for so long is cut; default 2 minutes. For what is sent, see Steady
	Log       *slog.Logger          // default: none
	Metrics   prometheus.Registerer // default: none
}

// DefaultStall is how long a transfer may stand still.
const DefaultStall = 2 * time.Minute

// API serves the distribution API.
type API struct {
	registry *registry.Registry
	source   registry.Source
	policy   auth.Policy
	deletes  bool
	stall    time.Duration
	log      *slog.Logger
	metrics  *metrics
	ids      requestIDs
}

// New returns the handler.
func New(c Config) http.Handler {
	a := &API{
		registry: c.Registry, source: c.Registry, policy: c.Policy, deletes: !c.NoDeletes,
		stall: c.Stall, log: c.Log, metrics: newMetrics(c.Metrics), ids: newRequestIDs(),
	}
	if a.stall == 0 {
		a.stall = DefaultStall
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	router := mux.NewRouter().SkipClean(true) // a path is taken as it came: cleaning it would redirect pushes
	for _, r := range a.routes() {
		router.MatcherFunc(r.matches).Handler(a.methods(r))
	}
	router.NotFoundHandler = a.door("unknown", auth.Enter, notFound)
	return router
}
