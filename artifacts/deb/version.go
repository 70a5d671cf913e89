package deb

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is the version of a package: [epoch:]upstream[-revision] (policy 5.6.12, deb-version(7)).
type Version struct {
	Epoch    int
	Upstream string
	Revision string // "" if there is none

	text string
}

// String returns the version as it was written.
func (v Version) String() string { return v.text }

// WithoutEpoch returns upstream[-revision], as the names of files have it.
func (v Version) WithoutEpoch() string {
	if v.Revision == "" {
		return v.Upstream
	}
	return v.Upstream + "-" + v.Revision
}

// ParseVersion reads a version and accepts what dpkg accepts in a package, up to 128 bytes, but for signs and blanks around it. The error is an *Error.
func ParseVersion(s string) (Version, error) {
	v, fault := parseVersion(s)
	return v, plain(fault)
}

func parseVersion(s string) (Version, *Error) {
	const where = "version"
	switch {
	case s == "":
		return Version{}, &Error{where, "is empty", "write [epoch:]upstream[-revision], as 1.0-1"}
	case len(s) > maxVersion:
		return Version{}, &Error{where, fmt.Sprintf("%s has %d bytes, more than %d", quote(s), len(s), maxVersion), "shorten it"}
	}
	v := Version{Upstream: s, text: s}
	if epoch, rest, ok := strings.Cut(s, ":"); ok {
		n, err := strconv.ParseInt(epoch, 10, 32)
		if err != nil || !digits(epoch) {
			return Version{}, &Error{where, fmt.Sprintf("%s has the epoch %s", quote(s), quote(epoch)), "an epoch is a number from 0 to 2147483647"}
		}
		v.Epoch, v.Upstream = int(n), rest
	}
	if i := strings.LastIndexByte(v.Upstream, '-'); i >= 0 {
		v.Upstream, v.Revision = v.Upstream[:i], v.Upstream[i+1:]
		if v.Revision == "" {
			return Version{}, &Error{where, quote(s) + " has nothing behind its last -", "write a revision there, or leave the - out"}
		}
	}
	if v.Upstream == "" {
		return Version{}, &Error{where, quote(s) + " has no upstream version", "write [epoch:]upstream[-revision], as 1.0-1"}
	}
	if !strings.Contains(decimal, v.Upstream[:1]) {
		return Version{}, &Error{where, quote(s) + " does not begin with a digit", "put 0~ before it, or leave a leading v out"}
	}
	// Upstream versions have colons only where there is an epoch: the first one ends it.
	if c, found := stranger(v.Upstream, ".+-~:"); found {
		return Version{}, &Error{where, fmt.Sprintf("%s has %q in it", quote(s), c), "use letters, digits, ., +, - and ~"}
	}
	if c, found := stranger(v.Revision, ".+~"); found {
		return Version{}, &Error{where, fmt.Sprintf("%s has %q in its revision", quote(s), c), "use letters, digits, ., + and ~ behind the last -"}
	}
	return v, nil
}

// stranger finds the first character that is neither a letter nor a digit nor one of others.
func stranger(s, others string) (rune, bool) {
	for _, c := range s {
		if !strings.ContainsRune(letters+decimal, c) && !strings.ContainsRune(others, c) {
			return c, true
		}
	}
	return 0, false
}

// Compare returns -1, 0 or 1, as dpkg --compare-versions sees it: the epochs, then the upstream versions, then the revisions, where none is as good as 0.
// Versions that are written in different ways can be equal: 1.0, 0:1.0, 1.00 and 1.0-0.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Epoch, o.Epoch), compareParts(v.Upstream, o.Upstream), compareParts(v.Revision, o.Revision))
}

// compareParts goes from left to right, by turns over characters that are no digits, by their weight, and over digits, by their number.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			if c := cmp.Compare(weight(a), weight(b)); c != 0 {
				return c
			}
			a, b = a[1:], b[1:] // neither is at its end: it would have weighed less, or more
		}
		var x, y string
		x, a = number(a)
		y, b = number(b)
		if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
			return c
		}
	}
	return 0
}

// weight is how the first character of what is left of a part sorts: ~ before the end and before a digit, then letters, then everything else.
func weight(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case strings.IndexByte(letters, s[0]) >= 0:
		return int(s[0])
	}
	return int(s[0]) + 256
}

// number cuts the leading digits off, and returns them without the zeros in front.
func number(s string) (digits, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
