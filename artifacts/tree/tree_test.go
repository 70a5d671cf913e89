package tree

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
)

const folder = "/tree/components/" + service + "/versions/1.0.2/"

// TestTree_has_all_folders of the layout.
func TestTree_has_all_folders(t *testing.T) {
	h := build(t)
	h.furnish()
	h.files("core/net/amf", artifacts.TypeGeneric, nil, []file{{"a", "", "a"}}, "generic-1.10.0")
	h.files("core/net/amf", artifacts.TypeGeneric, nil, []file{{"a", "", "a"}}, "generic-1.9.0")
	h.files("cloud-x/net/amf", artifacts.TypeGeneric, nil, []file{{"a", "", "a"}}, "generic-1.9.0")
	for path, want := range map[string]string{
		"/tree/":                                     "components/",
		"/tree/components/":                          "cloud-x/ cloud/ core/",
		"/tree/components/cloud/":                    "dmp/",
		"/tree/components/cloud/dmp/":                "ms-ingestion/ ownership.yaml",
		"/tree/components/core/net/":                 "amf/",
		"/tree/components/" + service + "/":          "versions/",
		"/tree/components/" + service + "/versions/": "1.0.2/",
		"/tree/components/core/net/amf/versions/":    "1.9.0/ 1.10.0/",
		folder:                   "docker/ generic/ metadata.yaml ownership.yaml SHA256SUMS",
		folder + "docker/":       "image.tar manifest.yaml",
		folder + "generic/":      "docs/ fw.bin manifest.yaml",
		folder + "generic/docs/": "häuser.txt read me.html",
		strings.Replace(folder, "1.0.2", "v1.0.2", 1): "docker/ generic/ metadata.yaml ownership.yaml SHA256SUMS",
	} {
		h.wantNames(path, want)
	}
}

// TestTree_says_what_files_are in its listings, and what it says is so.
func TestTree_says_what_files_are(t *testing.T) {
	h := build(t)
	h.furnish()
	seen := 0
	var walk func(path string)
	walk = func(path string) {
		l := h.list(path)
		if l.Path != path {
			t.Errorf("%s calls itself %s", path, l.Path)
		}
		for _, e := range l.Entries {
			if e.Type == Dir {
				walk(e.URL)
				continue
			}
			seen++
			got := h.get(e.URL).want(t, 200)
			if e.Size == nil || int64(len(got.body)) != *e.Size {
				t.Errorf("%s has %d bytes, and is said to have %v", e.URL, len(got.body), e.Size)
			}
			if e.Name != imageTar && digest.FromString(got.body) != e.Digest {
				t.Errorf("%s is %s, and said to be %s", e.URL, digest.FromString(got.body), e.Digest)
			}
			if at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", got.Header.Get("Last-Modified")); err != nil || !at.Equal(e.Modified) {
				t.Errorf("%s was changed %v, and is said to have been %v", e.URL, at, e.Modified)
			}
		}
	}
	walk("/tree/")
	if seen != 10 {
		t.Errorf("%d files, want 10", seen)
	}
	if l := h.list("/tree/components/" + service + "/versions/"); l.Latest != "1.0.2" {
		t.Errorf("latest is %q", l.Latest)
	}
	if e := h.list(folder+"docker/").entry(t, imageTar); fmt.Sprint(e.Platforms) != "[linux/amd64]" || e.Digest != "" || e.Image == "" {
		t.Errorf("%+v", e)
	}
}

