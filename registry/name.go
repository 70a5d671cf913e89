package registry

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// MaxName is the longest repository name, in bytes. Many clients refuse more than 255 with the host in front of it; within
// one registry the host's length is not known, so this is the upper bound that can ever be of use.
const MaxName = 255

// MaxTag is the longest tag, in bytes (distribution-spec, "Pulling manifests").
const MaxTag = 128

// ValidName tells whether name is a repository name by the grammar of the distribution-spec ("Pulling manifests"):
// path components of a-z and 0-9, joined within by one dot, one or two underscores or any number of dashes.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > MaxName {
		return false
	}
	for component := range strings.SplitSeq(name, "/") {
		if !validComponent(component) {
			return false
		}
	}
	return true
}

func validComponent(c string) bool {
	if c == "" || !alphanumeric(c[0]) || !alphanumeric(c[len(c)-1]) {
		return false
	}
	for i := 1; i < len(c)-1; {
		if alphanumeric(c[i]) {
			i++
			continue
		}
		end := i
		for !alphanumeric(c[end]) { // ends: the last byte is alphanumeric
			end++
		}
		switch sep := c[i:end]; {
		case sep == ".", sep == "_", sep == "__", strings.Trim(sep, "-") == "":
			i = end
		default:
			return false
		}
	}
	return true
}

func alphanumeric(b byte) bool { return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' }

// ValidTag tells whether tag is a tag by the grammar of the distribution-spec ("Pulling manifests").
func ValidTag(tag string) bool {
	if len(tag) == 0 || len(tag) > MaxTag {
		return false
	}
	for i := range len(tag) {
		b := tag[i]
		word := alphanumeric(b) || 'A' <= b && b <= 'Z' || b == '_'
		if !word && (i == 0 || b != '.' && b != '-') {
			return false
		}
	}
	return true
}

// ValidDigest tells whether s is a digest that this registry keeps content under: sha256 or sha512, lower-case hex, full length.
func ValidDigest(s string) bool {
	algorithm, hex, found := strings.Cut(s, ":")
	if !found {
		return false
	}
	switch digest.Algorithm(algorithm) {
	case digest.SHA256:
		found = len(hex) == 64
	case digest.SHA512:
		found = len(hex) == 128
	default:
		return false
	}
	for i := range len(hex) {
		if b := hex[i]; (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return found
}

// ValidAlgorithm tells whether content can be pushed under digests of this algorithm.
func ValidAlgorithm(a digest.Algorithm) bool { return a == digest.SHA256 || a == digest.SHA512 }

func checkName(name string) error {
	if !ValidName(name) {
		return &Error{Code: NameInvalid, Detail: map[string]string{"name": clip(name),
			"hint": "use lower-case letters, digits and . _ - between them, in parts joined by /, at most 255 characters"}}
	}
	return nil
}

func checkTag(tag string) error {
	if !ValidTag(tag) {
		return &Error{Code: TagInvalid, Detail: map[string]string{"tag": clip(tag),
			"hint": "use letters, digits, _ . and -, beginning with a letter, digit or _, at most 128 characters"}}
	}
	return nil
}

func checkDigest(d digest.Digest) error {
	if !ValidDigest(string(d)) {
		return &Error{Code: DigestInvalid, Detail: map[string]string{"digest": clip(string(d)),
			"hint": "use sha256: and 64, or sha512: and 128 lower-case hexadecimal digits"}}
	}
	return nil
}

// maxTold is how much clip leaves, in bytes.
const maxTold = 300

// clip bounds what of a client's own words is told back to it. It cuts no character in two.
func clip(s string) string {
	if len(s) <= maxTold {
		return s
	}
	return strings.ToValidUTF8(s[:maxTold], "") + "…"
}
