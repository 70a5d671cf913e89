package oidc

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/auth"
)

func TestClaims_find(t *testing.T) {
	c, err := parseClaims([]byte(`{
		"a": "plain", "a.b": "literal", "x": {"y": "xy", "y.z": "x y.z", "n": null}, "x.y": {"z": "x.y z", "w": "x.y w"}, "l": [{"k": "v"}, "s"],
		"null": null, "t": true, "f": false, "n": 17, "big": 12345678901234567890, "e": 1.50e1, "o": {}, "": "empty", "mixed": ["a", 1, true, null, [2], {}],
		"p.q": null, "p": {"q": "p q"}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a": "plain", "a.b": "literal", "a.c": "", "x.y": "", "x.n": "", "x.y.z": "x.y z", "x.y.w": "x.y w", "x": "", "l.k": "", "l": "s", "null": "",
		"t": "true", "f": "false", "n": "17", "big": "12345678901234567890", "e": "1.50e1", "o": "", "missing": "", ".": "", "x.": "", ".x": "",
		"mixed": "a 1 true", "": "empty", "p.q": "p q",
	} {
		if got := strings.Join(c.texts(name), " "); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for _, bad := range []string{"", "null", "[]", `"a"`, `{}{}`, `{} x`, `{"a":1`, `{"a":01}`} {
		if _, err := parseClaims([]byte(bad)); err == nil {
			t.Errorf("%s are taken for claims", bad)
		}
	}
}

func TestBinding_nothing_matches_what_is_absent(t *testing.T) {
	c := claims{"null": nil, "object": map[string]any{}, "list": []any{}, "lists": []any{[]any{"a"}}, "there": ""}
	for _, pattern := range []string{"", "*", "**", "?", "null", "{}"} {
		for _, name := range []string{"missing", "null", "object", "list", "lists", "object.missing"} {
			b, err := bind(Binding{map[string]string{name: pattern}, auth.Reader, "a"})
			if err != nil {
				t.Fatal(err)
			}
			if g, miss := b.grant(c); miss != name {
				t.Errorf("%q of %q gives %v", pattern, name, g)
			}
		}
	}
	b, _ := bind(Binding{map[string]string{"there": "*"}, auth.Reader, "a"})
	if _, miss := b.grant(c); miss != "" {
		t.Errorf("a claim that is there and empty does not match *: %s", miss)
	}
}

func TestFill(t *testing.T) {
	c := claims{
		"project": "cloud/dmp/Ms-Ingestion", "one": "One", "no": "", "id": "17", "up": "../x", "abs": "/a", "end": "a/", "dots": "a/../b", "star": "*",
		"stars": "**", "below": "a/**", "two": "a//b", "space": "a b", "kelvin": "\u212aube", "utf": "bücher", "nul": "a\x00b", "at": "a@b", "colon": "a:b",
		"dot": ".", "brace": "{one}", "list": []any{"a"}, "true": true, "long": strings.Repeat("a", 250), "dashes": "-a", "percent": "%2e%2e",
		"kubernetes.io": map[string]any{"namespace": "shop"}, "https://example.com/team": "blue",
	}
	for _, ok := range []struct{ on, want string }{
		{"cloud", "cloud"}, {"cloud/**", "cloud/**"}, {"**", "**"},
		{"{project}", "cloud/dmp/ms-ingestion"}, {"x/{project}/y", "x/cloud/dmp/ms-ingestion/y"}, {"{one}/**", "one/**"},
		{"a/{one}/{project}", "a/one/cloud/dmp/ms-ingestion"}, {"a/{id}/{true}", "a/17/true"}, {"apps/{kubernetes.io.namespace}", "apps/shop"},
		{"{https://example.com/team}/x", "blue/x"},
	} {
		if err := checkTemplate(ok.on); err != nil {
			t.Error(err)
		}
		if got, miss := fill(ok.on, c); string(got) != ok.want || miss != "" {
			t.Errorf("%s becomes %q (%s), want %q", ok.on, got, miss, ok.want)
		}
	}
	for _, name := range []string{
		"no", "up", "abs", "end", "dots", "star", "stars", "below", "two", "space", "kelvin", "utf", "nul", "at", "colon", "dot", "brace", "list",
		"dashes", "percent", "missing",
	} {
		for _, on := range []string{"{" + name + "}", "a/{" + name + "}", "{" + name + "}/**", "a/{" + name + "}/b"} {
			if got, miss := fill(on, c); got != "" || miss != name {
				t.Errorf("%s becomes %q (%s), want that it fails on %s", on, got, miss, name)
			}
		}
	}
	for _, on := range []string{"{project}/{one}", "a/{long}/{one}/x"} {
		if got, miss := fill(on, c); got != "" || miss == "" {
			t.Errorf("%s becomes %q", on, got)
		}
	}
	for _, bad := range []string{
		"", "/", "A", "{}", "{", "}", "a/{one", "a/one}", "{{one}}", "{one}}", "x{one}", "{one}x", "{one}{one}", "a-{one}/b", "{one}/*", "/{one}", "{one}/",
		"a//{one}", "{one}/../a", "{one}/**/a", "**/{one}",
	} {
		if checkTemplate(bad) == nil {
			t.Errorf("%q is taken for a path with claims", bad)
		}
	}
}

// TestFill_never_widens is the promise that a hostile value cannot get a grant out of its place.
func TestFill_never_widens(t *testing.T) {
	hostile := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[a-zA-Z0-9./*{}_-]{0,20}`),
		rapid.StringMatching(`([a-z]{1,3}/){0,3}[a-zA-Z]{1,3}`),
		rapid.SampledFrom([]string{"", ".", "..", "/", "**", "*", "a/**", "../a", "a/..", "a//b", "{a}", "{b}", "\u212a", "a\u0130", "a\n", " a"}),
	)
	part := rapid.StringMatching(`[a-z]{1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		c := claims{"a": hostile.Draw(t, "a"), "b": hostile.Draw(t, "b")}
		prefix := rapid.SliceOfN(part, 0, 3).Draw(t, "prefix")
		behind := rapid.SliceOfN(part, 0, 2).Draw(t, "behind")
		holes := rapid.SampledFrom([][]string{{"{a}"}, {"{a}", "{b}"}, {"{b}", "x", "{a}"}}).Draw(t, "holes")
		wide := rapid.SampledFrom([]string{"", "/**"}).Draw(t, "wide")
		on := strings.Join(append(append(append([]string{}, prefix...), holes...), behind...), "/") + wide
		if err := checkTemplate(on); err != nil {
			t.Fatal(err)
		}
		path, miss := fill(on, c)
		if miss != "" {
			if path != "" {
				t.Fatalf("%s with %q fails and becomes %q", on, c, path)
			}
			return
		}
		if err := path.Check(); err != nil || path == auth.Everywhere {
			t.Fatalf("%s with %q becomes %q: %v", on, c, path, err)
		}
		fixed := strings.Join(prefix, "/")
		if fixed != "" && (!path.Within(auth.Path(fixed)) || string(path) == fixed || string(path) == fixed+"/**") {
			t.Fatalf("%s with %q becomes %q, not something below %q", on, c, path, fixed)
		}
		// What was put in are the values and nothing else, and only one pair of values makes this path.
		want := on
		for _, name := range []string{"a", "b"} {
			want = strings.ReplaceAll(want, "{"+name+"}", strings.ToLower(c[name].(string)))
		}
		if string(path) != want {
			t.Fatalf("%s with %q becomes %q, want %q", on, c, path, want)
		}
		parts := strings.Split(strings.TrimSuffix(string(path), "/**"), "/")
		for i, hole := range holes[:len(holes)-1] {
			if name := strings.Trim(hole, "{}"); name != hole && parts[len(prefix)+i] != strings.ToLower(c[name].(string)) {
				t.Fatalf("%s with %q becomes %q: %s is not one part", on, c, path, hole)
			}
		}
		if base := strings.TrimSuffix(string(path), "/**"); !path.Covers(base) || path.Covers(base+"x") || path.Covers(strings.Join(parts[:len(parts)-1], "/")) {
			t.Fatalf("%q covers more than what it names", path)
		}
	})
}
