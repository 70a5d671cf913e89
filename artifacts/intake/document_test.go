package intake

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
)

const (
	metadata  = "architecture: amd64\ndomains: [cloud]\nenvironments: [staging, prod]\ngroup: dmp\nservice_name: ms-ingestion\nteam: ingestion\n"
	ownership = "owner_team: ingestion\nsource_repo: https://gitlab.example.com/cloud/dmp\n"
	policy    = "rules: {manifest.base_image.denied: warn}\n"
)

func manifestOf(format artifacts.Kind, number string, d digest.Digest) string {
	return fmt.Sprintf("format: %s\nversion: %s\nsha256: %s\nbuilt_at: 2026-01-01T00:00:00Z\n", format, number, d)
}

func (h *house) document(number string, format artifacts.Kind, kind document.Kind, text string) (Kept, error) {
	return h.Document(h.ctx, service, number, format, kind, []byte(text), Put{})
}

func (h *house) subject(k Kept) digest.Digest {
	h.t.Helper()
	if m, _ := h.manifest(k.Repo, string(k.Digest)); m.Subject != nil {
		return m.Subject.Digest
	}
	return ""
}

// TestDocument_is_what_oras_attach_makes, and the version has it.
func TestDocument_is_what_oras_attach_makes(t *testing.T) {
	h := build(t)
	d := h.image("1.0.2")
	text := manifestOf(artifacts.Docker, "1.0.2", d)
	kept := h.must(h.document("v1.0.2", artifacts.Docker, document.KindManifest, text))
	m, _ := h.manifest(service, string(kept.Digest))
	if m.ArtifactType != artifacts.TypeBuild || m.Subject.Digest != d || m.Subject.MediaType != ocispec.MediaTypeImageManifest || m.Subject.Size == 0 ||
		m.Layers[0].MediaType != "application/yaml" || title(m.Layers[0]) != "manifest.yaml" || len(m.Annotations) > 0 {
		t.Errorf("%+v", m)
	}
	if is := (Kept{service, "1.0.2", kept.Digest, "manifest.yaml", digest.FromString(text), int64(len(text)), "1.0.2", false}); kept != is {
		t.Errorf("%+v, want %+v", kept, is)
	}
	found := 0
	for range h.reg.Referrers(h.ctx, service, d, artifacts.TypeBuild, "") {
		found++
	}
	if s, err := h.Catalog.State(h.ctx, service, "1.0.2"); err != nil || s.Documents["docker"].Digest != kept.Digest || found != 1 {
		t.Errorf("%d referrers, and the catalog has %+v, %v", found, s, err)
	}
}

// TestDocument_again is no change, whoever attached it first and however.
func TestDocument_again(t *testing.T) {
	h := build(t)
	d := h.image("1.0.2")
	text := manifestOf(artifacts.Docker, "1.0.2", d)
	first := h.must(h.document("1.0.2", artifacts.Docker, document.KindManifest, text))
	other := h.must(h.document("1.0.2", artifacts.Docker, document.KindManifest, text+"base_image: python:3.11-alpine\n"))
	if other.Same || other.Digest == first.Digest {
		t.Errorf("%+v", other)
	}
	back := h.must(h.document("1.0.2", artifacts.Docker, document.KindManifest, text))
	if back.Same || back.Digest == first.Digest {
		t.Errorf("%+v, want it to be in force again, as an artifact of its own", back)
	}
	again := h.must(h.document("1.0.2", artifacts.Docker, document.KindManifest, text))
	if !again.Same || again.Digest != back.Digest {
		t.Errorf("%+v", again)
	}
	oras := artifact(artifacts.TypeMetadata, layer("metadata.yaml", "application/yaml", digest.FromString(metadata), int64(len(metadata))))
	oras.Subject, oras.Annotations = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 1}, map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z"}
	attached := h.push(service, "attached", oras, metadata)
	if again := h.must(h.document("1.0.2", "", document.KindMetadata, metadata)); !again.Same || again.Digest != attached {
		t.Errorf("%+v, want it to be %s", again, attached)
	}
	if err := h.reg.DeleteManifest(h.ctx, service, attached, nil); err != nil {
		t.Fatal(err)
	}
	if again := h.must(h.document("1.0.2", "", document.KindMetadata, metadata)); again.Same || h.subject(again) != d {
		t.Errorf("%+v, want what was deleted to be there again", again)
	}
}

