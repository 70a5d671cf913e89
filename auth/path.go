package auth

import (
	"fmt"
	"strings"
)

// Path is where a grant holds: a repository or a group of them, and everything below. "cloud/dmp" and "cloud/dmp/**" are the same; "**" is
// everything, the registry itself included.
type Path string

// Everywhere is the path of the whole registry.
const Everywhere Path = "**"

// Covers tells whether the grant's path covers a repository or path. Parts are compared whole: "cloud/dm" does not cover "cloud/dmp". The registry
// itself, which is the empty name, is covered by Everywhere alone. A name with a part that is "." or ".." is covered by no path but Everywhere: it may
// lead out of where it seems to be.
func (p Path) Covers(name string) bool {
	if p == Everywhere {
		return true
	}
	base := strings.TrimSuffix(string(p), "/**")
	return base != "" && strings.HasPrefix(name, base) && (len(name) == len(base) || name[len(base)] == '/') && !wanders(name)
}

// wanders tells whether a part of a name is "." or "..".
func wanders(name string) bool {
	for more := true; more; {
		var part string
		if part, name, more = strings.Cut(name, "/"); part == "." || part == ".." {
			return true
		}
	}
	return false
}

// Within tells whether everything that p covers is covered by the other, too.
func (p Path) Within(other Path) bool {
	if p == Everywhere {
		return other == Everywhere
	}
	return other.Covers(strings.TrimSuffix(string(p), "/**"))
}

// Check tells what is wrong with a path.
func (p Path) Check() error {
	if p == Everywhere {
		return nil
	}
	wrong := fmt.Errorf("%q is no path; write it like cloud/dmp or cloud/dmp/** (both mean it and everything below), or ** for everything", Clip(string(p)))
	base := strings.TrimSuffix(string(p), "/**")
	if base == "" || len(base) > 255 {
		return wrong
	}
	for part := range strings.SplitSeq(base, "/") {
		if part == "" {
			return wrong
		}
		for i := range len(part) {
			c := part[i]
			word := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
			if !word && (i == 0 || i == len(part)-1 || c != '.' && c != '_' && c != '-') {
				return wrong
			}
		}
	}
	return nil
}

func wide(name string) bool { return name == string(Everywhere) || strings.HasSuffix(name, "/**") }

// Base returns the path as the name that a policy is asked about: "" for everything.
func (p Path) Base() string {
	if p == Everywhere {
		return ""
	}
	return strings.TrimSuffix(string(p), "/**")
}
