package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/entrepot/entrepot/artifacts"
	artifactsapi "github.com/entrepot/entrepot/artifacts/api"
	"github.com/entrepot/entrepot/artifacts/apt"
	"github.com/entrepot/entrepot/artifacts/tree"
	rights "github.com/entrepot/entrepot/auth"
	authapi "github.com/entrepot/entrepot/auth/api"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/api"
	"github.com/entrepot/entrepot/registry/manage"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// tables are all tables of routes, by where they are made, in the order in which the program asks them.
var tables = []struct {
	of     string
	routes []door.Route
}{
	{"registry/api.Routes", api.Routes(api.Config{Moves: artifacts.Tags{}})},
	{"auth/api.Routes", authapi.Routes(authapi.Config{})},
	{"artifacts/api.Routes", artifactsapi.Routes(artifactsapi.Config{})},
	{"artifacts/tree.Routes", tree.New(tree.Config{}).Routes()},
	{"artifacts/apt.Routes", apt.Routes(apt.Config{})},
	{"registry/manage.Routes", manage.Routes(manage.Config{})},
}

// undescribed are the routes that the description leaves out, each with a path of its own: they are not below /api/v1.
var undescribed = map[string]string{
	"manifest": "/v2/a/manifests/1.0", "domain-tag": "/v2/cloud/dmp/app/manifests/cloud.prod", "blob": "/v2/a/blobs/x", "uploads": "/v2/a/blobs/uploads/",
	"upload": "/v2/a/blobs/uploads/x", "tags": "/v2/a/tags/list", "referrers": "/v2/a/referrers/x", "catalog": "/v2/_catalog", "ping": "/v2/",
	"auth-token": "/auth/token", "auth-keys": "/auth/keys", "auth-login": "/auth/login", "auth-callback": "/auth/callback", "auth-logout": "/auth/logout",
	"tree": "/tree/", "tree-component": "/tree/components/cloud/dmp/app/",
	"apt-pool": "/apt/pool/cloud/dmp/app/x.deb", "apt-dists": "/apt/dists/cloud-prod/Release", "apt-snapshot": "/apt/snapshots/20260102T030405Z/dists/cloud-prod/Release",
	"apt-snapshots": "/apt/snapshots/", "apt-key": "/apt/key.asc", "apt-rotate": "/apt/keys/rotate", "apt-setup": "/apt/setup.sh", "apt-pin": "/apt/pin/cloud-prod",
	"apt": "/apt/", "apt-suites": "/apt/dists/", "apt-upload": "/apt/upload/cloud/dmp/app/x.deb", "apt-upload-elsewhere": "/apt/upload/x", "apt-unknown": "/apt/x",
}

// described is what the tests look at of the description of the API.
type described struct {
	Paths      map[string]map[string]describedOperation
	Components struct {
		Parameters map[string]struct{ Name, In string }
		Schemas    map[string]struct{ Properties map[string]any }
	}
}

type describedOperation struct {
	OperationID, Summary string
	Tags                 []string
	Parameters           []describedRef
	RequestBody          *struct {
		Content map[string]struct{ Schema describedRef }
	}
	Responses map[string]struct {
		describedRef
		Content map[string]struct{ Schema describedRef }
	}
}

type describedRef struct {
	Ref string `json:"$ref"`
}

// readDescription asks for the description as clients do.
func readDescription(t *testing.T, h http.Handler) (d described, text []byte) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/openapi.json", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK || len(d.Paths) == 0 {
		t.Fatalf("the description: %d, %v: %.200s", w.Code, err, w.Body)
	}
	return d, w.Body.Bytes()
}

var braces = regexp.MustCompile(`\{[^{}]*\}`)

