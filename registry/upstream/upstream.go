// Package upstream shows other registries through this one.
//
//	through, err := upstream.New(upstream.Config{Local: reg, Below: reg, Index: db, Upstreams: []upstream.Upstream{{Remote: hub, TagTTL: 5 * time.Minute}}})
//	through.Manifest(ctx, "docker.io/library/alpine", "3.20")   // from here while it is fresh, else from the hub
//
// [Through] is a [registry.Source]: whoever serves it need not know where content comes from. A repository below the name of an upstream (docker.io/…) is that
// upstream's; every other one is served by what lies below.
//
//   - What is here under a digest is served from here, without a question to anybody. A tag is, while it is fresh; after that the upstream is asked once, by a
//     HEAD, for all who wait.
//   - One request for each object, however many clients want it. A blob goes out to all of them while it comes in, and is kept when its digest is right; what
//     breaks off is fetched on from where it stood, whether or not anybody still waits.
//   - If the upstream does not answer, or wants fewer requests, what is kept is served at once, and [registry.Notes] say so.
//   - What nobody has pulled for longest goes when there is more of an upstream than [Upstream.MaxBytes] ([Through.Run]).
//   - What is too young, by [Upstream.MinAge], is held back; a tag that moved to it goes on naming what it named before.
//   - Where pushes are allowed ([Upstream.Writable]), a tag that was pushed here is never asked for again.
//   - Everything that was fetched is in the journal: what, from where, for whom.
//
// What copies content beforehand (package mirror) works through [Through.Refresh], [Through.Bring] and [Through.Rest].
//
// It leaves to others: talking to an upstream (package remote) and rights (the door's).
package upstream

import (
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/storage/kv"
)

// Config is what a Through stands on.
type Config struct {
	Local     *registry.Registry // keeps what was fetched
	Below     registry.Source    // serves every other repository
	Index     kv.DB
	Upstreams []Upstream
	Keeps     func(repo, tag string) bool // whether a tag stays, however full it is; nil: none does
	Log       *slog.Logger                // default: none
	Now       func() time.Time            // default time.Now
}

// Upstream is one registry that is seen through.
type Upstream struct {
	Remote   *remote.Remote
	TagTTL   time.Duration            // for how long nobody asks again what a tag names
	StaleFor time.Duration            // for how long after the upstream's last word it is good while the upstream does not answer; 0: for ever
	Allow    []string                 // patterns of repositories, * within one part of a name, ** at the end for all below; empty: all
	Deny     []string                 // those that are not, although they would be
	MinAge   time.Duration            // images must be at least so old; see age.go for what counts
	Pins     map[string]digest.Digest // repository:tag, as the upstream calls it, to the digest that it names whatever the upstream says
	MaxBytes int64                    // beyond so many bytes the images go that nobody has pulled for longest; 0: without limit
	Writable bool                     // pushes are taken, and what was pushed wins over what the upstream has
	Offline  bool                     // nothing is asked: what is kept is all there is
}

// forgetMissing is for how long it is remembered that an upstream does not have something.
const forgetMissing = 20 * time.Second

// askTime bounds one question for a manifest that many wait for.
const askTime = time.Minute

// Through is this registry with others seen through it.
type Through struct {
	local *registry.Registry
	below registry.Source
	index kv.DB
	by    map[string]*Upstream // by name
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	asking  map[string]*question
	filling map[string]*registry.Filling
	missing map[string]time.Time
	wanting map[*Upstream]fewer // requests

	keeps func(repo, tag string) bool
	kept  map[string]*atomic.Int64 // bytes, about, of the upstreams that have a bound; by name
	full  chan struct{}            // wakes the evictor

	stale atomic.Int64
}

// Remotes returns the clients of the upstreams, by name.
func (t *Through) Remotes() (all []*remote.Remote) {
	for _, name := range slices.Sorted(maps.Keys(t.by)) {
		all = append(all, t.by[name].Remote)
	}
	return all
}

// Stale tells how often what is kept was served because an upstream did not answer.
func (t *Through) Stale() int64 { return t.stale.Load() }

var _ registry.Source = (*Through)(nil)

// New returns a registry with its upstreams.
func New(c Config) (*Through, error) {
	t := &Through{
		local: c.Local, below: c.Below, index: c.Index, log: c.Log, now: c.Now, by: map[string]*Upstream{},
		keeps: c.Keeps, kept: map[string]*atomic.Int64{}, full: make(chan struct{}, 1), asking: map[string]*question{}, filling: map[string]*registry.Filling{}, missing: map[string]time.Time{}, wanting: map[*Upstream]fewer{},
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.keeps == nil {
		t.keeps = func(string, string) bool { return false }
	}
	for _, u := range c.Upstreams {
		name := u.Remote.Name()
		if !registry.ValidName(name) || strings.Contains(name, "/") || !strings.Contains(name, ".") {
			return nil, fmt.Errorf("upstream %q: its name is the first part of repositories' names, in lower-case letters, with a full stop in it, as docker.io", name)
		}
		if t.by[name] != nil {
			return nil, fmt.Errorf("upstream %q is there twice", name)
		}
		t.by[name] = &u
		if u.MaxBytes > 0 {
			t.kept[name] = new(atomic.Int64)
		}
	}
	return t, nil
}

// Known tells whether there is an upstream of this name.
func (t *Through) Known(name string) bool { return t.by[name] != nil }

// Closed refuses pushes into repositories of an upstream, unless they are to be taken.
func (t *Through) Closed(repo string) error {
	if u, _, _ := t.of(repo); u != nil && !u.Writable {
		return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "hint": "this is pulled through from " + u.Remote.Name() + "; push under another name"}}
	}
	return nil
}

// of returns the upstream of a repository, how that one calls it, and how it is called here. Nil: it is none's.
func (t *Through) of(repo string) (u *Upstream, there, here string) {
	name, rest, ok := strings.Cut(repo, "/")
	if u = t.by[name]; u == nil || !ok {
		return nil, "", repo
	}
	there = remote.CanonicalRepo(name, rest)
	return u, there, name + "/" + there
}

// allows tells whether a repository of the upstream may be pulled through.
func (u *Upstream) allows(there string) bool {
	fits := func(p string) bool {
		if below, ok := strings.CutSuffix(p, "/**"); ok {
			return strings.HasPrefix(there, below+"/")
		}
		ok, _ := path.Match(p, there)
		return ok || p == "**"
	}
	for _, p := range u.Deny {
		if fits(p) {
			return false
		}
	}
	for _, p := range u.Allow {
		if fits(p) {
			return true
		}
	}
	return len(u.Allow) == 0
}
