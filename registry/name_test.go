package registry

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The grammar as the distribution-spec writes it ("Pulling manifests"), and of digests what this registry keeps content under.
var (
	specName   = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	specTag    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	specDigest = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
)

func matchesName(s string) bool {
	return specName.MatchString(s) && len(s) <= MaxName && !strings.HasSuffix(s, "\n")
}

var names = []struct {
	name  string
	valid bool
}{
	{"a", true}, {"0", true}, {"a/b", true}, {"cloud/dmp/ms-ingestion", true}, {"a.b", true}, {"a_b", true}, {"a__b", true}, {"a-b", true},
	{"a----b", true}, {"a.b_c__d-e/f", true}, {"a/b/c/d/e/f", true}, {"library/alpine", true}, {strings.Repeat("a", 255), true},
	{"", false}, {"/", false}, {"a/", false}, {"/a", false}, {"a//b", false}, {"A", false}, {"a..b", false}, {"a___b", false}, {"a._b", false},
	{"a-.b", false}, {"a-_b", false}, {".a", false}, {"a.", false}, {"_a", false}, {"a_", false}, {"-a", false}, {"a-", false}, {"..", false},
	{"a/../b", false}, {"a/./b", false}, {"a b", false}, {"a\n", false}, {"a\x00", false}, {"a!b", false}, {"a:b", false}, {"ä", false},
	{"a%2fb", false}, {"a\\b", false}, {"_catalog", false}, {strings.Repeat("a", 256), false}, {strings.Repeat("a/", 128) + "a", false},
}

func TestValidName(t *testing.T) {
	for _, n := range names {
		if ValidName(n.name) != n.valid || matchesName(n.name) != n.valid {
			t.Errorf("%.40q: ValidName says %v, the grammar %v, want %v", n.name, ValidName(n.name), matchesName(n.name), n.valid)
		}
	}
}

// pieces of names, with more separators than letters, since there the grammar is narrow.
var pieces = []string{"a", "z", "0", "9", "b1", ".", "_", "__", "___", "-", "--", "/", "//", "A", "!", " ", "é", "\n", "`", "{", ":", "@"}

func TestValidName_is_the_grammar(t *testing.T) {
	likely := rapid.SampledFrom(pieces[:12])
	any := rapid.SampledFrom(pieces)
	written := rapid.Map(rapid.OneOf(rapid.SliceOfN(likely, 1, 12), rapid.SliceOfN(any, 0, 12), rapid.SliceOfN(likely, 100, 300)),
		func(p []string) string { return strings.Join(p, "") })
	valid := rapid.StringMatching(`[a-z0-9]{1,9}((\.|_|__|-{1,4})[a-z0-9]{1,9}){0,4}(/[a-z0-9]{1,9}((\.|_|__|-{1,4})[a-z0-9]{1,9}){0,4}){0,9}`)
	all := rapid.OneOf(written, valid, rapid.String())
	rapid.Check(t, func(rt *rapid.T) {
		if s := all.Draw(rt, "name"); ValidName(s) != matchesName(s) {
			rt.Fatalf("%q: ValidName says %v, the grammar %v", s, ValidName(s), matchesName(s))
		}
	})
}

func TestValidTag(t *testing.T) {
	for tag, valid := range map[string]bool{
		"latest": true, "1.0.2": true, "_": true, "_a": true, "A-b.C_d": true, "v1--..__": true, strings.Repeat("x", 128): true,
		"": false, ".a": false, "-a": false, "a b": false, "a/b": false, "a:b": false, "a!b": false, "a\n": false, "ä": false, "a\x00": false,
		strings.Repeat("x", 129): false,
	} {
		if ValidTag(tag) != valid || specTag.MatchString(tag) != valid {
			t.Errorf("%.40q: ValidTag says %v, the grammar %v, want %v", tag, ValidTag(tag), specTag.MatchString(tag), valid)
		}
	}
	tags := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9_.\-!:]{0,130}`), rapid.String())
	rapid.Check(t, func(rt *rapid.T) {
		if s := tags.Draw(rt, "tag"); ValidTag(s) != specTag.MatchString(s) {
			rt.Fatalf("%q: ValidTag says %v, the grammar %v", s, ValidTag(s), specTag.MatchString(s))
		}
	})
}

func TestValidDigest(t *testing.T) {
	hex := strings.Repeat("0f", 32)
	for d, valid := range map[string]bool{
		"sha256:" + hex: true, "sha512:" + hex + hex: true,
		"": false, "sha256": false, "sha256:": false, "sha256:" + hex[1:]: false, "sha256:" + hex + "0": false, "sha512:" + hex: false,
		"sha256:" + hex + hex: false, "sha256:" + strings.ToUpper(hex): false, "sha384:" + hex + hex[:32]: false, "SHA256:" + hex: false,
		"sha256:" + strings.Repeat("g", 64): false, "sha256:" + hex[:63] + "!": false, "sha256::" + hex[1:]: false, hex: false, "sha256-" + hex: false,
		"sha256:../" + hex[3:]: false, "blake3:" + hex: false,
	} {
		if ValidDigest(d) != valid || specDigest.MatchString(d) != valid {
			t.Errorf("%.40q: ValidDigest says %v, want %v", d, ValidDigest(d), valid)
		}
	}
	digests := rapid.StringMatching(`(sha256|sha512|sha384|md5)?[:\-]?([0-9a-f]{62,66}|[0-9a-fA-F]{126,130})`)
	rapid.Check(t, func(rt *rapid.T) {
		if s := digests.Draw(rt, "digest"); ValidDigest(s) != specDigest.MatchString(s) {
			rt.Fatalf("%q: ValidDigest says %v, want %v", s, ValidDigest(s), specDigest.MatchString(s))
		}
	})
}

// What is told back is bounded, and never ends in the middle of a character: clients could not even decode it.
func TestClip_cuts_no_character_in_two(t *testing.T) {
	for at := range 4 {
		s := strings.Repeat("x", maxTold-at) + "€uro"
		got := clip(s)
		kept, more := strings.CutSuffix(got, "…")
		if !utf8.ValidString(got) || !more || !strings.HasPrefix(s, kept) || len(kept) < maxTold-2 || len(kept) > maxTold {
			t.Errorf("of %d bytes with a character at %d it leaves %q", len(s), maxTold-at, got)
		}
	}
	if s := strings.Repeat("€", maxTold/3); clip(s) != s {
		t.Errorf("%q is cut to %q", s, clip(s))
	}
}

func FuzzValidName(f *testing.F) {
	for _, n := range names {
		f.Add(n.name)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ValidName(s) != matchesName(s) {
			t.Errorf("%q: ValidName says %v, the grammar %v", s, ValidName(s), matchesName(s))
		}
		if ValidTag(s) != specTag.MatchString(s) || ValidDigest(s) != specDigest.MatchString(s) {
			t.Errorf("%q: as a tag %v, as a digest %v", s, ValidTag(s), ValidDigest(s))
		}
		// What is valid never breaks a key apart.
		if ValidName(s) && strings.ContainsAny(s, "!\t\n\x00") || ValidTag(s) && strings.ContainsAny(s, "!:/\t\n\x00") {
			t.Errorf("%q holds what joins keys or fields", s)
		}
	})
}
