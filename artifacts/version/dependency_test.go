package version_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/artifacts/version"
)

func TestParseDependency(t *testing.T) {
	for _, c := range []struct{ text, name, constraint string }{
		{"common-utils >=1.2.0", "common-utils", ">=1.2.0"},
		{"common-utils >=1.2.0, <2", "common-utils", ">=1.2.0, <2"},
		{"common-utils>=1.2.0,<2", "common-utils", ">=1.2.0, <2"},
		{"  common-utils\t>= v1.2.0 ,  < 2  ", "common-utils", ">=1.2.0, <2"},
		{"common-utils", "common-utils", ""},
		{"dmp/common-utils =1.2.0-rc.1", "dmp/common-utils", "=1.2.0-rc.1"},
		{"cloud/dmp/common.utils__2 !=1.2.0, ~1.2, ^0.3", "cloud/dmp/common.utils__2", "!=1.2.0, ~1.2, ^0.3"},
		{"a--b >1", "a--b", ">1"},
	} {
		name, constraint, err := version.ParseDependency(c.text)
		if err != nil || name != c.name || constraint.String() != c.constraint {
			t.Errorf("ParseDependency(%q) = %q %q, %v; want %q %q", c.text, name, constraint, err, c.name, c.constraint)
		}
	}
}

func TestParseDependency_says_all_that_is_wrong(t *testing.T) {
	const name = "; write a service, group/service or domain/group/service, in lower-case letters, digits and ., _ or - between them"
	const number = "; write digits, as 1.2.3"
	for text, want := range map[string]string{
		"":                       "names no component; write a name first, as common-utils >=1.2.0",
		">=1.0.0":                "names no component; write a name first, as common-utils >=1.2.0",
		"Common >=1":             `names the component "Common"` + name,
		"a/b/c/d":                `names the component "a/b/c/d"` + name,
		"a//b":                   `names the component "a//b"` + name,
		"../etc":                 `names the component "../etc"` + name,
		"a-":                     `names the component "a-"` + name,
		"a___b":                  `names the component "a___b"` + name,
		"a._b":                   `names the component "a._b"` + name,
		strings.Repeat("a", 256): `names the component "` + strings.Repeat("a", 40) + `…"` + name,
		"a 1.2.0":                `has "1.2.0" without an operator; write >=, for that version and later ones, or = for it alone`,
		"a ==1.2.0":              `has the operator ==; write =`,
		"a => 1.2.0":             `has the operator =>; write >=`,
		"a ~>1.2":                `has the operator ~>; write ~`,
		"a <!1.2":                `has the operator "<!"; write one of >=, >, <=, <, =, !=, ~ and ^`,
		"a >=1.2.0 <2":           `has more than one condition in ">=1.2.0 <2"; put a comma between conditions`,
		"a >=1 || <2":            `has alternatives in ">=1 || <2"; write conditions that all hold, with commas between`,
		"a >=1,":                 `has no condition before or behind a comma; remove the comma, or write one, as >=1.2.0`,
		"a , >=1":                `has no condition before or behind a comma; remove the comma, or write one, as >=1.2.0`,
		"a >=":                   `has the version "", which is empty; write a version, as 1.2.3`,
		"a >=1.x":                `has the version "1.x", which has "x" where a number should be` + number,
		"a =1.2.0+b":             `asks for a build in "=1.2.0+b"; leave it out, builds of a version are equal`,
		"a >=0a1b2c3":            `has the version "0a1b2c3", which is digits or hexadecimal only, as a commit is; write a version, as 1.2.3`,
		"B =>01, <two, 3":        `names the component "B"` + name + `; has the operator =>; write >=; has the version "01", which has the number 01; write it without the zeros in front; has the version "two", which has "two" where a number should be` + number + `; has "3" without an operator; write >=, for that version and later ones, or = for it alone`,
		"a " + strings.Repeat(">=1,", 16) + ">=1": `has 17 conditions; write up to 16`,
		"a " + strings.Repeat(" ", 1023):          `has 1025 characters; a dependency has up to 1024`,
	} {
		got, c, err := version.ParseDependency(text)
		var fault *version.Error
		if !errors.As(err, &fault) {
			t.Errorf("ParseDependency(%.40q) = %q %s, %v; want an error", text, got, c, err)
			continue
		}
		if said := strings.Join(fault.Faults, "; "); said != want {
			t.Errorf("ParseDependency(%.40q):\n%s\nwant\n%s", text, said, want)
		}
	}
}

