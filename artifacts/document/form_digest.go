package document

import (
	"fmt"
	"regexp"
	"strings"
)

const whichDigest = "as docker push prints it for an image, or sha256sum for a deb or another file"

// digestForm is a SHA-256, with or without its algorithm before it.
var digestForm = form{
	is:      "64 hex digits, with or without sha256: before them, " + whichDigest,
	pattern: digestPattern,
	most:    256,
	why:     whyDigest,
}

var digestPattern = regexp.MustCompile(`^(?:sha256:)?[0-9a-f]{64}$`)

var someHex = regexp.MustCompile(`^[0-9a-f]+$`)

func whyDigest(s string) (problem, fix string) {
	lower := strings.ToLower(s)
	hex := strings.TrimPrefix(lower, "sha256:")
	digits := strings.TrimRight(hex, ".…")
	algorithm, _, other := strings.Cut(hex, ":")
	switch {
	case digestPattern.MatchString(lower):
		return "is written in upper case", "write " + lower
	case other:
		return "is " + quote(s) + ", a digest of " + algorithm, ""
	case !someHex.MatchString(digits):
		return "is " + quote(s) + ", which is no SHA-256", ""
	case len(digits) < 64:
		return fmt.Sprintf("is cut short: %d of 64 digits", len(digits)), "write all 64, " + whichDigest
	}
	return fmt.Sprintf("has %d characters, but a SHA-256 has 64 digits", len(hex)), ""
}
