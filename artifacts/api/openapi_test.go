package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

// description is what the tests look at of the OpenAPI document, of the part about what this package answers to.
type description struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		Parameters map[string]parameter
		Schemas    map[string]any
	}
}

type operation struct {
	OperationID string
	Tags        []string
	Summary     string
	Parameters  []struct {
		Ref string `json:"$ref"`
	}
	RequestBody *struct{ Required bool }
	Responses   map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]struct {
			Schema *struct {
				Ref string `json:"$ref"`
			}
		}
	}
}

type parameter struct{ Name, In string }

// judge holds answers against the document.
type judge struct {
	doc      description
	compiled map[string]*jsonschema.Schema
	patterns map[string]pattern
	order    []string
	answered map[string]bool // operation and status
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	j := &judge{compiled: map[string]*jsonschema.Schema{}, patterns: map[string]pattern{}, answered: map[string]bool{}}
	if err := json.Unmarshal(described(openapiYAML), &j.doc); err != nil {
		t.Fatal(err)
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("https://registry.example.com/openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	for name := range j.doc.Components.Schemas {
		ref := "#/components/schemas/" + name
		if j.compiled[ref], err = c.Compile("https://registry.example.com/openapi.json" + ref); err != nil {
			t.Fatalf("schema %s: %v", name, err)
		}
	}
	for _, r := range (&api{}).table() {
		j.patterns[r.path] = newPattern(r.path)
		j.order = append(j.order, r.path)
	}
	return j
}

// look fails unless an answer is one that the document describes.
func (j *judge) look(t testing.TB, r reply) {
	t.Helper()
	path := ""
	for _, p := range j.order {
		if _, _, ok := j.patterns[p].match(r.Request.URL.Path); ok {
			path = p
			break
		}
	}
	method := strings.ToLower(r.Request.Method)
	if method == "head" {
		method = "get"
	}
	o, ok := j.doc.Paths[path][method]
	if !ok {
		if r.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is not described, and was answered with %d", r.Request.Method, r.Request.URL, r.StatusCode)
		}
		return
	}
	status := strconv.Itoa(r.StatusCode)
	answer, ok := o.Responses[status]
	if !ok {
		if answer, status = o.Responses["default"], "default"; r.StatusCode < 400 {
			t.Errorf("%s %s: a %d is not described", r.Request.Method, r.Request.URL, r.StatusCode)
			return
		}
	}
	j.answered[o.OperationID+" "+status] = true
	if r.Request.Method == "HEAD" || r.StatusCode == http.StatusNotModified {
		return
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	ref := ""
	switch content, ok := answer.Content[media]; {
	case answer.Ref == "#/components/responses/Problem" && media == "application/problem+json":
		ref = "#/components/schemas/Problem"
	case ok:
		ref = content.Schema.Ref
	case answer.Content["*/*"].Schema == nil && len(answer.Content) == 1:
		return // a file of any type
	default:
		t.Errorf("%s %s: a %d of type %q is not described", r.Request.Method, r.Request.URL, r.StatusCode, media)
		return
	}
	var value any = string(r.body)
	if strings.HasSuffix(media, "json") {
		var err error
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(r.body)); err != nil {
			t.Errorf("%s %s: %v: %s", r.Request.Method, r.Request.URL, err, r.body)
			return
		}
	}
	if err := j.compiled[ref].Validate(value); err != nil {
		t.Errorf("%s %s: the answer is not as described: %v: %s", r.Request.Method, r.Request.URL, err, r.body)
	}
}

// The description is in parts: lists go behind one another, and what two of them say is a fault of the program, since one of both would be lost.
func TestOpenAPI_is_joined_of_parts(t *testing.T) {
	one := []byte("tags: [{name: a}]\npaths: {/a: {get: {summary: x}}}\n")
	want := `{"paths":{"/a":{"get":{"summary":"x"}},"/b":{"get":{"summary":"x"}}},"tags":[{"name":"a"},{"name":"b"}]}`
	if got := described(one, []byte("tags: [{name: b}]\npaths: {/b: {get: {summary: x}}}\n")); string(got) != want+"\n" {
		t.Errorf("%s, want %s", got, want)
	}
	defer func() {
		if said, _ := recover().(string); said != "description of the API: /paths//a/get/summary is there twice" {
			t.Errorf("%q is said of a path that is described twice", said)
		}
	}()
	described(one, one)
}

