package mirror

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/version"
)

// The bounds of what is taken from an upstream's list of tags.
const (
	maxTags     = 50_000
	maxAttached = 500_000
)

// choice is what a run takes of an upstream's tags.
type choice struct {
	tags     []string            // in byte order
	newest   []string            // those of them that are there for being the newest
	attached map[string][]string // what is tagged for a manifest, by the tag that stands for its digest
}

// fits tells whether a tag is named by a pattern, or by nothing being said.
func (s *selection) fits(tag string) bool {
	if len(s.Tags) == 0 && s.versions == nil {
		return attachedTo(tag) == ""
	}
	return slices.ContainsFunc(s.Tags, func(p string) bool { return matches(p, tag) })
}

// matches compares a tag with a pattern. What is tagged for a manifest goes with that, unless the pattern asks for such tags.
func matches(pattern, tag string) bool {
	if attachedTo(tag) != "" && !strings.HasPrefix(pattern, "sha") {
		return false
	}
	ok, _ := path.Match(pattern, tag)
	return ok
}

// allowed tells whether a tag is a version that is asked for, and which.
func (s *selection) allowed(tag string) (version.Version, bool) {
	if s.versions == nil {
		return version.Version{}, false
	}
	v, err := version.Parse(tag)
	return v, err == nil && s.versions.Allows(v)
}

// listless returns the tags if they are known without a list of the upstream's: each is named as it is, and nothing that is tagged for them is wanted.
func (s *selection) listless() ([]string, bool) {
	if len(s.Tags) == 0 || s.versions != nil || s.Referrers || slices.ContainsFunc(s.Tags, func(p string) bool { return strings.ContainsAny(p, `*?[\`) }) {
		return nil, false
	}
	return slices.Compact(slices.Sorted(slices.Values(s.Tags))), true
}

// choose takes from a list of tags what is selected.
func (s *selection) choose(tags iter.Seq2[string, error]) (choice, error) {
	c := choice{attached: map[string][]string{}}
	chosen, attached := map[string]bool{}, 0
	type candidate struct {
		tag string
		version.Version
	}
	var candidates []candidate
	for tag, err := range tags {
		if err != nil {
			return c, err
		}
		if to := attachedTo(tag); to != "" && s.Referrers {
			if attached++; attached > maxAttached {
				return c, fmt.Errorf("more than %d signatures and the like are tagged there; mirror it without referrers", maxAttached)
			}
			c.attached[to] = append(c.attached[to], tag)
		}
		if s.fits(tag) {
			chosen[tag] = true
		} else if v, ok := s.allowed(tag); ok {
			candidates = append(candidates, candidate{tag, v})
		}
		if len(chosen)+len(candidates) > maxTags {
			return c, fmt.Errorf("more than %d tags are asked for; ask for fewer with tags or versions", maxTags)
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int { return cmp.Or(b.Compare(a.Version), cmp.Compare(a.tag, b.tag)) })
	if s.Last > 0 {
		candidates = candidates[:min(s.Last, len(candidates))]
	}
	for _, v := range candidates {
		chosen[v.tag] = true
		c.newest = append(c.newest, v.tag)
	}
	c.tags = slices.Sorted(maps.Keys(chosen))
	if len(c.tags) == 0 {
		return c, errors.New("the upstream has no tag that is asked for")
	}
	return c, nil
}

// missing returns the tags that the entry names as they are, and that the upstream does not list.
func (s *selection) missing(c choice) (all []string) {
	for _, p := range s.Tags {
		if _, found := slices.BinarySearch(c.tags, p); !found && !strings.ContainsAny(p, `*?[\`) {
			all = append(all, p)
		}
	}
	return all
}

// tagged is how things are tagged for a manifest: the list of its referrers where an upstream has no API for that (distribution-spec, "Referrers Tag Schema"),
// and with a suffix what cosign signs and attests.
var tagged = regexp.MustCompile(`^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64}(?:[0-9a-f]{64})?)(\.[A-Za-z0-9._-]+)?$`)

// attachedTo returns the tag that stands for the digest which a tag is for; empty: it is for none.
func attachedTo(tag string) string {
	if !strings.HasPrefix(tag, "sha") {
		return ""
	}
	found := tagged.FindStringSubmatch(tag)
	if found == nil {
		return ""
	}
	return found[1]
}

// tagsOf returns what is tagged for a digest.
func (c choice) tagsOf(d digest.Digest) []string {
	name := strings.Replace(string(d), ":", "-", 1)
	all := c.attached[name]
	if short := name[:min(len(name), len(d.Algorithm())+1+64)]; short != name {
		all = slices.Concat(all, c.attached[short])
	}
	return all
}
