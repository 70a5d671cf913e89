package retain

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/registry"
)

// world is a registry with anything in it, and what a test knows of that by itself.
type world struct {
	*house
	pushed  map[string]time.Time // when each tag and manifest came, by "repo ref"
	parts   map[string][]string  // of an index, by its key
	subject map[string]string    // of a referrer, by its key
	safe    map[string]bool      // deployed or immutable, by its key
}

var repos = []string{"cloud/dmp/app", "cloud/dmp/tool", "up.example.com/team/app"}

func (w *world) grow(t *rapid.T) {
	known := map[string][]digest.Digest{}
	for range rapid.IntRange(1, 25).Draw(t, "things") {
		w.advance(time.Duration(rapid.IntRange(0, 72).Draw(t, "hours")) * time.Hour)
		repo := rapid.SampledFrom(repos).Draw(t, "repo")
		tags := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1.0.0", "1.1.0", "2.0.0", "pr-1", "pr-2", "pr-3", "latest"}), 0, 2, rapid.ID).Draw(t, "tags")
		key := func(d digest.Digest) string { return repo + " " + string(d) }
		var d digest.Digest
		kind := rapid.SampledFrom([]string{"image", "image", "index", "referrer", "pull", "move"}).Draw(t, "kind")
		if len(known[repo]) == 0 {
			kind = "image"
		}
		switch kind {
		case "image":
			d = w.image(repo, tags...)
		case "index":
			parts := rapid.SliceOfNDistinct(rapid.SampledFrom(known[repo]), 1, 3, rapid.ID).Draw(t, "parts")
			d = w.indexOf(repo, parts, tags...)
			for _, p := range parts {
				w.parts[key(d)] = append(w.parts[key(d)], key(p))
			}
		case "referrer":
			of := rapid.SampledFrom(known[repo]).Draw(t, "subject")
			d = w.about(repo, of, tags...)
			w.subject[key(d)] = key(of)
		case "pull":
			w.reg.Pulled(repo, rapid.SampledFrom(known[repo]).Draw(t, "pulled"))
			continue
		case "move": // a tag leaves what it named, as people do to their own
			w.image(repo, "pr-1")
			w.pushed[repo+" pr-1"] = w.now()
			continue
		}
		known[repo] = append(known[repo], d)
		for _, ref := range append(tags, string(d)) {
			w.pushed[repo+" "+ref] = w.now()
			if ref != "pr-1" && rapid.IntRange(0, 9).Draw(t, "safe") == 0 {
				w.safe[repo+" "+ref] = true
			}
		}
	}
	w.advance(time.Duration(rapid.IntRange(0, 48).Draw(t, "hours at the end")) * time.Hour)
}

func rulesOf(t *rapid.T) []Rule {
	span := rapid.SampledFrom([]time.Duration{0, time.Hour, 2 * day, 7 * day, 30 * day})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Rule {
		r := Rule{
			Repositories: []string{rapid.SampledFrom([]string{"**", "cloud/**", "cloud/dmp/app", "cloud/*/tool", "up.example.com/**"}).Draw(t, "repositories")},
			KeepLast:     rapid.IntRange(0, 3).Draw(t, "last"), KeepPulled: span.Draw(t, "pulled"), OlderThan: span.Draw(t, "older"), Untagged: span.Draw(t, "untagged"),
		}
		if r.ofTags() {
			r.Tags = rapid.SliceOfN(rapid.SampledFrom([]string{"*", "pr-*", "*.*", "latest"}), 0, 2).Draw(t, "patterns")
		} else if r.Untagged == 0 {
			r.Untagged = time.Hour
		}
		return r
	}), 0, 4).Draw(t, "rules")
}

// What a plan says goes is what a run removes, and nothing that must stay ever does.
func TestProperty_a_run_does_what_the_plan_says(t *testing.T) {
	removed := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &world{build(context.Background(), t), map[string]time.Time{}, map[string][]string{}, map[string]string{}, map[string]bool{}}
		w.grow(t)
		rules := rulesOf(t)
		r := w.retention(rules, func(c *Config) {
			c.Stays = func(_ context.Context, repo, tag string, s registry.Stored) (string, error) {
				ref := tag
				if tag == "" {
					ref = string(s.Digest)
				}
				if w.safe[repo+" "+ref] {
					return "it is deployed", nil
				}
				return "", nil
			}
		})
		for round := range 3 {
			before := w.state()
			plan, planned := w.plan(r)
			if again := w.state(); !slices.Equal(again, before) {
				t.Fatalf("the plan has changed something: %q, then %q", before, again)
			}
			result := w.run(r)
			after := w.state()
			gone := without(before, after)
			if want := going(plan); !slices.Equal(gone, want) || len(without(after, before)) > 0 {
				t.Fatalf("round %d: %q are gone, and the plan said %q", round, gone, want)
			}
			if result.Goes != planned.Goes || result.Looked != planned.Looked || result.Refused != 0 || result.Failed != 0 {
				t.Fatalf("the result is %+v, the plan's sums %+v", result, planned)
			}
			w.sound(t, gone, before)
			removed += len(gone)
			w.advance(day)
		}
	})
	if removed == 0 {
		t.Error("nothing ever went, so nothing was tested")
	}
}

// sound tells whether nothing has gone that must stay.
func (w *world) sound(t *rapid.T, gone, before []string) {
	for _, key := range gone {
		switch {
		case w.safe[key]:
			t.Fatalf("%s is deployed, and gone", key)
		case w.now().Sub(w.pushed[key]) < day && !w.pushed[key].IsZero():
			t.Fatalf("%s is gone, and was pushed within the grace", key)
		}
		if of, ok := w.subject[key]; ok && slices.Contains(before, of) {
			t.Fatalf("%s is gone, and referred to %s, which was there", key, of)
		}
	}
	for index, parts := range w.parts {
		if !slices.Contains(before, index) {
			continue
		}
		for _, p := range parts {
			if slices.Contains(gone, p) {
				t.Fatalf("%s is gone, which is a part of %s", p, index)
			}
		}
	}
}

// without are those of all that are not in the others.
func without(all, others []string) (left []string) {
	for _, s := range all {
		if !slices.Contains(others, s) {
			left = append(left, s)
		}
	}
	return left
}

// The newest that a heap keeps are those of the whole list, sorted.
func TestProperty_newest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := build(context.Background(), t)
		keep := rapid.IntRange(1, 5).Draw(t, "keep")
		var all []candidate
		number := rapid.Map(rapid.SliceOfN(rapid.IntRange(0, 11), 3, 3), func(n []int) string { return fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2]) })
		tags := rapid.SliceOfNDistinct(number, 1, 15, rapid.ID)
		for _, tag := range tags.Draw(t, "tags") {
			h.image(app, tag)
			_, v := classOf(tag)
			all = append(all, candidate{tag: tag, number: v})
		}
		slices.SortFunc(all, func(a, b candidate) int { return b.number.Compare(a.number) })
		h.advance(2 * day)
		plan, _ := h.plan(h.retention([]Rule{{Repositories: []string{"**"}, KeepLast: keep}}))
		for i, c := range all {
			if f := plan[app+" "+c.tag]; f.Goes != (i >= keep) {
				t.Fatalf("%s is number %d of the newest, %d are kept, and it goes: %v (%s)", c.tag, i+1, keep, f.Goes, f.Why)
			}
		}
	})
}
