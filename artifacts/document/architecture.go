package document

import (
	"slices"
	"strings"
)

// Architecture is what a processor is called in OCI platforms, with its variant where there is one: amd64, arm/v7. It is All for Debian packages
// that run on every processor.
type Architecture string

// All is the architecture of Debian packages without machine code.
const All Architecture = "all"

// architectures are the ones that are known, with Debian's name and the other ways to write them.
var architectures = []struct {
	oci    Architecture
	debian string
	other  []string // taken
	wrong  []string // not taken, but understood
}{
	{"amd64", "amd64", nil, []string{"x86_64", "x86-64", "x64"}},
	{"arm64", "arm64", []string{"arm64/v8"}, []string{"aarch64", "armv8", "arm64v8"}},
	{"arm/v7", "armhf", []string{"arm"}, []string{"armv7", "armv7l", "arm32v7", "armv7hf"}},
	{"arm/v6", "", nil, []string{"armv6", "armv6l", "arm32v6"}},
	{"arm/v5", "armel", nil, []string{"armv5", "armv5l", "arm32v5"}},
	{"386", "i386", nil, []string{"x86", "i486", "i586", "i686", "ia32"}},
	{"ppc64le", "ppc64el", nil, []string{"powerpc64le"}},
	{"s390x", "s390x", nil, nil},
	{"riscv64", "riscv64", nil, []string{"risc-v", "riscv"}},
	{"loong64", "loong64", nil, []string{"loongarch64"}},
	{"mips64le", "mips64el", nil, nil},
	{All, "all", nil, []string{"any", "noarch"}},
}

// ParseArchitecture takes Debian's name or that of OCI platforms, without an operating system.
func ParseArchitecture(name string) (Architecture, bool) {
	for _, a := range architectures {
		if name == string(a.oci) || name == a.debian && name != "" || slices.Contains(a.other, name) {
			return a.oci, true
		}
	}
	return "", false
}

// Debian returns the architecture's name in Debian, or nothing where Debian has none.
func (a Architecture) Debian() string {
	for _, known := range architectures {
		if known.oci == a {
			return known.debian
		}
	}
	return ""
}

// Platform returns the architecture and variant of an OCI platform (image-spec, "Image Index"), or nothing for All.
func (a Architecture) Platform() (architecture, variant string) {
	if a == All {
		return "", ""
	}
	architecture, variant, _ = strings.Cut(string(a), "/")
	return architecture, variant
}

var architectureForm = form{is: "an architecture", like: "amd64 or arm64", names: architectureNames(), most: 32, why: whyArchitecture}

// architectureNames are all that ParseArchitecture takes.
func architectureNames() []string {
	var names []string
	for _, a := range architectures {
		for _, name := range append([]string{a.debian, string(a.oci)}, a.other...) {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func whyArchitecture(s string) (problem, fix string) {
	lower := strings.TrimPrefix(strings.ToLower(s), "linux/")
	said := "is " + quote(s) + ", which is no known architecture"
	if _, ok := ParseArchitecture(lower); ok {
		return said, "write " + lower
	}
	for _, a := range architectures {
		if slices.Contains(a.wrong, lower) {
			return said, "write " + string(a.oci)
		}
	}
	return said, "write one of " + list(architectureNames())
}
