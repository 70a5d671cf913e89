package api

import (
	"strings"
	"testing"
)

// TestPattern takes a path apart into what the policy is asked about and the rest.
func TestPattern(t *testing.T) {
	const version = "/api/v1/components/{domain}/{group}/{service}/versions/{version}"
	for _, c := range []struct{ pattern, path, on, last string }{
		{"/schemas/", "/schemas/", "", ""},
		{"/api/v1/places", "/api/v1/places", "", ""},
		{"/api/v1/places/{place}", "/api/v1/places/cloud.prod", "", "cloud.prod"},
		{"/index/domain-{place}.yaml", "/index/domain-cloud-prod.yaml", "", "cloud-prod"},
		{"/api/v1/groups/{domain}/{group}/policy.yaml", "/api/v1/groups/cloud/dmp/policy.yaml", "cloud/dmp", ""},
		{version, "/api/v1/components/cloud/dmp/ms-ingestion/versions/1.0.2", "cloud/dmp/ms-ingestion", "1.0.2"},
		{version + "/{format}/{file}", "/api/v1/components/a/b/c/versions/1.0.2/deb/x.deb", "a/b/c", "1.0.2/deb/x.deb"},
		{version, "/api/v1/components/versions/versions/versions/versions/versions", "versions/versions/versions", "versions"},
	} {
		on, last, ok := newPattern(c.pattern).match(c.path)
		if !ok || on != c.on || last != c.last {
			t.Errorf("%s: %q and %q, %t; want %q and %q", c.path, on, last, ok, c.on, c.last)
		}
	}
	for pattern, paths := range map[string][]string{
		"/schemas/":                  {"", "/", "/schemas", "/schemas//", "/schemas/x"},
		"/api/v1/places/{place}":     {"/api/v1/places", "/api/v1/places/", "/api/v1/places/a/", "/api/v1/places/a/b"},
		"/index/domain-{place}.yaml": {"/index/domain-.yaml", "/index/domain-a.yml", "/index/domain-a.yaml/", "/index/domain.yaml", "/index/domain-a/b.yaml"},
		version: {
			"/api/v1/components/a/b/versions/1", "/api/v1/components/a/b/c/d/versions/1", "/api/v1/components/a//c/versions/1", "/api/v1/components/a/b/c/versions/",
			"/api/v1/components/a/b/c/versions", "/api/v1/components/a/b/c/versions/1/", "/api/v1/components//b/c/versions/1", "api/v1/components/a/b/c/versions/1",
		},
	} {
		for _, path := range paths {
			if on, last, ok := newPattern(pattern).match(path); ok {
				t.Errorf("%s is taken for %s, with %q and %q", path, pattern, on, last)
			}
		}
	}
}

// FuzzPattern: whatever the path is, what the policy is asked about stands in it, and has as many parts as it should.
func FuzzPattern(f *testing.F) {
	var all []pattern
	for _, r := range (&api{}).table() {
		all = append(all, newPattern(r.path))
		f.Add(strings.NewReplacer("{", "", "}", "").Replace(r.path))
	}
	f.Fuzz(func(t *testing.T, path string) {
		for _, p := range all {
			on, last, ok := p.match(path)
			if !ok {
				continue
			}
			parts := 0
			for _, q := range p.parts {
				if q.name == "domain" || q.name == "group" || q.name == "service" {
					parts++
				}
			}
			if parts == 0 && on != "" || parts > 0 && strings.Count(on, "/") != parts-1 || !strings.Contains(path, on) {
				t.Errorf("%q: the policy is asked about %q", path, on)
			}
			if rest := strings.Split(last, "/"); last != "" && len(p.parts) < parts+len(rest) {
				t.Errorf("%q: the values are %q", path, last)
			}
		}
	})
}
