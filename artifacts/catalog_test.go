package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const service = "cloud/dmp/ms-ingestion"

// house is a registry with its catalog, on the stores that newStores makes.
type house struct {
	t     testing.TB
	index kv.DB
	blobs blob.Store
	reg   *registry.Registry
	*Catalog
}

func build(t testing.TB) *house {
	t.Helper()
	h := &house{t: t}
	h.index, h.blobs = newStores(t)
	keys, err := suite.OpenKeys(suite.KeysConfig{Index: h.index, Service: "registry.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	h.Catalog = New(Config{Index: h.index, Keys: keys})
	h.open(h.Catalog)
	return h
}

func (h *house) open(admissions ...registry.Admission) {
	h.t.Helper()
	var err error
	h.reg, err = registry.Open(context.Background(), registry.Config{Blobs: h.blobs, Index: h.index, Admissions: admissions})
	if err == nil && h.Catalog != nil {
		err = h.Prepare(context.Background(), h.reg)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) blob(repo, mediaType, title string, content []byte) ocispec.Descriptor {
	h.t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if title != "" {
		d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	}
	if err := h.reg.PutBlob(h.t.Context(), repo, d.Digest, d.Size, strings.NewReader(string(content))); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// push stores a manifest with the tags, as somebody, and returns its digest.
func (h *house) push(repo string, m any, tags ...string) (digest.Digest, error) {
	h.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		h.t.Fatal(err)
	}
	p := registry.Put{Repo: repo, Ref: string(digest.FromBytes(body)), Tags: tags, Body: body}
	ctx := journal.By(h.t.Context(), journal.Actor{Name: "user:alice"})
	put, err := h.reg.PutManifest(ctx, p)
	return put.Descriptor.Digest, err
}

func (h *house) must(d digest.Digest, err error) digest.Digest {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// image is an image for a platform with a commit; note makes another manifest of the same content.
func (h *house) image(repo, arch, commit, layer, note string) ocispec.Manifest {
	config := fmt.Sprintf(`{"os":"linux","architecture":%q,"config":{"Labels":{"org.opencontainers.image.revision":%q}}}`, arch, commit)
	return ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: h.blob(repo, ocispec.MediaTypeImageConfig, "", []byte(config)), Layers: []ocispec.Descriptor{h.blob(repo, ocispec.MediaTypeImageLayerGzip, "", []byte(layer))},
		Annotations: map[string]string{"note": note},
	}
}

// files is what oras push makes of files.
func (h *house) files(repo, artifactType, created string, files map[string][]byte) ocispec.Manifest {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config:      h.blob(repo, "application/vnd.oci.empty.v1+json", "", []byte("{}")),
		Annotations: map[string]string{ocispec.AnnotationCreated: created},
	}
	for name, content := range files {
		m.Layers = append(m.Layers, h.blob(repo, "application/octet-stream", name, content))
	}
	return m
}

func (h *house) version(number string) Version {
	h.t.Helper()
	v, err := h.Version(h.t.Context(), service, number)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func denied(t testing.TB, err error, words ...string) {
	t.Helper()
	if registry.Code(err) != registry.Denied {
		t.Errorf("it is not refused: %v", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the refusal does not say %q: %v", word, err)
		}
	}
}

const sha = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"

// TestCatalog_recognises what plain tools push, in all three formats, as one version.
func TestCatalog_recognises(t *testing.T) {
	h := build(t)
	d := h.must(h.push(service, h.image(service, "amd64", sha, "layer", ""), "1.0.2", "pr-17"))
	amd := debtest.Build(debtest.Spec{Package: "ms-ingestion", Version: "1.0.2-1", Arch: "amd64"})
	h.must(h.push(service, h.files(service, "", "2026-01-01T00:00:00Z", map[string][]byte{"x.deb": amd}), "deb-1.0.2"))
	h.must(h.push(service, h.files(service, TypeGeneric, "", map[string][]byte{"fw.bin": []byte("firmware")}), "generic-1.0.2"))
	v := h.version("1.0.2")
	if len(v.Formats) != 3 || v.Commit != sha || v.Formats[Docker].Digest != d || v.Formats[Docker].By != "user:alice" || v.Formats[Docker].Size != 5 ||
		fmt.Sprint(v.Formats[Docker].Platforms) != "[linux/amd64]" {
		t.Errorf("%+v", v)
	}
	if f := v.Formats[Deb].Files; len(f) != 1 || f[0].Name != "ms-ingestion_1.0.2-1_amd64.deb" || f[0].Package == nil || *f[0].Package != (Package{"ms-ingestion", "1.0.2-1", "amd64"}) {
		t.Errorf("%+v", f)
	}
	if f := v.Formats[Generic].Files; len(f) != 1 || f[0].Name != "fw.bin" || f[0].Size != 8 || f[0].Package != nil {
		t.Errorf("%+v", f)
	}
	if stored, err := h.reg.Stored(t.Context(), service, "commit-"+sha); err != nil || stored.Digest != d {
		t.Errorf("the commit's tag names %v, %v", stored.Digest, err)
	}
	found := 0
	for v, err := range h.Commit(t.Context(), sha[:7]) {
		if found++; err != nil || v.Version != "1.0.2" {
			t.Error(v, err)
		}
	}
	for c, err := range h.Components(t.Context(), "") {
		if found++; err != nil || c.Name != service || c.Created.IsZero() {
			t.Error(c, err)
		}
	}
	if found != 2 {
		t.Errorf("%d found", found)
	}
	// Repositories of other depths are nobody's component.
	h.must(h.push("team/tool", h.image("team/tool", "amd64", sha, "layer", ""), "1.0.2", "latest"))
	if _, err := h.Component(t.Context(), "team/tool"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// TestCatalog_versions_never_change: the same content may be pushed again, other content never, not even after the version was deleted.
func TestCatalog_versions_never_change(t *testing.T) {
	h := build(t)
	first := h.must(h.push(service, h.image(service, "amd64", "", "layer", "first"), "1.0.2"))
	again := h.must(h.push(service, h.image(service, "amd64", "", "layer", "again"), "v1.0.2", "1.0.2"))
	if stored, err := h.reg.Stored(t.Context(), service, "1.0.2"); err != nil || stored.Digest != first || first == again {
		t.Errorf("it names %v, %v", stored.Digest, err)
	}
	_, err := h.push(service, h.image(service, "amd64", "", "another", ""), "1.0.2")
	denied(t, err, "user:alice", "1.0.3", "names other content")
	if err := h.reg.DeleteTag(t.Context(), service, "1.0.2", nil); err != nil {
		t.Fatal(err)
	}
	_, err = h.push(service, h.image(service, "amd64", "", "another", ""), "1.0.2")
	denied(t, err, "was deleted")
	if err := h.reg.DeleteManifest(t.Context(), service, first, nil); err != nil {
		t.Fatal(err)
	}
	_, err = h.push(service, h.image(service, "amd64", "", "another", ""), "1.0.2")
	denied(t, err, "was deleted")
	h.must(h.push(service, h.image(service, "amd64", "", "layer", "back again"), "1.0.2"))
	if h.version("1.0.2").Formats[Docker].Tag == "" {
		t.Error("what came back is not a version")
	}
	// oras stamps the time: two pushes of the same files are the same content.
	fw := map[string][]byte{"fw.bin": []byte("firmware")}
	h.must(h.push(service, h.files(service, "", "2026-01-01T00:00:00Z", fw), "generic-1.0.2"))
	h.must(h.push(service, h.files(service, "", "2026-01-02T00:00:00Z", fw), "generic-1.0.2"))
	_, err = h.push(service, h.files(service, "", "", map[string][]byte{"other.bin": []byte("firmware")}), "generic-1.0.2")
	denied(t, err, "generic-1.0.3")
	// Scratch tags move, and in other repositories all do.
	h.must(h.push(service, h.image(service, "amd64", "", "a", ""), "pr-17"))
	h.must(h.push(service, h.image(service, "amd64", "", "b", ""), "pr-17"))
	h.must(h.push("team/tool", h.image("team/tool", "amd64", "", "a", ""), "1.0.2"))
	h.must(h.push("team/tool", h.image("team/tool", "amd64", "", "b", ""), "1.0.2"))
}

func TestCatalog_tags_name_what_they_promise(t *testing.T) {
	h := build(t)
	image := h.image(service, "amd64", "", "layer", "")
	fw := h.files(service, "", "", map[string][]byte{"fw.bin": []byte("firmware")})
	for _, c := range []struct {
		m    ocispec.Manifest
		tag  string
		hint string
	}{
		{image, "deb-1.0.2", "push it under 1.0.2"},
		{fw, "1.0.2", "push it under generic-1.0.2"},
		{fw, "deb-1.0.2", "push it under generic-1.0.2"},
		{image, "latest", "by itself"},
		{image, "cloud.prod", "promotion"},
		{h.files(service, TypeMetadata, "", map[string][]byte{"metadata.yaml": []byte("a: b")}), "1.0.2", "attach it"},
	} {
		_, err := h.push(service, c.m, c.tag)
		denied(t, err, c.hint)
	}
	_, err := h.push(service, h.files(service, "", "", map[string][]byte{"x.deb": []byte("not a deb")}), "deb-1.0.2")
	if registry.Code(err) != registry.ManifestInvalid || !strings.Contains(err.Error(), "x.deb is no Debian package") {
		t.Error(err)
	}
	if rows := 0; true {
		for range h.Versions(t.Context(), service) {
			rows++
		}
		if rows > 0 {
			t.Errorf("%d versions of what was refused", rows)
		}
	}
}

// TestCatalog_forgets what was deleted, and the component with its last version.
func TestCatalog_forgets(t *testing.T) {
	h := build(t)
	d := h.must(h.push(service, h.image(service, "amd64", sha, "layer", ""), "1.0.2"))
	h.must(h.push(service, h.files(service, "", "", map[string][]byte{"fw.bin": []byte("x")}), "generic-1.0.2"))
	if err := h.reg.DeleteTag(t.Context(), service, "generic-1.0.2", nil); err != nil {
		t.Fatal(err)
	}
	if v := h.version("1.0.2"); len(v.Formats) != 1 {
		t.Errorf("%+v", v)
	}
	if err := h.reg.DeleteManifest(t.Context(), service, d, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Component(t.Context(), service); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	for v, err := range h.Commit(t.Context(), sha) {
		t.Error(v, err)
	}
}

// TestCatalog_spellings: v1.0.2 is 1.0.2, and cannot name anything else.
func TestCatalog_spellings(t *testing.T) {
	h := build(t)
	m := h.image(service, "amd64", "", "layer", "")
	h.must(h.push(service, m, "1.0.2"))
	h.must(h.push(service, m, "v1.0.2"))
	_, err := h.push(service, h.image(service, "amd64", "", "other", ""), "v1.0.2")
	denied(t, err, "1.0.2")
	_, err = h.push(service, h.image(service, "amd64", "", "another", ""), "v1.0.2", "pr-1")
	denied(t, err, "1.0.2")
	if v := h.version("1.0.2"); v.Formats[Docker].Tag != "1.0.2" {
		t.Errorf("%+v", v)
	}
}

// TestCatalog_takes_what_oras_makes of files when nobody says what they are.
func TestCatalog_takes_what_oras_makes(t *testing.T) {
	h := build(t)
	h.must(h.push(service, h.files(service, typeUnknown, "", map[string][]byte{"fw.bin": []byte("firmware")}), "generic-1.0.2"))
	pkg := debtest.Build(debtest.Spec{Package: "xx", Version: "1", Arch: "all"})
	h.must(h.push(service, h.files(service, typeUnknown, "", map[string][]byte{"x.deb": pkg}), "deb-1.0.2"))
	if v := h.version("1.0.2"); len(v.Formats) != 2 {
		t.Errorf("%+v", v)
	}
}

// TestCatalog_grows: files are added to a version until it is deployed.
func TestCatalog_grows(t *testing.T) {
	h := build(t)
	files := map[string][]byte{"a.bin": []byte("a")}
	h.must(h.push(service, h.files(service, TypeGeneric, "", files), "generic-1.0.2"))
	files["b.bin"] = []byte("b")
	h.must(h.push(service, h.files(service, TypeGeneric, "", files), "generic-1.0.2"))
	if f := h.version("1.0.2").Formats[Generic].Files; len(f) != 2 {
		t.Errorf("%+v", f)
	}
	files["a.bin"] = []byte("another")
	_, err := h.push(service, h.files(service, TypeGeneric, "", files), "generic-1.0.2")
	denied(t, err, "names other content")
	h.release(service, "2.0.0", false)
	files = map[string][]byte{"a.bin": []byte("a")}
	g := h.must(h.push(service, h.files(service, TypeGeneric, "", files), "generic-2.0.0"))
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("generic", "2.0.0", digest.FromString("a"), "2026-01-01T00:00:00Z"), g))
	h.promote(service, "2.0.0", prod)
	files["b.bin"] = []byte("b")
	_, err = h.push(service, h.files(service, TypeGeneric, "", files), "generic-2.0.0")
	denied(t, err, "deployed in cloud.prod")
}

// TestCatalog_Prepare: a catalog that begins later, or whose index was built anew, has the same rows.
func TestCatalog_Prepare(t *testing.T) {
	h := build(t)
	h.must(h.push(service, h.image(service, "amd64", sha, "layer", ""), "1.0.2"))
	h.must(h.push(service, h.image(service, "arm64", "", "layer", ""), "1.1.0-rc.1"))
	pkg := debtest.Build(debtest.Spec{Package: "xx", Version: "1", Arch: "all"})
	h.must(h.push(service, h.files(service, "", "", map[string][]byte{"x.deb": pkg}), "deb-1.0.2"))
	rows := func() string {
		var b strings.Builder
		for _, prefix := range []string{prefixComponent, prefixVersion, prefixMade, prefixCommit} {
			from, to := kv.Prefix(prefix)
			for row, err := range h.index.Scan(t.Context(), from, to) {
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s=%s\n", row.Key, row.Value)
			}
		}
		return b.String()
	}
	want := rows()
	if err := h.index.Update(t.Context(), func(tx kv.Tx) error {
		for _, prefix := range []string{keyCatalog, prefixComponent, prefixVersion, prefixMade, prefixCommit} {
			from, to := kv.Prefix(prefix)
			for row, err := range tx.Scan(t.Context(), from, to) {
				if err != nil {
					return err
				}
				tx.Delete(row.Key)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Prepare(t.Context(), h.reg); err != nil {
			t.Fatal(err)
		}
		if got := rows(); got != want {
			t.Errorf("made anew:\n%s\nbefore:\n%s", got, want)
		}
	}
	if err := h.index.Update(t.Context(), func(tx kv.Tx) error { tx.Put(keyCatalog, []byte("9")); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := h.Prepare(t.Context(), h.reg); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Error(err)
	}
}

// TestCatalog_index_of_images: platforms come from the index, attestations are none.
func TestCatalog_index_of_images(t *testing.T) {
	h := build(t)
	var children []ocispec.Descriptor
	for _, arch := range []string{"amd64", "arm64"} {
		m := h.image(service, arch, sha, arch, "")
		d := h.must(h.push(service, m))
		children = append(children, ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: 1, Platform: &ocispec.Platform{OS: "linux", Architecture: arch}})
	}
	children = append(children, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("attestation"), Size: 1, Platform: &ocispec.Platform{OS: "unknown", Architecture: "unknown"}})
	h.must(h.push(service, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}, "2.0.0"))
	v := h.version("2.0.0")
	if fmt.Sprint(v.Formats[Docker].Platforms) != "[linux/amd64 linux/arm64]" || v.Commit != sha || v.Created.After(time.Now()) {
		t.Errorf("%+v", v)
	}
}

// attach pushes a document that refers to something.
func (h *house) attach(repo, file, text string, subject digest.Digest, tags ...string) error {
	h.t.Helper()
	m := h.files(repo, "", text[:min(len(text), 5)]+time.Now().String(), map[string][]byte{file: []byte(text)})
	if subject != "" {
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}
	}
	_, err := h.push(repo, m, tags...)
	return err
}

func manifestYAML(format, number string, d digest.Digest, built string) string {
	return fmt.Sprintf("format: %s\nversion: %s\nsha256: %s\nbuilt_at: %s\n", format, number, d, built)
}

const metadataYAML = "architecture: amd64\ndomains: [cloud]\nenvironments: [staging, prod]\ngroup: dmp\nservice_name: ms-ingestion\nteam: ingestion\n"

const ownershipYAML = "owner_team: ingestion\nsource_repo: https://gitlab.example.com/cloud/dmp\n"

func (h *house) good(number string) bool {
	h.t.Helper()
	s, err := h.State(h.t.Context(), service, number)
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Good
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestDocuments_make_a_version_good, and latest follows the highest that is.
func TestDocuments_make_a_version_good(t *testing.T) {
	h := build(t)
	d := h.must(h.push(service, h.image(service, "amd64", sha, "layer", ""), "1.0.2"))
	if h.good("1.0.2") {
		t.Error("it is good without documents")
	}
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("docker", "1.0.2", d, "2026-01-01T00:00:00Z"), d))
	h.ok(h.attach(service, "metadata.yaml", metadataYAML, d))
	if h.good("1.0.2") {
		t.Error("it is good without an owner")
	}
	h.ok(h.attach("cloud/dmp", "ownership.yaml", ownershipYAML, "", "ownership"))
	if s, err := h.State(t.Context(), service, "1.0.2"); err != nil || !s.Good || len(s.Documents) != 2 || len(s.Findings) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	latest := func(want digest.Digest) {
		t.Helper()
		if s, err := h.reg.Stored(t.Context(), service, "latest"); err != nil || s.Digest != want {
			t.Errorf("latest is %v, %v, want %v", s.Digest, err, want)
		}
	}
	latest(d)
	// Documents may come first.
	rc := h.image(service, "amd64", "", "rc", "")
	next := h.image(service, "amd64", "", "next", "")
	for number, m := range map[string]ocispec.Manifest{"2.0.0-rc.1": rc, "1.1.0": next} {
		body, err := json.Marshal(m)
		h.ok(err)
		d := digest.FromBytes(body)
		h.ok(h.attach(service, "manifest.yaml", manifestYAML("docker", number, d, "2026-01-02T00:00:00Z"), d))
		h.ok(h.attach(service, "metadata.yaml", metadataYAML, d))
		if got := h.must(h.push(service, m, number)); got != d {
			t.Fatal(got)
		}
		if !h.good(number) {
			t.Errorf("%s is not good", number)
		}
	}
	nextBody, _ := json.Marshal(next)
	latest(digest.FromBytes(nextBody))
	if c, err := h.Component(t.Context(), service); err != nil || c.Latest != "1.1.0" {
		t.Error(c, err)
	}
}

// TestDocuments_are_judged on arrival, with everything that is wrong at once.
func TestDocuments_are_judged(t *testing.T) {
	h := build(t)
	h.staleBuild, h.baseImages, h.requiredLabels = 30*24*time.Hour, []string{"python:3.*"}, []string{"team"}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	h.now = func() time.Time { return now }
	h.rules = map[string]Level{"manifest.base_image.denied": Warn}
	d := h.must(h.push(service, h.image(service, "amd64", sha, "layer", ""), "1.0.2"))
	err := h.attach(service, "manifest.yaml", "format: deb\nversion: 1.0.3\nsha256: "+strings.Repeat("a", 64)+"\nbuilt_at: 2020-01-01T00:00:00Z\nbase_image: debian:12\nlabels: {a: b}\nnonsense: 1\n", d)
	if registry.Code(err) != registry.ManifestInvalid {
		t.Fatal(err)
	}
	for _, want := range []string{"line 7", "nonsense"} { // what is no document is said first
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	err = h.attach(service, "manifest.yaml", "format: deb\nversion: 1.0.3\nsha256: "+strings.Repeat("a", 64)+"\nbuilt_at: 2020-01-01T00:00:00Z\nbase_image: debian:12\nlabels: {a: b}\n", d)
	for _, want := range []string{"line 1, column 9: format: is deb", "version: is 1.0.3, but the tag says 1.0.2", "write " + string(d), "built_at: is 54024h", "warn: line 5", "labels.a", "lacks team"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	err = h.attach(service, "metadata.yaml", "architecture: arm64\ndomains: [cloud]\nenvironments: [prod]\ngroup: core\nservice_name: other\nteam: x\nmulti_arch: true\n", d)
	for _, want := range []string{"write dmp", "write ms-ingestion", "write [amd64]", "write false"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("docker", "1.0.2", d, "2026-02-28T00:00:00Z")+"labels: {org.opencontainers.image.revision: "+sha+"}\n", d))
	h.ok(h.attach(service, "metadata.yaml", metadataYAML, d))
	err = h.attach(service, "metadata.yaml", strings.Replace(metadataYAML, "ingestion\n", "others\n", 2), d)
	if err == nil || !strings.Contains(err.Error(), "user:alice attached to this version") {
		t.Error(err)
	}
	older := h.must(h.push(service, h.image(service, "amd64", "", "older", ""), "1.1.0"))
	err = h.attach(service, "manifest.yaml", manifestYAML("docker", "1.1.0", older, "2026-02-27T00:00:00Z"), older)
	if err == nil || !strings.Contains(err.Error(), "when the version before was built") {
		t.Error(err)
	}
	// What came before its subject is not refused but found.
	m := h.image(service, "amd64", "", "late", "")
	body, _ := json.Marshal(m)
	late := digest.FromBytes(body)
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("docker", "9.9.9", late, "2026-02-28T01:00:00Z"), late))
	h.must(h.push(service, m, "1.2.0"))
	s, err := h.State(t.Context(), service, "1.2.0")
	if err != nil || s.Good || len(s.Documents) != 1 || !strings.Contains(fmt.Sprint(s.Findings), "but the tag says 1.2.0") {
		t.Errorf("%+v, %v", s, err)
	}
	if err := h.attach("cloud/dmp", "ownership.yaml", "owner_team: x\nsource_repo: not a url\n", "", "ownership"); err == nil || !strings.Contains(err.Error(), "source_repo") {
		t.Error(err)
	}
}

// TestCatalog_one_manifest_of_two_versions: a candidate becomes the release. Each has its own manifest.yaml, and both the metadata.yaml.
func TestCatalog_one_manifest_of_two_versions(t *testing.T) {
	h := build(t)
	m := h.image(service, "amd64", "", "layer", "")
	d := h.must(h.push(service, m, "1.0.0-rc.1"))
	h.ok(h.attach("cloud/dmp", "ownership.yaml", ownershipYAML, "", "ownership"))
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("docker", "1.0.0-rc.1", d, "2026-01-01T00:00:00Z"), d))
	h.ok(h.attach(service, "metadata.yaml", metadataYAML, d))
	h.must(h.push(service, m, "1.0.0"))
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("docker", "1.0.0", d, "2026-01-01T00:00:00Z"), d))
	for _, number := range []string{"1.0.0-rc.1", "1.0.0"} {
		s, err := h.State(t.Context(), service, number)
		if err != nil || !s.Good || !strings.Contains(s.Documents["docker"].Text, "version: "+number+"\n") || s.Documents["metadata"].Text != metadataYAML {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if err := h.attach(service, "manifest.yaml", manifestYAML("docker", "1.0.1", d, "2026-01-01T00:00:00Z"), d); err == nil || !strings.Contains(err.Error(), "the tag says 1.0.0;") {
		t.Errorf("a third version: %v", err)
	}
	if err := (Tags{h.Catalog}).MoveTag(t.Context(), service, "cloud.prod", d, nil); err != nil {
		t.Error(err)
	}
	if at, err := h.Deployed(t.Context(), service, prod); err != nil || at.Version != "1.0.0" {
		t.Errorf("%+v, %v", at, err)
	}
	h.ok(h.reg.DeleteTag(t.Context(), service, "1.0.0-rc.1", nil))
	if s, err := h.State(t.Context(), service, "1.0.0"); err != nil || !s.Good {
		t.Errorf("one version went with the other: %+v, %v", s, err)
	}
}

// TestCatalog_next_free_version: the number that is suggested is one that is free.
func TestCatalog_next_free_version(t *testing.T) {
	h := build(t)
	for _, number := range []string{"1.0.2", "1.0.3", "1.0.4"} {
		h.must(h.push(service, h.image(service, "amd64", "", number, ""), number))
	}
	h.ok(h.reg.DeleteTag(t.Context(), service, "1.0.4", nil))
	_, err := h.push(service, h.image(service, "amd64", "", "other", ""), "1.0.2")
	denied(t, err, "user:alice pushed at", "the next version that is free is 1.0.5")
}

// TestCatalog_fields_that_are_missing: a document without what it must say is taken, but makes no version good.
func TestCatalog_fields_that_are_missing(t *testing.T) {
	h := build(t)
	d := h.must(h.push(service, h.image(service, "amd64", "", "layer", ""), "1.0.2"))
	h.ok(h.attach("cloud/dmp", "ownership.yaml", ownershipYAML, "", "ownership"))
	h.ok(h.attach(service, "metadata.yaml", metadataYAML, d))
	h.ok(h.attach(service, "manifest.yaml", "format: docker\n", d))
	_, err := h.move(Order{Kind: Promotion, Component: service, Place: prod, Version: "1.0.2"})
	refusedFor(t, err, AgainstIt, "promotion.good", "promotion.good", "promotion.good")
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("docker", "1.0.2", d, "2026-01-01T00:00:00Z"), d))
	h.promote(service, "1.0.2", prod)
}

// TestCatalog_document_deleted: a version without its document is good no more.
func TestCatalog_document_deleted(t *testing.T) {
	h := build(t)
	h.release(service, "1.0.2", false)
	s, err := h.State(t.Context(), service, "1.0.2")
	h.ok(err)
	h.ok(h.reg.DeleteManifest(t.Context(), service, s.Documents["metadata"].Digest, nil))
	if s, err = h.State(t.Context(), service, "1.0.2"); err != nil || s.Good || len(s.Documents) != 1 || h.version("1.0.2").Good {
		t.Errorf("%+v, %v", s, err)
	}
}
