package document

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// example reads a good document of the corpus.
func example[T Document](t *testing.T, name string) T {
	t.Helper()
	var zero T
	kind := zero.Kind()
	text, err := os.ReadFile("testdata/" + string(kind) + "/good/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, faults := Parse(kind, text)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	got, ok := doc.(T)
	if !ok {
		t.Fatalf("%s is a %T, want a %T", name, doc, zero)
	}
	return got
}

func TestParse_gives_the_values_of_the_examples(t *testing.T) {
	for _, c := range []struct{ got, want Document }{
		{example[*Manifest](t, "example-1.0.2"), &Manifest{
			Format: "docker", Version: "1.0.2", BaseImage: "python:3.11-alpine", SHA256: someDigest, BuiltAt: time.Date(2025, 5, 10, 22, 15, 0, 0, time.UTC),
			Labels: map[string]string{"org.opencontainers.image.revision": "abc123", "org.label-schema.schema-version": "1.0"},
		}},
		{example[*Metadata](t, "example-1.0.2"), &Metadata{
			Architecture: []Architecture{"amd64"}, Domains: []string{"cloud"}, Environments: []string{"staging", "prod"},
			Dependencies: []string{"common-utils >=1.2.0"}, Group: "dmp", ServiceName: "ms-ingestion", Team: "ingestion-platform",
			Ports: []int{8443}, MultiArch: yes(false), Notes: "Ensure Prometheus exporter is enabled",
		}},
		{example[*Ownership](t, "example"), &Ownership{
			OwnerTeam: "cloud-dmp", ProductOwner: "priya.k@yourco.com", SlackChannel: "#cloud-dmp-alerts",
			SourceRepo: "https://gitlab.com/yourorg/cloud-dmp", CIPipeline: "https://gitlab.com/yourorg/cloud-dmp/-/pipelines",
			AuditContact: "audit-group@yourco.com",
		}},
		{example[*Components](t, "example-1"), &Components{Components: []Latest{{"cloud/dmp/ms-ingestion", "1.0.2"}, {"cloud/dmp/ms-export", "3.2.0"}}}},
		{example[*Domain](t, "example-cloud-2"), &Domain{Components: []Deployed{{"cloud/dmp/ms-ingestion", "1.0.3"}, {"cloud/dmp/ms-export", "3.2.0"}}}},
		{example[*Policy](t, "some"), &Policy{Rules: map[string]string{
			"manifest.base_image.allowed": "deny", "manifest.built_at.stale": "warn", "ownership.missing": "off",
		}}},
	} {
		c.got.keep(Places{})
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got\n%+v\nwant\n%+v", c.got, c.want)
		}
	}
}

func TestAt_tells_where_a_value_stands(t *testing.T) {
	m := example[*Manifest](t, "example-1.0.2")
	c := example[*Components](t, "example-1")
	d := example[*Metadata](t, "example-1.0.2")
	for _, x := range []struct {
		doc   Document
		field string
		want  Position
		has   bool
	}{
		{m, "sha256", Position{4, 9}, true},
		{m, "labels", Position{7, 3}, true},
		{m, "labels.org.opencontainers.image.revision", Position{7, 38}, true},
		{m, "labels.org.opencontainers.image.source", Position{7, 3}, false},
		{m, "", Position{1, 1}, true},
		{m, "nothing.like[it]", Position{1, 1}, false},
		{c, "components[1].latest_version", Position{5, 21}, true},
		{c, "components[1]", Position{4, 5}, true},
		{c, "components[7].name", Position{2, 3}, false},
		{d, "environments[1]", Position{3, 27}, true},
		{d, "port_exposed", Position{8, 15}, true},
		{&Manifest{}, "sha256", Position{1, 1}, false},
	} {
		if got := x.doc.At(x.field); got != x.want {
			t.Errorf("At(%q) = %v, want %v", x.field, got, x.want)
		}
		if got := x.doc.Has(x.field); got != x.has {
			t.Errorf("Has(%q) = %v, want %v", x.field, got, x.has)
		}
	}
}

func TestMismatch_is_a_fault_at_the_place_of_its_field(t *testing.T) {
	m := example[*Manifest](t, "example-1.0.2")
	got := m.Mismatch("version", "manifest.version.mismatch", "is 1.0.2, but the tag is 1.0.3", "write 1.0.3")
	if got.String() != "line 2, column 10: version: is 1.0.2, but the tag is 1.0.3; write 1.0.3" || got.Rule != "manifest.version.mismatch" {
		t.Errorf("got %q of rule %s", got, got.Rule)
	}
	if got := m.Mismatch("labels.a\nb\x00", "r", "p", "f").String(); strings.ContainsAny(got, "\n\x00") {
		t.Errorf("%q has control characters", got)
	}
}

func TestFaults_are_an_error_only_if_there_are_any(t *testing.T) {
	if err := (Faults{}).Err(); err != nil {
		t.Errorf("no faults are the error %v", err)
	}
	_, faults := Parse(KindOwnership, []byte("{}"))
	var got Faults
	if err := fmt.Errorf("read ownership: %w", faults.Err()); !errors.As(err, &got) || len(got) != 2 || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %q", err)
	}
}

