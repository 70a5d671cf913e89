package document

import (
	"regexp"
	"strings"
)

const (
	number  = `(?:0|[1-9][0-9]*)`
	prePart = `(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`
	semVer  = number + `\.` + number + `\.` + number + `(?:-` + prePart + `(?:\.` + prePart + `)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?`
)

// versionLength is the longest version, which is that of the tag that carries it.
const versionLength = 128

// semVerForm is a version of SemVer 2.0.0, section 2, 9 and 10, with or without the v that people put before it.
var semVerForm = form{
	is:      "a version of three numbers",
	like:    "1.0.2 or 1.0.2-rc.1",
	pattern: regexp.MustCompile(`^v?` + semVer + `$`),
	most:    versionLength,
}

// debianForm is a version of a Debian package (deb-version(7)): an epoch, the upstream's version, a revision.
var debianForm = form{
	is:      "a Debian version",
	like:    "1.0.2, 1.0.2-1 or 2:1.0.2~rc1-1",
	pattern: regexp.MustCompile(`^(?:[0-9]{1,9}:)?[0-9](?:[A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?$`),
	most:    versionLength,
}

var anyVersion = regexp.MustCompile(semVerForm.pattern.String() + `|` + debianForm.pattern.String())

// versionOf is the form of versions in a format; where the format is unknown, a version of any of them will do.
func versionOf(format string) form {
	f := semVerForm
	switch format {
	case "deb":
		f = debianForm
	case "docker", "generic":
	default:
		f.pattern = anyVersion
	}
	f.why = func(s string) (string, string) { return whyVersion(f, s) }
	return f
}

var (
	fewNumbers = regexp.MustCompile(`^v?[0-9]+(?:\.[0-9]+)?$`)
	zeros      = regexp.MustCompile(`\b0+([0-9])`)
)

// whyVersion finds the version that somebody meant.
func whyVersion(f form, s string) (problem, fix string) {
	said, bare, filled := f.not(s), s, s
	if fewNumbers.MatchString(s) {
		said = "is " + quote(s) + ", but a version has three numbers"
		filled = s + strings.Repeat(".0", 2-strings.Count(s, "."))
	}
	for _, prefix := range []string{"deb-", "generic-", "release-"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			said, bare = "is "+quote(s)+", but "+prefix+" belongs to the tag alone", rest
		}
	}
	for _, meant := range []string{
		bare,
		strings.TrimSpace(bare),
		strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(bare), "v"), "V"),
		strings.ReplaceAll(bare, "_", "+"), // as tags write it
		zeros.ReplaceAllString(bare, "$1"),
		filled,
	} {
		if f.matches(meant) {
			return said, "write " + meant
		}
	}
	return said, "write one like " + f.like
}
