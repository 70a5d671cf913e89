package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/entrepot/entrepot/auth"
)

// shape is what a path asks for, whatever the repository.
type shape string

const (
	ping      shape = "ping"
	catalog   shape = "catalog"
	manifest  shape = "manifest"
	blobs     shape = "blob"
	uploads   shape = "uploads"
	upload    shape = "upload"
	tags      shape = "tags"
	referrers shape = "referrers"
	auditLog  shape = "audit"
	auditSeal shape = "audit-verify"
)

// route is one kind of path with its methods: the right that each needs, and who serves it.
type route struct {
	shape   shape
	methods map[string]access
}

type access struct {
	action auth.Action
	serve  endpoint
}

// routes is the whole table; the ids are those of the distribution-spec ("Endpoints"). The busiest come first.
func (a *API) routes() []route {
	return []route{
		{manifest, map[string]access{
			http.MethodGet:    {auth.Pull, a.getManifest},      // end-3
			http.MethodHead:   {auth.Pull, a.headManifest},     // end-3
			http.MethodPut:    {auth.Push, a.putManifest},      // end-7a, end-7b
			http.MethodDelete: {auth.Delete, a.deleteManifest}, // end-9
		}},
		{blobs, map[string]access{
			http.MethodGet:    {auth.Pull, a.getBlob},      // end-2
			http.MethodHead:   {auth.Pull, a.headBlob},     // end-2
			http.MethodDelete: {auth.Delete, a.deleteBlob}, // end-10
		}},
		{uploads, map[string]access{
			http.MethodPost: {auth.Push, a.postUpload}, // end-4a, end-4b, end-4c, end-11
		}},
		{upload, map[string]access{
			http.MethodPatch:  {auth.Push, a.patchUpload},  // end-5
			http.MethodPut:    {auth.Push, a.putUpload},    // end-6
			http.MethodGet:    {auth.Push, a.getUpload},    // end-13
			http.MethodDelete: {auth.Push, a.deleteUpload}, // end-14
		}},
		{tags, map[string]access{
			http.MethodGet: {auth.Pull, a.getTags}, // end-8a, end-8b
		}},
		{referrers, map[string]access{
			http.MethodGet: {auth.Pull, a.getReferrers}, // end-12a, end-12b
		}},
		{catalog, map[string]access{
			http.MethodGet: {auth.List, a.getCatalog},
		}},
		{ping, map[string]access{
			http.MethodGet:  {auth.Enter, getPing}, // end-1
			http.MethodHead: {auth.Enter, getPing},
		}},
		{auditLog, map[string]access{
			http.MethodGet: {auth.Audit, a.getAudit},
		}},
		{auditSeal, map[string]access{
			http.MethodPost: {auth.Audit, a.verifyAudit},
		}},
	}
}

func (r route) matches(req *http.Request, _ *mux.RouteMatch) bool {
	s, _, _ := split(req.URL.Path)
	return s == r.shape
}

// methods returns the handler of a route: a door for each method, and an answer for those it does not have.
func (a *API) methods(r route) http.Handler {
	doors := map[string]http.Handler{}
	var allow []string
	for method, access := range r.methods {
		if method == http.MethodDelete && r.shape != upload && !a.deletes {
			continue
		}
		doors[method] = a.door(string(r.shape), access.action, access.serve)
		allow = append(allow, method)
	}
	if get := doors[http.MethodGet]; get != nil && doors[http.MethodHead] == nil && r.shape != upload {
		doors[http.MethodHead] = get // the server sends no body
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	other := a.door(string(r.shape), auth.Enter, methodNotAllowed(strings.Join(allow, ", ")))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		door, ok := doors[req.Method]
		if !ok {
			door = other
		}
		door.ServeHTTP(w, req)
	})
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