// TestOpenAPI_and_table have the same paths, methods and parameters.
func TestOpenAPI_and_table(t *testing.T) {
	doc := newJudge(t).doc
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is OpenAPI %q", doc.OpenAPI)
	}
	used, ids := map[string]bool{}, map[string]bool{}
	rows := map[string]row{}
	for _, r := range (&api{}).table() {
		if _, twice := rows[r.path]; twice {
			t.Errorf("%s is there twice", r.path)
		}
		rows[r.path] = r
		for name, m := range r.methods {
			o, ok := doc.Paths[r.path][strings.ToLower(name)]
			if !ok {
				t.Errorf("%s %s is not described", name, r.path)
				continue
			}
			if o.OperationID == "" || ids[o.OperationID] || o.Summary == "" || len(o.Tags) != 1 {
				t.Errorf("%s %s: it has no summary, tag or id of its own: %+v", name, r.path, o)
			}
			ids[o.OperationID] = true
			in := map[string][]string{}
			for _, p := range o.Parameters {
				name := strings.TrimPrefix(p.Ref, "#/components/parameters/")
				used[name] = true
				parameter := doc.Components.Parameters[name]
				in[parameter.In] = append(in[parameter.In], parameter.Name)
			}
			same(t, name+" "+r.path+": parameters of the query", in["query"], m.query)
			var braced []string
			for _, q := range newPattern(r.path).parts {
				if q.name != "" {
					braced = append(braced, q.name)
				}
			}
			same(t, name+" "+r.path+": parts of the path", in["path"], braced)
			if takes := name != "GET"; takes != (o.RequestBody != nil && o.RequestBody.Required) {
				t.Errorf("%s %s: its body is described wrongly", name, r.path)
			}
			if o.Responses["default"].Ref == "" {
				t.Errorf("%s %s: its errors are not described", name, r.path)
			}
		}
	}
	for path, methods := range doc.Paths {
		for name := range methods {
			if _, ok := rows[path].methods[strings.ToUpper(name)]; !ok {
				t.Errorf("%s %s is described, and there is no such thing", name, path)
			}
		}
	}
	same(t, "parameters", slices.Collect(maps.Keys(used)), slices.Collect(maps.Keys(doc.Components.Parameters)))
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q are described, and %q are there", what, got, want)
	}
}

