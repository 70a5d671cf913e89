package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/entrepot/entrepot/door"
)

// Names are what clients may call other registries by.
type Names struct {
	Known func(name string) bool // whether a registry of this name is seen through this one
	Root  string                 // the one that is meant where no name is given and there is no such repository here; empty: none
	Here  func(r *http.Request, repo string) bool
}

// Namespaces lets clients name the registry that they mean by ?ns=, as containerd does with a mirror: /v2/library/alpine/…?ns=docker.io is
// /v2/docker.io/library/alpine/…, and the answer says so (distribution-spec, "Pulling manifests" and "Pulling blobs"). Docker Engine names none when it asks its
// mirror of Docker Hub: that is Names.Root. Nothing is ever reached by a name that is not configured: the request is then taken as if none had been given.
func Namespaces(next http.Handler, names Names) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			if to, ns := names.meant(r); to != nil {
				w.Header().Set("OCI-Namespace", ns)
				r = to
			}
		}
		next.ServeHTTP(w, r)
	})
}

// meant returns the request that is meant, and the registry; nil: this one.
func (n Names) meant(r *http.Request) (to *http.Request, ns string) {
	kind, name, _ := split(r.URL.Path)
	if name == "" || kind == uploads || kind == upload {
		return nil, ""
	}
	query := r.URL.RawQuery
	if strings.Contains(query, "ns=") {
		values, err := url.ParseQuery(query)
		if err == nil && len(values["ns"]) == 1 && n.Known(values.Get("ns")) {
			ns = values.Get("ns")
			values.Del("ns")
			query = values.Encode()
		}
	}
	if ns == "" && n.Root != "" {
		if first, _, _ := strings.Cut(name, "/"); !n.Known(first) && !n.Here(r, door.Repository(name)) {
			ns = n.Root
		}
	}
	if ns == "" {
		return nil, ""
	}
	to = r.Clone(r.Context())
	to.URL.Path = "/v2/" + ns + strings.TrimPrefix(r.URL.Path, "/v2")
	to.URL.RawPath, to.URL.RawQuery = "", query
	return to, ns
}
