package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const (
	service = "cloud/dmp/ms-ingestion"
	other   = "cloud/net/router"
	sha     = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
)

// grants are who may do what. Whoever is called here logs in with "Bearer NAME"; everybody else is nobody in particular.
var grants = []auth.Grant{
	{Who: "user:root", Role: auth.Admin, On: auth.Everywhere},
	{Who: "user:reader", Role: auth.Reader, On: service},
	{Who: "user:deployer", Role: auth.Reader, On: "index"},
	{Who: "user:dev", Role: auth.Developer, On: "cloud/dmp"},
	{Who: "user:maintainer", Role: auth.Maintainer, On: "cloud/dmp"},
	{Who: "user:lead", Role: auth.DomainLead, On: "cloud/dmp"},
	{Who: "user:narrow", Role: auth.Reader, On: "cloud/dmp/utils"},
	{Who: "user:stranger", Role: auth.Reader, On: "iot"},
}

// house is a registry with its catalog and its door, on Memory stores.
type house struct {
	t       testing.TB
	reg     *registry.Registry
	catalog *artifacts.Catalog
	routes  []door.Route
	server  *httptest.Server
	files   []string    // what File was asked for
	seen    func(reply) // is shown every answer
}

func build(t testing.TB, change ...func(*Config)) *house {
	t.Helper()
	h := &house{t: t}
	index := kv.NewMemory()
	keys, err := suite.OpenKeys(suite.KeysConfig{Index: index, Service: "registry.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	h.catalog = artifacts.New(artifacts.Config{Index: index, Keys: keys, Rules: map[string]artifacts.Level{"metadata.notes.type": artifacts.Warn}})
	h.reg, err = registry.Open(context.Background(), registry.Config{Blobs: blob.NewMemory(), Index: index, Admissions: []registry.Admission{h.catalog}})
	if err == nil {
		err = h.catalog.Prepare(context.Background(), h.reg)
	}
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Catalog: h.catalog, Shelf: &intake.Shelf{Registry: h.reg, Catalog: h.catalog}, URL: "https://registry.example.com/", File: h.file,
	}
	for _, f := range change {
		f(&config)
	}
	h.routes = Routes(config)
	h.server = httptest.NewServer(door.New(door.Config{Policy: auth.NewRules(grants, true), Identify: identify, Log: slog.New(slog.DiscardHandler)}, h.routes...))
	t.Cleanup(h.server.Close)
	return h
}

func identify(_ context.Context, shown auth.Credentials) (auth.Identity, error) {
	name, ok := strings.CutPrefix(shown.Authorization, "Bearer ")
	if !ok {
		return auth.Identity{}, auth.ErrWrong
	}
	return auth.Identity{Kind: auth.User, Name: name}, nil
}

// file stands where package artifacts/tree does.
func (h *house) file(w http.ResponseWriter, _ *http.Request, _ door.Call, component, version, rest string) error {
	h.files = append(h.files, component+" "+version+" "+rest)
	w.Header().Set("Content-Type", map[bool]string{true: "application/yaml", false: "text/plain"}[strings.HasSuffix(rest, ".yaml")])
	_, _ = io.WriteString(w, "content\n")
	return nil
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body []byte
}

// do sends a request as somebody ("" is nobody); headers are given as key, value…
func (h *house) do(who, method, path, body string, headers ...string) reply {
	h.t.Helper()
	return h.send(who, method, path, strings.NewReader(body), headers...)
}

func (h *house) send(who, method, path string, body io.Reader, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.server.URL+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.server.Client().Transport.RoundTrip(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	r := reply{Response: res}
	if r.body, err = io.ReadAll(res.Body); err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	if h.seen != nil {
		h.seen(r)
	}
	return r
}

func (h *house) get(who, path string, headers ...string) reply {
	h.t.Helper()
	return h.do(who, "GET", path, "", headers...)
}

func (h *house) post(who, path string, value any) reply {
	h.t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do(who, "POST", path, string(body), "Content-Type", "application/json")
}

func (r reply) want(t testing.TB, status int) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	return r
}

// says fails unless an answer has all of these words, and none of those after a !.
func (r reply) says(t testing.TB, words ...string) reply {
	t.Helper()
	for _, word := range words {
		not, no := strings.CutPrefix(word, "!")
		if no == bytes.Contains(r.body, []byte(not)) {
			t.Errorf("%s %s: the answer should say %q: %s", r.Request.Method, r.Request.URL, word, r.body)
		}
	}
	return r
}

// problem fails unless an answer is a problem of this status whose detail has these words.
func (r reply) problem(t testing.TB, status int, words ...string) reply {
	t.Helper()
	r.want(t, status)
	var p struct {
		Status int
		Detail string
		Errors []struct{ Code string }
	}
	if err := json.Unmarshal(r.body, &p); err != nil || p.Status != status || len(p.Errors) != 1 || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: no problem: %s %s, %v", r.Request.Method, r.Request.URL, r.Header.Get("Content-Type"), r.body, err)
	}
	for _, word := range words {
		if !strings.Contains(p.Detail, word) {
			t.Errorf("%s %s: the detail should say %q: %q", r.Request.Method, r.Request.URL, word, p.Detail)
		}
	}
	return r
}