// What has a fault is missing, the rest is there: a rule may be no more than a warning.
func TestParse_gives_what_it_could_read(t *testing.T) {
	text := "format: docker\nversion: 1.0\nsha256: abc...\nlabels: {a: b, c: 1}\nmore: x\n"
	doc, faults := Parse(KindManifest, []byte(text))
	m, ok := doc.(*Manifest)
	if !ok || len(faults) != 5 {
		t.Fatalf("got %v and\n%v", doc, faults)
	}
	if m.Format != "docker" || m.Version != "" || m.SHA256 != "" || len(m.Labels) != 1 || m.Labels["a"] != "b" || !m.Has("version") || m.Has("built_at") {
		t.Errorf("got %+v", m)
	}
	rows, faults := Parse(KindDomain, []byte("components:\n- {name: a/b/c, version: 1.0.0}\n- {name: a/b/d, version: x}\n"))
	if d := rows.(*Domain); len(faults) != 1 || len(d.Components) != 1 {
		t.Errorf("got %+v and %v", d, faults)
	}
}

func TestParse_knows_no_other_kinds(t *testing.T) {
	doc, faults := Parse("picture\n", []byte("a: b"))
	if doc != nil || len(faults) != 1 || !Fatal(faults[0].Rule) || !strings.Contains(faults[0].Fix, "ownership") || strings.Contains(faults[0].String(), "\n") {
		t.Errorf("got %v and %v", doc, faults)
	}
}

func TestParser_asks_about_dependencies_and_rules(t *testing.T) {
	p := Parser{
		Dependency: func(s string) error { return errors.New("is odd: " + s) },
		Rule:       func(id string) bool { return id == "manifest.sha256.form" },
	}
	_, faults := p.Parse(KindPolicy, []byte("rules: {manifest.sha256.form: warn, manifest.a.b: warn}"))
	if len(faults) != 1 || faults[0].Field != "rules.manifest.a.b" {
		t.Errorf("got %v", faults)
	}
	text, err := os.ReadFile("testdata/metadata/good/example-1.0.2.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, faults := p.Parse(KindMetadata, text)
	if len(faults) != 1 || faults[0].Problem != "is odd: common-utils >=1.2.0" || len(doc.(*Metadata).Dependencies) != 0 {
		t.Errorf("got %v", faults)
	}
}

func TestKindOf_knows_documents_by_the_names_of_their_files(t *testing.T) {
	for file, want := range map[string]Kind{
		"manifest.yaml": KindManifest, "a/versions/1.0.2/metadata.yaml": KindMetadata, "ownership.yaml": KindOwnership, "index/components.yaml": KindComponents,
		"domain-cloud.yaml": KindDomain, "domain-cloud-prod.yaml": KindDomain, "./policy.yaml": KindPolicy,
		"domain.yaml": "", "domain-.yaml": "", "domain-Cloud.yaml": "", "manifest.yml": "", "manifest": "", ".yaml": "", "": "", "manifest.yaml/": KindManifest,
	} {
		got, ok := KindOf(file)
		if ok != (want != "") || ok && got != want {
			t.Errorf("KindOf(%q) = %q, %v, want %q", file, got, ok, want)
		}
	}
}

func TestArchitecture_has_a_name_in_debian_and_one_in_oci(t *testing.T) {
	for name, want := range map[string][3]string{ // Debian's, and the platform's with its variant
		"amd64": {"amd64", "amd64", ""}, "arm64": {"arm64", "arm64", ""}, "arm64/v8": {"arm64", "arm64", ""},
		"armhf": {"armhf", "arm", "v7"}, "arm/v7": {"armhf", "arm", "v7"}, "arm": {"armhf", "arm", "v7"}, "arm/v6": {"", "arm", "v6"}, "armel": {"armel", "arm", "v5"},
		"i386": {"i386", "386", ""}, "386": {"i386", "386", ""}, "ppc64el": {"ppc64el", "ppc64le", ""}, "s390x": {"s390x", "s390x", ""},
		"riscv64": {"riscv64", "riscv64", ""}, "all": {"all", "", ""},
	} {
		a, ok := ParseArchitecture(name)
		architecture, variant := a.Platform()
		if got := [3]string{a.Debian(), architecture, variant}; !ok || got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"", "x86_64", "AMD64", "linux/amd64", "any"} {
		if a, ok := ParseArchitecture(name); ok {
			t.Errorf("%q is taken for %s", name, a)
		}
	}
	if got := Architecture("vax").Debian(); got != "" {
		t.Errorf("Debian has %q for the VAX", got)
	}
}

func TestNearest_finds_what_was_meant(t *testing.T) {
	known := []string{"architecture", "multi_arch", "port_exposed", "service_name", "latest_version", "team", "q", "at", "env"}
	for wrong, want := range map[string]string{
		"Architecture": "architecture", "architectures": "architecture", "multiArch": "multi_arch", "serviceName": "service_name", "service-name": "service_name",
		"version": "latest_version", "taem": "team", "x": "", "": "", "attack": "", "environment": "env", "EN-V": "env", "arch": "architecture", "exposed": "port_exposed", "chit": "", "unrelated": "", strings.Repeat("a", 1000): "",
	} {
		if got := Nearest(wrong, known); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", wrong, got, want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, s := range samples(b, "good") {
		if !strings.Contains(s.path, "example") || strings.Contains(s.path, "2.yaml") {
			continue
		}
		b.Run(string(s.kind), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(s.kind, s.text)
			}
		})
	}
	index := Render(manyComponents(5000))
	b.Run("components-5000", func(b *testing.B) {
		b.SetBytes(int64(len(index)))
		b.ReportAllocs()
		for b.Loop() {
			Parse(KindComponents, index)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	doc := manyComponents(5000)
	b.ReportAllocs()
	for b.Loop() {
		Render(doc)
	}
}

func manyComponents(n int) *Components {
	c := &Components{}
	for i := range n {
		c.Components = append(c.Components, Latest{fmt.Sprintf("cloud/group-%d/ms-%d", i%50, i), "1.0." + decimal(i)})
	}
	return c
}