// TestTree_sends_to_the_slash whoever left it away, by an address that holds behind a proxy, and tells nobody of folders that are not there.
func TestTree_sends_to_the_slash(t *testing.T) {
	h := build(t)
	h.furnish()
	for path, want := range map[string]string{
		"/tree":                                          "tree/",
		"/tree/components":                               "components/",
		"/tree/components/cloud":                         "cloud/",
		"/tree/components/cloud/dmp?format=json":         "dmp/?format=json",
		"/tree/components/" + service:                    "ms-ingestion/",
		strings.TrimSuffix(folder, "/1.0.2/"):            "versions/",
		strings.TrimSuffix(folder, "/"):                  "1.0.2/",
		folder + "docker":                                "docker/",
		folder + "generic/docs?x=%2f":                    "docs/?x=%2f",
		strings.Replace(folder, "/1.0.2/", "/v1.0.2", 1): "v1.0.2/",
	} {
		if got := h.get(path).want(t, 302).Header.Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{
		"/tree/x", "/tree//", "/tree/components//", "/tree/components/x", "/tree/components/x/", "/tree/components/cloud/x", "/tree/components/cloud//", "/tree/components/../",
		"/tree/components/cloud/ownership.yaml", "/tree/components/cloud/dmp/x", "/tree/components/cloud/dmp/x/", "/tree/components/cloud/dmp/x/versions/1.0.2/",
		"/tree/components/cloud/dmp/x/versions/", "/tree/components/Cloud/dmp/ms-ingestion/", "/tree/components/" + service + "/x", "/tree/components/" + service + "//",
		"/tree/components/" + service + "/versions/1.0.3/", "/tree/components/" + service + "/versions/1.0.3", "/tree/components/" + service + "/versions/x/",
		"/tree/components/" + service + "/versions//", folder + "x", folder + "x/", folder + "deb/", folder + "/", folder + "docker//", folder + "docker/../", folder + "doc/",
		folder + "generic/docs/x", folder + "generic/fw.bin/", folder + "metadata.yaml/", "/tree/components/cloud/dmp/ownership.yaml/",
	} {
		r := h.get(path).want(t, 404)
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") || !strings.HasPrefix(r.body, "404 ") {
			t.Errorf("%s: %s: %q", path, r.Header.Get("Content-Type"), r.body)
		}
	}
}

// TestTree_shows_what_one_may_pull and does not tell that there is more.
func TestTree_shows_what_one_may_pull(t *testing.T) {
	h := build(t, auth.Grant{Who: "user:dmp", Role: auth.Reader, On: "cloud/dmp/ms-ingestion"}, auth.Grant{Who: "user:core", Role: auth.Reader, On: "core"},
		auth.Grant{Who: "user:owner", Role: auth.Reader, On: "cloud/dmp"})
	h.furnish()
	for _, name := range []string{"cloud/dmp/a-secret", "cloud/adm/vault", "core/net/amf", "edge/net/x"} {
		h.files(name, artifacts.TypeGeneric, nil, []file{{"a", "", "a"}}, "generic-1.0.0")
	}
	h.document("cloud/adm", artifacts.TypeOwnership, "ownership.yaml", ownerText, nil, "ownership")
	for _, c := range []struct{ who, path, want string }{
		{"dmp", "/tree/components/", "cloud/"},
		{"dmp", "/tree/components/cloud/", "dmp/"},
		{"dmp", "/tree/components/cloud/dmp/", "ms-ingestion/ ownership.yaml"},
		{"owner", "/tree/components/cloud/dmp/", "a-secret/ ms-ingestion/ ownership.yaml"},
		{"core", "/tree/components/", "core/"},
		{"nobody", "/tree/", "components/"},
		{"nobody", "/tree/components/", ""},
	} {
		h.wantNames(c.path, c.want, "Authorization", c.who)
	}
	h.get("/tree/components/cloud/dmp/ownership.yaml", "Authorization", "dmp").want(t, 200)
	h.get(folder+"ownership.yaml", "Authorization", "dmp").want(t, 200)
	for _, path := range []string{
		"/tree/components/cloud/", "/tree/components/cloud", "/tree/components/cloud/dmp/", "/tree/components/cloud/dmp/ownership.yaml", "/tree/components/" + service,
		"/tree/components/" + service + "/", folder, folder + "docker/image.tar", folder + "SHA256SUMS", "/tree/components/cloud/adm/ownership.yaml",
	} {
		// What is there and what is not must look the same, but for the name.
		there := h.get(path, "Authorization", "core").want(t, 404)
		missing := h.get(strings.Replace(path, "/cloud", "/clond", 1), "Authorization", "core").want(t, 404)
		if there.body != missing.body {
			t.Errorf("%s tells that it is there: %q, and of what is not: %q", path, there.body, missing.body)
		}
		h.get(path).want(t, 401)
	}
	h.get("/tree/components/").want(t, 401)
}