// TestDocument_metadata_hangs_on_the_first of release, docker, deb and generic.
func TestDocument_metadata_hangs_on_the_first(t *testing.T) {
	h := build(t)
	check := func(d digest.Digest, tag string) {
		t.Helper()
		kept := h.must(h.document("1.0.2", "", document.KindMetadata, metadata))
		if kept.Same || h.subject(kept) != d || kept.Tag != tag || kept.Name != "metadata.yaml" {
			t.Errorf("it is %+v on %s, want it on %s %s", kept, h.subject(kept), tag, d)
		}
		if kept := h.must(h.document("1.0.2", "", document.KindMetadata, metadata)); !kept.Same {
			t.Errorf("%+v", kept)
		}
	}
	check(h.must(h.generic("1.0.2", "fw.bin", "firmware")).Digest, "generic-1.0.2")
	check(h.must(h.deb("1.0.2", "", debtest.Spec{})).Digest, "deb-1.0.2")
	check(h.image("1.0.2"), "1.0.2")
	release := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/vnd.entrepot.release.v1","manifests":[]}`
	put, err := h.reg.PutManifest(h.ctx, registry.Put{Repo: service, Ref: "release-1.0.2", Body: []byte(release)})
	if err != nil {
		t.Fatal(err)
	}
	check(put.Descriptor.Digest, "release-1.0.2")
}

// TestDocument_follows_a_version_that_grows: it is attached to what the tag names now.
func TestDocument_follows_a_version_that_grows(t *testing.T) {
	h := build(t)
	first := h.must(h.deb("", "", debtest.Spec{Version: "1.0.2"}))
	text := manifestOf(artifacts.Deb, "1.0.2", first.File)
	h.must(h.document("1.0.2", artifacts.Deb, document.KindManifest, text))
	grown := h.must(h.deb("", "", debtest.Spec{Version: "1.0.2", Arch: "arm64"}))
	if s, err := h.Catalog.State(h.ctx, service, "1.0.2"); err != nil || s.Documents["deb"].Text != text {
		t.Errorf("grown, the version has lost its document: %+v, %v", s, err)
	}
	if kept := h.must(h.document("1.0.2", artifacts.Deb, document.KindManifest, text)); kept.Same || h.subject(kept) != grown.Digest {
		t.Errorf("%+v on %s", kept, h.subject(kept))
	}
}

func TestDocument_refusals(t *testing.T) {
	h := build(t)
	d := h.image("1.0.2")
	text := manifestOf(artifacts.Docker, "1.0.2", d)
	for _, c := range []struct {
		what, component, number string
		format                  artifacts.Kind
		kind                    document.Kind
		text, code, hint        string
	}{
		{"a group", "cloud/dmp", "1.0.2", "docker", document.KindManifest, text, registry.NameInvalid, "<domain>/<group>/<service>"},
		{"no version", service, "one", "docker", document.KindManifest, text, registry.ManifestInvalid, "where a number should be"},
		{"not all of it", service, "1.0", "docker", document.KindManifest, text, registry.ManifestInvalid, "all three numbers"},
		{"another version", service, "1.0.3", "docker", document.KindManifest, text, registry.ManifestUnknown, "push the artifact first"},
		{"another component", "cloud/dmp/other", "1.0.2", "", document.KindMetadata, metadata, registry.ManifestUnknown, "push the artifact first"},
		{"another format", service, "1.0.2", "deb", document.KindManifest, text, registry.ManifestUnknown, "has not been pushed as deb yet"},
		{"no format", service, "1.0.2", "", document.KindManifest, text, registry.ManifestInvalid, "docker, deb or generic"},
		{"a format of its own", service, "1.0.2", "release", document.KindManifest, text, registry.ManifestInvalid, "docker, deb or generic"},
		{"a group's document", service, "1.0.2", "", document.KindOwnership, ownership, registry.ManifestInvalid, "manifest.yaml and metadata.yaml"},
		{"no document", service, "1.0.2", "docker", document.Kind("evil\n"), text, registry.ManifestInvalid, "manifest.yaml and metadata.yaml"},
		{"a huge one", service, "1.0.2", "docker", document.KindManifest, text + strings.Repeat("#", 1<<20), registry.TooLarge, "is this the right file"},
		{"a long line", service, "1.0.2", "docker", document.KindManifest, strings.Repeat("[", 200<<10), registry.ManifestInvalid, "line 1"},
		{"an empty one", service, "1.0.2", "docker", document.KindManifest, "", registry.ManifestInvalid, "manifest.yaml"},
		{"another digest", service, "1.0.2", "docker", document.KindManifest, manifestOf("docker", "1.0.2", digest.FromString("x")), registry.ManifestInvalid, string(d)},
		{"another service", service, "1.0.2", "", document.KindMetadata, strings.Replace(metadata, "ms-ingestion", "other", 1), registry.ManifestInvalid, "write ms-ingestion"},
	} {
		kept, err := h.Document(h.ctx, c.component, c.number, c.format, c.kind, []byte(c.text), Put{})
		t.Run(c.what, func(t *testing.T) { wantRefusal(t, err, c.code, c.hint) })
		if kept.Digest != "" {
			t.Errorf("%s is refused, and kept as %+v", c.what, kept)
		}
	}
	if s, err := h.Catalog.State(h.ctx, service, "1.0.2"); err != nil || len(s.Documents) > 0 {
		t.Errorf("what was refused is there: %+v, %v", s.Documents, err)
	}
	no := errors.New("no")
	for _, sent := range []string{text, "nonsense"} { // before anything else is said
		_, err := h.Document(h.ctx, service, "1.0.2", artifacts.Docker, document.KindManifest, []byte(sent), Put{Judge: func(m *registry.Manifest) error {
			if m.Subject == nil || m.Subject.Digest != d {
				t.Errorf("the judge sees %+v", m)
			}
			return no
		}})
		if !errors.Is(err, no) || h.holds(sent) {
			t.Errorf("%v, and the blob is there: %t", err, h.holds(sent))
		}
	}
}

