package tree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/kv"
)

const service = "cloud/dmp/ms-ingestion"

// house is a registry with its catalog and the tree, behind a door. Who sends a name as Authorization is the user of that name.
type house struct {
	t       testing.TB
	now     time.Time
	blobs   blob.Store
	reg     *registry.Registry
	catalog *artifacts.Catalog
	tree    *Tree
	handler http.Handler
	server  *httptest.Server
}

func build(t testing.TB, grants ...auth.Grant) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	if grants == nil {
		grants = auth.Everyone("full")
	}
	store, err := disk.Open(t.TempDir() + "/blobs")
	if err != nil {
		t.Fatal(err)
	}
	h.blobs = store
	index := kv.NewMemory()
	h.catalog = artifacts.New(artifacts.Config{Index: index, Now: func() time.Time { return h.now }})
	h.reg, err = registry.Open(t.Context(), registry.Config{
		Blobs: store, Index: index, Admissions: []registry.Admission{h.catalog}, Now: func() time.Time { return h.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.tree = New(Config{Catalog: h.catalog, Registry: h.reg, Log: slog.New(slog.DiscardHandler)})
	identify := func(_ context.Context, shown auth.Credentials) (auth.Identity, error) {
		return auth.Identity{Kind: auth.User, Name: shown.Authorization}, nil
	}
	h.handler = door.New(door.Config{Policy: auth.NewRules(grants, true), Identify: identify}, h.tree.Routes()...)
	h.server = httptest.NewServer(h.handler)
	t.Cleanup(h.server.Close)
	return h
}

func (h *house) blob(repo, mediaType, title string, content []byte) ocispec.Descriptor {
	h.t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if title != "" {
		d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	}
	if err := h.reg.PutBlob(h.t.Context(), repo, d.Digest, d.Size, bytes.NewReader(content)); err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *house) push(repo string, m any, tags ...string) ocispec.Descriptor {
	h.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		h.t.Fatal(err)
	}
	put, err := h.reg.PutManifest(h.t.Context(), registry.Put{Repo: repo, Ref: string(digest.FromBytes(body)), Tags: tags, Body: body})
	if err != nil {
		h.t.Fatal(err)
	}
	return put.Descriptor
}

// file is a file of a version, as oras push makes one.
type file struct{ name, mediaType, content string }

// files pushes files, in their order.
func (h *house) files(repo, artifactType string, subject *ocispec.Descriptor, files []file, tags ...string) ocispec.Descriptor {
	h.t.Helper()
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Subject: subject,
		Config: h.blob(repo, "application/vnd.oci.empty.v1+json", "", []byte("{}")), Layers: []ocispec.Descriptor{},
	}
	for _, f := range files {
		if f.mediaType == "" {
			f.mediaType = "application/octet-stream"
		}
		m.Layers = append(m.Layers, h.blob(repo, f.mediaType, f.name, []byte(f.content)))
	}
	return h.push(repo, m, tags...)
}

// document pushes a document that is about something.
func (h *house) document(repo, artifactType, name, text string, subject *ocispec.Descriptor, tags ...string) {
	h.t.Helper()
	h.files(repo, artifactType, subject, []file{{name, "application/yaml", text}}, tags...)
}

// image makes an image of layers as they are, each of which unpacks to a layer of the same place in content.
func (h *house) image(repo, arch string, content [][]byte, layers ...ocispec.Descriptor) ocispec.Manifest {
	h.t.Helper()
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}, RootFS: ocispec.RootFS{Type: "layers"}}
	for _, c := range content {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(c))
	}
	body, err := json.Marshal(config)
	if err != nil {
		h.t.Fatal(err)
	}
	return ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: h.blob(repo, ocispec.MediaTypeImageConfig, "", body), Layers: layers,
	}
}

// layer is a layer's tar file with one file in it.
func layerOf(name, text string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644})
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

func zipped(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

func zstandard(content []byte) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

// gzipImage pushes an image of two layers that are packed with gzip.
func (h *house) gzipImage(repo, arch, text string, tags ...string) ocispec.Descriptor {
	h.t.Helper()
	one, two := layerOf("one", text), layerOf("two", strings.Repeat(text, 100_000))
	return h.push(repo, h.image(repo, arch, [][]byte{one, two},
		h.blob(repo, ocispec.MediaTypeImageLayerGzip, "", zipped(one)), h.blob(repo, ocispec.MediaTypeImageLayerGzip, "", zipped(two))), tags...)
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body string
	cut  error // the answer was not whole
}

// get asks for a path, as the user if there is one; headers are given as key, value…
func (h *house) get(path string, headers ...string) reply {
	return h.do(http.MethodGet, path, headers...)
}

func (h *house) do(method, path string, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.server.URL+path, http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := h.server.Client().Transport.RoundTrip(req) // no redirects
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	body, cut := io.ReadAll(res.Body)
	return reply{res, string(body), cut}
}

func (r reply) want(t testing.TB, status int) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	return r
}

// list asks for a folder in JSON.
func (h *house) list(path string, headers ...string) Listing {
	h.t.Helper()
	r := h.get(path, append(headers, "Accept", "application/json")...).want(h.t, 200)
	var l Listing
	if err := json.Unmarshal([]byte(r.body), &l); err != nil || r.Header.Get("Content-Type") != "application/json" {
		h.t.Fatalf("%s: %v, %s: %s", path, err, r.Header.Get("Content-Type"), r.body)
	}
	return l
}

// names are the names in a folder, with a slash behind those of folders.
func (l Listing) names() string {
	var all []string
	for _, e := range l.Entries {
		if e.Type == Dir {
			e.Name += "/"
		}
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

func (l Listing) entry(t testing.TB, name string) Entry {
	t.Helper()
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("%s has no %s, but %s", l.Path, name, l.names())
	}
	return l.Entries[i]
}

func (h *house) wantNames(path, want string, headers ...string) {
	h.t.Helper()
	if got := h.list(path, headers...).names(); got != want {
		h.t.Errorf("%s has %q, want %q", path, got, want)
	}
}

const (
	ownerText    = "owner_team: cloud-dmp\nsource_repo: https://gitlab.example.com/cloud-dmp\n"
	metadataText = "architecture: amd64\ndomains: [cloud]\nenvironments: [prod]\ngroup: dmp\nservice_name: ms-ingestion\nteam: ingestion\n"
)

// furnish pushes a version with everything.
func (h *house) furnish() {
	h.t.Helper()
	image := h.gzipImage(service, "amd64", "hello", "1.0.2")
	generic := h.files(service, artifacts.TypeGeneric, nil, []file{
		{"fw.bin", "", "firmware"}, {"docs/read me.html", "text/html", "<script>alert(1)</script>"}, {"docs/häuser.txt", "text/plain", "Häuser"},
	}, "generic-1.0.2")
	h.now = h.now.Add(time.Hour)
	h.document("cloud/dmp", artifacts.TypeOwnership, "ownership.yaml", ownerText, nil, "ownership")
	h.document(service, artifacts.TypeMetadata, "metadata.yaml", metadataText, &image)
	h.document(service, artifacts.TypeBuild, "manifest.yaml", h.manifestText("docker", image.Digest), &image)
	h.document(service, artifacts.TypeBuild, "manifest.yaml", h.manifestText("generic", digest.FromString("firmware")), &generic)
}

func (h *house) manifestText(format string, d digest.Digest) string {
	return fmt.Sprintf("format: %s\nversion: 1.0.2\nsha256: %s\nbuilt_at: %s\n", format, d.Encoded(), h.now.Add(-2*time.Hour).Format(time.RFC3339))
}
