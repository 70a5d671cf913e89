// Package collect has content that nothing names go now, instead of when the registry does so by itself, and tells beforehand what would go.
//
//	c := collect.New(reg)
//	go c.Run(ctx)                                                          // when ctx ends, the run under way is cut
//	result, err := c.Start(ctx, collect.Options{Orphans: true}, show)      // now, by hand
//	sums, err := c.Plan(ctx, collect.Options{}, func(f registry.Fate) { … }) // what that would do
//
// The promises:
//
//   - One run at a time; whoever asks meanwhile follows it. A run goes on when who asked leaves.
//   - What goes, and when, is decided by [registry.Registry.Sweep] alone, each time in the transaction that carries it out. A run that was cut does no harm, and
//     neither does one beside the registry's own.
//   - A plan changes nothing, holds nothing in memory but what it is looking at, and ends with its context.
//
// What has gone from the list of what is held is deleted a while later (gc.delay): a run deletes what earlier ones have let go.
package collect

import (
	"context"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain/follow"
	"github.com/entrepot/entrepot/storage/journal"
)

// rate is how many blobs are looked at in a second: it must not be felt.
const rate = 50_000

// Options say what is done.
type Options struct {
	Orphans bool // also look through all content for what the index does not know; this reads the list of the whole store
}

// Orphans are content that the index did not know.
type Orphans struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// Progress is how far a run is.
type Progress struct {
	Step   string `json:"step"`   // sweep, orphans, reap
	Looked int64  `json:"looked"` // at blobs, and at repositories' holds on them
	Goes   int64  `json:"goes"`   // of those
}

// Sums are what a plan comes down to.
type Sums struct {
	Swept   registry.Swept `json:"swept"`
	Orphans *Orphans       `json:"orphans,omitempty"` // nil: nobody has looked
}

// Result is what came of a run.
type Result struct {
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	By    string    `json:"by"`
	Sums
	Reaped registry.Reaped `json:"reaped"` // what was let go before, and is deleted now
}

// Collector is the runs of a registry.
type Collector struct {
	registry *registry.Registry
	runs     *follow.Runs[Progress, Result]
}

// New returns the collector of a registry. Nothing runs yet.
func New(r *registry.Registry) *Collector {
	return &Collector{r, follow.New[Progress, Result]()}
}

// Run waits until ctx ends, and then for the run that is under way, which it cuts.
func (c *Collector) Run(ctx context.Context) {
	<-ctx.Done()
	c.runs.Stop()
}

// Start has what nothing names go now, or follows the run that is under way, whatever that does. watch, if it is not nil, is told about twice a second how far it
// is. The error may be follow.ErrStopped, or ctx's; the run goes on when ctx ends.
func (c *Collector) Start(ctx context.Context, o Options, watch func(Progress)) (Result, error) {
	return c.runs.Do(ctx, func(ctx context.Context, tell func(Progress)) (Result, error) { return c.collect(ctx, o, tell) }, watch)
}

func (c *Collector) collect(ctx context.Context, o Options, tell func(Progress)) (r Result, err error) {
	r = Result{Began: time.Now().UTC(), By: journal.Who(ctx).Name}
	at := Progress{Step: "sweep"}
	tell(at)
	// Tell is called from one goroutine, this one.
	count := func(f registry.Fate) {
		if at.Looked++; f.Goes {
			at.Goes++
		}
		tell(at)
	}
	r.Sums, err = c.look(ctx, o, registry.SweepOptions{Rate: rate, Tell: count}, func(step string) { at.Step = step; tell(at) })
	if err != nil {
		return r, err
	}
	at.Step = "reap"
	tell(at)
	if r.Reaped, err = c.registry.Reap(ctx); err != nil {
		return r, fmt.Errorf("collect what nothing names: %w", err)
	}
	r.Ended = time.Now().UTC()
	return r, nil
}

// look sweeps, and looks for orphans if that is wanted.
func (c *Collector) look(ctx context.Context, o Options, how registry.SweepOptions, step func(string)) (s Sums, err error) {
	if s.Swept, err = c.registry.Sweep(ctx, how); err != nil {
		return s, fmt.Errorf("collect what nothing names: %w", err)
	}
	if !o.Orphans {
		return s, nil
	}
	step("orphans")
	var found Orphans
	if found.Blobs, found.Bytes, err = c.registry.SweepOrphans(ctx, how); err != nil {
		return s, fmt.Errorf("collect what the index does not know: %w", err)
	}
	s.Orphans = &found
	return s, nil
}

// Plan tells what a run would let go, and changes nothing. tell is told of each blob and each hold that was looked at, also of what stays.
func (c *Collector) Plan(ctx context.Context, o Options, tell func(registry.Fate)) (Sums, error) {
	s, err := c.look(ctx, o, registry.SweepOptions{Plan: true, Rate: rate, Tell: func(f registry.Fate) {
		if ctx.Err() == nil {
			tell(f)
		}
	}}, func(string) {})
	if err == nil {
		err = ctx.Err()
	}
	return s, err
}
