package intake

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const service = "cloud/dmp/ms-ingestion"

// house is a registry with its catalog and a shelf.
type house struct {
	t       testing.TB
	ctx     context.Context
	blobs   blob.Store
	uploads kv.DB
	reg     *registry.Registry
	*Shelf
}

func build(t testing.TB) *house { return buildOn(t, blob.NewMemory()) }

func buildOnDisk(t testing.TB) *house {
	t.Helper()
	store, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return buildOn(t, store)
}

func buildOn(t testing.TB, blobs blob.Store) *house {
	t.Helper()
	h := &house{t: t, ctx: journal.By(t.Context(), journal.Actor{Name: "user:alice"}), blobs: blobs, uploads: kv.NewMemory()}
	index := kv.NewMemory()
	catalog := artifacts.New(artifacts.Config{Index: index})
	var err error
	h.reg, err = registry.Open(h.ctx, registry.Config{Blobs: blobs, Index: index, Uploads: h.uploads, Admissions: []registry.Admission{catalog}})
	if err == nil {
		err = catalog.Prepare(h.ctx, h.reg)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Shelf = &Shelf{Registry: h.reg, Catalog: catalog}
	t.Cleanup(h.tidy)
	return h
}

// tidy holds whatever a test did to the promise that no upload is left behind.
func (h *house) tidy() {
	h.t.Helper()
	ctx := context.WithoutCancel(h.ctx)
	for row, err := range h.uploads.Scan(ctx, "", "") {
		h.t.Errorf("an upload is left behind: %q, %v", row.Key, err)
	}
	for left, err := range h.blobs.Uploads(ctx) {
		h.t.Errorf("bytes of an upload are left behind: %+v, %v", left, err)
	}
}

func (h *house) generic(number, name, content string) (Kept, error) {
	return h.File(h.ctx, service, number, artifacts.Generic, name, "", int64(len(content)), strings.NewReader(content), Put{})
}

func (h *house) deb(number, name string, spec debtest.Spec) (Kept, error) {
	return h.Deb(h.ctx, service, number, name, -1, strings.NewReader(string(debtest.Build(spec))), Put{})
}

func (h *house) must(k Kept, err error) Kept {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

// push stores a manifest of somebody else, with its blobs.
func (h *house) push(repo, tag string, m ocispec.Manifest, contents ...string) digest.Digest {
	h.t.Helper()
	for _, content := range append(contents, "{}") {
		if err := h.putBytes(h.ctx, repo, []byte(content)); err != nil {
			h.t.Fatal(err)
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		h.t.Fatal(err)
	}
	put, err := h.reg.PutManifest(h.ctx, registry.Put{Repo: repo, Ref: tag, Body: body})
	if err != nil {
		h.t.Fatal(err)
	}
	return put.Descriptor.Digest
}

// image pushes an image, and returns its digest.
func (h *house) image(number string) digest.Digest {
	h.t.Helper()
	config, content := `{"os":"linux","architecture":"amd64"}`, "layer of "+number
	m := artifact("", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString(content), Size: int64(len(content))})
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString(config), Size: int64(len(config))}
	return h.push(service, number, m, config, content)
}

// manifest returns what a tag names, or the zero manifest.
func (h *house) manifest(repo, ref string) (m ocispec.Manifest, d digest.Digest) {
	h.t.Helper()
	desc, body, err := h.reg.Manifest(h.ctx, repo, ref)
	if registry.Code(err) == registry.ManifestUnknown {
		return m, ""
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return m, desc.Digest
}

// files are the names of what a tag names, in their order.
func (h *house) files(tag string) (names []string) {
	h.t.Helper()
	m, _ := h.manifest(service, tag)
	for _, l := range m.Layers {
		names = append(names, title(l))
	}
	return names
}

func (h *house) wantFiles(tag string, want ...string) {
	h.t.Helper()
	if got := h.files(tag); !slices.Equal(got, want) {
		h.t.Errorf("%s has %q, want %q", tag, got, want)
	}
}

func (h *house) holds(content string) bool {
	h.t.Helper()
	_, err := h.reg.Blob(h.ctx, service, digest.FromString(content))
	if err != nil && registry.Code(err) != registry.BlobUnknown {
		h.t.Fatal(err)
	}
	return err == nil
}

// wantRefusal wants an error with a code that says all these words.
func wantRefusal(t testing.TB, err error, code string, words ...string) {
	t.Helper()
	if registry.Code(err) != code {
		t.Errorf("the error is %v, want a refusal %s", err, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the refusal does not say %q: %v", word, err)
		}
	}
}

// unread is a body that nobody should read.
type unread struct{ t testing.TB }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read, though it was clear before that it is refused")
	return 0, io.EOF
}

var errTorn = errors.New("the client went away")

// torn is a body that breaks off.
func torn(content string) io.Reader { return io.MultiReader(strings.NewReader(content), broken{}) }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errTorn }

// zeros is a body of many bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
