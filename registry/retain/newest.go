package retain

import (
	"cmp"
	"container/heap"
	"context"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
)

// The newest tags of a rule are found in one walk that keeps no more of them than the rule does. Tags that are versions with three numbers are compared as
// versions, those of each format (1.0.2, deb-1.0.2, generic-1.0.2, release-1.0.2) by themselves, and all other tags by when they were pushed: of each such class
// the rule keeps so many.

// candidate is a tag that may be among the newest.
type candidate struct {
	tag    string
	number version.Version // of a version
	pushed time.Time       // of another tag
}

// compare is positive if a is newer than b.
func (a candidate) compare(b candidate) int {
	return cmp.Or(a.number.Compare(b.number), a.pushed.Compare(b.pushed), strings.Compare(a.tag, b.tag))
}

// classOf tells the class of a tag, and which version it is.
func classOf(tag string) (version.TagKind, version.Version) {
	t, _ := version.ParseTag(tag)
	switch t.Kind {
	case version.TagVersion, version.TagDeb, version.TagGeneric, version.TagRelease:
		return t.Kind, t.Version
	}
	return version.TagScratch, version.Version{}
}

// top is a heap with the oldest of those that are kept at its root.
type top []candidate

func (t top) Len() int           { return len(t) }
func (t top) Less(i, j int) bool { return t[i].compare(t[j]) < 0 }
func (t top) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *top) Push(x any)        { *t = append(*t, x.(candidate)) }
func (t *top) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// keep adds a candidate, and drops the oldest if there are too many.
func (t *top) keep(c candidate, most int) {
	if len(*t) < most {
		heap.Push(t, c)
	} else if c.compare((*t)[0]) > 0 {
		(*t)[0] = c
		heap.Fix(t, 0)
	}
}

// newest returns, by the number of the rule, the tags that rules keep for being the newest.
func (w *walk) newest(ctx context.Context, repo string, rules []rule) (map[int]map[string]bool, error) {
	var asks []rule
	for _, r := range rules {
		if r.KeepLast > 0 {
			asks = append(asks, r)
		}
	}
	if len(asks) == 0 {
		return nil, nil
	}
	type class struct {
		rule int
		kind version.TagKind
	}
	tops := map[class]*top{}
	for tag, err := range w.r.Registry.Tags(ctx, repo, "") {
		if err == nil {
			err = w.pause(ctx)
		}
		if err != nil {
			return nil, err
		}
		var c candidate
		var kind version.TagKind
		for _, r := range asks {
			if !r.about(tag) {
				continue
			}
			if c.tag == "" {
				if kind, c.number = classOf(tag); kind == version.TagScratch {
					s, err := w.r.Registry.Stored(ctx, repo, tag)
					if gone(err) {
						break
					}
					if err != nil {
						return nil, err
					}
					c.pushed = s.Pushed
				}
				c.tag = tag
			}
			at := class{r.number, kind}
			if tops[at] == nil {
				tops[at] = &top{}
			}
			tops[at].keep(c, r.KeepLast)
		}
	}
	all := map[int]map[string]bool{}
	for of, t := range tops {
		if all[of.rule] == nil {
			all[of.rule] = map[string]bool{}
		}
		for _, c := range *t {
			all[of.rule][c.tag] = true
		}
	}
	return all, nil
}

// gone tells whether an error says that something is not there (any more).
func gone(err error) bool {
	code := registry.Code(err)
	return code == registry.ManifestUnknown || code == registry.NameUnknown
}
