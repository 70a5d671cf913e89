package version_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/artifacts/version"
)

func parse(t testing.TB, s string) version.Version {
	t.Helper()
	v, err := version.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text, want string
		precision  int
		pre        bool
	}{
		{"1.0.2", "1.0.2", 3, false},
		{"v1.0.2", "1.0.2", 3, false},
		{"0.0.0", "0.0.0", 3, false},
		{"1.0", "1.0", 2, false},
		{"v1", "1", 1, false},
		{"123456", "123456", 1, false},
		{"1.0.2-rc.1", "1.0.2-rc.1", 3, true},
		{"1.0.2-0", "1.0.2-0", 3, true},
		{"1.0.2--", "1.0.2--", 3, true},
		{"1.0.2-0a.01a", "1.0.2-0a.01a", 3, true},
		{"1.0.2+build.5", "1.0.2+build.5", 3, false},
		{"1.0.2_build.5", "1.0.2+build.5", 3, false},
		{"1.0.2+001.-", "1.0.2+001.-", 3, false},
		{"v1.0.2-rc.1_a-b", "1.0.2-rc.1+a-b", 3, true},
		{"99999999999999999999999.999999999999999999.99999999999999999", "99999999999999999999999.999999999999999999.99999999999999999", 3, false},
		{"2026.1.15", "2026.1.15", 3, false},
		{"1234567.0.0", "1234567.0.0", 3, false},
	} {
		v, err := version.Parse(c.text)
		if err != nil || v.String() != c.want || v.Precision() != c.precision || v.Prerelease() != c.pre {
			t.Errorf("Parse(%q) = %s of %d numbers (pre-release: %t), %v; want %s of %d (%t)",
				c.text, v, v.Precision(), v.Prerelease(), err, c.want, c.precision, c.pre)
		}
	}
}

func TestParse_says_all_that_is_wrong(t *testing.T) {
	const parts = "; write letters, digits and hyphens between full stops"
	for text, want := range map[string]string{
		"":                       `"": is empty; write a version, as 1.2.3`,
		strings.Repeat("1", 129): `"` + strings.Repeat("1", 80) + `…": has 129 characters; a version has up to 128`,
		"20260115":               `"20260115": is digits or hexadecimal only, as a commit is; write a version, as 1.2.3`,
		"0a1b2c3":                `"0a1b2c3": is digits or hexadecimal only, as a commit is; write a version, as 1.2.3`,
		"main":                   `"main": has "main" where a number should be; write digits, as 1.2.3`,
		"V1.0.0":                 `"V1.0.0": has "V1" where a number should be; write digits, as 1.2.3`,
		"1.2.3.4":                `"1.2.3.4": has 4 numbers; a version has three, as 1.2.3`,
		"1..3":                   `"1..3": lacks a number; write three with full stops between, as 1.2.3`,
		"2026.01.05":             `"2026.01.05": has the number 01; write it without the zeros in front; has the number 05; write it without the zeros in front`,
		"1.0-rc.1":               `"1.0-rc.1": has a pre-release or a build behind fewer than three numbers; write all three, as 1.2.0-rc.1`,
		"1_5":                    `"1_5": has a pre-release or a build behind fewer than three numbers; write all three, as 1.2.0-rc.1`,
		"1.0.0-":                 `"1.0.0-": has an empty pre-release, or an empty part of it` + parts,
		"1.0.0+":                 `"1.0.0+": has an empty build, or an empty part of it` + parts,
		"1.0.0-a...b":            `"1.0.0-a...b": has an empty pre-release, or an empty part of it` + parts,
		"1.0.0-01":               `"1.0.0-01": has the number 01 in its pre-release; write it without the zeros in front`,
		"1.0.0-ü":                `"1.0.0-ü": has "ü" in its pre-release` + parts,
		"1.0.0+a_b":              `"1.0.0+a_b": has "a_b" in its build` + parts,
		"01.x.0-01+é":            `"01.x.0-01+é": has "é" in its build` + parts + `; has the number 01 in its pre-release; write it without the zeros in front; has the number 01; write it without the zeros in front; has "x" where a number should be; write digits, as 1.2.3`,
		" 1.0.0":                 `" 1.0.0": has " 1" where a number should be; write digits, as 1.2.3`,
		"1.0.0\n":                `"1.0.0\n": has "0\n" where a number should be; write digits, as 1.2.3`,
	} {
		_, err := version.Parse(text)
		var fault *version.Error
		if !errors.As(err, &fault) || err.Error() != want {
			t.Errorf("Parse(%q):\n%v\nwant\n%s", text, err, want)
		}
	}
}

