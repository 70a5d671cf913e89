package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestNamespaces: ?ns= names the registry that is meant, for pulls and for nothing else.
func TestNamespaces(t *testing.T) {
	known := func(name string) bool { return name == "docker.io" || name == "ghcr.io" }
	for _, c := range []struct{ method, url, path, ns string }{
		{"GET", "/v2/library/alpine/manifests/3?ns=docker.io", "/v2/docker.io/library/alpine/manifests/3", "docker.io"},
		{"HEAD", "/v2/a/blobs/sha256:00?x=1&ns=ghcr.io", "/v2/ghcr.io/a/blobs/sha256:00?x=1", "ghcr.io"},
		{"GET", "/v2/a/tags/list?ns=ghcr.io&n=5", "/v2/ghcr.io/a/tags/list?n=5", "ghcr.io"},
		{"GET", "/v2/a/referrers/sha256:00?ns=ghcr.io", "/v2/ghcr.io/a/referrers/sha256:00", "ghcr.io"},
		{"GET", "/v2/?ns=docker.io", "/v2/?ns=docker.io", ""},
		{"PUT", "/v2/a/manifests/1?ns=docker.io", "/v2/a/manifests/1?ns=docker.io", ""},
		{"POST", "/v2/a/blobs/uploads/?ns=docker.io", "/v2/a/blobs/uploads/?ns=docker.io", ""},
		{"GET", "/v2/a/manifests/1?ns=elsewhere.example.com", "/v2/a/manifests/1?ns=elsewhere.example.com", ""},
		{"GET", "/v2/a/manifests/1?ns=a/../b", "/v2/a/manifests/1?ns=a/../b", ""},
		{"GET", "/v2/a/manifests/1?ns=x&ns=y", "/v2/a/manifests/1?ns=x&ns=y", ""},
		{"GET", "/v2/a/manifests/1?ns=", "/v2/a/manifests/1?ns=", ""},
		{"GET", "/api/v1/audit?ns=docker.io", "/api/v1/audit?ns=docker.io", ""},
	} {
		got := ""
		w := httptest.NewRecorder()
		Namespaces(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.String() }), Names{Known: known}).ServeHTTP(w, httptest.NewRequest(c.method, c.url, nil))
		if got != c.path || w.Header().Get("OCI-Namespace") != c.ns {
			t.Errorf("%s %s is %s in %q, want %s in %q", c.method, c.url, got, w.Header().Get("OCI-Namespace"), c.path, c.ns)
		}
	}
}

// TestNamespaces_root: without a name, what is not here is looked for at one registry, and what is here is not.
func TestNamespaces_root(t *testing.T) {
	names := Names{
		Known: func(name string) bool { return name == "docker.io" || name == "ghcr.io" }, Root: "docker.io",
		Here: func(_ *http.Request, repo string) bool { return repo == "cloud/dmp/app" },
	}
	for path, want := range map[string]string{
		"/v2/library/alpine/manifests/3":           "/v2/docker.io/library/alpine/manifests/3",
		"/v2/ghcr.io/a/manifests/1":                "/v2/ghcr.io/a/manifests/1",
		"/v2/cloud/dmp/app/manifests/1":            "/v2/cloud/dmp/app/manifests/1",
		"/v2/components/cloud/dmp/app/manifests/1": "/v2/components/cloud/dmp/app/manifests/1",
		"/v2/a/manifests/1?ns=ghcr.io":             "/v2/ghcr.io/a/manifests/1",
		"/v2/_catalog":                             "/v2/_catalog",
		"/v2/":                                     "/v2/",
	} {
		got := ""
		Namespaces(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.String() }), names).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
