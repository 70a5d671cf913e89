package api

import (
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts"
)

// TestComponents_list tells what people look for, of what the caller may see.
func TestComponents_list(t *testing.T) {
	h := build(t)
	d := h.good(service, "1.0.2", sha, "")
	h.good(other, "2.0.0", "", "")
	h.promote(service, "1.0.2", "cloud.prod")
	all := into[page[component]](t, h.get("root", "/api/v1/components").want(t, 200))
	if len(all.Items) != 2 || all.Next != "" {
		t.Fatalf("%+v", all)
	}
	c := all.Items[0]
	if c.Name != service || c.Domain != "cloud" || c.Group != "cloud/dmp" || c.Latest != "1.0.2" || c.LatestDigest != d || c.Team != "infra" ||
		len(c.Deployed) != 1 || c.Deployed["cloud.prod"] != "1.0.2" {
		t.Errorf("%+v", c)
	}
	h.get("reader", "/api/v1/components").want(t, 200).says(t, service, "!"+other)
	h.get("stranger", "/api/v1/components").want(t, 200).says(t, `{"items":[]}`)
	h.get("", "/api/v1/components").problem(t, 401)

	r := h.get("root", "/api/v1/components?limit=1").want(t, 200)
	first := into[page[component]](t, r)
	link := r.Header.Get("Link")
	address, rel, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if len(first.Items) != 1 || first.Next == "" || rel != `; rel="next"` {
		t.Fatalf("%+v, Link %s", first, link)
	}
	second := h.get("root", address).want(t, 200).says(t, other, "!"+service, `!"next"`)
	if second.Header.Get("Link") != "" {
		t.Errorf("the last part has the link %s", second.Header.Get("Link"))
	}
	for query, words := range map[string][]string{
		"group=cloud/dmp": {service, "!" + other},
		"group=cloud":     {service, other},
		"q=ROUT":          {other, "!" + service},
		"team=infra&env=prod&domain=cloud&arch=amd64": {service, other},
		"team=nobody": {`"items":[]`},
		"label=team=infra&port=8443&format=docker": {service, other},
		"label=team=infra&label=a=b":               {`"items":[]`},
		"good=false":                               {`"items":[]`},
		"at=2001-01-01":                            {`"items":[]`},
		"at=2999-01-01T00:00:00%2B01:00":           {service},
		"sort=newest":                              {service, other},
	} {
		h.get("root", "/api/v1/components?"+query).want(t, 200).says(t, words...)
	}
}

// TestParameters that make no sense are refused, with what would.
func TestParameters(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", sha, "")
	for path, words := range map[string][]string{
		"components?grop=x":                                   {"group"},
		"components?environment=x":                            {"did you mean env?"},
		"components?limit=0":                                  {"1 to 1000"},
		"components?limit=1001":                               {"1 to 1000"},
		"components?limit=x":                                  {"1 to 1000"},
		"components?arch=z80":                                 {"amd64"},
		"components?port=0":                                   {"1 to 65535"},
		"components?port=65536":                               {"1 to 65535"},
		"components?good=yes":                                 {"true or false"},
		"components?level=Denny":                              {"did you mean deny?"},
		"components?at=yesterday":                             {"2026-05-10"},
		"components?sort=size":                                {"name or newest"},
		"components?label=team":                               {"team=infra"},
		"components?format=rpm":                               {"docker or deb or generic"},
		"components?after=%21%21":                             {"next of the part before"},
		"components?q=a&q=b":                                  {"once"},
		"components?component=x":                              {"knows"},
		"versions?component=x":                                {"three parts"},
		"versions?commit=xyz":                                 {"hexadecimal"},
		"promotions?place=prod":                               {"cloud.prod"},
		"promotions?since=1":                                  {"2026-05-10"},
		"places?a=b":                                          {"no parameters"},
		"commits/main":                                        {"hexadecimal"},
		"components/" + service + "/latest?format=text":       {"json or version"},
		"components/" + service + "/dependencies?version=":    {},
		"components/" + service + "/dependencies?version=abc": {"1.0.2"},
		"components?q=" + strings.Repeat("a", maxValue+1):     {"longer"},
		"components?" + strings.Repeat("label=a=b&", maxLabels) + "label=a": {"once"},
	} {
		r := h.get("root", "/api/v1/"+path)
		if len(words) == 0 {
			r.want(t, 200)
			continue
		}
		r.problem(t, 400, words...)
	}
}

