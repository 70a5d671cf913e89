package version

import "strings"

// TagKind is what a tag of a component is for.
type TagKind string

// The kinds.
const (
	TagVersion TagKind = "version" // 1.0.2: the image of that version
	TagDeb     TagKind = "deb"     // deb-1.0.2: its Debian packages
	TagGeneric TagKind = "generic" // generic-1.0.2: its files
	TagRelease TagKind = "release" // release-1.0.2: the index that ties them together
	TagCommit  TagKind = "commit"  // commit-0a1b2c3: what was built from that commit
	TagDomain  TagKind = "domain"  // cloud.prod: what is deployed there
	TagLatest  TagKind = "latest"  // latest
	TagScratch TagKind = "scratch" // pr-17: whatever people like
)

// Tag is what a tag of a component says. Fields that its kind does not have are empty.
type Tag struct {
	Kind        TagKind
	Version     Version // of TagVersion, TagDeb, TagGeneric and TagRelease; with three numbers
	Commit      string  // of TagCommit; 7 to 64 hexadecimal characters
	Domain      string  // of TagDomain
	Environment string  // of TagDomain
}

// ParseTag reads a tag of a component, and tells whether it promises something. If not, it is TagScratch.
func ParseTag(tag string) (Tag, bool) {
	if tag == "latest" {
		return Tag{Kind: TagLatest}, true
	}
	if sha, ok := strings.CutPrefix(tag, "commit-"); ok && len(sha) >= 7 && len(sha) <= 64 && only(sha, "0123456789abcdef") {
		return Tag{Kind: TagCommit, Commit: sha}, true
	}
	kind, text := TagVersion, tag
	for _, k := range []TagKind{TagDeb, TagGeneric, TagRelease} {
		if rest, ok := strings.CutPrefix(tag, string(k)+"-"); ok {
			kind, text = k, rest
		}
	}
	// In a tag a build follows _, and never +.
	if v, faults := parse(text); len(tag) <= maxLength && len(faults) == 0 && v.precision == 3 && !strings.Contains(text, "+") {
		return Tag{Kind: kind, Version: v}, true
	}
	if domain, environment, ok := strings.Cut(tag, "."); ok && len(tag) <= maxLength && isDomain(domain) && isDomain(environment) && isLower(environment[0]) {
		return Tag{Kind: TagDomain, Domain: domain, Environment: environment}, true
	}
	return Tag{Kind: TagScratch}, false
}

// isDomain tells whether a word may name a domain; environments begin with a letter besides.
func isDomain(s string) bool {
	return s != "" && only(s, "abcdefghijklmnopqrstuvwxyz0123456789-")
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
