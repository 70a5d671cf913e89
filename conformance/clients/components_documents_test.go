//go:build clients

package clients

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the faults of the bad documents anew")

// The folders of testdata/documents, with what the documents in each are pushed as.
var shelves = map[string]struct {
	artifactType, name string
	component, tag     string // what it is attached to; without a component it is pushed under the tag to the group
	least              int    // documents in the folder
}{
	"manifest-docker":  {typeBuild, "manifest.yaml", ingestion, "1.0.2", 8},
	"manifest-deb":     {typeBuild, "manifest.yaml", ingestion, "deb-1.0.2", 4},
	"manifest-generic": {typeBuild, "manifest.yaml", ingestion, "generic-1.0.2", 20},
	"metadata":         {typeMetadata, "metadata.yaml", ingestion, "1.0.2", 15},
	"ownership":        {typeOwnership, "ownership.yaml", "", "ownership", 6},
	"policy":           {typePolicy, "policy.yaml", "", "policy", 4},
}

// Documents with every kind of fault are refused, and oras prints each fault with its place and what to do. A document in testdata/documents has its faults
// beside it; SUM stands for the digest of what it is attached to, NOW for this moment, ARCH for the
// machine's architecture, and … in a fault for anything.
func TestComponentsRefuseBadDocuments(t *testing.T) {
	r := registry(t)
	m := opened(newSession(t), r)
	i := newLabelled(t, map[string]string{"org.opencontainers.image.revision": revision, "org.label-schema.schema-version": "1.0"}, "8443/tcp")
	i.push(t, r, ingestion, "1.0.2")
	file := m.builds("ms-ingestion", "1.0.2", "")
	m.oras("push", m.ref(ingestion, "deb-1.0.2"), file)
	m.write("notes.txt", "some notes\n")
	m.oras("push", m.ref(ingestion, "generic-1.0.2"), "notes.txt:text/plain")
	sums := map[string]string{"1.0.2": i.digest.Encoded(), "deb-1.0.2": m.sum(file), "generic-1.0.2": m.sum("notes.txt")}

	for folder, s := range shelves {
		mine := []string{"SUM", cmp.Or(sums[s.tag], "SUM"), "NOW", time.Now().UTC().Format(time.RFC3339), "ARCH", runtime.GOARCH}
		paths, err := filepath.Glob(filepath.Join("testdata", "documents", folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) < s.least {
			t.Errorf("%s has %d documents, want %d at least", folder, len(paths), s.least)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".faults"
			faults, err := os.ReadFile(golden)
			if err != nil && !*update {
				t.Fatal(err)
			}
			m.write(s.name, strings.NewReplacer(mine...).Replace(string(text)))
			words := []string{"attach", "--plain-http", "--artifact-type", s.artifactType, m.ref(s.component, s.tag), s.name + ":application/yaml"}
			if s.component == "" {
				words[0], words[4] = "push", m.ref("cloud/dmp", s.tag)
			}
			_, said, err := m.try("", "oras", words...)
			if err == nil {
				t.Errorf("%s was taken", path)
				continue
			}
			if *update {
				slices.Reverse(mine)
				theirs := strings.NewReplacer(mine...)
				slices.Reverse(mine)
				if err := os.WriteFile(golden, []byte(theirs.Replace(faultsIn(said))), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			lines := strings.Split(strings.TrimSuffix(strings.NewReplacer(mine...).Replace(string(faults)), "\n"), "\n")
			for _, line := range lines {
				if !tells(said, line) {
					t.Errorf("%s: oras does not print\n%s\nbut\n%s", path, line, said)
				}
			}
			if got := strings.Count(faultsIn(said), "\n"); got != len(lines) {
				t.Errorf("%s: oras prints %d faults, want %d:\n%s", path, got, len(lines), said)
			}
		}
	}
	// Nothing of them is there, and the right ones are taken.
	for tag := range sums {
		lacking(t, m.oras("discover", "--format", "json", m.ref(ingestion, tag)), typeBuild, typeMetadata)
	}
	for _, tag := range []string{"ownership", "policy"} {
		contains(t, m.orasFails("resolve", m.ref("cloud/dmp", tag)), "not found")
	}
	m.owns("cloud/dmp")
	for tag, format := range map[string]string{"1.0.2": "docker", "deb-1.0.2": "deb", "generic-1.0.2": "generic"} {
		m.attaches(ingestion, tag, typeBuild, "manifest.yaml", manifestYAML(format, "1.0.2", sums[tag], time.Now()))
	}
	m.attaches(ingestion, "1.0.2", typeMetadata, "metadata.yaml", metadataYAML(ingestion, "cloud", "port_exposed: 8443\n"))
	contains(t, m.gets("/index/components.yaml"), "  - name: "+ingestion+"\n    latest_version: 1.0.2\n")

	// A version has one metadata.yaml, and a manifest.yaml of its own is no other artifact's.
	m.write("metadata.yaml", metadataYAML(ingestion, "cloud, ran", "port_exposed: 8443\n"))
	contains(t, m.orasFails("attach", "--artifact-type", typeMetadata, m.ref(ingestion, "deb-1.0.2"), "metadata.yaml:application/yaml"),
		"says something else than the metadata.yaml that anonymous attached to this version at", "a version has one metadata.yaml; push a new version")
}

// Documents are as good as what they are about: a build that is older than the version before, or too old, is refused.
func TestComponentsRefuseStaleBuilds(t *testing.T) {
	m := opened(newSession(t), registry(t))
	m.owns("cloud/dmp")
	m.publishesFile(export, "1.0.0", "cloud", "first\n")
	m.write("notes.txt", "second\n")
	m.oras("push", m.ref(export, "generic-1.1.0"), "notes.txt:text/plain")
	attach := []string{"attach", "--artifact-type", typeBuild, m.ref(export, "generic-1.1.0"), "manifest.yaml:application/yaml"}
	for why, built := range map[string]time.Time{
		"built_at: is before ": time.Now().Add(-time.Hour), "build it again; builds are pushed within 720h0m0s": time.Now().AddDate(0, -2, 0),
		"built_at: is in the future; write when it was built; is the builder's clock right?": time.Now().Add(time.Hour),
	} {
		m.write("manifest.yaml", manifestYAML("generic", "1.1.0", m.sum("notes.txt"), built))
		contains(t, m.orasFails(attach...), "deny: line 5, column 11: built_at: is ", why)
		contains(t, m.gets("/index/components.yaml"), "latest_version: 1.0.0\n")
	}
	m.write("manifest.yaml", manifestYAML("generic", "1.1.0", m.sum("notes.txt"), time.Now()))
	m.oras(attach...)
}

// What is missing in a document is told, and is no reason to refuse it: it is for the group's policy to say so.
func TestComponentsTakeWhatIsMissing(t *testing.T) {
	m := opened(newSession(t), registry(t))
	m.owns("cloud/dmp")
	m.write("notes.txt", "notes\n")
	m.oras("push", m.ref(export, "generic-1.0.0"), "notes.txt:text/plain")
	m.attaches(export, "generic-1.0.0", typeBuild, "manifest.yaml", "format: generic\n")
	m.attaches(export, "generic-1.0.0", typeMetadata, "metadata.yaml", "team: ingestion-platform\n")
	found := m.gets("/api/v1/components/" + export + "/findings")
	for _, rule := range []string{
		"manifest.version", "manifest.sha256", "manifest.built_at", "metadata.architecture", "metadata.domains", "metadata.environments", "metadata.group", "metadata.service_name",
	} {
		contains(t, found, `"`+rule+`.missing"`)
	}
	lacking(t, found, `"level":"deny"`)
	contains(t, m.orasFails("tag", m.ref(export, "generic-1.0.0"), "cloud.prod"), "allows the domains", "allows the environments")

	// A group that wants it so refuses them.
	m.write("policy.yaml", "rules:\n  manifest.sha256.missing: deny\n  metadata.domains.missing: deny\n")
	m.oras("push", "--artifact-type", typePolicy, m.ref("cloud/dmp", "policy"), "policy.yaml:application/yaml")
	equal(t, m.gets("/index/components.yaml"), "components: []")
	m.write("notes.txt", "more notes\n")
	m.oras("push", m.ref(export, "generic-1.0.1"), "notes.txt:text/plain")
	m.write("manifest.yaml", "format: generic\n")
	contains(t, m.orasFails("attach", "--artifact-type", typeBuild, m.ref(export, "generic-1.0.1"), "manifest.yaml:application/yaml"),
		"deny: line 1, column 1: sha256: is missing; ", "warn: line 1, column 1: version: is missing; ")
	m.write("metadata.yaml", "team: ingestion-platform\n")
	contains(t, m.orasFails("attach", "--artifact-type", typeMetadata, m.ref(export, "generic-1.0.1"), "metadata.yaml:application/yaml"),
		"deny: line 1, column 1: domains: is missing; ")
}

// A document that is not of the size of a document is not even read.
func TestComponentsRefuseHugeDocuments(t *testing.T) {
	m := opened(newSession(t), registry(t))
	m.write("notes.txt", "notes\n")
	m.oras("push", m.ref(export, "generic-1.0.0"), "notes.txt:text/plain")
	for name, artifactType := range map[string]string{"manifest.yaml": typeBuild, "metadata.yaml": typeMetadata} {
		m.write(name, strings.Repeat("# filler, and nothing that anybody wants to know\n", 2<<20/49))
		contains(t, m.orasFails("attach", "--artifact-type", artifactType, m.ref(export, "generic-1.0.0"), name+":application/yaml"),
			name+" has 2097151 bytes; it may have 262144")
		status, body := m.curl("/api/v1/validate/"+strings.TrimSuffix(name, ".yaml"), "--data-binary", "@"+name, "--header", "Content-Type: application/yaml")
		equal(t, status, "413")
		contains(t, body, "262144")
	}
	// Neither are two in one.
	m.write("manifest.yaml", "format: generic\n")
	m.write("metadata.yaml", "group: dmp\n")
	contains(t, m.orasFails("attach", "--artifact-type", typeBuild, m.ref(export, "generic-1.0.0"), "manifest.yaml", "metadata.yaml"), "a document is one file, and this artifact has 2")
}

// faultsIn returns the faults that oras prints, a line each.
func faultsIn(said string) string {
	_, list, found := strings.Cut(said, "map[faults:[")
	if !found {
		return ""
	}
	list, _, _ = strings.Cut(list, "] file:")
	for _, level := range []string{"deny", "warn"} {
		list = strings.ReplaceAll(list, " "+level+": line ", "\n"+level+": line ")
	}
	return list + "\n"
}

// tells looks for a text in which … stands for anything.
func tells(said, text string) bool {
	for _, part := range strings.Split(text, "…") {
		_, rest, found := strings.Cut(said, part)
		if !found {
			return false
		}
		said = rest
	}
	return true
}
