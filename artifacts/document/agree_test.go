package document

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// instead are values that are put in the place of every value of the good documents.
var instead = []string{
	`""`, `" "`, `~`, `true`, `no`, `0`, `1`, `-1`, `1.0`, `80`, `65535`, `65536`, `8443.5`, `1e3`, `.inf`, `.nan`, `99999999999999999999`,
	`[]`, `{}`, `[a]`, `[amd64]`, `[1]`, `[all]`, `[all, all]`, `[amd64, all]`, `[amd64, arm64]`, `[amd64, armhf, all]`, `[[a]]`, `{a: b}`, `{a: 1}`, `{"": a}`,
	`[8443, 9090]`, `[8443, 8443]`, `[~]`, `[{name: a/b/c}]`, `[{name: a/b/c, version: 1.0.0, latest_version: 1.0.0}]`,
	`docker`, `deb`, `generic`, `Docker`, `all`, `arm64`, `arm/v7`, `x86_64`, `deny`, `warn`, `off`,
	`1.0.0`, `v1.0.0`, `"1.0"`, `1.0.0-rc.1`, `1.0.0-01`, `1.0.0-0a`, `1.0.0-`, `1.0.0+`, `1.0.0+01`, `1.0.0_1`, `1.0.0~rc1`, `1.0.0-1~x`, `"1:1.0-1"`, `":1"`, `01.0.0`,
	`a`, `A`, `a b`, `a_b`, `a__b`, `a___b`, `a.b`, `a..b`, `a-b`, `a--b`, `-a`, `a-`, `a/b`, `a/b/c`, `a/b/c/d`, `a//c`, `1a`, `é`, `"a\nb"`, `"a\tb"`, `"a\0b"`, `"a\u0085b"`, `"a\u00a0"`, `"\u2028"`,
	`a >=1`, `a>=1`, `"a >="`, `"a "`, `">=1"`, `a/b >=1, <2`, `a 1`,
	`f409eabc0f0d7c2ab1d3d7a5c9f4f6f1b0a8e2d4c6b8a0f2e4d6c8b0a2f4e6d8`, `sha256:f409eabc0f0d7c2ab1d3d7a5c9f4f6f1b0a8e2d4c6b8a0f2e4d6c8b0a2f4e6d8`,
	`F409eabc0f0d7c2ab1d3d7a5c9f4f6f1b0a8e2d4c6b8a0f2e4d6c8b0a2f4e6d8`, `sha256:f409`, `abc...`,
	`2025-05-10T22:15:00Z`, `2025-05-10T22:15:00+02:00`, `2025-05-10T22:15:00.123456789-23:59`, `2025-05-10T22:15:00`, `2025-05-10`, `2025-02-29T00:00:00Z`, `2024-02-29T00:00:00Z`,
	`2025-05-10T24:00:00Z`, `2025-05-10T22:15:60Z`, `2025-05-10T22:15:00+24:00`, `2025-05-10t22:15:00z`, `2025-05-10 22:15:00Z`, `2025-5-10T22:15:00Z`, `0000-01-01T00:00:00Z`,
	`a@b.c`, `a@b`, `a.b@c.d`, `.a@b.c`, `a..b@c.d`, `a@-b.c`, `a@b.c.`, `"a b@c.d"`, `'"a"@b.c'`, `a@b@c.d`, `"#a"`, `"#A"`, `"#é"`, `"#"`, `"##"`, `"#a b"`,
	`https://a`, `http://a.b:80/c?d#e`, `https://a:99999999/`, `https://`, `https:///a`, `ftp://a`, `https://u@h/`, `https://u:p@h/`, `https://a/%zz`, `https://a/%20`, `https://a/<b>`, `"https://a/ b"`,
	`https://[::1]/`, `https://[zz]/`, `https://[::1`, `https://a.-b/`, `HTTPS://a/`, `https://a?b`, `https://a\b`, `https://[1.2.3.4:::::]/`, `https://[:::]:1/`, `https://a:/`,
	`python`, `a/b:c@sha256:d`, `localhost:5000/a:b`, `A/b`, `a:b:c`, `a@sha256:f409eabc0f0d7c2ab1d3d7a5c9f4f6f1b0a8e2d4c6b8a0f2e4d6c8b0a2f4e6d8`, `"[::1]:5000/a"`, `a:`, `/a`, `a/`,
}

// Parser and schema agree on every good document in which any one value is another: no fault means that the schema takes it, and a fault that a
// schema can say means that it does not.
func TestSchema_and_Parse_agree_on_thousands_of_documents(t *testing.T) {
	taken, refused := 0, 0
	for _, s := range samples(t, "good") {
		name := strings.TrimSuffix(filepath.Base(s.path), ".yaml")
		if !slices.Contains([]string{"example", "example-1", "example-1.0.2", "example-cloud-1", "deb", "generic-minimal", "most", "image-for-one-and-deb-for-all", "some"}, name) {
			continue // the others have the same fields
		}
		schema := schemaOf(t, s.kind)
		var doc yaml.Node
		if err := yaml.Unmarshal(s.text, &doc); err != nil {
			t.Fatal(err)
		}
		everyValue(&doc, func(n *yaml.Node) {
			before := *n
			defer func() { *n = before }()
			for _, value := range instead {
				var other yaml.Node
				if err := yaml.Unmarshal([]byte(value), &other); err != nil {
					t.Fatalf("%s: %v", value, err)
				}
				*n = *other.Content[0]
				n.Anchor = before.Anchor
				text, err := yaml.Marshal(&doc)
				if err != nil {
					t.Fatal(err)
				}
				_, faults := Parse(s.kind, text)
				canSay := false
				for _, f := range faults {
					canSay = canSay || sayable(f)
				}
				no, ok := judge(schema, text)
				if ok && (no != nil && len(faults) == 0 || no == nil && canSay) {
					t.Errorf("%s with %s: the schema says %v, and the faults are\n%v\nin\n%s", s.path, value, no, faults, text)
				}
				if len(faults) == 0 {
					taken++
				} else {
					refused++
				}
			}
		})
	}
	if taken < 1000 || refused < 5000 {
		t.Errorf("%d documents were taken and %d refused, want 1000 and 5000 at least", taken, refused)
	}
}

// everyValue calls f for each value below a node, keys left out.
func everyValue(n *yaml.Node, f func(*yaml.Node)) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 || child.Kind == yaml.AliasNode {
			continue
		}
		everyValue(child, f)
		f(child)
	}
}