// The list of section 11 of the specification, and what it says of numbers.
func TestCompare_is_the_precedence_of_the_specification(t *testing.T) {
	order := []string{
		"0.0.1", "0.1.0", "1.0.0-0", "1.0.0-9", "1.0.0-10", "1.0.0-99999999999999999999", "1.0.0--", "1.0.0-10a", "1.0.0-A",
		"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
		"1.0.1", "1.0.9", "1.0.10", "1.9.0", "1.10.0", "2.0.0", "2.1.0", "2.1.1", "10.0.0", "18446744073709551616.0.0", "18446744073709551617.0.0",
	}
	for i, a := range order {
		for j, b := range order {
			want := min(1, max(-1, i-j))
			if got := parse(t, a).Compare(parse(t, b)); got != want {
				t.Errorf("%s against %s is %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestCompare_does_not_see_builds(t *testing.T) {
	if c := parse(t, "1.0.0+a").Compare(parse(t, "v1.0.0_b")); c != 0 {
		t.Errorf("two builds compare as %d, want 0", c)
	}
}

func TestCompare_lets_nothing_outrank_what_it_cannot_be_compared_with(t *testing.T) {
	order := []string{"2026", "1", "9", "2026.1", "1.0", "9.9", "1970.1.1", "2026.1.15", "2199.9.9", "0.0.1-rc.1", "0.0.1", "1.0.0", "1969.0.0", "2200.0.0", "20261.0.0"}
	for i := range order[1:] {
		if c := parse(t, order[i]).Compare(parse(t, order[i+1])); c != -1 {
			t.Errorf("%s against %s is %d, want -1", order[i], order[i+1], c)
		}
	}
}

func TestLatest(t *testing.T) {
	for _, c := range []struct{ of, want string }{
		{"", ""},
		{"1.0.0-rc.1", ""},
		{"1.0.0 1.0.1 1.0.1-rc.9 1.1.0-rc.1", "1.0.1"},
		{"1.9.0 1.10.0 1.2.0", "1.10.0"},
		{"1.0.0 2 1.5", "1.0.0"},
		{"1 1.5 1.2", "1.5"},
		{"2026.1.15 1.0.0", "1.0.0"},
		{"2026.1.15 2025.12.24", "2026.1.15"},
		{"1.0.0+a 1.0.0+b", "1.0.0+a"},
		{"0.0.0", "0.0.0"},
	} {
		var all []version.Version
		for _, s := range strings.Fields(c.of) {
			all = append(all, parse(t, s))
		}
		v, ok := version.Latest(all)
		if v.String() != c.want || ok != (c.want != "") {
			t.Errorf("the latest of %q is %q (%t), want %q", c.of, v, ok, c.want)
		}
	}
}

func TestNextPatch(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3": "1.2.4", "1.2.9": "1.2.10", "1.2.99": "1.2.100", "1.2.3+b": "1.2.4", "1.2.3-rc.1": "1.2.3", "1.2": "1.2.1", "1": "1.0.1",
		"0.0.18446744073709551615": "0.0.18446744073709551616",
	} {
		if got := parse(t, text).NextPatch(); got.String() != want || got.Precision() != 3 {
			t.Errorf("behind %s comes %s, want %s", text, got, want)
		}
	}
}

// versions draws versions that meet each other.
func versions(t *rapid.T, name string) version.Version {
	text := rapid.StringMatching(`v?(0|1|2|10|2026)(\.(0|1|2|10)){0,1}|(0|1|2|10|2026)\.(0|1|10)\.(0|1|10)(-(0|1|10|a|B|-)(\.(0|1|10|a|B|a1)){0,2})?([+_](a|0)(\.01)?)?`).Draw(t, name)
	v, err := version.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCompare_is_an_order(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := versions(t, "a"), versions(t, "b"), versions(t, "c")
		if a.Compare(a) != 0 {
			t.Fatalf("%s is not equal to itself", a)
		}
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%s against %s is %d, and the other way round %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%s <= %s <= %s, and the first is higher than the last", a, b, c)
		}
		if a.Compare(b) == 0 && a.Compare(c) != b.Compare(c) {
			t.Fatalf("%s and %s are equal, and %s is not the same to both", a, b, c)
		}
		if (version.Version{}).Compare(a) != -1 {
			t.Fatalf("no version is not below %s", a)
		}
	})
}

func TestLatest_is_the_last_release_in_order(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, releases []version.Version
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			v := versions(t, "v")
			if all = append(all, v); !v.Prerelease() {
				releases = append(releases, v)
			}
		}
		latest, ok := version.Latest(all)
		if ok != (len(releases) > 0) {
			t.Fatalf("latest of %v: %t", all, ok)
		}
		if ok && latest.Compare(slices.MaxFunc(releases, version.Version.Compare)) != 0 {
			t.Fatalf("latest of %v is %s", all, latest)
		}
	})
}

func TestParse_reads_what_String_and_Tag_write(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := versions(t, "v")
		for _, s := range []string{v.String(), v.Tag(), "v" + v.Tag()} {
			again, err := version.Parse(s)
			if err != nil || again != v {
				t.Fatalf("%s comes back from %q as %s, %v", v, s, again, err)
			}
		}
		if next := v.NextPatch(); next.Precision() == v.Precision() && next.Compare(v) != 1 {
			t.Fatalf("%s comes after %s", next, v)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.0.0", "v1.0.0-rc.1+b", "1.0_", "0a1b2c3", "1.0.0-01", "..", "-", "_"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := version.Parse(s)
		if err != nil {
			if v != (version.Version{}) || len(err.Error()) > 20_000 {
				t.Fatalf("%q: %v with %v", s, err, v)
			}
			return
		}
		again, err := version.Parse(v.String())
		if err != nil || again != v || v.Compare(again) != 0 || v.Tag() != again.Tag() {
			t.Fatalf("%q is %s, which is %s (%v)", s, v, again, err)
		}
	})
}
