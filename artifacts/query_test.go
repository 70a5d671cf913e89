package artifacts

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
)

// TestFind_by_everything that versions and components are known by.
func TestFind_by_everything(t *testing.T) {
	h := build(t)
	h.release("cloud/base/common-utils", "1.2.0", false)
	h.release(service, "1.0.2", true)
	h.release(service, "1.0.3", false)
	h.must(h.push("ran/core/bare", h.image("ran/core/bare", "arm64", sha, "layer", ""), "2.0.0"))
	yes := true
	for want, q := range map[string]Query{
		"cloud/base/common-utils 1.2.0, cloud/dmp/ms-ingestion 1.0.2, cloud/dmp/ms-ingestion 1.0.3": {Domain: "cloud", Environment: "prod", Team: "ingestion"},
		"cloud/dmp/ms-ingestion 1.0.2, cloud/dmp/ms-ingestion 1.0.3":                                {Group: "cloud/dmp", Good: &yes},
		"cloud/dmp/ms-ingestion 1.0.2":                                                              {Format: "deb"},
		"ran/core/bare 2.0.0":                                                                       {Label: map[string]string{"org.opencontainers.image.revision": sha}},
		"ran/core/bare 2.0.0 ":                                                                      {Level: Warn, Commit: sha, Architecture: "arm64"},
		"cloud/base/common-utils 1.2.0":                                                             {Text: "COMMON"},
		"":                                                                                          {Team: "nobody"},
	} {
		page, err := h.Find(t.Context(), q)
		var got []string
		for _, v := range page.Versions {
			got = append(got, v.Component+" "+v.Version)
		}
		if err != nil || strings.Join(got, ", ") != strings.TrimSpace(want) {
			t.Errorf("%+v: %v, %v; want %s", q, got, err, want)
		}
	}
	page, err := h.FindComponents(t.Context(), Query{Team: "ingestion", Limit: 1})
	if err != nil || len(page.Components) != 1 || page.Components[0].Name != "cloud/base/common-utils" || page.Next == "" {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = h.FindComponents(t.Context(), Query{Team: "ingestion", Limit: 1, After: page.Next})
	if err != nil || len(page.Components) != 1 || page.Components[0].Name != service || page.Components[0].Latest != "1.0.3" {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := h.FindComponents(t.Context(), Query{After: "nonsense"}); !errors.Is(err, ErrCursor) {
		t.Error(err)
	}
	// What is deleted is not found.
	h.ok(h.reg.DeleteTag(t.Context(), "ran/core/bare", "2.0.0", nil))
	if page, err := h.FindComponents(t.Context(), Query{Group: "ran"}); err != nil || len(page.Components) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestResolve names of versions.
func TestResolve(t *testing.T) {
	h := build(t)
	h.release(service, "1.0.2", true)
	h.must(h.push(service, h.image(service, "amd64", sha, "layer", ""), "1.0.3"))
	h.promote(service, "1.0.2", prod)
	for ref, want := range map[string]string{"latest": "1.0.2", "1.0.3": "1.0.3", "v1.0.3": "1.0.3", "deb-1.0.2": "1.0.2", "cloud.prod": "1.0.2", "commit-" + sha: "1.0.3", "commit-" + sha[:8]: "1.0.3"} {
		r, err := h.Resolve(t.Context(), service, ref)
		if err != nil || r.Version != want || r.Digest != h.version(want).Formats[Docker].Digest {
			t.Errorf("%s: %+v, %v; want %s", ref, r, err, want)
		}
	}
	for _, ref := range []string{"9.9.9", "cloud.dev", "commit-0000000", "nonsense", ""} {
		if r, err := h.Resolve(t.Context(), service, ref); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %+v, %v", ref, r, err)
		}
	}
}

// TestValidate judges proposals as if they were pushed.
func TestValidate(t *testing.T) {
	h := build(t)
	const utils = "cloud/base/common-utils"
	h.release(utils, "1.1.0", false)
	h.release(utils, "1.2.0", false)
	h.release(service, "1.0.2", false, "common-utils >=1.2.0")
	h.must(h.push(service, h.image(service, "amd64", "", "bare", ""), "1.0.3"))
	ran := Place{"ran", "dev"}
	for what, c := range map[string]struct {
		kind  document.Kind
		text  string
		about About
		rules string
	}{
		"good":                  {document.KindComponents, "components:\n  - {name: " + service + ", latest_version: 1.0.2}\n", About{}, ""},
		"a version that is not": {document.KindComponents, "components:\n  - {name: " + service + ", latest_version: 9.9.9}\n", About{}, "components.version.unknown"},
		"one that is not good":  {document.KindComponents, "components:\n  - {name: " + service + ", latest_version: 1.0.3}\n", About{}, "components.version.bad"},
		"a good domain":         {document.KindDomain, "components:\n  - {name: " + service + ", version: 1.0.2}\n  - {name: " + utils + ", version: 1.2.0}\n", About{Place: &prod}, ""},
		"an unmet dependency":   {document.KindDomain, "components:\n  - {name: " + service + ", version: 1.0.2}\n  - {name: " + utils + ", version: 1.1.0}\n", About{Place: &prod}, "domain.version.dependency"},
		"elsewhere":             {document.KindDomain, "components:\n  - {name: " + utils + ", version: 1.2.0}\n", About{Place: &ran}, "domain.version.place domain.version.place"},
		"metadata":              {document.KindMetadata, strings.Replace(metadataYAML, "dmp", "core", 1), About{Component: service, Version: "1.0.3"}, "metadata.group.mismatch"},
		"a manifest":            {document.KindManifest, manifestYAML("docker", "1.0.4", digest.FromString("x"), "2026-01-01T00:00:00Z"), About{Component: service, Version: "1.0.3", Format: Docker}, "manifest.version.mismatch manifest.sha256.mismatch"},
		"by itself":             {document.KindManifest, manifestYAML("docker", "1.0.4", digest.FromString("x"), "2026-01-01T00:00:00Z"), About{}, ""},
	} {
		all, denied, err := h.Validate(t.Context(), c.kind, []byte(c.text), c.about)
		var got []string
		for _, f := range all {
			if got = append(got, f.Rule); f.Line == 0 {
				t.Errorf("%s: no line: %v", what, f)
			}
		}
		if err != nil || strings.Join(got, " ") != c.rules || denied != (c.rules != "") {
			t.Errorf("%s: %v, %t, %v; want %s", what, all, denied, err, c.rules)
		}
	}
}

// TestDraft: what the registry writes passes its own judgement, once people have added what only they know.
func TestDraft(t *testing.T) {
	h := build(t)
	d := h.must(h.push(service, h.image(service, "arm64", sha, "layer", ""), "1.0.2"))
	h.ok(h.attach("cloud/dmp", "ownership.yaml", ownershipYAML, "", "ownership"))
	m, err := h.DraftManifest(t.Context(), service, "1.0.2", Docker)
	h.ok(err)
	h.ok(h.attach(service, "manifest.yaml", string(document.Render(m)), d))
	md, err := h.DraftMetadata(t.Context(), service, "1.0.2")
	h.ok(err)
	if text := string(document.Render(md)); !strings.Contains(text, "# environments") || !strings.Contains(text, "team: ingestion") {
		t.Errorf("%s", text)
	}
	md.Environments = []string{"staging"}
	h.ok(h.attach(service, "metadata.yaml", string(document.Render(md)), d))
	if s, err := h.State(t.Context(), service, "1.0.2"); err != nil || !s.Good {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := h.DraftManifest(t.Context(), service, "1.0.2", Deb); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// TestSource_has_index_files as artifacts that follow what they are about.
func TestSource_has_index_files(t *testing.T) {
	h := build(t)
	h.release(service, "1.0.2", false)
	h.promote(service, "1.0.2", prod)
	src := Source{h.reg, h.Catalog}
	pull := func(repo, ref string) (digest.Digest, string) {
		t.Helper()
		desc, body, err := src.Manifest(t.Context(), repo, ref)
		h.ok(err)
		m, err := registry.ParseManifest(desc.MediaType, desc.Digest, body)
		h.ok(err)
		_, content, err := src.OpenBlob(t.Context(), repo, m.Layers[0].Digest)
		h.ok(err)
		defer content.Close()
		text, err := io.ReadAll(content)
		h.ok(err)
		return desc.Digest, string(text)
	}
	first, text := pull("index/components", "latest")
	if !strings.Contains(text, "latest_version: 1.0.2") {
		t.Error(text)
	}
	if again, _ := pull("index/components", "latest"); again != first {
		t.Error("the same file is another artifact")
	}
	for _, repo := range []string{"index/domain-cloud", "index/domain-cloud-prod"} {
		if _, text := pull(repo, "latest"); !strings.Contains(text, "version: 1.0.2") {
			t.Errorf("%s: %s", repo, text)
		}
	}
	h.release(service, "1.0.3", false)
	if _, text := pull("index/components", "latest"); !strings.Contains(text, "latest_version: 1.0.3") {
		t.Error(text)
	}
	if _, text := pull("index/components", string(first)); !strings.Contains(text, "latest_version: 1.0.2") {
		t.Errorf("what was pulled once cannot be pulled again: %s", text)
	}
	if _, _, err := src.Manifest(t.Context(), "index/domain-nowhere", "latest"); registry.Code(err) != registry.ManifestUnknown && registry.Code(err) != registry.NameUnknown {
		t.Error(err)
	}
	if _, err := h.push("index/components", h.files("index/components", "", "", map[string][]byte{"x": nil}), "latest"); registry.Code(err) != registry.Denied {
		t.Errorf("somebody pushed an index file: %v", err)
	}
}
