package retain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/entrepot/entrepot/registry"
)

// Rule says what is kept in some repositories. What it says of tags, KeepLast, KeepPulled and OlderThan, each keeps some of them; a tag goes if none of those does.
type Rule struct {
	Repositories []string // patterns: cloud/dmp/*, cloud/** (cloud and all below it), ** (all, but those of upstreams)
	Tags         []string // patterns of the tags that it is about: pr-*; empty: all

	KeepLast   int           // keeps so many, the newest; see newest
	KeepPulled time.Duration // keeps what was pulled, or pushed, within this time
	OlderThan  time.Duration // keeps what was pushed within this time
	Untagged   time.Duration // manifests without a tag go when nobody has pushed or pulled them for so long; 0: the rule is not about them
}

// The bounds of rules.
const (
	maxRules    = 1000
	maxPatterns = 1000
	maxPattern  = 255
	maxLast     = 10_000
	leastTime   = time.Minute
)

// Fault is what is wrong with one field of a rule, for the person who wrote it.
type Fault struct {
	Field string // as repositories, tags[2]; empty: the rule
	Text  string
}

// Faults tells what is wrong with a rule.
func (r Rule) Faults() (all []Fault) {
	wrong := func(field, format string, args ...any) {
		all = append(all, Fault{field, fmt.Sprintf(format, args...)})
	}
	if len(r.Repositories) == 0 {
		wrong("repositories", "it is not said which repositories this is about; write patterns, as cloud/dmp/* or cloud/**, or ** for all")
	}
	for _, list := range []struct {
		field    string
		patterns []string
		valid    func(string) bool
		like     string
	}{{"repositories", r.Repositories, validRepositories, "cloud/dmp/*, cloud/** or **"}, {"tags", r.Tags, validTags, "latest or pr-*"}} {
		if len(list.patterns) > maxPatterns {
			wrong(list.field, "there are %d; at most %d are taken", len(list.patterns), maxPatterns)
			continue
		}
		for i, p := range list.patterns {
			if !list.valid(p) {
				wrong(fmt.Sprintf("%s[%d]", list.field, i), "%.140q is no pattern; write it like %s", p, list.like)
			}
		}
	}
	if r.KeepLast < 0 || r.KeepLast > maxLast {
		wrong("keepLast", "%d is not between 0 and %d; 0 means that it keeps none", r.KeepLast, maxLast)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"keepPulled", r.KeepPulled}, {"olderThan", r.OlderThan}, {"untagged", r.Untagged}} {
		if d.value != 0 && d.value < leastTime {
			wrong(d.field, "%s is too short; at least 1m", d.value)
		}
	}
	switch {
	case !r.ofTags() && r.Untagged == 0:
		wrong("", "it says nothing; write at least one of keepLast, keepPulled, olderThan and untagged")
	case !r.ofTags() && len(r.Tags) > 0:
		wrong("tags", "it is not said which of these tags are kept; write at least one of keepLast, keepPulled and olderThan, or leave the tags out")
	}
	return all
}

// ofTags tells whether the rule says anything of tags.
func (r Rule) ofTags() bool { return r.KeepLast != 0 || r.KeepPulled != 0 || r.OlderThan != 0 }

// rule is a Rule with its place in the list.
type rule struct {
	Rule
	number int // from 1
}

func compile(all []Rule) ([]rule, error) {
	if len(all) > maxRules {
		return nil, fmt.Errorf("there are %d rules of retention; at most %d are taken", len(all), maxRules)
	}
	var rules []rule
	for i, r := range all {
		for _, f := range r.Faults() {
			return nil, fmt.Errorf("rule %d of retention: %s: %s", i+1, cmp.Or(f.Field, "all of it"), f.Text)
		}
		rules = append(rules, rule{r, i + 1})
	}
	return rules, nil
}

// printOf is a fingerprint of the rules.
func printOf(all []Rule) string {
	text, _ := json.Marshal(all) // texts and numbers: it never fails
	sum := fnv.New64a()
	_, _ = sum.Write(text)
	return fmt.Sprintf("%016x", sum.Sum64())
}

// forRepo returns the rules that are about a repository.
func (r *Retention) forRepo(repo string) (of []rule) {
	for _, one := range r.rules {
		if registry.ValidName(repo) && matchesAny(one.Repositories, repo, matchesRepository) {
			of = append(of, one)
		}
	}
	return of
}

// about tells whether a rule has something to say of a tag.
func (r rule) about(tag string) bool {
	return r.ofTags() && (len(r.Tags) == 0 || matchesAny(r.Tags, tag, matches))
}
