package version_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/artifacts/version"
)

func TestParseTag(t *testing.T) {
	of := func(kind version.TagKind, v string) version.Tag {
		return version.Tag{Kind: kind, Version: parse(t, v)}
	}
	scratch := version.Tag{Kind: version.TagScratch}
	for tag, want := range map[string]version.Tag{
		"1.0.2":            of(version.TagVersion, "1.0.2"),
		"v1.0.2":           of(version.TagVersion, "1.0.2"),
		"1.0.2-rc.1":       of(version.TagVersion, "1.0.2-rc.1"),
		"1.0.2_build.5":    of(version.TagVersion, "1.0.2+build.5"),
		"1.0.2-deb":        of(version.TagVersion, "1.0.2-deb"),
		"2026.1.15":        of(version.TagVersion, "2026.1.15"),
		"deb-1.0.2":        of(version.TagDeb, "1.0.2"),
		"deb-v1.0.2-1":     of(version.TagDeb, "1.0.2-1"),
		"generic-1.0.2_a":  of(version.TagGeneric, "1.0.2+a"),
		"release-1.0.2":    of(version.TagRelease, "1.0.2"),
		"commit-0a1b2c3":   {Kind: version.TagCommit, Commit: "0a1b2c3"},
		"cloud.prod":       {Kind: version.TagDomain, Domain: "cloud", Environment: "prod"},
		"ran-2.dev-eu":     {Kind: version.TagDomain, Domain: "ran-2", Environment: "dev-eu"},
		"5g.prod":          {Kind: version.TagDomain, Domain: "5g", Environment: "prod"},
		"latest":           {Kind: version.TagLatest},
		"pr-17":            scratch,
		"dev-x":            scratch,
		"main":             scratch,
		"1":                scratch,
		"1.0":              scratch,
		"v1":               scratch,
		"01.0.2":           scratch,
		"1.0.2.":           scratch,
		"1.0.2-":           scratch,
		"1.0.2_":           scratch,
		"1.0.2+b":          scratch, // a tag has no +
		"1.0.2-01":         scratch,
		"1.0.2-a..b":       scratch,
		"V1.0.2":           scratch,
		"deb-":             scratch,
		"deb-1.0":          scratch,
		"deb-deb-1.0.2":    scratch,
		"release-latest":   scratch,
		"0a1b2c3":          scratch,
		"20260115":         scratch,
		"commit-x":         scratch,
		"commit-0a1b2c":    scratch,
		"commit-0A1B2C3":   scratch,
		"Latest":           scratch,
		"cloud.Prod":       scratch,
		"cloud.prod.eu":    scratch,
		"cloud.1":          scratch,
		"cloud_a.prod":     scratch,
		".prod":            scratch,
		"sha256-abc":       scratch,
		"":                 scratch,
		"1.0.2\n":          scratch,
		"commit-0a1b2c3\n": scratch,

		"commit-" + strings.Repeat("a", 64): {Kind: version.TagCommit, Commit: strings.Repeat("a", 64)},
		"commit-" + strings.Repeat("a", 65): scratch,
		strings.Repeat("a", 200) + ".prod":  scratch,
	} {
		got, ok := version.ParseTag(tag)
		if got != want || ok != (want.Kind != version.TagScratch) {
			t.Errorf("ParseTag(%q) = %+v, %t; want %+v", tag, got, ok, want)
		}
	}
}

// former is how tags were told before there was ParseTag. It still holds for every tag but two sorts that look like versions and are none by the
// specification of SemVer, and so have no place in any order: 1.0.2-01, and 1.0.2-a..b.
var former = regexp.MustCompile(`^(?:` +
	`(?:deb-|generic-|release-)?v?(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)(?:-[0-9A-Za-z.-]+)?(?:_[0-9A-Za-z.-]+)?` +
	`|commit-[0-9a-f]{7,64}` +
	`|[a-z0-9-]+\.[a-z][a-z0-9-]*` +
	`|latest)$`)

// emptyPart and zeroFirst are those two sorts.
var (
	emptyPart = regexp.MustCompile(`[-_.]\.|\.(?:_|$)`)
	zeroFirst = regexp.MustCompile(`^[^-_]*(?:(?:deb|generic|release)-[^-_]*)?-(?:[^_]*\.)?0[0-9]+(?:[._].*)?$`)
)

func TestParseTag_promises_as_before(t *testing.T) {
	promised, differ := 0, 0
	check := func(tag string) {
		_, ok := version.ParseTag(tag)
		if was := former.MatchString(tag); was != ok {
			differ++
			if !was || !emptyPart.MatchString(tag) && !zeroFirst.MatchString(tag) {
				t.Errorf("%q promises something: %t, and did before: %t", tag, ok, was)
			}
		} else if ok {
			promised++
		}
	}
	tags := rapid.OneOf(
		rapid.StringMatching(`(deb-|generic-|release-|commit-|sha-)?v?[0-9]{1,2}(\.[0-9]{1,2}){0,3}(-[0-9A-Za-z.-]{0,5})?(_[0-9A-Za-z._-]{0,4})?`),
		rapid.StringMatching(`[0-9A-Za-z_][0-9A-Za-z._-]{0,12}`),
		rapid.StringMatching(`(commit-)?[0-9a-f]{5,66}`),
		rapid.StringMatching(`[a-z0-9-]{1,3}\.[a-zA-Z0-9-]{1,3}`),
	)
	rapid.Check(t, func(t *rapid.T) { check(tags.Draw(t, "tag")) })
	for _, tag := range []string{"1.0.2-01", "deb-1.0.2-a..b", "1.0.2_a..b", "1.0.2-rc.", "1.0.2", "cloud.prod"} {
		check(tag)
	}
	if promised == 0 || differ < 4 {
		t.Errorf("%d tags promised something and %d differed: the draws tell nothing", promised, differ)
	}
}

func FuzzParseTag(f *testing.F) {
	for _, s := range []string{"1.0.2", "deb-v1.0.2-rc.1_b", "commit-0a1b2c3", "cloud.prod", "latest", "pr-17"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, ok := version.ParseTag(s)
		if ok != (tag.Kind != version.TagScratch) || tag.Kind == "" {
			t.Fatalf("%q is %+v, %t", s, tag, ok)
		}
		if ok && !former.MatchString(s) {
			t.Fatalf("%q is %+v, and did not promise anything before", s, tag)
		}
		if (tag.Version.Precision() == 3) != strings.Contains(" version deb generic release ", " "+string(tag.Kind)+" ") {
			t.Fatalf("%q is a %s of the version %q", s, tag.Kind, tag.Version)
		}
	})
}
