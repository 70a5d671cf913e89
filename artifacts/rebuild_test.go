package artifacts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// everything returns the rows of the catalog that can be made again.
func (h *house) everything() string {
	h.t.Helper()
	var b strings.Builder
	for _, prefix := range []string{prefixComponent, prefixVersion, prefixMade, prefixCommit, prefixDocument, prefixOwner, prefixPolicy, prefixPool, prefixNeed, "find/"} {
		from, to := kv.Prefix(prefix)
		for row, err := range h.index.Scan(h.t.Context(), from, to) {
			h.ok(err)
			fmt.Fprintf(&b, "%s=%s\n", row.Key, row.Value)
		}
	}
	return b.String()
}

// clear removes rows.
func (h *house) clear(prefixes ...string) {
	h.t.Helper()
	h.ok(h.index.Update(h.t.Context(), func(tx kv.Tx) error {
		for _, prefix := range prefixes {
			from, to := kv.Prefix(prefix)
			for row, err := range tx.Scan(h.t.Context(), from, to) {
				if err != nil {
					return err
				}
				tx.Delete(row.Key)
			}
		}
		return nil
	}))
}

// TestPrepare_makes_everything_again from what the registry holds: versions, documents, owners, and what is deployed.
func TestPrepare_makes_everything_again(t *testing.T) {
	h := build(t)
	h.release("cloud/base/common-utils", "1.2.0", false)
	h.release(service, "1.0.2", true, "common-utils >=1.2.0")
	h.release(service, "1.0.3", true, "common-utils >=1.2.0")
	h.ok(h.attach("cloud/dmp", "policy.yaml", "rules: {manifest.base_image.denied: warn}\n", "", "policy"))
	h.promote("cloud/base/common-utils", "1.2.0", prod)
	h.promote(service, "1.0.3", prod)
	want := h.everything()
	h.clear("meta/catalog", prefixComponent, prefixVersion, prefixMade, prefixCommit, prefixDocument, prefixWaiting, prefixOwner, prefixPolicy, prefixPool, prefixNeed, "find/",
		prefixPast, prefixDeployed, prefixAt, prefixMove, prefixSuite, prefixSnapshot)
	h.ok(h.Prepare(t.Context(), h.reg))
	if got := h.everything(); got != want {
		t.Errorf("made again:\n%s\nbefore:\n%s", got, want)
	}
	d, err := h.Deployed(t.Context(), service, prod)
	if err != nil || d.Version != "1.0.3" {
		t.Errorf("%+v, %v", d, err)
	}
	if m, err := h.MoveOf(t.Context(), d.Move); err != nil || !strings.Contains(m.Reason, "found by its tag") {
		t.Errorf("%+v, %v", m, err)
	}
	h.ok(h.tend(t.Context()))
	if got := h.listed("cloud-prod"); got != "1.0.3-1" {
		t.Errorf("the suite lists %s", got)
	}
}

// TestPrepare_follows_the_rules: what is known good changes with the configuration.
func TestPrepare_follows_the_rules(t *testing.T) {
	h := build(t)
	h.must(h.push(service, h.image(service, "amd64", "", "layer", ""), "1.0.2"))
	if h.version("1.0.2").Good {
		t.Fatal("it is good without documents")
	}
	h.rules = map[string]Level{"version.manifest.missing": Off, "version.metadata.missing": Off, "version.ownership.missing": Off}
	h.ok(h.Prepare(t.Context(), h.reg))
	if c, err := h.Component(t.Context(), service); err != nil || c.Latest != "1.0.2" || !h.version("1.0.2").Good {
		t.Errorf("%+v, %v", c, err)
	}
	h.rules = nil
	h.ok(h.Prepare(t.Context(), h.reg))
	if c, err := h.Component(t.Context(), service); err != nil || c.Latest != "" || h.version("1.0.2").Good {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := h.reg.Stored(t.Context(), service, "latest"); registry.Code(err) != registry.ManifestUnknown {
		t.Errorf("latest stays: %v", err)
	}
}

// TestPolicy_of_a_group decides for its components, where the configuration says nothing.
func TestPolicy_of_a_group(t *testing.T) {
	h := build(t)
	h.baseImages = []string{"python:*"}
	d := h.must(h.push(service, h.image(service, "amd64", sha, "layer", ""), "1.0.2"))
	manifest := manifestYAML("docker", "1.0.2", d, "2026-01-01T00:00:00Z") + "base_image: debian:12\n"
	if err := h.attach(service, "manifest.yaml", manifest, d); registry.Code(err) != registry.ManifestInvalid {
		t.Fatal(err)
	}
	if err := h.attach("cloud/dmp", "policy.yaml", "rules: {manifest.base_image.denid: warn}\n", "", "policy"); err == nil || !strings.Contains(err.Error(), "is no rule") {
		t.Errorf("a rule that there is not: %v", err)
	}
	h.ok(h.attach("cloud/dmp", "policy.yaml", "rules: {manifest.base_image.denied: warn, version.metadata.missing: off, version.ownership.missing: off}\n", "", "policy"))
	h.ok(h.attach(service, "manifest.yaml", manifest, d))
	s, err := h.State(t.Context(), service, "1.0.2")
	if err != nil || !s.Good || len(s.Findings) != 1 || s.Findings[0].Level != Warn {
		t.Errorf("%+v, %v", s, err)
	}
	// A stricter policy finds what was let pass.
	h.ok(h.attach("cloud/dmp", "policy.yaml", "rules: {manifest.base_image.denied: deny, version.metadata.missing: off, version.ownership.missing: off}\n", "", "policy"))
	if h.version("1.0.2").Good {
		t.Error("it is good although its base image is denied now")
	}
	// The configuration has the last word.
	h.rules = map[string]Level{"manifest.base_image.denied": Off}
	if s, err := h.State(t.Context(), service, "1.0.2"); err != nil || len(s.Findings) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := h.reg.DeleteTag(t.Context(), "cloud/dmp", "policy", nil); registry.Code(err) != registry.Denied {
		t.Errorf("the policy is deleted: %v", err)
	}
}
