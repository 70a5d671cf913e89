package document

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const someDigest = "sha256:f409eabc0f0d7c2ab1d3d7a5c9f4f6f1b0a8e2d4c6b8a0f2e4d6c8b0a2f4e6d8"

func yes(b bool) *bool { return &b }

// rendered are the documents in testdata/rendered.
func rendered() map[string]Document {
	return map[string]Document{
		"manifest": &Manifest{
			Format: "docker", Version: "1.0.2", BaseImage: "python:3.11-alpine", SHA256: someDigest,
			BuiltAt: time.Date(2025, 5, 11, 0, 15, 0, 0, time.FixedZone("", 2*60*60)),
			Labels: map[string]string{
				"org.opencontainers.image.revision": "abc123", "org.label-schema.schema-version": "1.0",
				"a key": "a \"text\"\nof two lines", "no": "", "12": "x",
			},
		},
		"manifest-draft": &Manifest{Format: "deb", Version: "2:1.0-1"},
		"metadata": &Metadata{
			Architecture: []Architecture{"amd64"}, Domains: []string{"cloud"}, Environments: []string{"staging", "prod"},
			Dependencies: []string{"common-utils >=1.2.0"}, Group: "dmp", ServiceName: "ms-ingestion", Team: "ingestion-platform",
			Ports: []int{8443}, MultiArch: yes(false), Notes: "Ensure Prometheus exporter is enabled",
		},
		"metadata-many": &Metadata{
			Architecture: []Architecture{"amd64", "arm/v7"}, Domains: []string{"cloud", "ran"}, Environments: []string{"prod"},
			Group: "on", ServiceName: "1", Team: "Équipe 2", Ports: []int{8443, 9090}, MultiArch: yes(true),
		},
		"metadata-draft": &Metadata{Architecture: []Architecture{"amd64"}, Group: "dmp", ServiceName: "ms-ingestion"},
		"ownership": &Ownership{
			OwnerTeam: "cloud-dmp", ProductOwner: "priya.k@yourco.com", SlackChannel: "#cloud-dmp-alerts",
			SourceRepo: "https://gitlab.com/yourorg/cloud-dmp", CIPipeline: "https://gitlab.com/yourorg/cloud-dmp/-/pipelines?a=b",
			AuditContact: "audit-group@yourco.com",
		},
		"components": &Components{Components: []Latest{
			{"cloud/dmp/ms-ingestion", "1.0.2"}, {"cloud/dmp/ms-export", "3.2.0"}, {"ran/1/2", "v1.0.0-1.2+e5"},
		}},
		"components-none": &Components{},
		"domain":          &Domain{Components: []Deployed{{"cloud/dmp/ms-ingestion", "1.0.2"}, {"cloud/dmp/ms-export", "3.2.0"}}},
		"policy":          &Policy{Rules: map[string]string{"manifest.sha256.form": "deny", "manifest.built_at.stale": "off"}},
	}
}

// The bytes are what ETags and digests are made of: they change on purpose only.
func TestRender_gives_the_bytes_of_its_golden_files(t *testing.T) {
	for name, doc := range rendered() {
		golden := filepath.Join("testdata", "rendered", name+".yaml")
		got := Render(doc)
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		if _, faults := Parse(doc.Kind(), got); len(faults) > 0 && !strings.HasSuffix(name, "-draft") {
			t.Errorf("%s has faults:\n%v", name, faults)
		}
	}
}

func TestRender_does_not_depend_on_the_order_of_rows_and_leaves_them_alone(t *testing.T) {
	a := &Components{Components: []Latest{{"b/b/b", "1.0.0"}, {"a/a/a", "2.0.0"}}}
	b := &Components{Components: []Latest{{"a/a/a", "2.0.0"}, {"b/b/b", "1.0.0"}}}
	if x, y := Render(a), Render(b); !bytes.Equal(x, y) {
		t.Errorf("got\n%s\nand\n%s", x, y)
	}
	if a.Components[0].Name != "b/b/b" {
		t.Error("the caller's rows were moved")
	}
}

// A draft says what it lacks, where a reader of the file looks for it.
func TestRender_of_a_draft_names_what_is_required_and_missing(t *testing.T) {
	draft := string(Render(&Metadata{Group: "dmp"}))
	for _, want := range []string{"\n# team: ", "# architecture: ", "\n# domains: ", "\ngroup: dmp\n"} {
		if !strings.Contains(draft, want) {
			t.Errorf("want %q in\n%s", want, draft)
		}
	}
	if strings.Contains(draft, "notes") {
		t.Errorf("notes are not required:\n%s", draft)
	}
	doc, faults := Parse(KindMetadata, []byte(draft))
	if len(faults) != 5 || doc.(*Metadata).Group != "dmp" {
		t.Errorf("want a document with a group and five missing fields, got %+v and\n%v", doc, faults)
	}
}