// TestComponent tells of one, also who answers for it. What may not be seen and what does not exist have answers of one form.
func TestComponent(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", sha, "")
	h.get("reader", "/api/v1/components/"+service).want(t, 200).says(t, `"owner":{"owner_team":"dmp"`, `"latest":"1.0.2"`)
	h.get("root", "/api/v1/components/"+other).problem(t, 404, other)
	h.get("reader", "/api/v1/components/"+other).problem(t, 404)
	h.get("stranger", "/api/v1/components/"+service).problem(t, 404).says(t, "!1.0.2")
	there := h.get("stranger", "/api/v1/components/"+service).problem(t, 404)
	nowhere := h.get("stranger", "/api/v1/components/cloud/dmp/nothing").problem(t, 404)
	if hidden, none := into[map[string]any](t, there), into[map[string]any](t, nowhere); hidden["title"] != none["title"] || hidden["detail"] != none["detail"] {
		t.Errorf("what is hidden is told apart from what is not there: %v, and %v", hidden, none)
	}
	h.get("", "/api/v1/components/"+service).problem(t, 401)
	h.get("root", "/api/v1/components/Cloud/dmp/x").problem(t, 404, "small letters")
	h.get("root", "/api/v1/components/cloud/dmp/ms-ingestion!1.0.2").problem(t, 404, "small letters")
	h.do("root", "DELETE", "/api/v1/components/"+service, "").want(t, 405)
}

// TestVersions of a component are listed and shown, with what one types to have them.
func TestVersions(t *testing.T) {
	h := build(t)
	d := h.good(service, "1.0.2", sha, "")
	h.image(service, "1.1.0", "")
	h.promote(service, "1.0.2", "cloud.staging")
	base := "/api/v1/components/" + service
	all := into[page[artifacts.Version]](t, h.get("reader", base+"/versions").want(t, 200))
	if len(all.Items) != 2 || !all.Items[0].Good || all.Items[1].Good {
		t.Errorf("%+v", all)
	}
	h.get("reader", base+"/versions?good=true").want(t, 200).says(t, "1.0.2", "!1.1.0")
	h.get("root", "/api/v1/components/"+other+"/versions").problem(t, 404)
	h.get("reader", "/api/v1/versions?component="+service+"&good=false").want(t, 200).says(t, "1.1.0", "!1.0.2")
	h.get("stranger", "/api/v1/versions?component="+service).want(t, 200).says(t, `"items":[]`)

	for _, number := range []string{"1.0.2", "v1.0.2"} {
		h.get("reader", base+"/versions/"+number).want(t, 200).says(t, `"deployed":["cloud.staging"]`, string(d), `"good":true`,
			`"docker pull registry.example.com/`+service+`:1.0.2"`, "team: infra")
	}
	h.get("reader", base+"/versions/1.1.0").want(t, 200).says(t, `"deployed":[]`, "version.manifest.missing")
	h.get("reader", base+"/versions/9.9.9").problem(t, 404, base+"/versions")
	h.get("reader", base+"/versions/pr-17").problem(t, 404, "1.0.2")
	h.get("stranger", base+"/versions/1.0.2").problem(t, 404)

	h.get("reader", "/api/v1/commits/"+sha[:7]).want(t, 200).says(t, "1.0.2", "!1.1.0")
	h.get("stranger", "/api/v1/commits/"+sha).problem(t, 404, "label")
}

