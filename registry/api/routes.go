package api

import (
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// shape is what a path asks for, whatever the repository.
type shape string

const (
	ping      shape = "ping"
	catalog   shape = "catalog"
	manifest  shape = "manifest"
	domainTag shape = "domain-tag" // a manifest by a tag that says what is deployed
	blobs     shape = "blob"
	uploads   shape = "uploads"
	upload    shape = "upload"
	tags      shape = "tags"
	referrers shape = "referrers"
	auditLog  shape = "audit"
	auditSeal shape = "audit-verify"
)

// routes is the whole table; the ids are those of the distribution-spec ("Endpoints"). The busiest come first.
func (a *API) routes() []door.Route {
	all := []struct {
		shape   shape
		methods map[string]door.Access
	}{
		{manifest, map[string]door.Access{
			http.MethodGet:    {Action: auth.Pull, Serve: a.getManifest},         // end-3
			http.MethodHead:   {Action: auth.Pull, Serve: a.headManifest},        // end-3
			http.MethodPut:    {Action: auth.Push, Serve: a.putManifest},         // end-7a, end-7b
			http.MethodDelete: {Action: auth.DeleteOwn, Serve: a.deleteManifest}, // end-9
		}},
		{domainTag, map[string]door.Access{
			http.MethodGet:    {Action: auth.Pull, Serve: a.getManifest},
			http.MethodHead:   {Action: auth.Pull, Serve: a.headManifest},
			http.MethodPut:    {Action: auth.Promote, Serve: a.putDomainTag},
			http.MethodDelete: {Action: auth.DeleteOwn, Serve: a.deleteManifest},
		}},
		{blobs, map[string]door.Access{
			http.MethodGet:    {Action: auth.Pull, Serve: a.getBlob},      // end-2
			http.MethodHead:   {Action: auth.Pull, Serve: a.headBlob},     // end-2
			http.MethodDelete: {Action: auth.Delete, Serve: a.deleteBlob}, // end-10
		}},
		{uploads, map[string]door.Access{
			http.MethodPost: {Action: auth.Push, Serve: a.postUpload}, // end-4a, end-4b, end-4c, end-11
		}},
		{upload, map[string]door.Access{
			http.MethodPatch:  {Action: auth.Push, Serve: a.patchUpload},  // end-5
			http.MethodPut:    {Action: auth.Push, Serve: a.putUpload},    // end-6
			http.MethodGet:    {Action: auth.Push, Serve: a.getUpload},    // end-13
			http.MethodDelete: {Action: auth.Push, Serve: a.deleteUpload}, // end-14
		}},
		{tags, map[string]door.Access{
			http.MethodGet: {Action: auth.Pull, Serve: a.getTags}, // end-8a, end-8b
		}},
		{referrers, map[string]door.Access{
			http.MethodGet: {Action: auth.Pull, Serve: a.getReferrers}, // end-12a, end-12b
		}},
		{catalog, map[string]door.Access{
			http.MethodGet: {Action: auth.List, Serve: a.getCatalog},
		}},
		{ping, map[string]door.Access{
			http.MethodGet:  {Action: auth.Enter, Serve: getPing}, // end-1
			http.MethodHead: {Action: auth.Enter, Serve: getPing},
		}},
		{auditLog, map[string]door.Access{
			http.MethodGet: {Action: auth.AuditOwn, Serve: a.getAudit},
		}},
		{auditSeal, map[string]door.Access{
			http.MethodPost: {Action: auth.Audit, Serve: a.verifyAudit},
		}},
	}
	var routes []door.Route
	for _, r := range all {
		if r.shape == domainTag && a.moves == nil {
			continue
		}
		if !a.deletes && r.shape != upload {
			delete(r.methods, http.MethodDelete)
		}
		for method, access := range r.methods {
			serve := access.Serve
			if method != http.MethodGet && method != http.MethodHead {
				serve = a.changing(serve)
			}
			access.Serve = told(serve)
			r.methods[method] = access
		}
		form := door.Envelope
		if r.shape == auditLog || r.shape == auditSeal {
			form = door.Problem
		}
		routes = append(routes, door.Route{Name: string(r.shape), Match: a.matcher(r.shape), Methods: r.methods, NoHead: r.shape == upload, Errors: form})
	}
	return routes
}

// changing is an endpoint that changes a repository: not one that is closed.
func (a *API) changing(serve door.Endpoint) door.Endpoint {
	return func(w http.ResponseWriter, r *http.Request, c door.Call) error {
		if err := a.closed(c.On); err != nil {
			return err
		}
		return serve(w, r, c)
	}
}

// matcher tells whether a path is of a shape, and what it names.
func (a *API) matcher(s shape) func(path string) (name, last string, matches bool) {
	return func(path string) (name, last string, matches bool) {
		found, name, last := split(path)
		name = door.Repository(name)
		if found == manifest && a.moves != nil && a.moves.IsDomainTag(name, last) {
			found = domainTag
		}
		return name, last, found == s
	}
}

// split takes a path apart from its right end, since only there it is known where the repository's name stops. What the last part means
// depends on the shape: a tag or digest, an upload's id.
func split(path string) (s shape, name, last string) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		switch path {
		case "/v2":
			return ping, "", ""
		case "/api/v1/audit":
			return auditLog, "", ""
		case "/api/v1/audit/verify":
			return auditSeal, "", ""
		}
		return "", "", ""
	}
	switch rest {
	case "":
		return ping, "", ""
	case "_catalog":
		return catalog, "", ""
	}
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return "", "", ""
	}
	head, last := rest[:i], rest[i+1:]
	i = strings.LastIndexByte(head, '/')
	if i < 1 {
		return "", "", ""
	}
	name, word := head[:i], head[i+1:]
	switch {
	case word == "manifests" && last != "":
		return manifest, name, last
	case word == "blobs" && last == "uploads":
		return uploads, name, ""
	case word == "blobs" && last != "":
		return blobs, name, last
	case word == "uploads" && strings.HasSuffix(name, "/blobs"):
		name = strings.TrimSuffix(name, "/blobs")
		if name == "" {
			return "", "", ""
		}
		if last == "" {
			return uploads, name, ""
		}
		return upload, name, last
	case word == "tags" && last == "list":
		return tags, name, ""
	case word == "referrers" && last != "":
		return referrers, name, last
	}
	return "", "", ""
}
