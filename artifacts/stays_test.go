package artifacts

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain"
)

// stays asks about something that is there, by its tag or its digest.
func (h *house) stays(repo, ref string) string {
	h.t.Helper()
	s, err := h.reg.Stored(h.t.Context(), repo, ref)
	h.ok(err)
	tag := ref
	if strings.Contains(ref, ":") {
		tag = ""
	}
	why, err := h.Catalog.Stays(h.t.Context(), repo, tag, s)
	h.ok(err)
	return why
}

func TestStays(t *testing.T) {
	h := build(t)
	h.release(service, "1.0.2", true)
	h.promote(service, "1.0.2", prod)
	h.release(service, "1.0.3", false)
	h.promote(service, "1.0.3", prod)
	h.release(service, "2.0.0", false)
	h.must(h.push(service, h.image(service, "amd64", sha, "4", ""), "1.0.4"))
	again := func(number, tag string) { // the same manifest under another tag
		t.Helper()
		_, body, err := h.reg.Manifest(t.Context(), service, number)
		h.ok(err)
		_, err = h.reg.PutManifest(t.Context(), registry.Put{Repo: service, Ref: tag, Body: body})
		h.ok(err)
	}
	again("1.0.2", "pr-former")
	again("1.0.3", "pr-deployed")
	again("2.0.0", "pr-2")
	loose := h.must(h.push(service, h.image(service, "amd64", "", "5", "")))
	h.must(h.push(service, h.image(service, "amd64", "", "6", ""), "pr-6"))
	h.must(h.push("team/tool", h.image("team/tool", "amd64", "", "7", ""), "1.0.0"))
	metadata, err := h.State(t.Context(), service, "2.0.0")
	h.ok(err)
	digestOf := func(ref string) string {
		t.Helper()
		s, err := h.reg.Stored(t.Context(), service, ref)
		h.ok(err)
		return string(s.Digest)
	}
	stale := h.must(h.push(service, h.image(service, "amd64", "", "8", "")))
	for name, c := range map[string]struct{ repo, ref, want string }{
		"a version":            {service, "2.0.0", "it is immutable: it is version 2.0.0"},
		"its package":          {service, "deb-1.0.2", "it is immutable: it is version 1.0.2"},
		"a commit":             {service, "commit-" + sha, "it is immutable"},
		"what is deployed":     {service, "cloud.prod", "it says what is deployed in cloud.prod"},
		"latest":               {service, "latest", "it follows the latest"},
		"a tag of deployed":    {service, "pr-deployed", "it is version 1.0.3, which is or was deployed in cloud.prod"},
		"a tag of former":      {service, "pr-former", "it is version 1.0.2, which is or was deployed in cloud.prod"},
		"a tag of a version":   {service, "pr-2", ""},
		"a scratch tag":        {service, "pr-6", ""},
		"a version's manifest": {service, digestOf("2.0.0"), "it is version 2.0.0"},
		"a package's":          {service, digestOf("deb-1.0.2"), "which is or was deployed"},
		"a document":           {service, string(metadata.Documents["metadata"].Digest), "it is a document of version 2.0.0"},
		"a manifest.yaml":      {service, string(metadata.Documents["docker"].Digest), "it is a document of version 2.0.0"},
		"no version":           {service, string(loose), ""},
		"another":              {service, string(stale), ""},
		"an owner":             {"cloud/dmp", "ownership", "it is the ownership.yaml of the group"},
		"no component":         {"team/tool", "1.0.0", ""},
	} {
		if got := h.stays(c.repo, c.ref); !strings.HasPrefix(got, c.want) && !(c.want != "" && strings.Contains(got, c.want)) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if why, err := h.Catalog.Stays(t.Context(), "apt/cloud-prod", "x", registry.Stored{}); err != nil || why == "" {
		t.Errorf("what the registry makes may go: %v", err)
	}
}

// A version that was given more files has another manifest since, and its documents may hang on the one before.
func TestStays_what_a_version_was_before(t *testing.T) {
	h := build(t)
	files := map[string][]byte{"a.bin": []byte("a")}
	before := h.must(h.push(service, h.files(service, TypeGeneric, "", files), "generic-1.0.2"))
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("generic", "1.0.2", digest.FromString("a"), "2026-01-01T00:00:00Z"), before))
	files["b.bin"] = []byte("b")
	h.must(h.push(service, h.files(service, TypeGeneric, "", files), "generic-1.0.2"))
	s, err := h.State(t.Context(), service, "1.0.2")
	h.ok(err)
	if why := h.stays(service, string(before)); why != "it is version 1.0.2" {
		t.Errorf("the manifest before: %q", why)
	}
	if why := h.stays(service, string(s.Documents["generic"].Digest)); why != "it is a document of version 1.0.2" {
		t.Errorf("its document: %q", why)
	}
	// One that was replaced may go.
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("generic", "1.0.2", digest.FromString("a"), "2026-01-02T00:00:00Z"), before))
	if why := h.stays(service, string(s.Documents["generic"].Digest)); why != "" {
		t.Errorf("a document that was replaced stays, since %s", why)
	}
}