// TestResolve comes down to a version, as JSON for programs and as a line for scripts.
func TestResolve(t *testing.T) {
	h := build(t)
	d := h.good(service, "1.0.2", sha, "")
	h.promote(service, "1.0.2", "cloud.prod")
	base := "/api/v1/components/" + service
	for _, ref := range []string{"/latest", "/resolve/latest", "/resolve/1.0.2", "/resolve/cloud.prod", "/resolve/commit-" + sha} {
		h.get("reader", base+ref).want(t, 200).says(t, `"version":"1.0.2"`, string(d), `"pull":"registry.example.com/`+service+"@"+string(d)+`"`)
	}
	for accept, text := range map[string]bool{
		"text/plain": true, "*/*": false, "application/json, text/plain;q=0.5": false, "application/json;q=0.1, text/plain": true, "text/plain;q=0": false, "text/html": false,
	} {
		r := h.get("reader", base+"/latest", "Accept", accept).want(t, 200)
		if (string(r.body) == "1.0.2\n") != text || r.Header.Get("Vary") != "Accept" {
			t.Errorf("for Accept: %s it is %q", accept, r.body)
		}
	}
	if r := h.get("reader", base+"/latest?format=version").want(t, 200); string(r.body) != "1.0.2\n" || r.Header.Get("Content-Type") != plainText {
		t.Errorf("%q of type %s", r.body, r.Header.Get("Content-Type"))
	}
	h.get("reader", base+"/latest?format=json", "Accept", "text/plain").want(t, 200).says(t, `"digest"`)
	for _, ref := range []string{"9.9.9", "cloud.staging", "pr-17", "commit-" + strings.Repeat("f", 40), strings.Repeat("x", 500)} {
		h.get("reader", base+"/resolve/"+ref).problem(t, 404, "cloud.prod")
	}
	h.image(other, "1.0.0", "")
	h.get("root", "/api/v1/components/"+other+"/latest").problem(t, 404, "all its documents")
}

// TestETag lets a client keep what it has.
func TestETag(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", sha, "")
	for _, path := range []string{
		"/api/v1/components", "/api/v1/components/" + service, "/api/v1/components/" + service + "/latest", "/index/components.yaml", "/index/components.json",
		"/schemas/manifest.json", "/api/v1/openapi.json",
	} {
		r := h.get("reader", path).want(t, 200)
		tag := r.Header.Get("ETag")
		if again := h.get("reader", path).Header.Get("ETag"); tag == "" || again != tag {
			t.Errorf("%s: ETag %q, then %q", path, tag, again)
		}
		if !strings.Contains(r.Header.Get("Cache-Control"), "no-cache") || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, r.Header)
		}
		for _, have := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			if r := h.get("reader", path, "If-None-Match", have).want(t, 304); len(r.body) > 0 || r.Header.Get("ETag") != tag {
				t.Errorf("%s: a 304 with %q and ETag %q", path, r.body, r.Header.Get("ETag"))
			}
		}
		h.get("reader", path, "If-None-Match", `"x"`).want(t, 200)
		if r := h.do("reader", "HEAD", path, "").want(t, 200); len(r.body) > 0 || r.Header.Get("ETag") != tag || r.ContentLength <= 0 {
			t.Errorf("HEAD %s: %d bytes, %v", path, len(r.body), r.Header)
		}
	}
	if r := h.get("reader", "/api/v1/components"); r.Header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("what is for one is for all: %s", r.Header.Get("Cache-Control"))
	}
	if r := h.get("", "/schemas/"); r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("what is for all is for one: %s", r.Header.Get("Cache-Control"))
	}
	before := h.get("root", "/index/components.yaml").Header.Get("ETag")
	h.good(other, "1.0.0", "", "")
	if h.get("root", "/index/components.yaml").Header.Get("ETag") == before {
		t.Error("the content has changed, and the ETag has not")
	}
}

// TestFindings of all versions and of one component's, as far as one may see them.
func TestFindings(t *testing.T) {
	h := build(t)
	h.image(service, "1.0.2", "")
	h.image(other, "1.0.0", "")
	h.get("root", "/api/v1/findings").want(t, 200).says(t, service, other, "version.manifest.missing", "version.metadata.missing")
	h.get("reader", "/api/v1/findings?level=warn&rule=version.metadata.missing").want(t, 200).says(t, service, "!"+other, "!version.manifest.missing", "metadata.yaml")
	h.get("reader", "/api/v1/findings?level=deny").want(t, 200).says(t, `{"items":[]}`)
	h.get("reader", "/api/v1/components/"+service+"/findings").want(t, 200).says(t, `"component":"`+service, "!"+other)
	h.get("reader", "/api/v1/components/"+other+"/findings").problem(t, 404)
	part := into[page[finding]](t, h.get("root", "/api/v1/findings?limit=1").want(t, 200))
	if part.Next == "" || len(part.Items) < 2 || part.Items[0].Component != part.Items[len(part.Items)-1].Component {
		t.Errorf("%+v", part)
	}
}