// TestTree_shows_long_folders in pieces.
func TestTree_shows_long_folders_in_pieces(t *testing.T) {
	h := build(t)
	h.tree.page = 2
	for _, name := range []string{"a/g/s", "a-b/g/s", "b/g/s", "c/g/s", "c/g/t", "c/g/u", "c/h/u"} {
		h.files(name, artifacts.TypeGeneric, nil, []file{{"a", "", "a"}}, "generic-1.0.0")
	}
	for _, number := range []string{"generic-1.2.0", "generic-1.10.0", "generic-2.0.0"} {
		h.files("a/g/s", artifacts.TypeGeneric, nil, []file{{"a", "", "a"}}, number)
	}
	h.document("c/g", artifacts.TypeOwnership, "ownership.yaml", ownerText, nil, "ownership")
	for path, want := range map[string]string{
		"/tree/components/":                "[a-b/ a/] [b/ c/]",
		"/tree/components/c/":              "[g/ h/]",
		"/tree/components/c/g/":            "[s/ t/ ownership.yaml] [u/]",
		"/tree/components/a/g/s/versions/": "[1.0.0/ 1.10.0/] [1.2.0/ 2.0.0/]",
	} {
		var pages []string
		next := ""
		for range 5 {
			l := h.list(path + "?after=" + next)
			pages = append(pages, "["+l.names()+"]")
			if next = l.Next; next == "" {
				break
			}
			if link := h.get(path).Header.Get("Link"); !strings.Contains(link, "after=") {
				t.Errorf("%s: Link is %q", path, link)
			}
			if page := h.get(path).body; !strings.Contains(page, `rel="next"`) {
				t.Errorf("%s: no way to the rest in %s", path, page)
			}
		}
		if got := strings.Join(pages, " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestPage_is_safe: it runs and loads nothing, and names are no markup.
func TestPage_is_safe(t *testing.T) {
	h := build(t)
	h.files(service, artifacts.TypeGeneric, nil, []file{
		{`"><script>alert(1)</script>.bin`, "", "a"}, {"javascript:alert(1)", "", "b"}, {"a&b='c';{{d}}#e?", "", "c"}, {"a&amp;b='c';{{.Path}}#e", "", "d"},
	}, "generic-1.0.2")
	r := h.get(folder+"generic/", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8").want(t, 200)
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(r.body)
	if style == nil || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'; ") ||
		!strings.Contains(r.Header.Get("Content-Security-Policy"), "style-src 'sha256-"+hashOf(style[1])+"'") {
		t.Errorf("policy %q", r.Header.Get("Content-Security-Policy"))
	}
	for header, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Vary": "Accept"} {
		if got := r.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if lower := strings.ToLower(r.body); strings.Contains(lower, "<script") || strings.Contains(lower, "<img") || strings.Contains(lower, `href="javascript:`) {
		t.Errorf("names are markup: %s", r.body)
	}
	// Every address leads to what the listing says.
	links := regexp.MustCompile(`<td><a href="([^"]*)">`).FindAllStringSubmatch(r.body, -1)
	if len(links) != 4 {

		t.Fatalf("%d links, want 4: %s", len(links), r.body)
	}
	var all []string
	for _, l := range links {
		all = append(all, h.get(folder+"generic/"+html.UnescapeString(l[1])).want(t, 200).body)
	}
	if got := strings.Join(all, " "); len(got) != 7 {
		t.Errorf("the links lead to %q", got)
	}
}

// TestTree_shows_the_form_that_is_wanted.
func TestTree_shows_the_form_that_is_wanted(t *testing.T) {
	h := build(t)
	for _, c := range []struct{ path, accept, want string }{
		{"/tree/", "", "text/html; charset=utf-8"},
		{"/tree/", "*/*", "text/html; charset=utf-8"},
		{"/tree/", "application/json", "application/json"},
		{"/tree/", "text/html;q=0.5, application/json", "application/json"},
		{"/tree/", "text/html, application/json;q=0.9", "text/html; charset=utf-8"},
		{"/tree/", "application/json;q=0", "text/html; charset=utf-8"},
		{"/tree/?format=json", "text/html", "application/json"},
		{"/tree/?format=html", "application/json", "text/html; charset=utf-8"},
	} {
		r := h.get(c.path, "Accept", c.accept).want(t, 200)
		if got := r.Header.Get("Content-Type"); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.path, c.accept, got, c.want)
		}
		again := h.get(c.path, "Accept", c.accept, "If-None-Match", r.Header.Get("Etag")).want(t, 304)
		if again.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("Cache-Control %q", again.Header.Get("Cache-Control"))
		}
		if head := h.do("HEAD", c.path, "Accept", c.accept).want(t, 200); head.body != "" || head.ContentLength != int64(len(r.body)) {
			t.Errorf("HEAD says %d bytes, want %d", head.ContentLength, len(r.body))
		}
	}
	h.get("/tree/?format=xml").want(t, 400)
	if got := h.do("DELETE", "/tree/", "Authorization", "somebody").want(t, 405).Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow: %s", got)
	}
}

