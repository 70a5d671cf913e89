package api

import (
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// row is one kind of path.
type row struct {
	name    string // in logs and metrics
	path    string // as in the OpenAPI document
	methods map[string]method
}

// method is what a method of a path needs, who serves it, and which query parameters it knows.
type method struct {
	action auth.Action
	serve  door.Endpoint
	query  []string
}

// filters are the parameters of a search for components or versions.
var filters = []string{"group", "team", "domain", "env", "format", "arch", "label", "port", "level", "q", "good", "at", "sort", "after", "limit"}

var paging = []string{"after", "limit"}

// table is all there is. A path is of the first row that it fits.
func (a *api) table() []row {
	get := func(action auth.Action, serve door.Endpoint, query ...string) map[string]method {
		return map[string]method{http.MethodGet: {action, serve, query}}
	}
	post := func(action auth.Action, serve door.Endpoint, query ...string) map[string]method {
		return map[string]method{http.MethodPost: {action, serve, query}}
	}
	keep := func(action auth.Action, serve, put door.Endpoint, parameters ...string) map[string]method {
		return map[string]method{http.MethodGet: {auth.Pull, serve, parameters}, http.MethodPut: {action, put, nil}}
	}
	const (
		base      = "/api/v1"
		component = base + "/components/{domain}/{group}/{service}"
		version   = component + "/versions/{version}"
		group     = base + "/groups/{domain}/{group}"
	)
	rows := []row{
		{"components", base + "/components", get(auth.List, a.listComponents, filters...)},
		{"versions", base + "/versions", get(auth.List, a.listVersions, append([]string{"component", "commit"}, filters...)...)},
		{"commit", base + "/commits/{sha}", get(auth.List, a.listCommit, paging...)},
		{"findings", base + "/findings", get(auth.List, a.listFindings, "level", "rule", "group", "team", "after", "limit")},

		{"component", component, get(auth.Pull, a.getComponent)},
		{"component-latest", component + "/latest", get(auth.Pull, a.getLatest, "format")},
		{"component-resolve", component + "/resolve/{ref}", get(auth.Pull, a.getResolved, "format")},
		{"component-deployed", component + "/deployed", get(auth.Pull, a.getDeployed, "at")},
		{"component-history", component + "/history", get(auth.Pull, a.getHistory, "place", "since", "until", "after", "limit")},
		{"component-dependencies", component + "/dependencies", get(auth.Pull, a.getDependencies, "version", "place")},
		{"component-dependents", component + "/dependents", get(auth.Pull, a.getDependents, paging...)},
		{"component-findings", component + "/findings", get(auth.Pull, a.getFindings, "level", "rule", "after", "limit")},
		{"component-versions", component + "/versions", get(auth.Pull, a.listVersionsOf, append([]string{"commit"}, filters...)...)},

		{"version", version, get(auth.Pull, a.getVersion)},
		{"version-draft-metadata", version + "/draft/metadata.yaml", get(auth.Pull, a.draftMetadata)},
		{"version-draft-manifest", version + "/draft/{format}/manifest.yaml", get(auth.Pull, a.draftManifest)},
		{"version-metadata", version + "/metadata.yaml", keep(auth.Push, a.getMetadata, a.putMetadata)},
		{"version-sums", version + "/SHA256SUMS", get(auth.Pull, a.getSums)},
		{"version-manifest", version + "/{format}/manifest.yaml", keep(auth.Push, a.getManifest, a.putManifest)},
		{"version-file", version + "/{format}/{file}", keep(auth.Push, a.getFile, a.putFile, "platform")},

		{"group-ownership", group + "/ownership.yaml", keep(auth.Govern, a.getOwnership, a.putOwnership)},
		{"group-policy", group + "/policy.yaml", keep(auth.Govern, a.getPolicy, a.putPolicy)},

		{"places", base + "/places", get(auth.List, a.listPlaces)},
		{"place", base + "/places/{place}", get(auth.List, a.getPlace, "at", "after", "limit")},
		{"promotions", base + "/promotions", get(auth.List, a.listMoves, "component", "place", "by", "since", "until", "after", "limit")},
		{"promotion", base + "/promotions/{id}", get(auth.List, a.getMove)},
		{"rollbacks", base + "/rollbacks", post(auth.Enter, a.move(artifacts.Rollback))},
		{"withdrawals", base + "/withdrawals", post(auth.Enter, a.move(artifacts.Withdrawal))},

		{"validate", base + "/validate/{kind}", post(auth.Enter, a.validate, "component", "version", "format", "place", "file")},
		{"openapi", base + "/openapi.json", get(auth.Knock, a.getOpenAPI)},
		{"schemas", "/schemas/", get(auth.Knock, a.listSchemas)},
		{"schema", "/schemas/{kind}.json", get(auth.Knock, a.getSchema)},

		{"index-components", "/index/components.yaml", get(auth.List, a.componentsYAML, "at")},
		{"index-components-json", "/index/components.json", get(auth.List, a.componentsJSON, "at")},
		{"index-domain", "/index/domain-{place}.yaml", get(auth.List, a.domainYAML, "at")},
		{"index-domain-json", "/index/domain-{place}.json", get(auth.List, a.domainJSON, "at")},
	}
	for _, r := range rows {
		if r.name == "promotions" {
			r.methods[http.MethodPost] = method{auth.Enter, a.move(artifacts.Promotion), nil}
		}
	}
	return rows
}

// route is the row as the door takes it.
func (r row) route() door.Route {
	methods := map[string]door.Access{}
	for name, m := range r.methods {
		methods[name] = door.Access{Action: m.action, Serve: m.checked().Telling(refusal)}
	}
	return door.Route{Name: r.name, Match: newPattern(r.path).match, Methods: methods, Errors: door.Problem}
}

// checked is the method's endpoint, asked only what it knows.
func (m method) checked() door.Endpoint {
	return func(w http.ResponseWriter, r *http.Request, c door.Call) error {
		err := checkName(c.On)
		if err == nil {
			err = checkQuery(c.Query, m.query)
		}
		if err == nil {
			err = m.serve(w, r, c)
		}
		return err
	}
}

// checkName refuses what can be no repository, before anybody looks for it.
func checkName(on string) error {
	if on == "" || registry.ValidName(on) {
		return nil
	}
	if artifacts.IsComponent(on) {
		return unknown("component "+quote(on), "names have small letters, digits and single ., _ and - between them, as cloud/dmp/ms-ingestion")
	}
	return unknown("group "+quote(on), "names have small letters, digits and single ., _ and - between them, as cloud/dmp")
}

// args are the values of a path that are no part of the component's name.
func args(c door.Call) []string { return strings.Split(c.Last, "/") }