// A rule that keeps nothing takes what nobody would miss, again and again until there is no more, and no version is any worse for it.
func TestStays_whatever_the_rules_of_retention_say(t *testing.T) {
	h := build(t)
	h.release(service, "1.0.2", true)
	h.promote(service, "1.0.2", prod)
	h.release(service, "1.0.3", true)
	h.promote(service, "1.0.3", prod)
	h.release(service, "2.0.0-rc.1", false)
	files := map[string][]byte{"a.bin": []byte("a")}
	g := h.must(h.push(service, h.files(service, TypeGeneric, "", files), "generic-1.0.2"))
	h.ok(h.attach(service, "manifest.yaml", manifestYAML("generic", "1.0.2", digest.FromString("a"), "2026-01-01T00:00:00Z"), g))
	h.must(h.push(service, h.image(service, "amd64", sha, "4", ""), "1.0.4"))
	for _, tag := range []string{"pr-1", "pr-2"} {
		d := h.must(h.push(service, h.image(service, "amd64", "", tag, ""), tag))
		h.must(h.push(service, h.files(service, "application/spdx+json", "", map[string][]byte{"sbom": []byte(tag)})))
		h.ok(h.attach(service, "sbom.json", tag, d))
	}
	h.must(h.push("team/tool", h.image("team/tool", "amd64", "", "7", ""), "1.0.0"))
	h.ok(h.attach("cloud/dmp", "ownership.yaml", ownershipYAML+"# again\n", "", "ownership"))
	what := func() (all []string) {
		t.Helper()
		for v, err := range h.Versions(t.Context(), service) {
			h.ok(err)
			s, err := h.State(t.Context(), service, v.Version)
			h.ok(err)
			text, err := json.Marshal(s)
			h.ok(err)
			all = append(all, string(text))
		}
		for d, err := range h.DeployedOf(t.Context(), service) {
			h.ok(err)
			all = append(all, d.Place.Tag()+" "+d.Version)
		}
		return append(all, h.listed(prod.Suite()))
	}
	before := what()
	r, err := retain.New(retain.Config{
		Registry: h.reg, Index: h.index, Stays: h.Catalog.Stays, Rate: 1_000_000, Now: func() time.Time { return time.Now().Add(365 * 24 * time.Hour) },
		Rules: []retain.Rule{{Repositories: []string{"**"}, OlderThan: time.Minute, Untagged: time.Minute}},
	})
	h.ok(err)
	var tags, manifests int64
	for range 10 {
		planned, err := r.Plan(t.Context(), "", nil)
		h.ok(err)
		done, err := r.Start(t.Context(), nil)
		h.ok(err)
		if done.Refused != 0 || done.Failed != 0 || done.Goes != planned.Goes {
			t.Fatalf("%+v was planned, and this came of it: %+v", planned, done)
		}
		if tags, manifests = tags+done.Goes.Tags, manifests+done.Goes.Manifests; done.Goes == (retain.Count{}) {
			break
		}
	}
	// The scratch tags and the tool's, then their manifests, then what referred to those; two SBOMs of nothing, and the owner that was replaced.
	if tags != 3 || manifests != 3+2+2+1 {
		t.Errorf("%d tags and %d manifests went, want 3 and 8", tags, manifests)
	}
	if after := what(); !slices.Equal(after, before) {
		t.Errorf("there was\n%s\nand is\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}