// TestOwner_is_under_the_group's_tag, which moves if the guard lets it.
func TestOwner_is_under_the_groups_tag(t *testing.T) {
	h := build(t)
	put := func(kind document.Kind, text string, p Put) (Kept, error) {
		return h.Owner(h.ctx, "cloud/dmp", kind, []byte(text), p)
	}
	no := errors.New("no")
	guarded := Put{Guard: func(tag string, was registry.Stored) error { return no }}
	first := h.must(put(document.KindOwnership, ownership, guarded)) // there is nothing to guard yet
	if is := (Kept{"cloud/dmp", "ownership", first.Digest, "ownership.yaml", digest.FromString(ownership), int64(len(ownership)), "", false}); first != is {
		t.Errorf("%+v, want %+v", first, is)
	}
	m, d := h.manifest("cloud/dmp", "ownership")
	if d != first.Digest || m.ArtifactType != artifacts.TypeOwnership || m.Subject != nil || title(m.Layers[0]) != "ownership.yaml" {
		t.Errorf("%+v", m)
	}
	if again := h.must(put(document.KindOwnership, ownership, guarded)); !again.Same || again.Digest != first.Digest {
		t.Errorf("%+v", again)
	}
	other := strings.Replace(ownership, "ingestion", "others", 1)
	if _, err := put(document.KindOwnership, other, guarded); !errors.Is(err, no) {
		t.Errorf("%v, want the guard's refusal", err)
	}
	_, err := put(document.KindOwnership, "owner_team: x\nsource_repo: nowhere\n", Put{})
	wantRefusal(t, err, registry.ManifestInvalid, "source_repo")
	if owner, err := h.Catalog.Owner(h.ctx, "cloud/dmp"); err != nil || owner.Text != ownership {
		t.Errorf("the group's owner is %+v, %v", owner, err)
	}
	h.must(put(document.KindOwnership, other, Put{}))
	if owner, err := h.Catalog.Owner(h.ctx, "cloud/dmp"); err != nil || owner.Text != other {
		t.Errorf("the group's owner is %+v, %v", owner, err)
	}
	if kept := h.must(put(document.KindPolicy, policy, guarded)); kept.Tag != "policy" || kept.Name != "policy.yaml" {
		t.Errorf("%+v", kept)
	}
	if _, err := put(document.KindOwnership, ownership, Put{Judge: func(*registry.Manifest) error { return no }}); !errors.Is(err, no) {
		t.Errorf("%v, want the judge's refusal", err)
	}
}

func TestOwner_refusals(t *testing.T) {
	h := build(t)
	for _, group := range []string{"", "cloud", service, "cloud/../dmp", "cloud/DMP", "cloud/"} {
		_, err := h.Owner(h.ctx, group, document.KindOwnership, []byte(ownership), Put{})
		wantRefusal(t, err, registry.NameInvalid, "<domain>/<group>")
	}
	_, err := h.Owner(h.ctx, "cloud/dmp", document.KindMetadata, []byte(metadata), Put{})
	wantRefusal(t, err, registry.ManifestInvalid, "ownership.yaml and policy.yaml")
	_, err = h.Owner(h.ctx, "cloud/dmp", document.KindPolicy, make([]byte, 1<<20), Put{})
	wantRefusal(t, err, registry.TooLarge, "policy.yaml")
}
