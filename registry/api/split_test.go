package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var splits = []struct {
	path       string
	shape      shape
	name, last string
}{
	{"/v2", ping, "", ""}, {"/v2/", ping, "", ""}, {"/v2/_catalog", catalog, "", ""}, {"/api/v1/audit", auditLog, "", ""}, {"/api/v1/audit/verify", auditSeal, "", ""},
	{"/v2/a/manifests/latest", manifest, "a", "latest"}, {"/v2/a/b/c/manifests/sha256:0", manifest, "a/b/c", "sha256:0"},
	{"/v2/a/blobs/sha256:0", blobs, "a", "sha256:0"}, {"/v2/a/blobs/uploads/", uploads, "a", ""}, {"/v2/a/blobs/uploads", uploads, "a", ""},
	{"/v2/a/blobs/uploads/id", upload, "a", "id"}, {"/v2/a/tags/list", tags, "a", ""}, {"/v2/a/referrers/sha256:0", referrers, "a", "sha256:0"},
	{"/v2/manifests/manifests/manifests", manifest, "manifests", "manifests"}, {"/v2/blobs/uploads/blobs/uploads/id", upload, "blobs/uploads", "id"},
	{"/v2/a/blobs/uploads/manifests/x", manifest, "a/blobs/uploads", "x"}, {"/v2/a/tags/list/tags/list", tags, "a/tags/list", ""},
	{"/v2/_catalog/tags/list", tags, "_catalog", ""},
	{"", "", "", ""}, {"/", "", "", ""}, {"/v3/", "", "", ""}, {"/v2/a", "", "", ""}, {"/v2/a/manifests/", "", "", ""}, {"/v2/manifests/x", "", "", ""},
	{"/v2//manifests/x", "", "", ""}, {"/v2/a/tags/lists", "", "", ""}, {"/v2/blobs/uploads/", "", "", ""}, {"/v2/a/uploads/x", "", "", ""},
}

func TestSplit(t *testing.T) {
	for _, c := range splits {
		if s, name, last := split(c.path); s != c.shape || name != c.name || last != c.last {
			t.Errorf("%s: %q, %q, %q, want %q, %q, %q", c.path, s, name, last, c.shape, c.name, c.last)
		}
	}
}

// TestSplit_names_a_repository_or_none: what concerns a repository is never asked of the policy under the empty name, which is the registry's.
func TestSplit_names_a_repository_or_none(t *testing.T) {
	for _, path := range []string{"/v2//blobs/uploads/id", "/v2//blobs/uploads/", "/v2//blobs/uploads", "/v2//blobs/x", "/v2//tags/list", "/v2//referrers/x"} {
		if s, name, last := split(path); s != "" && name == "" {
			t.Errorf("%s is taken for %s of the repository %q, %q", path, s, name, last)
		}
	}
}

// FuzzSplit: a path is taken apart so that it can be put together again, and in one way only.
func FuzzSplit(f *testing.F) {
	for _, c := range splits {
		f.Add(c.path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		s, name, last := split(path)
		together := map[shape][]string{
			"": {path}, ping: {"/v2", "/v2/"}, catalog: {"/v2/_catalog"}, auditLog: {"/api/v1/audit"}, auditSeal: {"/api/v1/audit/verify"},
			manifest: {"/v2/" + name + "/manifests/" + last}, blobs: {"/v2/" + name + "/blobs/" + last},
			uploads: {"/v2/" + name + "/blobs/uploads", "/v2/" + name + "/blobs/uploads/"}, upload: {"/v2/" + name + "/blobs/uploads/" + last},
			tags: {"/v2/" + name + "/tags/list"}, referrers: {"/v2/" + name + "/referrers/" + last},
		}[s]
		found := false
		for _, p := range together {
			found = found || p == path
		}
		if !found {
			t.Errorf("%q is %s of %q, %q", path, s, name, last)
		}
		if strings.Contains(last, "/") {
			t.Errorf("%q: the last part is %q", path, last)
		}
		if s == "" && (name != "" || last != "") {
			t.Errorf("%q is nothing, of %q, %q", path, name, last)
		}
	})
}

// FuzzContentRange: what is taken says where a chunk begins and, if the client told, how long it is.
func FuzzContentRange(f *testing.F) {
	for _, v := range []string{"0-9", "bytes 0-9/*", "bytes=5-5", "10-9", "100-3", "9223372036854775807-0", "-1-5", "0-", "-", "", "a-b", "0-9223372036854775807", "1 - 2", "0-9,20-29"} {
		f.Add(v, int64(10))
		f.Add(v, int64(-1))
		f.Add(v, int64(0))
	}
	f.Fuzz(func(t *testing.T, value string, length int64) {
		r := httptest.NewRequest("PATCH", "/v2/a/blobs/uploads/x", http.NoBody)
		r.Header["Content-Range"] = []string{value}
		r.ContentLength = max(length, -1)
		offset, n, err := contentRange(r)
		if err != nil {
			return
		}
		if value == "" {
			if offset != -1 || n != r.ContentLength {
				t.Errorf("nothing, of %d bytes: %d, %d", r.ContentLength, offset, n)
			}
			return
		}
		if offset < 0 {
			t.Errorf("%q: offset %d", value, offset)
		}
		if n < 0 || r.ContentLength >= 0 && n != r.ContentLength {
			t.Errorf("%q with %d bytes: length %d", value, r.ContentLength, n)
		}
	})
}

func TestContentRange(t *testing.T) {
	for _, c := range []struct {
		value          string
		length         int64
		offset, wanted int64
		ok             bool
	}{
		{"", 5, -1, 5, true}, {"", -1, -1, -1, true}, {"0-4", 5, 0, 5, true}, {"bytes 0-4/*", 5, 0, 5, true}, {"bytes=7-9", 3, 7, 3, true}, {"0-4", -1, 0, 5, true},
		{"0-0", 0, 0, 0, true}, {"10-9", 0, 10, 0, true},
		{"0-4", 4, 0, 0, false}, {"0-4", 6, 0, 0, false}, {"4-0", 5, 0, 0, false}, {"x", 1, 0, 0, false}, {"-5", 5, 0, 0, false}, {"5-", 1, 0, 0, false},
		{"0-99999999999999999999", 5, 0, 0, false}, {"100-3", -1, 0, 0, false}, {"+0-4", 5, 0, 0, false},
	} {
		r := httptest.NewRequest("PATCH", "/v2/a/blobs/uploads/x", http.NoBody)
		r.ContentLength = c.length
		if c.value != "" {
			r.Header.Set("Content-Range", c.value)
		}
		offset, n, err := contentRange(r)
		if (err == nil) != c.ok || c.ok && (offset != c.offset || n != c.wanted) {
			t.Errorf("%q with %d bytes: %d, %d, %v", c.value, c.length, offset, n, err)
		}
	}
}
