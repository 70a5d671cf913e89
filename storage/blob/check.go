package blob

import (
	_ "crypto/sha256" // go-digest panics on an algorithm that nobody linked in; who keeps content by digest has use for both
	_ "crypto/sha512"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// CheckUpload returns nil if name may name an upload, else an error that wraps [ErrName]. Drivers ask it on every call, since they
// make paths and keys of the name.
func CheckUpload(name string) error {
	if !ValidUpload(name) {
		return fmt.Errorf("%w: %.140q", ErrName, name)
	}
	return nil
}

// CheckDigest returns nil for a well-formed sha256 or sha512 digest, else an error that wraps one of go-digest's own. Drivers ask it
// on every call, since they make paths and keys of the digest. It does what [digest.Digest.Validate] does without its two regular
// expressions, which would be the dearest part of a Stat, and whatever else some package has registered in go-digest.
func CheckDigest(d digest.Digest) error {
	var alg, hex string
	switch {
	case len(d) > 7 && (d[:7] == "sha256:" || d[:7] == "sha512:"):
		alg, hex = string(d[:6]), string(d[7:])
	case digest.DigestRegexpAnchored.MatchString(string(d)):
		return fmt.Errorf("%w: %.140q", digest.ErrDigestUnsupported, string(d))
	default:
		return fmt.Errorf("%w: %.140q", digest.ErrDigestInvalidFormat, string(d))
	}
	if alg == "sha256" && len(hex) != 64 || alg == "sha512" && len(hex) != 128 {
		return fmt.Errorf("%w: %.140q", digest.ErrDigestInvalidLength, string(d))
	}
	for i := range len(hex) {
		if c := hex[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%w: %.140q", digest.ErrDigestInvalidFormat, string(d))
		}
	}
	return nil
}

// CheckOffset returns nil unless offset is negative.
func CheckOffset(offset int64) error {
	if offset < 0 {
		return fmt.Errorf("negative offset %d", offset)
	}
	return nil
}
