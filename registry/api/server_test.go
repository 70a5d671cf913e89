package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// house is a registry with its door, on Memory stores unless a test puts others in their place.
type house struct {
	t       testing.TB
	blobs   blob.Store
	index   kv.DB
	uploads kv.DB
	policy  auth.Policy
	reg     *registry.Registry
	api     Config
	door    door.Config
	log     *lines
	handler http.Handler
	server  *httptest.Server
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// taken returns what was logged since the last call.
func (l *lines) taken() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

func build(t testing.TB, change ...func(*house)) *house {
	t.Helper()
	h := &house{t: t, blobs: blob.NewMemory(), index: kv.NewMemory(), uploads: kv.NewMemory(), policy: auth.Open, log: &lines{}}
	for _, f := range change {
		f(h)
	}
	reg, err := registry.Open(context.Background(), registry.Config{Blobs: h.blobs, Index: h.index, Uploads: h.uploads})
	if err != nil {
		t.Fatal(err)
	}
	h.reg, h.api.Registry, h.door.Policy = reg, reg, h.policy
	h.door.Log = slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.api.Moves = moves{}
	h.handler = door.New(h.door, Routes(h.api)...)
	h.server = httptest.NewServer(h.handler)
	t.Cleanup(h.server.Close)
	return h
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body []byte
	cut  error // the answer was not whole
}

// do sends a request; headers are given as key, value…
func (h *house) do(method, path string, body []byte, headers ...string) reply {
	h.t.Helper()
	return h.send(method, path, bytes.NewReader(body), headers...)
}

func (h *house) send(method, path string, body io.Reader, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.server.URL+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.server.Client().Transport.RoundTrip(req) // no redirects
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	r := reply{Response: res}
	r.body, r.cut = io.ReadAll(res.Body)
	return r
}

func (r reply) want(t testing.TB, status int) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	return r
}

// fault reads the envelope, which must be of the specification's form, and returns its only entry.
func (r reply) fault(t testing.TB) (code string, detail map[string]any) {
	t.Helper()
	var e struct {
		Errors []struct {
			Code    string
			Message string
			Detail  map[string]any
		}
	}
	if err := json.Unmarshal(r.body, &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Code == "" || e.Errors[0].Message == "" {
		t.Fatalf("%s %s: %d: no envelope of one error: %q, %v", r.Request.Method, r.Request.URL, r.StatusCode, r.body, err)
	}
	want := "application/json"
	if strings.HasPrefix(r.Request.URL.Path, "/api/") {
		want = "application/problem+json"
	}
	if got := r.Header.Get("Content-Type"); got != want {
		t.Errorf("%s %s: an error of type %q", r.Request.Method, r.Request.URL, got)
	}
	return e.Errors[0].Code, e.Errors[0].Detail
}

func octets(seed string, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b)
	return b
}

func (h *house) pushBlob(repo string, content []byte) digest.Digest {
	h.t.Helper()
	d := digest.FromBytes(content)
	h.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(d), content).want(h.t, 201)
	return d
}

func imageOf(config []byte, note string) []byte {
	body, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "annotations": map[string]string{"note": note},
		"config": map[string]any{"mediaType": ocispec.MediaTypeImageConfig, "digest": digest.FromBytes(config), "size": len(config)}, "layers": []any{},
	})
	if err != nil {
		panic(err)
	}
	return body
}

func (h *house) pushImage(repo, tag, note string) (digest.Digest, []byte) {
	h.t.Helper()
	h.pushBlob(repo, []byte("{}"))
	body := imageOf([]byte("{}"), note)
	h.do("PUT", "/v2/"+repo+"/manifests/"+tag, body, "Content-Type", ocispec.MediaTypeImageManifest).want(h.t, 201)
	return digest.FromBytes(body), body
}

func (h *house) begin(repo string) string {
	h.t.Helper()
	return h.do("POST", "/v2/"+repo+"/blobs/uploads/", nil).want(h.t, 202).Header.Get("Location")
}

// dump is everything that a database holds.
func dump(t testing.TB, db kv.View) string {
	t.Helper()
	var b strings.Builder
	for p, err := range db.Scan(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(p.Key + "=" + string(p.Value) + "\n")
	}
	return b.String()
}

// eventually waits until is holds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("in five seconds not yet: %s", what)
}

// moves knows one domain tag, and moves nothing.
type moves struct{}

func (moves) IsDomainTag(_, tag string) bool { return tag == "cloud.prod" }
func (moves) IsLast(string) bool             { return true }
func (moves) MoveTag(_ context.Context, repo, tag string, d digest.Digest, _ func(string) bool) error {
	return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "tag": tag, "digest": string(d), "hint": "nothing moves here"}}
}
