package api

import (
	"net/http"
	"net/url"
	"strings"
)

// Namespaces lets clients name the registry that they mean by ?ns=, as containerd does with a mirror: /v2/library/alpine/…?ns=docker.io is
// /v2/docker.io/library/alpine/…, and the answer says so (distribution-spec, "Pulling manifests" and "Pulling blobs"). Nothing is ever reached by it that is
// not configured: with a name that is not known the request is taken as if none had been given.
func Namespaces(next http.Handler, known func(name string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.URL.RawQuery, "ns=") {
			if to := inNamespace(r, known); to != nil {
				w.Header().Set("OCI-Namespace", r.URL.Query().Get("ns"))
				r = to
			}
		}
		next.ServeHTTP(w, r)
	})
}

// inNamespace returns the request that is meant; nil: this one.
func inNamespace(r *http.Request, known func(string) bool) *http.Request {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["ns"]) != 1 {
		return nil
	}
	ns := query.Get("ns")
	kind, name, _ := split(r.URL.Path)
	if name == "" || ns == "" || kind == uploads || kind == upload || !known(ns) {
		return nil
	}
	query.Del("ns")
	to := r.Clone(r.Context())
	to.URL.Path = "/v2/" + ns + strings.TrimPrefix(r.URL.Path, "/v2")
	to.URL.RawPath, to.URL.RawQuery = "", query.Encode()
	return to
}