func TestConstraint_Allows(t *testing.T) {
	for _, c := range []struct{ constraint, yes, no string }{
		{">=1.2.0", "1.2.0 1.2.1 1.10.0 2.0.0 1.2.0+b", "1.1.9 0.9.0 1.2.0-rc.1 1.3.0-rc.1"},
		{">=1.2", "1.2.0 1.3.0 2.0.0", "1.1.9 1.2.0-rc.1"},
		{">1.2.0", "1.2.1 1.3.0", "1.2.0 1.2.0+b 1.1.0"},
		{">1.2", "1.3.0 2.0.0", "1.2.0 1.2.9 1.1.0 1.3.0-rc.1"},
		{">1", "2.0.0", "1.0.0 1.9.9 0.9.0"},
		{"<2", "1.9.9 0.0.1", "2.0.0 2.0.0-rc.1 1.9.0-rc.1 2.0.1"},
		{"<=1.2.0", "1.2.0 1.1.9", "1.2.1"},
		{"<=1.2", "1.2.0 1.2.9 0.1.0", "1.3.0 1.3.0-rc.1"},
		{"=1.2.0", "1.2.0 1.2.0+b", "1.2.1 1.2.0-rc.1"},
		{"=1.2", "1.2.0 1.2.9", "1.3.0 1.1.9 1.3.0-rc.1 1.2.1-rc.1"},
		{"=1", "1.0.0 1.9.9", "2.0.0 0.9.0"},
		{"!=1.2.0", "1.2.1 1.1.0", "1.2.0 1.2.0+b"},
		{"!=1.2", "1.3.0 1.1.9", "1.2.0 1.2.7"},
		{"~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0 1.2.4-rc.1"},
		{"~1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"},
		{"~1", "1.0.0 1.9.0", "2.0.0 0.9.0"},
		{"^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-rc.1"},
		{"^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"},
		{"^0.0.3", "0.0.3", "0.0.2 0.0.4 0.1.0"},
		{"^0.0", "0.0.0 0.0.9", "0.1.0"},
		{"^0", "0.0.0 0.9.9", "1.0.0"},
		{"^1.2", "1.2.0 1.9.0", "1.1.9 2.0.0"},
		{">=1.2.0, <2", "1.2.0 1.9.9", "1.1.9 2.0.0"},
		{">=1.2.0-rc.1", "1.2.0-rc.1 1.2.0-rc.2 1.2.0 1.3.0", "1.2.0-beta 1.3.0-rc.1"},
		{"<1.2.0-rc.2", "1.2.0-rc.1 1.1.0", "1.2.0-rc.2 1.2.0 1.1.0-rc.1"},
		{"!=1.2, >=1.3.0-rc.1", "1.3.0-rc.1 1.3.0", "1.2.0 1.3.0-beta"},
		{"~1.2.0, >=1.3.0-rc.1", "", "1.3.0-rc.1 1.2.5 1.3.0"},
		{">=2025.6", "2026.1.15 2025.6.0", "2025.5.9 9.0.0"},
		{">=1.0.0", "2026.1.15", ""}, // the numbers alone decide
	} {
		constraint, err := version.ParseConstraint(c.constraint)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, v := range strings.Fields(c.yes) {
			if !constraint.Allows(parse(t, v)) {
				t.Errorf("%s does not allow %s, and should", c.constraint, v)
			}
		}
		for _, v := range strings.Fields(c.no) {
			if constraint.Allows(parse(t, v)) {
				t.Errorf("%s allows %s, and should not", c.constraint, v)
			}
		}
	}
}

func TestConstraint_without_conditions_allows_all_releases(t *testing.T) {
	var all version.Constraint
	for v, want := range map[string]bool{"0.0.0": true, "9.9.9": true, "2026.1.15": true, "1.0.0-rc.1": false} {
		if all.Allows(parse(t, v)) != want {
			t.Errorf("it allows %s: %t, want %t", v, !want, want)
		}
	}
	if all.Allows(version.Version{}) {
		t.Error("it allows what is no version")
	}
}

func TestConstraint_conditions_agree_with_each_other(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, bound := versions(t, "v"), versions(t, "bound")
		if v.Prerelease() {
			return
		}
		text := strings.SplitN(bound.String(), "+", 2)[0]
		allows := func(operator string) bool {
			c, err := version.ParseConstraint(operator + text)
			if err != nil {
				t.Fatal(err)
			}
			again, err := version.ParseConstraint(c.String())
			if err != nil || again.String() != c.String() {
				t.Fatalf("%s comes back as %s, %v", c, again, err)
			}
			return c.Allows(v)
		}
		below, equal, above := allows("<"), allows("="), allows(">")
		n := 0
		for _, is := range []bool{below, equal, above} {
			if is {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%s is below %s: %t, equal: %t, above: %t", v, text, below, equal, above)
		}
		if allows(">=") == below || allows("<=") == above || allows("!=") == equal {
			t.Fatalf("%s against %s: >= is not what < is not, or <= what > is not, or != what = is not", v, text)
		}
		if allows("~") && !allows(">=") || allows("^") && !allows(">=") || equal && !allows("~") || equal && !allows("^") {
			t.Fatalf("%s against %s: = is not within ~ and ^, or these not within >=", v, text)
		}
	})
}

func FuzzParseDependency(f *testing.F) {
	for _, s := range []string{"common-utils >=1.2.0, <2", "a", "a =1", "a/b ^0.1, !=0.1.3", ",", "a ,,", "B =>1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, c, err := version.ParseDependency(s)
		if err != nil {
			var fault *version.Error
			if !errors.As(err, &fault) || len(fault.Faults) == 0 || name != "" || c.String() != "" {
				t.Fatalf("%q: %q %s, %v", s, name, c, err)
			}
			return
		}
		again, d, err := version.ParseDependency(name + " " + c.String())
		if err != nil || again != name || d.String() != c.String() {
			t.Fatalf("%q is %q %s, which is %q %s (%v)", s, name, c, again, d, err)
		}
	})
}
