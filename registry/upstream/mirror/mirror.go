// Package mirror copies repositories of upstreams into this registry on a schedule, so that they are here before anybody pulls, and stay when the upstream goes.
//
//	mirrors, err := mirror.New(mirror.Config{Through: through, Local: reg, Index: db, Entries: []mirror.Entry{{
//		Repository: "docker.io/library/alpine", Tags: []string{"latest"}, Versions: ">=3.18 <4", Last: 5,
//		Platforms: []string{"linux/amd64"}, Referrers: true, Every: 6 * time.Hour,
//	}}})
//	go mirrors.Run(ctx)                                                        // by the schedule, until ctx ends
//	result, err := mirrors.Start(ctx, "docker.io/library/alpine", show)       // now, by hand
//
// The promises:
//
//   - What is here is not fetched again. A tag costs one HEAD; what refers to a manifest is asked for when that is new, and once a day.
//   - A run that was cut goes on where it stood, since what it has fetched is here. One tag that fails stops no other, and the result says why it did.
//   - A few tags and blobs at a time, one scheduled run at a time for each upstream, and none while [upstream.Through.Rest] says that the upstream had better be
//     left alone. An entry has one run at a time: whoever starts it once more follows that one.
//   - What one entry asks for is bounded, whatever the upstream says: tags, manifests, and how deep they may lead.
//   - When a run began and what came of it is kept in the index, so that a restart runs nothing that is not due. Several replicas share the schedule: each run is
//     made by one of them.
//
// It works through the pull-through and keeps to its rules: what may not be pulled through is not mirrored, and what was fetched is in the journal. It leaves to
// others when content goes again; they ask [Mirrors.Keeps].
package mirror

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Config is what mirroring stands on.
type Config struct {
	Through *upstream.Through  // brings what is asked for
	Local   *registry.Registry // where that is kept, the same as Through's
	Index   kv.DB              // keeps what came of each run
	Entries []Entry
	Log     *slog.Logger     // default: none
	Now     func() time.Time // default time.Now
}

var (
	// ErrUnknown says that no entry is for the repository.
	ErrUnknown = errors.New("no entry of the configuration mirrors this repository")
	// ErrStopped says that the run was cut because the registry stops. It goes on after the next start.
	ErrStopped = errors.New("the registry stops; the run goes on when it has started again")
)

// Mirrors are all entries with their runs.
type Mirrors struct {
	Config
	holder string // of leases: this process
	opened time.Time
	jobs   []*job // by repository

	life context.Context // of all runs
	stop context.CancelFunc
	runs sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	lanes   map[string]bool // upstreams that have a scheduled run
}

// job is an entry with what is known of its runs.
type job struct {
	*selection
	row row  // the last one that was read or written; guarded by Mirrors.mu
	run *run // under way; nil: none
}

// New returns the mirrors of all entries, with what the index knows of their runs. Nothing runs yet.
func New(c Config) (*Mirrors, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	m := &Mirrors{Config: c, holder: rand.Text(), opened: c.Now(), lanes: map[string]bool{}}
	m.life, m.stop = context.WithCancel(context.Background())
	for _, e := range c.Entries {
		s, err := newSelection(e)
		switch {
		case err != nil:
			return nil, err
		case !c.Through.Known(s.upstream):
			return nil, fmt.Errorf("mirror %s: there is no upstream %s; write its name first, as in the list of upstreams", e.Repository, s.upstream)
		case m.job(s.repo) != nil:
			return nil, fmt.Errorf("mirror %s: it is there twice; write all that is to be mirrored of it in one entry", s.repo)
		}
		m.jobs = append(m.jobs, &job{selection: s})
	}
	slices.SortFunc(m.jobs, func(a, b *job) int { return cmp.Compare(a.repo, b.repo) })
	if err := m.reread(context.Background()); err != nil {
		return nil, fmt.Errorf("read what is known of mirrors: %w", err)
	}
	return m, nil
}

// job returns the entry of a repository, by any of its names; nil: there is none.
func (m *Mirrors) job(repo string) *job {
	_, repo = canonical(repo)
	i := slices.IndexFunc(m.jobs, func(j *job) bool { return j.repo == repo })
	if i < 0 {
		return nil
	}
	return m.jobs[i]
}

// Start mirrors a repository now, or follows the run that is under way, and returns what came of it. watch, if it is not nil, is told about twice a second how far
// it is, and at its end. The run goes on when ctx ends. The error is ErrUnknown, ErrStopped or ctx's.
func (m *Mirrors) Start(ctx context.Context, repository string, watch func(Progress)) (Result, error) {
	j := m.job(repository)
	if j == nil {
		return Result{}, fmt.Errorf("mirror %.255q: %w", repository, ErrUnknown)
	}
	for {
		r, err := m.begin(j, journal.Who(ctx), false)
		if err != nil {
			return Result{}, err
		}
		result, err := r.follow(ctx, watch)
		if !errors.Is(err, errNotNow) {
			return result, err
		} // that was one by the schedule, which leaves the entry to another replica
	}
}

// Keeps tells whether an entry mirrors a tag. Of those that an entry takes the newest of, it is those that its last run took; before the first, all. What is tagged
// for a manifest, as signatures are, is kept wherever referrers are mirrored.
func (m *Mirrors) Keeps(repo, tag string) bool {
	j := m.job(repo)
	if j == nil {
		return false
	}
	if attachedTo(tag) != "" {
		return j.Referrers || j.fits(tag)
	}
	if j.fits(tag) {
		return true
	}
	if _, ok := j.allowed(tag); !ok {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return j.Last == 0 || j.row.Last == nil || slices.Contains(j.row.Newest, tag)
}

// State is an entry, and how it is with it.
type State struct {
	Entry
	Every   string     `json:"every,omitempty"` // as 6h0m0s; empty: only by hand
	Running *Progress  `json:"running,omitempty"`
	Last    *Result    `json:"lastRun,omitempty"`
	Next    *time.Time `json:"next,omitempty"` // when it is due; nil: it runs just now, or by hand only
}

// States returns all entries, by repository.
func (m *Mirrors) States() []State {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]State, 0, len(m.jobs))
	for _, j := range m.jobs {
		s := State{Entry: j.Entry, Last: j.row.Last}
		if s.Repository = j.repo; j.Entry.Every > 0 {
			s.Every = j.Entry.Every.String()
		}
		if j.run != nil {
			p := j.run.progress()
			s.Running = &p
		} else if next := m.next(j.selection, j.row); !next.IsZero() {
			s.Next = &next
		}
		all = append(all, s)
	}
	return all
}

// clip shortens what others wrote, to one line.
func clip(s string, most int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
