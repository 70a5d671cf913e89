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
		Namespaces(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.String() }), known).ServeHTTP(w, httptest.NewRequest(c.method, c.url, nil))
		if got != c.path || w.Header().Get("OCI-Namespace") != c.ns {
			t.Errorf("%s %s is %s in %q, want %s in %q", c.method, c.url, got, w.Header().Get("OCI-Namespace"), c.path, c.ns)
		}
	}
}
