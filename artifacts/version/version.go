// Package version knows the versions of components: which texts are versions, which of two is higher, what the tags of a component mean, and what a
// dependency on another component allows.
//
//	v, err := version.Parse("v1.2.0_build.5")      // 1.2.0+build.5
//	v.Compare(w)                                   // -1, 0 or 1
//	newest, ok := version.Latest(all)              // no pre-release
//
//	tag, ok := version.ParseTag("deb-1.2.0")       // version.TagDeb of 1.2.0; !ok is a scratch tag
//
//	name, c, err := version.ParseDependency("common-utils >=1.2.0, <2")
//	c.Allows(v)
//
// The promises:
//
//   - Versions are those of SemVer 2.0.0 (semver.org), with a v before them if one likes, and with _ for + as Helm writes it in tags, where + cannot stand.
//   - Compare is one order of all versions, and Latest its highest release. It is the precedence of SemVer, and in two cases a step is put before it, so
//     that nothing outranks what it cannot be compared with: 1 and 1.0 are shorter names that move, and stand below everything like 1.0.0; and of one
//     length, versions that are dates (2026.1.15) stand below those that are not.
//   - What is digits only, seven or more, or 7 to 40 hexadecimal characters is a commit and no version.
//   - Parsing is strict and tells all faults at once.
//
// The versions of Debian packages have an order of their own, in package deb. Which versions exist, and which of them are good, is left to others.
package version

import (
	"cmp"
	"fmt"
	"strings"
)

// maxLength is the length of the longest tag (distribution-spec, "Pulling manifests").
const maxLength = 128

// Version is a version. The zero value is none, and lower than any.
type Version struct {
	numbers    [3]string // decimal, without zeros in front; those that are not written are ""
	precision  int
	prerelease string
	build      string
}

// Parse reads a version: 1.2.3, 1.2.3-rc.1, 1.2.3-rc.1+build.5, 1.2, 1, each with a v before it or not. The error is an *Error.
func Parse(s string) (Version, error) {
	v, faults := parse(s)
	if err := wrong(s, faults...); err != nil {
		return Version{}, err
	}
	return v, nil
}

func parse(s string) (v Version, faults []string) {
	switch {
	case s == "":
		return v, []string{"is empty; write a version, as 1.2.3"}
	case len(s) > maxLength:
		return v, []string{fmt.Sprintf("has %d characters; a version has up to %d", len(s), maxLength)}
	case isCommit(s):
		return v, []string{"is digits or hexadecimal only, as a commit is; write a version, as 1.2.3"}
	}
	rest := strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(rest, "+_"); i >= 0 {
		v.build = rest[i+1:]
		faults = append(faults, identifiers("build", v.build, false)...)
		rest = rest[:i]
	}
	core, pre, dashed := strings.Cut(rest, "-")
	if v.prerelease = pre; dashed {
		faults = append(faults, identifiers("pre-release", pre, true)...)
	}
	numbers := strings.Split(core, ".")
	if v.precision = len(numbers); v.precision > 3 {
		return v, append(faults, fmt.Sprintf("has %d numbers; a version has three, as 1.2.3", v.precision))
	}
	for i, n := range numbers {
		if fault := number(n); fault != "" {
			faults = append(faults, fault)
		}
		v.numbers[i] = n
	}
	if v.precision < 3 && (dashed || v.build != "") {
		faults = append(faults, "has a pre-release or a build behind fewer than three numbers; write all three, as 1.2.0-rc.1")
	}
	return v, faults
}

// isCommit tells whether a text is one of those that pipelines take for a commit.
func isCommit(s string) bool {
	return len(s) >= 7 && (only(s, "0123456789") || len(s) <= 40 && only(s, "0123456789abcdef"))
}

func only(s, characters string) bool { return strings.Trim(s, characters) == "" }

func number(n string) string {
	switch {
	case n == "":
		return "lacks a number; write three with full stops between, as 1.2.3"
	case !only(n, "0123456789"):
		return fmt.Sprintf("has %q where a number should be; write digits, as 1.2.3", n)
	case len(n) > 1 && n[0] == '0':
		return fmt.Sprintf("has the number %s; write it without the zeros in front", n)
	}
	return ""
}

// identifiers checks what stands behind - and +: letters, digits and hyphens between full stops (SemVer, 9 and 10).
func identifiers(what, text string, ordered bool) (faults []string) {
	for _, id := range strings.Split(text, ".") {
		switch {
		case id == "":
			faults = append(faults, fmt.Sprintf("has an empty %s, or an empty part of it; write letters, digits and hyphens between full stops", what))
		case !only(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"):
			faults = append(faults, fmt.Sprintf("has %q in its %s; write letters, digits and hyphens between full stops", id, what))
		case ordered && len(id) > 1 && id[0] == '0' && only(id, "0123456789"):
			faults = append(faults, fmt.Sprintf("has the number %s in its %s; write it without the zeros in front", id, what))
		}
	}
	return faults
}

// String writes the version as SemVer does, without a v.
func (v Version) String() string {
	s := strings.Join(v.numbers[:v.precision], ".")
	if v.prerelease != "" {
		s += "-" + v.prerelease
	}
	if v.build != "" {
		s += "+" + v.build
	}
	return s
}

// Tag writes it as a tag: with _ for +.
func (v Version) Tag() string { return strings.ReplaceAll(v.String(), "+", "_") }

// Precision is how many numbers were written: 3 for 1.0.0, 2 for 1.0, 1 for 1, and 0 for no version.
func (v Version) Precision() int { return v.precision }

// Prerelease tells whether it is one of those before a release: 1.0.0-rc.1.
func (v Version) Prerelease() bool { return v.prerelease != "" }

// Calendar tells whether it is a date: the first number is a year from 1970 to 2199.
func (v Version) Calendar() bool {
	year := v.numbers[0]
	return len(year) == 4 && year >= "1970" && year <= "2199"
}

// NextPatch returns the release that comes next: 1.2.4 after 1.2.3, and 1.2.3 after 1.2.3-rc.1.
func (v Version) NextPatch() Version {
	next := Version{numbers: v.filled(), precision: 3}
	if !v.Prerelease() {
		next.numbers[2] = increased(next.numbers[2])
	}
	return next
}

// filled returns the numbers, with 0 for those that are not written.
func (v Version) filled() [3]string {
	for i := range v.numbers {
		v.numbers[i] = cmp.Or(v.numbers[i], "0")
	}
	return v.numbers
}

// increased adds one to a number of any length.
func increased(n string) string {
	digits := []byte(n)
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i]++; digits[i] <= '9' {
			return string(digits)
		}
		digits[i] = '0'
	}
	return "1" + string(digits)
}
