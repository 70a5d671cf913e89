// Package manage is the side of the door for those who run the registry: what it does by itself, and what it can be told to do now.
//
//	routes := manage.Routes(manage.Config{Mirrors: mirrors, Stopping: stopping})
//	handler := door.New(at, slices.Concat(registryapi.Routes(…), routes)...)
//
//	curl -u root https://registry.example.com/api/v1/mirrors
//	curl -u root -N -H 'Content-Type: application/json' -d '{"repository": "docker.io/library/alpine"}' https://registry.example.com/api/v1/mirrors/runs
//	curl -u root https://registry.example.com/api/v1/scrub
//	curl -u root -N https://registry.example.com/api/v1/gc/plan?all=true
//	curl -u root -N -H 'Content-Type: application/json' -d '{}' https://registry.example.com/api/v1/retention/runs
//
// The promises:
//
//   - Everything here takes the right to manage the registry ([auth.Manage]), which admins have; but whoever may push to a path may see the quotas that it comes under.
//   - Lists are {"items": […], "next": "…"}: next is given back as ?after=, and the Link header has the whole address (RFC 8288).
//   - What takes long is answered at once, with a line of JSON for each step (application/x-ndjson): {"progress": …} about twice a second while it runs, and
//     {"result": …} at its end. An answer that ends without a result is not whole. A client that leaves stops nothing.
//   - A plan changes nothing. It has a line {"fate": …} for each thing that goes (with ?all=true also for what stays), {"progress": …} now and then, and {"result": …}
//     with the sums at its end. It ends when its client leaves.
//   - A query parameter or a field that is not known is refused, no body is read without a bound, and errors are problems (RFC 9457) whose detail says what to do.
//
// Each kind of work has a file of its own with its rows of the table; what the work is and when it is done is decided by the rooms below.
package manage

import (
	"net/http"
	"slices"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain"
	"github.com/entrepot/entrepot/registry/retain/collect"
	"github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/registry/upstream/mirror"
)

// Config is what the routes stand on.
type Config struct {
	Backups   *transfer.Backups  // nil: none are made here
	Mirrors   *mirror.Mirrors    // nil: nothing is mirrored, and the list of mirrors is empty
	Collector *collect.Collector // nil: no content can be told to go
	Retention *retain.Retention  // nil: there are no rules
	Registry  *registry.Registry // whose quotas are shown; nil: there are none
	Scrubber  *registry.Scrubber // nil: content is not read again

	// Stopping is closed when the registry is told to stop: then those who watch something are sent away, so that it need not wait for them. Nil: it never is.
	Stopping <-chan struct{}
}

type manage struct{ Config }

// base is where all paths begin.
const base = "/api/v1"

// Routes returns the table.
func Routes(c Config) []door.Route {
	m := &manage{c}
	var routes []door.Route
	routes = append(routes, m.quotaRoute())
	for _, r := range slices.Concat(m.mirrorRows(), backups{c.Backups}.rows(), m.gcRows(), m.retentionRows(), m.quotaRows(), m.scrubRows()) {
		routes = append(routes, r.route())
	}
	return routes
}

// row is one path.
type row struct {
	name    string // in logs and metrics
	path    string // below base
	methods map[string]method
}

// method is who serves a method of a path, and which query parameters it knows.
type method struct {
	serve door.Endpoint
	query []string
}

// route is the row as the door takes it.
func (r row) route() door.Route {
	methods := map[string]door.Access{}
	for name, m := range r.methods {
		methods[name] = door.Access{Action: auth.Manage, Serve: m.checked}
	}
	match := func(path string) (on, last string, ok bool) { return "", "", path == base+r.path }
	return door.Route{Name: r.name, Match: match, Methods: methods, Errors: door.Problem}
}

// checked serves what is asked only what it knows.
func (m method) checked(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := checkQuery(c.Query, m.query); err != nil {
		return err
	}
	return m.serve(w, r, c)
}
