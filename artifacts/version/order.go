package version

import (
	"cmp"
	"slices"
	"strings"
)

// Compare returns -1, 0 or 1: shorter versions are lower than longer ones, and of one length those that are dates are lower than those that are not; then the
// precedence of SemVer (11) holds, for which builds of a version are equal.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.precision, o.precision), -compareBools(v.Calendar(), o.Calendar()), v.precedence(o))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// precedence compares as SemVer does; numbers that are not written are 0.
func (v Version) precedence(o Version) int {
	a, b := v.filled(), o.filled()
	for i := range a {
		if c := compareNumbers(a[i], b[i]); c != 0 {
			return c
		}
	}
	switch {
	case v.prerelease == o.prerelease:
		return 0
	case v.prerelease == "":
		return 1
	case o.prerelease == "":
		return -1
	}
	return slices.CompareFunc(strings.Split(v.prerelease, "."), strings.Split(o.prerelease, "."), compareIdentifiers)
}

// compareIdentifiers sorts numbers below words (SemVer 11.4).
func compareIdentifiers(a, b string) int {
	const decimal = "0123456789"
	switch x, y := only(a, decimal), only(b, decimal); {
	case x && y:
		return compareNumbers(a, b)
	case x:
		return -1
	case y:
		return 1
	}
	return strings.Compare(a, b)
}

// compareNumbers compares numbers of any length, which have no zeros in front.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// Latest returns the highest version that is no pre-release. Of builds of one version it returns the first.
func Latest(versions []Version) (Version, bool) {
	var latest Version
	for _, v := range versions {
		if !v.Prerelease() && v.Compare(latest) > 0 {
			latest = v
		}
	}
	return latest, latest.precision > 0
}