// parametersIn are the names of an operation's parameters in its path, query or headers.
func (d described) parametersIn(where string, o describedOperation) (names []string) {
	for _, p := range o.Parameters {
		if p := d.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")]; p.In == where {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TestOpenAPI_has_every_route of all tables, with just its methods, and no others.
func TestOpenAPI_has_every_route(t *testing.T) {
	var all []door.Route
	for _, table := range tables {
		all = append(all, table.routes...)
	}
	d, text := readDescription(t, door.New(door.Config{Policy: rights.Open}, all...))
	for kind, names := range map[string][]string{
		"parameters": slices.Collect(maps.Keys(d.Components.Parameters)), "schemas": slices.Collect(maps.Keys(d.Components.Schemas)),
	} {
		for _, name := range names {
			if !bytes.Contains(text, []byte(`"#/components/`+kind+`/`+name+`"`)) {
				t.Errorf("%s: %s is described, and nothing is said to be that", kind, name)
			}
		}
	}
	paths := map[string]string{} // of a route
	ids := map[string]string{}
	for path, operations := range d.Paths {
		sample := braces.ReplaceAllString(path, "x")
		i := slices.IndexFunc(all, func(r door.Route) bool { _, _, ok := r.Match(sample); return ok })
		if i < 0 {
			t.Errorf("%s is described, and there is no such route", path)
			continue
		}
		r := all[i]
		if paths[r.Name] != "" {
			t.Errorf("%s and %s are described, and are both the route %s", path, paths[r.Name], r.Name)
		}
		paths[r.Name] = path
		for method := range r.Methods {
			if _, ok := operations[strings.ToLower(method)]; !ok {
				t.Errorf("%s %s (route %s) is not described", method, path, r.Name)
			}
		}
		for method, o := range operations {
			what := strings.ToUpper(method) + " " + path
			if _, ok := r.Methods[strings.ToUpper(method)]; !ok {
				t.Errorf("%s is described, and the route %s does not have it", what, r.Name)
			}
			if o.OperationID == "" || ids[o.OperationID] != "" || o.Summary == "" || len(o.Tags) != 1 || o.Responses["default"].Ref == "" {
				t.Errorf("%s: it has no id of its own (%q, %s), no summary, tag or errors", what, o.OperationID, ids[o.OperationID])
			}
			ids[o.OperationID] = what
			var inPath []string
			for _, name := range braces.FindAllString(path, -1) {
				inPath = append(inPath, strings.Trim(name, "{}"))
			}
			slices.Sort(inPath)
			if got := d.parametersIn("path", o); !slices.Equal(got, inPath) {
				t.Errorf("%s: parts of the path are described as %q", what, got)
			}
			for _, p := range o.Parameters {
				if _, ok := d.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")]; !ok {
					t.Errorf("%s: the parameter %s is not described", what, p.Ref)
				}
			}
		}
	}
	for _, r := range all {
		sample, leftOut := undescribed[r.Name]
		_, _, matches := r.Match(sample)
		switch {
		case paths[r.Name] == "" && !leftOut:
			t.Errorf("the route %s is not described: add it to a file artifacts/api/openapi*.yaml, or here if it is not below /api/v1", r.Name)
		case leftOut && (paths[r.Name] != "" || !matches || strings.HasPrefix(sample, "/api/")):
			t.Errorf("the route %s is left out as %s, and is not that or described all the same: %s", r.Name, sample, paths[r.Name])
		}
	}
}

// A table of routes that TestOpenAPI_has_every_route does not know would not be looked at.
func TestOpenAPI_knows_every_table(t *testing.T) {
	var known, found []string
	for _, table := range tables {
		known = append(known, table.of)
	}
	makes := regexp.MustCompile(`(?m)^func (?:\([^()]*\) )?([A-Z]\w*)\(.*\) (?:\(?\[\]door\.Route)`)
	for _, room := range []string{"artifacts", "auth", "registry"} {
		err := filepath.WalkDir("../../"+room, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range makes.FindAllSubmatch(text, -1) {
				found = append(found, strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../../")+"."+string(name[1]))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(known)
	slices.Sort(found)
	if !slices.Equal(known, found) {
		t.Errorf("there are the tables of routes %q, and known are %q", found, known)
	}
}

// describedHouse is the program's server, held against its description with every answer.
type describedHouse struct {
	t        *testing.T
	url      string
	doc      described
	compiler *jsonschema.Compiler
	answered map[string]bool // operation and status
	sent     map[string]bool // schema and property
	passwd   string          // of root; empty: whoever asks is nobody in particular
}

func describedServer(t *testing.T, yaml string) *describedHouse {
	t.Helper()
	c := mustParse(t, yaml)
	c.Listen, c.Data = "127.0.0.1:0", t.TempDir()
	s, err := newServer(t.Context(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.store.close(), s.listener.Close() })
	for _, tag := range []string{"pr-1", "pr-2"} {
		body := fmt.Appendf(nil, `{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [], "annotations": {"tag": %q}}`, tag)
		if _, err := s.registry.PutManifest(t.Context(), registry.Put{Repo: "team/app", Ref: tag, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(s.http.Handler)
	t.Cleanup(server.Close)
	h := &describedHouse{t: t, url: server.URL, compiler: jsonschema.NewCompiler(), answered: map[string]bool{}, sent: map[string]bool{}}
	var text []byte
	h.doc, text = readDescription(t, s.http.Handler)
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	h.compiler.DefaultDraft(jsonschema.Draft2020)
	h.compiler.AssertFormat()
	if err := h.compiler.AddResource(describedAt, whole); err != nil {
		t.Fatal(err)
	}
	for name := range h.doc.Components.Schemas {
		if _, err := h.compiler.Compile(describedAt + "#/components/schemas/" + name); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
	return h
}

const describedAt = "https://registry.example.com/openapi.json"

// is tells what is wrong with a value that should be as a schema says.
func (h *describedHouse) is(ref string, value []byte) error {
	if ref == "" {
		return nil // anything
	}
	schema, err := h.compiler.Compile(describedAt + ref)
	if err != nil {
		return err
	}
	in, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return err
	}
	return schema.Validate(in)
}

// do asks, and fails unless the answer has the status and is as described. path is one of the description, whose parts in braces are taken from values.
func (h *describedHouse) do(status int, method, path, query, body string, values ...string) (answer []byte) {
	h.t.Helper()
	o, ok := h.doc.Paths[path][strings.ToLower(method)]
	if !ok {
		h.t.Fatalf("%s %s is not described", method, path)
	}
	for _, v := range values {
		i := braces.FindStringIndex(path)
		path = path[:i[0]] + v + path[i[1]:]
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path+query, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if h.passwd != "" {
		req.SetBasicAuth("root", h.passwd)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(res.Body, 1<<20)); err != nil {
		h.t.Fatal(err)
	}
	what := method + " " + path + query
	if res.StatusCode != status {
		h.t.Fatalf("%s: %d, want %d: %s", what, res.StatusCode, status, answer)
	}
	h.look(what, o, res, answer)
	if status < 400 {
		h.lookAtBody(what, o, body)
	}
	return answer
}

// look fails unless an answer is as described.
func (h *describedHouse) look(what string, o describedOperation, res *http.Response, body []byte) {
	h.t.Helper()
	status := strconv.Itoa(res.StatusCode)
	answer, ok := o.Responses[status]
	if !ok {
		if answer, status = o.Responses["default"], "default"; res.StatusCode < 400 {
			h.t.Fatalf("%s: a %d is not described", what, res.StatusCode)
		}
	}
	h.answered[o.OperationID+" "+status] = true
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	content, ok := answer.Content[media]
	switch {
	case answer.Ref == "#/components/responses/Problem" && media == "application/problem+json":
		content.Schema.Ref = "#/components/schemas/Problem"
	case len(answer.Content) == 0 && len(body) == 0:
		return
	case !ok:
		h.t.Errorf("%s: a %d of type %q is not described", what, res.StatusCode, media)
		return
	}
	values := [][]byte{body}
	if media == "application/x-ndjson" {
		values = bytes.SplitAfter(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	}
	for _, value := range values {
		if err := h.is(content.Schema.Ref, value); err != nil {
			h.t.Errorf("%s: the answer is not as described: %v: %s", what, err, value)
		}
	}
}

// lookAtBody fails unless a request that was followed is as described, and remembers what was sent.
func (h *describedHouse) lookAtBody(what string, o describedOperation, body string) {
	h.t.Helper()
	if body == "" {
		return
	}
	if o.RequestBody == nil {
		h.t.Errorf("%s: its body is not described", what)
		return
	}
	ref := o.RequestBody.Content["application/json"].Schema.Ref
	if err := h.is(ref, []byte(body)); err != nil {
		h.t.Errorf("%s: the request is not as described: %v: %s", what, err, body)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		h.t.Error(err)
	}
	for name := range members {
		h.sent[ref+" "+name] = true
	}
}

// member is a string in an answer.
func member(t *testing.T, answer []byte, name string) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(answer, &members); err != nil {
		t.Fatal(err)
	}
	value, _ := members[name].(string)
	if value == "" {
		t.Fatalf("there is no %s: %s", name, answer)
	}
	return value
}

// TestOpenAPI_describes_what_is_answered about accounts, the journal and what the registry does by itself: each operation, with all that can be sent. Those
// about components are looked at in their own room.
func TestOpenAPI_describes_what_is_answered(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage("team/app", "1.0", 1000)
	h := describedServer(t, fmt.Sprintf(`
upstreams: [{name: up.example.com, urls: [%q]}]
mirror:
  - {repository: up.example.com/team/app, tags: ["1.*"], platforms: [linux/amd64], referrers: true, every: 6h}
  - {repository: up.example.com/team/none, versions: ">=1", last: 2, every: 0s}
quotas: [{on: team, tags: 5}]
retention:
  - {repositories: ["**"], tags: ["pr-*"], keepLast: 1}
`, up.URL))
	const accounts = "/api/v1/auth"
	h.do(200, "GET", accounts+"/whoami", "", "")
	h.do(201, "POST", accounts+"/users", "", `{"name": "root", "password": "a long password", "groups": ["ops"]}`)
	h.passwd = "a long password"
	h.do(200, "GET", accounts+"/whoami", "", "")
	h.do(201, "POST", accounts+"/users", "", `{"name": "alice", "password": "another long one"}`)
	h.do(200, "PATCH", accounts+"/users/{name}", "", `{"groups": ["dev"], "password": "yet another one", "disabled": true}`, "alice")
	h.do(200, "GET", accounts+"/users/{name}", "", "", "alice")
	h.do(200, "GET", accounts+"/users", "?last=a", "")
	h.do(201, "POST", accounts+"/robots", "", `{"name": "ci-dmp", "on": "cloud/dmp", "note": "builds"}`)
	h.do(200, "PATCH", accounts+"/robots/{name}", "", `{"note": "builds and tests", "disabled": false}`, "ci-dmp")
	h.do(200, "GET", accounts+"/robots/{name}", "", "", "ci-dmp")
	h.do(200, "GET", accounts+"/robots", "", "")
	secret := member(t, h.do(201, "POST", accounts+"/robots/{name}/secrets", "", `{"note": "x", "expires": "`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"}`, "ci-dmp"), "id")
	h.do(201, "POST", accounts+"/robots/{name}/secrets", "", `{"never": true, "scope": [{"type": "repository", "name": "cloud/dmp/app", "actions": ["pull", "*"]}]}`, "ci-dmp")
	h.do(200, "GET", accounts+"/robots/{name}/secrets", "", "", "ci-dmp")
	h.do(204, "DELETE", accounts+"/robots/{name}/secrets/{id}", "", "", "ci-dmp", secret)
	token := member(t, h.do(201, "POST", accounts+"/tokens", "", `{"scope": []}`), "id")
	h.do(200, "GET", accounts+"/tokens", "", "")
	h.do(204, "DELETE", accounts+"/tokens/{id}", "", "", token)
	grant := member(t, h.do(201, "POST", accounts+"/grants", "", `{"who": "robot:ci-dmp", "role": "ci", "on": "cloud/dmp"}`), "id")
	h.do(200, "GET", accounts+"/grants", "", "")
	h.do(200, "GET", accounts+"/can-i", "?action=push&on=cloud/dmp&as=robot:ci-dmp", "")
	h.do(200, "GET", accounts+"/can-i", "?action=manage", "")
	h.do(204, "DELETE", accounts+"/grants/{id}", "", "", grant)
	h.do(200, "GET", accounts+"/roles", "", "")
	h.do(204, "DELETE", accounts+"/robots/{name}", "", "", "ci-dmp")
	h.do(204, "DELETE", accounts+"/users/{name}", "", "", "alice")
	h.do(204, "POST", accounts+"/password", "", `{"old": "a long password", "new": "a longer password"}`)
	h.passwd = "a longer password"
	h.do(204, "POST", accounts+"/keys/rotate", "", `{"revoke": true}`)

	h.do(200, "GET", "/api/v1/mirrors", "?limit=1&after=a", "")
	h.do(200, "POST", "/api/v1/mirrors/runs", "", `{"repository": "up.example.com/team/app"}`)
	h.do(200, "POST", "/api/v1/mirrors/runs", "", `{"repository": "up.example.com/team/none"}`)
	h.do(200, "GET", "/api/v1/mirrors", "", "")
	h.do(200, "GET", "/api/v1/gc/plan", "?all=true&orphans=true", "")
	h.do(200, "POST", "/api/v1/gc/runs", "", `{"orphans": true}`)
	h.do(200, "GET", "/api/v1/retention/plan", "?all=true", "")
	h.do(200, "GET", "/api/v1/retention/plan", "?repository=team/app", "")
	h.do(200, "POST", "/api/v1/retention/runs", "", `{}`)
	h.do(200, "POST", "/api/v1/scrub/runs", "", `{}`)
	h.do(200, "GET", "/api/v1/scrub", "", "")
	h.do(200, "GET", "/api/v1/quotas", "", "")
	h.do(200, "GET", "/api/v1/quotas/{path}", "", "", "team/app")
	h.do(200, "POST", "/api/v1/backups", "", `{}`)
	h.do(200, "GET", "/api/v1/audit", "?n=1000&after=0", "")
	h.do(200, "POST", "/api/v1/audit/verify", "", "")

	h.passwd = ""
	for path, operations := range h.doc.Paths {
		for method, o := range operations {
			if !slices.Contains([]string{"accounts", "operations", "journal"}, o.Tags[0]) {
				continue
			}
			h.do(401, strings.ToUpper(method), path, "", "", slices.Repeat([]string{"x"}, len(braces.FindAllString(path, -1)))...)
			for status := range o.Responses {
				if !h.answered[o.OperationID+" "+status] {
					t.Errorf("%s %s is described, and was not seen", o.OperationID, status)
				}
			}
			if o.RequestBody == nil {
				continue
			}
			ref := o.RequestBody.Content["application/json"].Schema.Ref
			for name := range h.doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")].Properties {
				if !h.sent[ref+" "+name] {
					t.Errorf("%s: %s is described, and was not sent", o.OperationID, name)
				}
			}
		}
	}
}

// TestOpenAPI_has_the_parameters that the routes of those who run the registry know: what is not known is refused with what is.
func TestOpenAPI_has_the_parameters(t *testing.T) {
	handler := door.New(door.Config{Policy: rights.Open}, slices.Concat(manage.Routes(manage.Config{}),
		artifactsapi.Routes(artifactsapi.Config{}))...)
	d, _ := readDescription(t, handler)
	looked := 0
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for method, o := range d.Paths[path] {
			if o.Tags[0] != "operations" {
				continue
			}
			looked++
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), strings.ToUpper(method), path+"?nothing=x", nil))
			want := "this path has no parameters"
			if names := d.parametersIn("query", o); len(names) > 0 {
				want = "this path knows " + strings.Join(names, ", ")
			}
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"`+want+`"`) {
				t.Errorf("%s %s with another parameter: %d %s, want %q", method, path, w.Code, w.Body, want)
			}
		}
	}
	if looked < 9 {
		t.Errorf("only %d operations", looked)
	}
}
