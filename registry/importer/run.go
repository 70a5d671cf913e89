package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

// Config is one move.
type Config struct {
	From From
	To   To

	Repositories []string // patterns of the source's names; none: all
	Renames      []Rename // the first that fits a name counts
	Tags         []string // patterns; none: all
	Tagged       bool     // leave away what no tag leads to, even if the source knows it
	Overwrite    bool     // a tag that names something else here is moved to what it names in the source
	DryRun       bool     // only look what would come

	Lanes   int                                  // blobs on their way at once; 4
	Passing func(error) bool                     // whether a fault may pass, so that a try more is worth it; nil: none may
	Tell    func(repo string, so Report)         // called after each thing that was done, one call at a time; nil: nobody is told
	Wait    func(context.Context, time.Duration) // between tries; nil: it waits
}

// The bounds of a run.
const (
	maxRepositories = 1_000_000
	maxTags         = 1_000_000 // of one repository
	maxSeats        = 1_000_000 // blobs of which is remembered who has them; of more, it is asked again
	maxDepth        = 16        // of indexes in indexes, and of what refers to what refers
	attempts        = 4
	brokenInARow    = 5 // faults that might have passed, after which a run ends
)

// run is a move under way.
type run struct {
	Config
	mu     sync.Mutex // guards what follows
	report Report
	seat   map[digest.Digest]string // who has a blob here
	broken int                      // faults in a row that might have passed, and did not
	ended  error                    // why nothing more is tried
}

// Run moves what is asked for. The error is why the run ended early; what failed alone is in the report, which tells in any case how far it came.
func Run(ctx context.Context, c Config) (Report, error) {
	c.Lanes = cmp.Or(c.Lanes, 4)
	if c.Passing == nil {
		c.Passing = func(error) bool { return false }
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	r := &run{Config: c, seat: map[digest.Digest]string{}}
	names, err := r.list(ctx)
	for _, name := range names {
		if err != nil {
			break
		}
		r.repository(ctx, name)
		if err = ctx.Err(); err == nil {
			err = r.stopped()
		}
	}
	return r.report, err
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// list returns the repositories that are asked for. A source that lists nothing but errors is one.
func (r *run) list(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	var faults []error
	listed := 0
	for name, err := range r.From.Repositories(ctx) {
		if err != nil {
			faults = append(faults, err)
			r.fail("", "repository", err)
			if len(faults) > maxFailures {
				break
			}
			continue
		}
		if listed++; listed > maxRepositories {
			return nil, fmt.Errorf("the source has more than %d repositories; ask for fewer", maxRepositories)
		}
		if wanted(r.Repositories, name) {
			found[name] = true
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case listed == 0 && len(faults) > 0:
		r.report.Failures, r.report.More = nil, 0
		return nil, faults[0]
	case listed > 0 && len(found) == 0:
		return nil, fmt.Errorf("none of the source's %d repositories is asked for; look at the patterns", listed)
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// stopped tells why nothing more is to be tried, if so.
func (r *run) stopped() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// fail notes what did not come.
func (r *run) fail(repo, what string, err error) {
	if errors.Is(err, context.Canceled) {
		return // the run's own end is told once
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Failures) < maxFailures {
		r.report.Failures = append(r.report.Failures, Failure{repo, what, err})
	} else {
		r.report.More++
	}
	switch {
	case registry.Code(err) == registry.Full:
		r.ended = fmt.Errorf("the registry is full: make room, and run it again: %w", err)
	case !r.Passing(err):
		r.broken = 0
	default:
		if r.broken++; r.broken >= brokenInARow {
			r.ended = fmt.Errorf("one thing after another fails; run it again when both registries are well: %w", err)
		}
	}
}

// count changes the report, and tells of it.
func (r *run) count(repo string, change func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.report
	if change(&r.report); r.report.Came != before.Came || r.report.Here != before.Here {
		r.broken = 0
	}
	if r.Tell != nil {
		r.Tell(repo, r.report)
	}
}

// again repeats do while its fault may pass.
func (r *run) again(ctx context.Context, do func() error) error {
	pause := 200 * time.Millisecond
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == attempts || ctx.Err() != nil || !r.Passing(err) {
			return err
		}
		r.Wait(ctx, pause)
		pause *= 2
	}
}

// repository moves one repository.
func (r *run) repository(ctx context.Context, name string) {
	here := renamed(r.Renames, name)
	r.count(name, func(s *Report) { s.Repositories++ })
	if !registry.ValidName(here) {
		r.fail(name, "repository", fmt.Errorf("%.255q is no name that a repository can have; give it another with a rename", here))
		return
	}
	move := &move{run: r, from: name, to: here, nodes: map[digest.Digest]*node{}, lists: map[digest.Digest]bool{}}
	tags, attached := move.tags(ctx)
	for _, tag := range tags {
		if ctx.Err() != nil || r.stopped() != nil {
			return
		}
		move.tag(ctx, tag)
	}
	move.attached(ctx, attached)
	if lister, ok := r.From.(Lister); ok && move.whole() {
		move.untagged(ctx, lister)
	}
}

// tagged is how things are tagged for a manifest: the list of its referrers where a registry has no API for that (distribution-spec, "Referrers Tag
// Schema"), and with a suffix what cosign signs and attests.
var tagged = regexp.MustCompile(`^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64}(?:[0-9a-f]{64})?)(\.[A-Za-z0-9._-]+)?$`)

// tags returns the tags that are asked for, and apart from them those that go with a manifest. Where all are asked for, none is apart.
func (m *move) tags(ctx context.Context) (tags, attached []string) {
	listed := 0
	for tag, err := range m.From.Tags(ctx, m.from) {
		if err != nil {
			m.fail(m.from, "tag", err)
			continue
		}
		if listed++; listed > maxTags {
			m.fail(m.from, "tags", fmt.Errorf("there are more than %d; the others were left away", maxTags))
			break
		}
		asked := slices.ContainsFunc(m.Tags, func(p string) bool { ok, _ := path.Match(p, tag); return ok })
		switch {
		case len(m.Tags) == 0:
			tags = append(tags, tag)
		case tagged.MatchString(tag):
			attached = append(attached, tag)
		case asked:
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	slices.Sort(attached)
	return slices.Compact(tags), slices.Compact(attached)
}

// attached moves what is tagged for manifests that came, and for what came so.
func (m *move) attached(ctx context.Context, tags []string) {
	for more := true; more && ctx.Err() == nil; {
		more = false
		var left []string
		for _, tag := range tags {
			if m.knows(tagged.FindStringSubmatch(tag)[1]) {
				m.tag(ctx, tag)
				more = true
			} else {
				left = append(left, tag)
			}
		}
		tags = left
	}
}

// knows tells whether the manifest that such a tag stands for was moved.
func (m *move) knows(name string) bool {
	n := m.nodes[digest.Digest(strings.Replace(name, "-", ":", 1))]
	return n != nil && n.err == nil
}

// whole tells whether everything that the source knows of the repository is wanted.
func (m *move) whole() bool { return len(m.Tags) == 0 && !m.Tagged }
