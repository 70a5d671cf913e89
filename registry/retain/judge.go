package retain

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

// judgeTag decides about a tag. What costs most is looked at last.
func (w *walk) judgeTag(ctx context.Context, rules []rule, newest map[int]map[string]bool, repo, tag string, s registry.Stored) (Fate, error) {
	f := Fate{Repo: repo, Tag: tag, Digest: s.Digest, Pushed: s.Pushed}
	stays := func(rule int, format string, args ...any) (Fate, error) {
		f.Rule, f.Why = rule, fmt.Sprintf(format, args...)
		return f, nil
	}
	var about []rule
	for _, r := range rules {
		if r.about(tag) {
			about = append(about, r)
		}
	}
	if len(about) == 0 {
		return stays(0, "no rule is about this tag")
	}
	if d := attachedTo(tag); d != "" {
		if _, err := w.r.Registry.Stored(ctx, repo, string(d)); err == nil {
			return stays(0, "it is about %s, which is there", d)
		} else if !gone(err) {
			return f, err
		}
	}
	age := w.now.Sub(s.Pushed)
	if age < w.r.Grace {
		return stays(0, "it was pushed %s ago, and the grace is %s", span(age), span(w.r.Grace))
	}
	for _, r := range about {
		switch {
		case r.OlderThan > 0 && age < r.OlderThan:
			return stays(r.number, "it was pushed %s ago, and olderThan is %s", span(age), span(r.OlderThan))
		case newest[r.number][tag]:
			return stays(r.number, "it is among the newest %d", r.KeepLast)
		}
	}
	for _, r := range about {
		if r.KeepPulled == 0 {
			continue
		}
		used, err := w.lastUse(ctx, repo, s)
		if err != nil {
			return f, err
		}
		if ago := w.now.Sub(used); ago < r.KeepPulled {
			return stays(r.number, "it was last pulled or pushed %s ago, and keepPulled is %s", span(ago), span(r.KeepPulled))
		}
	}
	return w.last(ctx, f, s, about[0].number, "it was pushed "+span(age)+" ago"+besides(about))
}

// besides says what else a tag is that goes, by the rules that are about it.
func besides(about []rule) (text string) {
	var numbers []string
	for _, r := range about {
		if r.KeepLast > 0 {
			text += fmt.Sprintf(", is not among the newest %d", r.KeepLast)
		}
		if r.KeepPulled > 0 {
			text += ", was not pulled within " + span(r.KeepPulled)
		}
		numbers = append(numbers, strconv.Itoa(r.number))
	}
	if len(numbers) == 1 {
		return text + "; rule " + numbers[0] + " keeps nothing of that kind"
	}
	return text + "; none of the rules " + strings.Join(numbers, ", ") + " keeps it"
}

// judgeLoose decides about a manifest that has no tag and stands for itself.
func (w *walk) judgeLoose(ctx context.Context, rules []rule, image registry.Image) (Fate, error) {
	f := Fate{Repo: image.Repo, Digest: image.Digest, Pushed: image.Pushed}
	if age := w.now.Sub(image.Pushed); age < w.r.Grace {
		f.Why = fmt.Sprintf("it was pushed %s ago, and the grace is %s", span(age), span(w.r.Grace))
		return f, nil
	}
	unused := w.now.Sub(image.Used)
	for _, r := range rules {
		if unused < r.Untagged {
			f.Rule, f.Why = r.number, fmt.Sprintf("it was last pulled or pushed %s ago, and untagged is %s", span(unused), span(r.Untagged))
			return f, nil
		}
	}
	return w.last(ctx, f, image.Stored, rules[0].number, "it has no tag, and was last pulled or pushed "+span(unused)+" ago")
}

// last asks what else there is to say against it, before something goes.
func (w *walk) last(ctx context.Context, f Fate, s registry.Stored, rule int, why string) (Fate, error) {
	against, err := w.r.Stays(ctx, f.Repo, f.Tag, s)
	if err != nil {
		return f, fmt.Errorf("ask whether %s of %s stays: %w", name(f), f.Repo, err)
	}
	if against != "" {
		f.Why = against
		return f, nil
	}
	f.Goes, f.Rule, f.Why = true, rule, why
	return f, nil
}

// name is what a fate is about.
func name(f Fate) string {
	if f.Tag != "" {
		return f.Tag
	}
	return string(f.Digest)
}

// maxParts is how many parts of an index are asked for when they were pulled; images have a handful.
const maxParts = 1000

// lastUse tells when a manifest, or a part of it, was last pulled or pushed.
func (w *walk) lastUse(ctx context.Context, repo string, s registry.Stored) (time.Time, error) {
	used := s.Pushed
	all, err := w.parts(ctx, repo, s)
	if err != nil {
		return used, err
	}
	for _, d := range append(all, s.Digest) {
		last, _, err := w.r.Registry.LastPull(ctx, repo, d)
		if err != nil {
			return used, err
		}
		if last.After(used) {
			used = last
		}
	}
	return used, nil
}

// parts returns the manifests that an index is made of.
func (w *walk) parts(ctx context.Context, repo string, s registry.Stored) (all []digest.Digest, err error) {
	_, body, err := w.r.Registry.Manifest(ctx, repo, string(s.Digest))
	if gone(err) {
		return nil, nil // it was deleted just now
	}
	if err != nil {
		return nil, err
	}
	m, err := registry.ParseManifest(s.MediaType, s.Digest, body)
	if err != nil {
		return nil, nil // it was judged by the rules of when it came
	}
	for _, child := range m.Manifests[:min(len(m.Manifests), maxParts)] {
		all = append(all, child.Digest)
	}
	return all, nil
}

func ofUntagged(rules []rule) (of []rule) {
	for _, r := range rules {
		if r.Untagged > 0 {
			of = append(of, r)
		}
	}
	return of
}

// span writes how long something is, as exactly as people want to know.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d >= 2*time.Hour:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d >= 2*time.Minute:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	}
	return d.Round(time.Second).String()
}
