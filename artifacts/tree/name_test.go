package tree

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
)

// FuzzPlace looks for names that lead somewhere else, or for two files in one place.
func FuzzPlace(f *testing.F) {
	for _, seed := range []string{"a\na", "a\na/b", "../x\nx", "a/b\na", "%2e%2e/x\n%252f", "manifest.yaml\nMANIFEST.yaml", "sha256-00\n.x\n \n\u202e", "a//b\n/a\n./a\na/."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names := newPlaced("manifest.yaml")
		files, folders := map[string]bool{"manifest.yaml": true}, map[string]bool{}
		for i, name := range strings.Split(text, "\n") {
			at, ok := names.place(artifacts.File{Name: name, Digest: digest.FromString(string(rune(i)) + name)})
			if !ok {
				t.Fatalf("%q has no place", name)
			}
			if !filepath.IsLocal(at) || path.Clean(at) != at || strings.ContainsFunc(at, unicode.IsControl) || strings.ContainsAny(at, `\:`) || len(at) > maxPath {
				t.Errorf("%q is at %q", name, at)
			}
			if at != name && !byDigest.MatchString(at) {
				t.Errorf("%q is at %q, which is neither its name nor its digest", name, at)
			}
			if files[at] || folders[at] {
				t.Errorf("%q is at %q, where another is", name, at)
			}
			files[at] = true
			for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
				if folders[dir] = true; files[dir] {
					t.Errorf("%q is at %q, in a file", name, at)
				}
			}
		}
	})
}

// TestInComponent_tells_where_a_component_ends.
func TestInComponent_tells_where_a_component_ends(t *testing.T) {
	for p, want := range map[string]string{
		"/tree/components/a/b/c":                  "a/b/c|",
		"/tree/components/a/b/c/":                 "a/b/c|/",
		"/tree/components/a/b/c/versions/1/x/../": "a/b/c|/versions/1/x/../",
		"/tree/components/a/b/ownership.yaml/":    "a/b/ownership.yaml|/",
		"/tree/components/a/b/ownership.yaml":     "no",
		"/tree/components/a/b/":                   "no",
		"/tree/components/a/b":                    "no",
		"/tree/components/a//c/":                  "no",
		"/tree/components/../b/c/":                "no",
		"/tree/components/A/b/c/":                 "no",
		"/tree/component/a/b/c/":                  "no",
		"/tree/components/a/b/c\x00/":             "no",
	} {
		got := "no"
		if on, last, ok := inComponent(p); ok {
			got = on + "|" + last
		}
		if got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
}
