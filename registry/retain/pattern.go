package retain

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

func matchesAny(patterns []string, s string, match func(pattern, s string) bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, s) })
}

// matches compares a whole text with a pattern: * stands for anything, ? for one character. It takes at most the product of both lengths.
func matches(pattern, s string) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0: // the last * takes one more
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchesRepository compares part by part. ** at the end stands for the repository itself and all below it. What belongs to an upstream is meant only by a pattern
// that begins with the upstream's whole name: whoever writes ** thinks of what people have pushed.
func matchesRepository(pattern, repo string) bool {
	first, _, _ := strings.Cut(pattern, "/")
	name, _, _ := strings.Cut(repo, "/")
	if strings.Contains(name, ".") && first != name {
		return false
	}
	wanted, parts := strings.Split(pattern, "/"), strings.Split(repo, "/")
	for i, w := range wanted {
		if w == "**" {
			return true
		}
		if i >= len(parts) || !matches(w, parts[i]) {
			return false
		}
	}
	return len(wanted) == len(parts)
}

// validRepositories tells whether a text is a pattern of repositories: a name in which * and ? may stand, with ** as the last part at most.
func validRepositories(p string) bool {
	if len(p) > maxPattern {
		return false
	}
	rest, wide := strings.CutSuffix(p, "**")
	if wide {
		if rest == "" {
			return true
		}
		if rest, wide = strings.CutSuffix(rest, "/"); !wide {
			return false
		}
	}
	return !strings.Contains(rest, "**") && registry.ValidName(strings.NewReplacer("*", "x", "?", "x").Replace(rest))
}

// validTags tells whether a text is a pattern of tags.
func validTags(p string) bool {
	return len(p) <= maxPattern && registry.ValidTag(strings.NewReplacer("*", "x", "?", "x").Replace(p))
}

// attachedTo returns the digest that a tag stands for which clients set for what refers to a manifest: sha256-…, as the distribution-spec has it for registries
// without referrers ("Referrers Tag Schema"), and sha256-….sig, .att or .sbom, as cosign does. Empty: it is none.
func attachedTo(tag string) digest.Digest {
	name, _, _ := strings.Cut(tag, ".")
	algorithm, hex, ok := strings.Cut(name, "-")
	if d := algorithm + ":" + hex; ok && registry.ValidDigest(d) {
		return digest.Digest(d)
	}
	return ""
}