// TestTree_names_hostile_files_by_their_digests, so that nothing is missing and nothing leads anywhere.
func TestTree_names_hostile_files_by_their_digests(t *testing.T) {
	hostile := []string{
		"../../x", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "..", ".", ".hidden", "dir/.git/config", "new\nline", "tab\t", "nul\x00", "back\\slash", "%2f", "..%2f..%2fx", "%252e%252e",
		"x%0ay", strings.Repeat("long", 100), strings.Repeat("a/", 20) + "deep", "manifest.yaml", "manifest.yaml/x", "right\u202eleft", "\u200b", " lead", "trail ", "dot.", "a:b", "a?b", "a*b", `a"b`, "a<b", "c|d", "esc\x1b[31m", "",
		"sha256-0123", "same", "fw/inside",
	}
	files := []file{{"same", "", "first"}, {"fw", "", "a file"}}
	for i, name := range hostile {
		files = append(files, file{name, "", fmt.Sprint("content ", i)})
	}
	files = append(files, file{"../again", "", "content 0"}, file{"good/one", "", "good"}, file{"good/50% off.txt", "", "percent"}, file{"good", "", "a folder's name"})
	h := build(t)
	h.files(service, artifacts.TypeGeneric, nil, files, "generic-1.0.2")
	l := h.list(folder + "generic/")
	if want := 2 + len(hostile) + 1 + 1; len(l.Entries) != want {
		t.Errorf("%d entries, want %d: %s", len(l.Entries), want, l.names())
	}
	h.wantNames(folder+"generic/good/", "50% off.txt one")
	for i, name := range append(hostile, "good") {
		content := fmt.Sprint("content ", i)
		if name == "good" {
			content = "a folder's name"
		}
		e := l.entry(t, "sha256-"+digest.FromString(content).Encoded())
		if got := h.get(e.URL).want(t, 200).body; got != content {
			t.Errorf("%q: %q, want %q", name, got, content)
		}
		if title, _ := json.Marshal(e.Title); len(title) > 400 || !strings.HasPrefix(name, strings.TrimSuffix(e.Title, "…")) {
			t.Errorf("%q was called %s", name, title)
		}
	}
	if got := h.get(folder+"generic/same").want(t, 200).body; got != "first" {
		t.Errorf("same is %q, want the first", got)
	}
	sums := h.get(folder+sums).want(t, 200).body
	for line := range strings.SplitSeq(strings.TrimSuffix(sums, "\n"), "\n") {
		if !regexp.MustCompile(`^[0-9a-f]{64}  generic/[ -~]+$`).MatchString(line) || strings.Contains(line, "..") {
			t.Errorf("a line %q", line)
		}
	}
	h.get(folder+"generic/..%2f..%2fx").want(t, 404)
	h.get(folder+"generic/%2e%2e/%2e%2e/metadata.yaml").want(t, 404)
}