// TestOpenAPI_describes_every_answer: of every operation each answer that is described is given, and is as it is described.
func TestOpenAPI_describes_every_answer(t *testing.T) {
	h := build(t)
	j := newJudge(t)
	h.seen = func(r reply) { j.look(t, r) }

	h.good(other, "1.0.0", "", "")
	h.good(service, "1.0.2", sha, "dependencies: [\"net/router >=1.0.0\"]\nnotes: careful\n")
	h.good(service, "1.0.3", "", "dependencies: [\"net/router >=2.0.0\"]\n")
	h.image(service, "1.1.0", "")
	base := "/api/v1/components/" + service
	version := base + "/versions/1.0.2"
	deb := string(debtest.Build(debtest.Spec{Package: "ms-ingestion", Version: "1.0.2-1", Arch: "amd64"}))
	puts := map[string]string{
		version + "/metadata.yaml": metadataYAML(service, "dependencies: [\"net/router >=1.0.0\"]\nnotes: careful\n"), base + "/versions/1.2.0/generic/fw.bin": "firmware",
		base + "/versions/1.2.0/deb/x.deb": deb, "/api/v1/groups/cloud/dmp/ownership.yaml": ownership, "/api/v1/groups/cloud/dmp/policy.yaml": "rules: {}\n",
	}
	state := h.get("root", version+"/draft/docker/manifest.yaml")
	puts[version+"/docker/manifest.yaml"] = string(state.body)
	for range 2 {
		for path, body := range puts {
			h.do("root", "PUT", path, body)
		}
	}
	h.do("root", "PUT", base+"/versions/1.1.0/docker/manifest.yaml", string(h.get("root", base+"/versions/1.1.0/draft/docker/manifest.yaml").body)).want(t, 201)
	for path := range puts {
		h.do("stranger", "PUT", path, "x")
	}
	h.promote(other, "1.0.0", "cloud.staging")
	id := h.promote(service, "1.0.2", "cloud.staging")
	orders := map[string][]object{
		"promotions":  {{"component": service, "version": "1.0.3", "to": "cloud.staging"}, {"component": other, "version": "1.0.0", "to": "cloud.prod"}, {"component": service, "version": "1.0.2", "to": "cloud.prod"}},
		"rollbacks":   {{"component": service, "at": "cloud.prod"}, {"component": service, "at": "cloud.dev"}, {"component": service, "at": "cloud.staging", "expect": "7.0.0"}},
		"withdrawals": {{"component": other, "at": "cloud.prod"}, {"component": service, "at": "cloud.prod"}, {"component": service, "at": "cloud.dev"}, {"component": service, "at": "cloud.staging", "expect": "7.0.0"}},
	}
	orders["promotions"] = append(orders["promotions"], object{"component": service, "version": "7.0.0", "to": "cloud.dev"}, object{"component": service, "version": "1.0.2", "to": "cloud.prod", "expect": "7.0.0"})
	for _, path := range []string{"promotions", "rollbacks", "withdrawals"} {
		for _, o := range orders[path] {
			h.post("root", "/api/v1/"+path, o)
		}
		h.do("root", "POST", "/api/v1/"+path, "{}")
	}
	// A rollback that breaks what others need, and one that does not.
	h.good(other, "2.0.0", "", "")
	h.promote(other, "2.0.0", "cloud.staging")
	h.promote(service, "1.0.3", "cloud.staging")
	h.post("root", "/api/v1/rollbacks", object{"component": other, "at": "cloud.staging"}).want(t, 422)
	// What is so already.
	h.post("root", "/api/v1/promotions", object{"component": service, "version": "1.0.3", "to": "cloud.staging"}).want(t, 200)
	h.post("root", "/api/v1/rollbacks", object{"component": service, "version": "1.0.3", "at": "cloud.staging"}).want(t, 200)
	h.post("root", "/api/v1/rollbacks", object{"component": service, "at": "cloud.staging"}).want(t, 201)

	for _, kind := range []string{"manifest", "auto?file=metadata.yaml"} {
		for _, accept := range []string{"application/json", "text/plain"} {
			h.do("root", "POST", "/api/v1/validate/"+kind, "x: y\n", "Accept", accept)
			h.do("root", "POST", "/api/v1/validate/"+kind, metadataYAML(service, ""), "Accept", accept)
		}
	}
	h.do("root", "POST", "/api/v1/validate/nothing", "")

	file := func(path string) []string { return []string{path, strings.Replace(path, "1.0.2", "9.9.9", 1)} }
	gets := slices.Concat(
		[]string{"/api/v1/components", "/api/v1/components?limit=1", "/api/v1/versions", "/api/v1/commits/" + sha, "/api/v1/findings", base, base + "/latest", base + "/resolve/cloud.staging"},
		[]string{base + "/deployed", base + "/history", base + "/dependencies?version=1.0.2", "/api/v1/components/" + other + "/dependents", base + "/dependents", base + "/findings", base + "/versions"},
		file(version), file(version+"/draft/metadata.yaml"), file(version+"/draft/docker/manifest.yaml"), file(version+"/metadata.yaml"), file(version+"/SHA256SUMS"),
		file(version+"/docker/manifest.yaml"), file(version+"/generic/fw.bin"),
		[]string{"/api/v1/groups/cloud/dmp/ownership.yaml", "/api/v1/groups/cloud/dmp/policy.yaml", "/api/v1/places", "/api/v1/places/cloud.staging", "/api/v1/promotions", "/api/v1/promotions/" + id},
		[]string{"/api/v1/openapi.json", "/schemas/", "/schemas/policy.json", "/index/components.yaml", "/index/components.json", "/index/domain-cloud-staging.yaml", "/index/domain-cloud.json"},
	)
	for _, path := range gets {
		h.get("root", path)
		h.get("root", path, "If-None-Match", "*")
		h.get("root", path, "Accept", "text/plain")
		h.get("root", path+"?nothing=x")
		h.get("", path)
	}
	// Ranges and validators of files are those of package artifacts/tree.
	elsewhere := []string{"getFile 206", "getFile 304", "getMetadata 304", "getManifest 304", "getSums 304"}
	for _, methods := range j.doc.Paths {
		for _, o := range methods {
			for status := range o.Responses {
				if key := o.OperationID + " " + status; !j.answered[key] && !slices.Contains(elsewhere, key) {
					t.Errorf("%s is described, and was not seen", key)
				}
			}
		}
	}
}
