package deb

import (
	"fmt"
	"strings"
)

// The lengths that are still taken for a name. Debian's longest ones are about half as long.
const (
	maxName    = 128
	maxArch    = 32
	maxVersion = 128
)

const lower, letters, decimal = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"

// CheckPackageName checks the name of a package (policy 5.6.7): two lower-case letters, digits, plus, minus and full stops or more, beginning with a letter
// or a digit. The error is an *Error.
func CheckPackageName(name string) error { return plain(checkName(name)) }

// CheckArchitecture checks the architecture of a binary package: a name as dpkg takes it, in lower case, or all. Wildcards (any, linux-any) stand for several
// and are those of sources. The error is an *Error.
func CheckArchitecture(arch string) error { return plain(checkArchitecture(arch)) }

// plain keeps a fault that is not there from becoming an error that is.
func plain(fault *Error) error {
	if fault == nil {
		return nil
	}
	return fault
}

func checkName(name string) *Error {
	const fix = "use two or more of lower-case letters, digits, +, - and ., beginning with a letter or a digit"
	return spelt("package name", name, lower+decimal, "+-.", 2, maxName, fix)
}

func checkArchitecture(arch string) *Error {
	const fix = "use one of those that `dpkg-architecture -L` lists, or all"
	if arch == "any" || strings.HasPrefix(arch, "any-") || strings.HasSuffix(arch, "-any") || strings.Contains(arch, "-any-") {
		return &Error{"architecture", quote(arch) + " stands for several", fix}
	}
	if arch == "source" {
		return &Error{"architecture", quote(arch) + " is none of binary packages", fix}
	}
	return spelt("architecture", arch, lower+decimal, "-", 1, maxArch, fix)
}

// spelt checks that a word has a length from least to most, begins with one of first, and goes on with those or one of others.
func spelt(where, word, first, others string, least, most int, fix string) *Error {
	switch {
	case word == "":
		return &Error{where, "is empty", fix}
	case len(word) < least:
		return &Error{where, quote(word) + " is too short", fix}
	case len(word) > most:
		return &Error{where, fmt.Sprintf("%s has %d bytes, more than %d", quote(word), len(word), most), "shorten it"}
	}
	for i, c := range word {
		if !strings.ContainsRune(first, c) && (i == 0 || !strings.ContainsRune(others, c)) {
			return &Error{where, fmt.Sprintf("%s has %q at position %d", quote(word), c, i+1), fix}
		}
	}
	return nil
}
