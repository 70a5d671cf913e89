package document

import (
	"strings"
	"time"
)

// Manifest is manifest.yaml: how the artifact of one format of a version was built.
type Manifest struct {
	Places `json:"-"`

	Format    string            `json:"format"`               // docker, deb or generic
	Version   string            `json:"version"`              // as it was written: SemVer, perhaps with a v, or a Debian version for a deb
	BaseImage string            `json:"base_image,omitempty"` // a reference, as after FROM
	SHA256    string            `json:"sha256"`               // with sha256: before the digits, whether or not it was written
	BuiltAt   time.Time         `json:"built_at"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Formats are the formats of a version.
func Formats() []string { return []string{"docker", "deb", "generic"} }

// Kind returns KindManifest.
func (m *Manifest) Kind() Kind { return KindManifest }

func (m *Manifest) fields() []field {
	return []field{
		{"format", "what it describes: docker, deb or generic", true,
			text{into: &m.Format, form: form{is: "docker, deb or generic", names: Formats(), most: 16}}},
		{"version", "the version, as in the tag of the artifact: 1.0.2, or a Debian version for a deb", true,
			text{into: &m.Version, form: line("a version", versionLength), now: func() form { return versionOf(m.Format) }}},
		{"base_image", "the image after FROM, like python:3.11-alpine", false,
			text{into: &m.BaseImage, form: imageForm}},
		{"sha256", "the digest of the image's manifest or index, or of the deb or other file: 64 hex digits, never cut short", true,
			text{into: &m.SHA256, form: digestForm, keep: func(s string) string { return "sha256:" + strings.TrimPrefix(s, "sha256:") }}},
		{"built_at", "when it was built, with the zone: 2025-05-10T22:15:00Z", true,
			instant{&m.BuiltAt}},
		{"labels", "the labels of the image, every value a text", false,
			pairs{into: &m.Labels, key: line("the name of a label", 255), form: free(anyText, 64<<10), size: bounds{0, 1000}}},
	}
}

func (m *Manifest) relations(*reader) {}

func (m *Manifest) conditions() []any {
	deb := has("format", object{{"const", "deb"}})
	return []any{
		object{{"if", deb}, {"then", has("version", object{{"pattern", debianForm.pattern.String()}})}, {"else", has("version", object{{"pattern", semVerForm.pattern.String()}})}},
	}
}

func (m *Manifest) ownRules() []Rule { return []Rule{spellingRule} }
