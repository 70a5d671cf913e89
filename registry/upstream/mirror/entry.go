package mirror

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"path"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
)

// Entry says what of a repository is mirrored, and how often. With neither Tags nor Versions, all tags are; with both, those that either names.
type Entry struct {
	Repository string   `json:"repository"`          // an upstream's name first: docker.io/library/alpine
	Tags       []string `json:"tags,omitempty"`      // patterns, as path.Match reads them: latest, 3.*
	Versions   string   `json:"versions,omitempty"`  // conditions on the version that a tag is, all of which hold: >=3.18 <4
	Last       int      `json:"last,omitempty"`      // of the tags that Versions names only so many, the newest; 0: all
	Platforms  []string `json:"platforms,omitempty"` // of an index only the images for these: linux/amd64, linux/arm/v7; empty: all
	Referrers  bool     `json:"referrers"`           // also what refers to it: signatures, SBOMs, and what refers to those

	Every time.Duration `json:"-"` // 0: only by hand
}

// The bounds of an entry.
const (
	maxPatterns  = 1000
	maxLast      = 10_000
	maxPlatforms = 100
	leastEvery   = time.Minute
)

// Fault is what is wrong with one field of an entry, for the person who wrote it.
type Fault struct {
	Field string // as repository, tags[2]
	Text  string
}

// Faults tells what is wrong with an entry, as far as that can be told without the upstreams.
func (e Entry) Faults() (all []Fault) {
	wrong := func(field, format string, args ...any) {
		all = append(all, Fault{field, fmt.Sprintf(format, args...)})
	}
	if name, repo := canonical(e.Repository); name == "" || !registry.ValidName(repo) {
		wrong("repository", "%.255q is no repository of an upstream; write the upstream's name first, as docker.io/library/alpine", e.Repository)
	}
	if len(e.Tags) > maxPatterns {
		wrong("tags", "there are %d; at most %d are taken", len(e.Tags), maxPatterns)
	}
	for i, p := range e.Tags {
		if _, err := path.Match(p, "x"); err != nil || p == "" || len(p) > 255 {
			wrong(fmt.Sprintf("tags[%d]", i), "%.140q is no pattern; write it like latest or 3.*", p)
		}
	}
	if e.Versions != "" {
		if _, err := parseVersions(e.Versions); err != nil {
			wrong("versions", "%v", err)
		}
	}
	switch {
	case e.Last < 0 || e.Last > maxLast:
		wrong("last", "%d is not between 0 and %d; 0 means all", e.Last, maxLast)
	case e.Last > 0 && e.Versions == "":
		wrong("last", "it takes the newest of those that versions names; write versions too, as >=0")
	}
	if len(e.Platforms) > maxPlatforms {
		wrong("platforms", "there are %d; at most %d are taken", len(e.Platforms), maxPlatforms)
	}
	for i, p := range e.Platforms {
		if _, err := parsePlatform(p); err != nil {
			wrong(fmt.Sprintf("platforms[%d]", i), "%v", err)
		}
	}
	if e.Every != 0 && e.Every < leastEvery {
		wrong("every", "%s is too short; write 1m or longer, or 0s to run it by hand only", e.Every)
	}
	return all
}

// selection is an entry, ready to be compared with.
type selection struct {
	Entry
	upstream, repo string // docker.io, and docker.io/library/alpine
	versions       *version.Constraint
	platforms      []platform
	print          string // changes with what is selected
}

func newSelection(e Entry) (*selection, error) {
	for _, f := range e.Faults() {
		return nil, fmt.Errorf("mirror %.255q: %s: %s", e.Repository, f.Field, f.Text)
	}
	s := &selection{Entry: e}
	s.upstream, s.repo = canonical(e.Repository)
	if e.Versions != "" {
		c, err := parseVersions(e.Versions)
		if err != nil {
			return nil, err
		}
		s.versions = &c
	}
	for _, text := range e.Platforms {
		p, err := parsePlatform(text)
		if err != nil {
			return nil, err
		}
		s.platforms = append(s.platforms, p)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	sum := fnv.New64a()
	_, _ = sum.Write(text)
	s.print = fmt.Sprintf("%016x", sum.Sum64())
	return s, nil
}

// canonical returns the upstream of a repository and the name under which the repository is kept; no upstream: it has none.
func canonical(repository string) (name, repo string) {
	name, rest, ok := strings.Cut(repository, "/")
	if !ok || !strings.Contains(name, ".") {
		return "", repository
	}
	return name, name + "/" + remote.CanonicalRepo(name, rest)
}

// parseVersions reads conditions with commas or blanks between.
func parseVersions(s string) (version.Constraint, error) {
	var terms []string
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		if n := len(terms); n > 0 && strings.Trim(terms[n-1], "<>=!~^") == "" {
			terms[n-1] += word // a blank behind the operator
		} else {
			terms = append(terms, word)
		}
	}
	return version.ParseConstraint(strings.Join(terms, ", "))
}