// into reads an answer's JSON.
func into[T any](t testing.TB, r reply) (value T) {
	t.Helper()
	if err := json.Unmarshal(r.body, &value); err != nil {
		t.Fatalf("%s %s: %v: %s", r.Request.Method, r.Request.URL, err, r.body)
	}
	return value
}

// blob stores content and returns its descriptor.
func (h *house) blob(repo, mediaType string, content []byte) ocispec.Descriptor {
	h.t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if err := h.reg.PutBlob(h.t.Context(), repo, d.Digest, d.Size, bytes.NewReader(content)); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// image pushes one, built from a commit, and returns its digest.
func (h *house) image(repo, number, commit string) digest.Digest {
	h.t.Helper()
	config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","config":{"Labels":{"org.opencontainers.image.revision":%q,"team":"infra"},"ExposedPorts":{"8443/tcp":{}}}}`, commit)
	body, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: h.blob(repo, ocispec.MediaTypeImageConfig, []byte(config)),
		Layers: []ocispec.Descriptor{h.blob(repo, ocispec.MediaTypeImageLayerGzip, []byte(repo+number))},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx := journal.By(h.t.Context(), journal.Actor{Name: "user:alice"})
	put, err := h.reg.PutManifest(ctx, registry.Put{Repo: repo, Ref: number, Body: body})
	if err != nil {
		h.t.Fatal(err)
	}
	return put.Descriptor.Digest
}

const ownership = "owner_team: dmp\nsource_repo: https://git.example.com/dmp\n"

func manifestYAML(number string, d digest.Digest) string {
	return fmt.Sprintf("format: docker\nversion: %s\nsha256: %s\nbuilt_at: %s\n", number, d, time.Now().UTC().Add(-time.Minute).Format(time.RFC3339))
}

func metadataYAML(repo, more string) string {
	parts := strings.Split(repo, "/")
	return fmt.Sprintf("architecture: amd64\ndomains: [cloud]\nenvironments: [staging, prod]\ngroup: %s\nservice_name: %s\nteam: infra\n%s", parts[1], parts[2], more)
}

func paths(repo string) (component, group string) {
	return "/api/v1/components/" + repo, "/api/v1/groups/" + repo[:strings.LastIndexByte(repo, '/')]
}

// good pushes a version with all its documents.
func (h *house) good(repo, number, commit, more string) digest.Digest {
	h.t.Helper()
	component, group := paths(repo)
	if r := h.do("root", "PUT", group+"/ownership.yaml", ownership); r.StatusCode != 200 {
		r.want(h.t, 201)
	}
	d := h.image(repo, number, commit)
	h.do("root", "PUT", component+"/versions/"+number+"/docker/manifest.yaml", manifestYAML(number, d)).want(h.t, 201)
	h.do("root", "PUT", component+"/versions/"+number+"/metadata.yaml", metadataYAML(repo, more)).want(h.t, 201)
	return d
}

// promote deploys a version and returns the move's id.
func (h *house) promote(repo, number, place string) string {
	h.t.Helper()
	r := h.post("root", "/api/v1/promotions", map[string]string{"component": repo, "version": number, "to": place, "reason": "test"}).want(h.t, 201)
	return into[artifacts.Move](h.t, r).ID
}
