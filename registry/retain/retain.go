// Package retain removes tags and manifests that are kept for no rule's sake any more.
//
//	r, err := retain.New(retain.Config{Registry: reg, Index: db, Every: time.Hour, Grace: 24 * time.Hour, Stays: catalog.Stays, Rules: []retain.Rule{
//		{Repositories: []string{"cloud/**"}, Tags: []string{"pr-*"}, KeepLast: 10, OlderThan: 14 * 24 * time.Hour},
//		{Repositories: []string{"**"}, Untagged: 30 * 24 * time.Hour},
//	}})
//	go r.Run(ctx)                                                       // by the schedule, until ctx ends
//	sums, err := r.Plan(ctx, "", func(f retain.Fate) { … })             // what goes and what stays, and why; changes nothing
//	result, err := r.Start(ctx, show)                                   // now, by hand
//
// The promises:
//
//   - A tag goes only if some rule is about it, and nothing in any rule that is about it keeps it. Then its manifest has one tag less; nothing else happens to it.
//   - A manifest goes only if it has no tag, is no part of an index and refers to nothing that is there, if some rule is about what has no tag, and if nobody has
//     pushed or pulled it for as long as each of these says.
//   - What was pushed within the grace stays, what is tagged for a manifest that is there (sha256-….sig) stays, and so does what Config.Stays says.
//   - All is decided as things were when the run came to a repository. What follows from a removal is left to later runs: that a manifest has lost its last tag,
//     that the index is gone that it was part of. So a plan is what the next run does, unless something changes meanwhile.
//   - Before something goes it is looked at again, in the transaction that removes it: what was pushed anew stays.
//   - Things go through [registry.Registry.DeleteTag] and DeleteManifest, as system:retention, so that admissions and the journal see it. A refusal is told, and
//     the run goes on.
//   - Repositories of upstreams, whose names have a full stop in their first part, are touched only by patterns that begin with exactly that part.
//   - A run is slow on purpose, holds little in memory however many tags there are, and goes on where it stood if it was cut. Of several replicas one makes it.
//
// It leaves content to the sweeper: that goes when no manifest names it any more.
package retain

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain/follow"
	"github.com/entrepot/entrepot/storage/kv"
)

// Actor is who removes things, in the journal.
const Actor = "system:retention"

// defaultRate is how many things go in a second.
const defaultRate = 100

// Config is what retention stands on.
type Config struct {
	Registry *registry.Registry
	Index    kv.DB // keeps how far a run is
	Rules    []Rule

	Every time.Duration // how often a run is made; 0: only by hand
	Grace time.Duration // what was pushed more recently stays; default registry.DefaultGrace
	Rate  int           // how many things go in a second at most; default 100

	// Stays tells of something that is about to go why it must stay; empty: it may go. A manifest comes without a tag. Nil: everything may.
	Stays func(ctx context.Context, repo, tag string, s registry.Stored) (why string, err error)

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

// Retention is the rules with their runs. Its methods may be called by many at once.
type Retention struct {
	Config
	rules  []rule
	print  string // of the rules: changes with them
	holder string // of leases: this process
	runs   *follow.Runs[Tally, Result]
}

// New returns retention by the rules, or an error that says which of them is wrong. Nothing runs yet.
func New(c Config) (*Retention, error) {
	if c.Grace <= 0 {
		c.Grace = registry.DefaultGrace
	}
	if c.Rate <= 0 {
		c.Rate = defaultRate
	}
	if c.Stays == nil {
		c.Stays = func(context.Context, string, string, registry.Stored) (string, error) { return "", nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	rules, err := compile(c.Rules)
	if err != nil {
		return nil, err
	}
	return &Retention{Config: c, rules: rules, print: printOf(c.Rules), holder: rand.Text(), runs: follow.New[Tally, Result]()}, nil
}