// TestDependencies and dependents tell nothing of components that may not be seen.
func TestDependencies(t *testing.T) {
	h := build(t)
	h.good(other, "1.5.0", "", "")
	h.good(service, "1.0.2", "", "dependencies: [\"net/router >=1.0.0, <2\"]\n")
	h.good(service, "1.1.0", "", "dependencies: [\"net/router >=2.0.0\", \"nothing >=1.0.0\"]\n")
	base := "/api/v1/components/" + service + "/dependencies"
	h.get("root", base).want(t, 200).says(t, `"version":"1.1.0"`, `"met":false,"by":"1.5.0"`, `"needs":"`+other, "nothing >=1.0.0")
	h.get("root", base+"?version=v1.0.2").want(t, 200).says(t, `"met":true,"by":"1.5.0"`, ">=1.0.0, <2")
	h.get("reader", base+"?version=1.0.2").want(t, 200).says(t, `"met":true`, "!1.5.0", "!"+other)
	h.get("root", base+"?version=9.0.0").problem(t, 404)
	h.promote(other, "1.5.0", "cloud.prod")
	h.promote(service, "1.0.2", "cloud.prod")
	h.get("root", base+"?place=cloud.prod").want(t, 200).says(t, `"version":"1.0.2"`, `"met":true`)
	h.get("root", base+"?place=cloud.staging").problem(t, 404)
	h.get("root", base+"?version=1.0.2&place=cloud.staging").want(t, 200).says(t, `"met":false`)

	base = "/api/v1/components/" + other + "/dependents"
	h.get("root", base).want(t, 200).says(t, `"version":"1.0.2"`, `"version":"1.1.0"`)
	part := into[page[artifacts.Dependency]](t, h.get("root", base+"?limit=1").want(t, 200))
	rest := into[page[artifacts.Dependency]](t, h.get("root", base+"?limit=1&after="+part.Next).want(t, 200))
	if len(part.Items) != 1 || part.Items[0].Version != "1.0.2" || len(rest.Items) != 1 || rest.Items[0].Version != "1.1.0" || rest.Next != "" {
		t.Errorf("%+v, then %+v", part, rest)
	}
	h.get("reader", base).problem(t, 404)
}

// TestDrafts are documents with what the registry knows.
func TestDrafts(t *testing.T) {
	h := build(t)
	d := h.image(service, "1.0.2", sha)
	base := "/api/v1/components/" + service + "/versions/1.0.2/draft"
	h.get("reader", base+"/docker/manifest.yaml").want(t, 200).says(t, string(d)[7:], "format: docker")
	h.get("reader", base+"/metadata.yaml").want(t, 200).says(t, "service_name: ms-ingestion", "# environments")
	h.get("reader", base+"/deb/manifest.yaml").problem(t, 404, "push it first")
	h.get("reader", base+"/rpm/manifest.yaml").problem(t, 404, "docker, deb, generic")
	h.get("stranger", base+"/metadata.yaml").problem(t, 404)
}

// TestSchemas are for everybody.
func TestSchemas(t *testing.T) {
	h := build(t)
	h.get("", "/schemas/").want(t, 200).says(t, "/schemas/manifest.json", "/schemas/policy.json")
	r := h.get("", "/schemas/metadata.json").want(t, 200).says(t, "https://json-schema.org/draft/2020-12/schema")
	if got := r.Header.Get("Content-Type"); got != "application/schema+json" {
		t.Errorf("a schema of type %s", got)
	}
	h.get("", "/schemas/nothing.json").problem(t, 404, "/schemas/")
}
