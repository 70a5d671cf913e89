package retain

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// Fate is what is decided of a tag or a manifest.
type Fate struct {
	Repo   string        `json:"repo"`
	Tag    string        `json:"tag,omitempty"` // empty: a manifest without one
	Digest digest.Digest `json:"digest"`
	Pushed time.Time     `json:"pushed"`
	Goes   bool          `json:"goes"`
	Rule   int           `json:"rule,omitempty"` // the one that keeps it, or by which it goes, counted from 1 as in the configuration; 0: none
	Why    string        `json:"why"`
}

// Count counts tags and manifests.
type Count struct {
	Tags      int64 `json:"tags"`
	Manifests int64 `json:"manifests"` // without tags
}

func (c *Count) add(tag string) {
	if tag == "" {
		c.Manifests++
	} else {
		c.Tags++
	}
}

// Tally is how much was looked at, in the repositories that rules are about, and what of it goes, or has gone.
type Tally struct {
	Repositories int64 `json:"repositories"`
	Looked       Count `json:"looked"`
	Goes         Count `json:"goes"`
	Refused      int64 `json:"refused"` // to go, by an admission
	Failed       int64 `json:"failed"`  // repositories that could not be looked through
}

// maxLoose is how many manifests without a tag go from one repository in one run; the next run goes on.
const maxLoose = 100_000

// Looking goes on in steps with short rests between, so that requests do not feel it.
const (
	pauseAfter = 1000
	pauseFor   = 5 * time.Millisecond
)

// walk is one way through the repositories, to plan or to act.
type walk struct {
	r      *Retention
	now    time.Time // when it began; by this all is decided
	looked int

	tally Tally
	tell  func(Fate)                                   // what was decided of each thing; may be nil
	act   func(ctx context.Context, f Fate) error      // does what goes; nil: it is a plan
	done  func(ctx context.Context, repo string) error // a repository is done; may be nil
	fail  func(repo string, why error)                 // nil: the walk ends
}

// repositories walks through those after the given one.
func (w *walk) repositories(ctx context.Context, after string) error {
	for repo, err := range w.r.Registry.Repositories(ctx, after) {
		if err == nil {
			err = w.pause(ctx)
		}
		if err != nil {
			return err
		}
		rules := w.r.forRepo(repo)
		if len(rules) == 0 {
			continue
		}
		w.tally.Repositories++
		if err := w.repository(ctx, repo, rules); err != nil && !gone(err) {
			if w.fail == nil || ctx.Err() != nil {
				return fmt.Errorf("look through %s: %w", repo, err)
			}
			w.fail(repo, err)
		}
		if w.done != nil {
			if err := w.done(ctx, repo); err != nil {
				return err
			}
		}
	}
	return nil
}

// repository decides about what has no tag before any tag goes, so that what this run does never changes what it decides.
func (w *walk) repository(ctx context.Context, repo string, rules []rule) error {
	loose, err := w.loose(ctx, repo, rules)
	if err != nil {
		return err
	}
	if err := w.tags(ctx, repo, rules); err != nil && !gone(err) {
		return err
	}
	for _, d := range loose {
		f, ok, err := w.again(ctx, repo, d, rules)
		if err != nil {
			return err
		}
		if ok && f.Goes {
			if err := w.act(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// tags decides about all tags of a repository, one after the other.
func (w *walk) tags(ctx context.Context, repo string, rules []rule) error {
	newest, err := w.newest(ctx, repo, rules)
	if err != nil {
		return err
	}
	for tag, err := range w.r.Registry.Tags(ctx, repo, "") {
		if err == nil {
			err = w.pause(ctx)
		}
		if err != nil {
			return err
		}
		s, err := w.r.Registry.Stored(ctx, repo, tag)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		f, err := w.judgeTag(ctx, rules, newest, repo, tag, s)
		if err != nil {
			return err
		}
		w.note(f)
		if f.Goes && w.act != nil {
			if err := w.act(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// loose decides about all manifests of a repository that stand for themselves and have no tag. It returns those that are to go, unless that is only planned.
func (w *walk) loose(ctx context.Context, repo string, rules []rule) (going []digest.Digest, err error) {
	rules = ofUntagged(rules)
	if len(rules) == 0 {
		return nil, nil
	}
	count := 0
	for image, err := range w.r.Registry.Images(ctx, repo+"!") {
		if err == nil {
			err = w.pause(ctx)
		}
		if err != nil {
			return nil, err
		}
		if len(image.Tags) > 0 {
			continue
		}
		f, err := w.judgeLoose(ctx, rules, image)
		if err != nil {
			return nil, err
		}
		if f.Goes {
			if count == maxLoose {
				break
			}
			if count++; w.act != nil {
				going = append(going, image.Digest)
			}
		}
		w.note(f)
	}
	return going, nil
}

// again decides once more about a manifest that was to go, as things are now. ok tells whether it still stands for itself and has no tag.
func (w *walk) again(ctx context.Context, repo string, d digest.Digest, rules []rule) (f Fate, ok bool, err error) {
	for image, err := range w.r.Registry.Images(ctx, repo+"!"+string(d)) {
		if err != nil || len(image.Tags) > 0 {
			return f, false, err
		}
		f, err = w.judgeLoose(ctx, ofUntagged(rules), image)
		return f, true, err
	}
	return f, false, nil
}

// note counts and tells what was decided. What goes is counted when it has gone, unless it is only planned.
func (w *walk) note(f Fate) {
	w.tally.Looked.add(f.Tag)
	if f.Goes && w.act == nil {
		w.tally.Goes.add(f.Tag)
	}
	if w.tell != nil {
		w.tell(f)
	}
}

// pause rests now and then. Its error is ctx's.
func (w *walk) pause(ctx context.Context) error {
	if w.looked++; w.looked%pauseAfter != 0 {
		return ctx.Err()
	}
	return rest(ctx, pauseFor)
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