// Every value comes back as it was, whatever YAML could take it for.
func TestRender_and_Parse_are_inverse(t *testing.T) {
	tricky := rapid.SampledFrom([]string{"yes", "null", "~", "1.0", "0x1F", "1e3", "1_000", "12:30:45", "2025-05-10", ".inf", "a: b", "a #b", "- a", "'", `"`,
		`\`, "*a", "&a", "!a", "%a", "@a", "`a", "{a}", "[a]", "?", "=", "<<", "é\u2028x", "\U0001F600", "\ufeffx", "a\u0085b"})
	text := rapid.OneOf(tricky, rapid.String(), rapid.StringMatching(`[ -~]{1,20}`))
	oneLine := rapid.Custom(func(t *rapid.T) string {
		return text.Filter(func(s string) bool { return len(s) < 128 && oneLineText.MatchString(s) }).Draw(t, "line")
	})
	free := text.Filter(anyText.MatchString)
	word := rapid.StringMatching(`[a-z0-9]{1,4}(-[a-z0-9]{1,4})?`)
	semver := rapid.StringMatching(`v?(0|[1-9][0-9]{0,2})\.(0|[1-9]{1,3})\.(0|[1-9]{1,3})(-[a-z]{1,3}(\.[1-9]{1,3})?)?(\+[0-9a-z-]{1,8})?`)
	unique := func(g *rapid.Generator[string]) *rapid.Generator[[]string] {
		return rapid.SliceOfNDistinct(g, 1, 5, rapid.ID)
	}

	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		components := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{1,3}/[a-z]{1,3}/[a-z]{1,3}`), rapid.ID).Draw(t, "names")
		domain := &Domain{Components: []Deployed{}}
		for _, name := range components {
			domain.Components = append(domain.Components, Deployed{name, semver.Draw(t, "version")})
		}
		var processors []Architecture
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(architectures)-1), 1, 5, rapid.ID).Draw(t, "architectures") {
			processors = append(processors, architectures[i].oci)
		}
		for _, doc := range []Document{
			&Manifest{
				Format: rapid.SampledFrom([]string{"docker", "generic"}).Draw(t, "format"), Version: semver.Draw(t, "version"), BaseImage: "python:3.11",
				SHA256: "sha256:" + rapid.StringMatching(`[0-9]{64}|[0-9a-f]{64}|[0-9]e[0-9]{62}`).Draw(t, "sha"), BuiltAt: at,
				Labels: rapid.MapOf(oneLine, free).Draw(t, "labels"),
			},
			&Manifest{
				Format: "deb", Version: rapid.StringMatching(`([0-9]:)?[0-9]{1,3}(\.[0-9]{1,2}){0,2}(~rc[0-9])?(-[0-9]{1,2})?`).Draw(t, "debian"),
				SHA256: someDigest, BuiltAt: at,
			},
			&Metadata{
				Architecture: processors, Domains: unique(word).Draw(t, "domains"), Environments: []string{"prod"},
				Dependencies: unique(word).Draw(t, "dependencies"), Group: word.Draw(t, "group"), ServiceName: word.Draw(t, "service"),
				Team: oneLine.Draw(t, "team"), Ports: rapid.SliceOfNDistinct(rapid.IntRange(1, 65535), 1, 3, rapid.ID).Draw(t, "ports"),
				Notes: free.Filter(plainText.MatchString).Draw(t, "notes"),
			},
			&Ownership{OwnerTeam: oneLine.Draw(t, "owner"), SourceRepo: "https://" + word.Draw(t, "host") + "/a?b=c&d=%20#e:f", SlackChannel: "#" + word.Draw(t, "channel")},
			domain,
		} {
			text := Render(doc)
			got, faults := Parse(doc.Kind(), text)
			if len(faults) > 0 {
				t.Fatalf("faults\n%v\nin\n%s", faults, text)
			}
			if again := Render(got); !bytes.Equal(again, text) {
				t.Fatalf("got\n%s\nwant\n%s", again, text)
			}
			if d, ok := doc.(*Domain); ok {
				*d = Domain{Components: sortedRows(d.Components)}
			}
			got.keep(Places{})
			if !reflect.DeepEqual(got, doc) {
				t.Fatalf("got\n%+v\nwant\n%+v\nfrom\n%s", got, doc, text)
			}
		}
	})
}

func sortedRows(in []Deployed) []Deployed {
	out := append([]Deployed{}, in...)
	for i := range out {
		for j := i; j > 0 && out[j].Name < out[j-1].Name; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}
