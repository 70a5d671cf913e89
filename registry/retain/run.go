package retain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
)

// maxFailures is how many refusals a result lists.
const maxFailures = 100

// Refusal is something that an admission did not let go.
type Refusal struct {
	Fate
	Reason string `json:"reason"`
}

// Result is what came of a run.
type Result struct {
	Began time.Time `json:"began"` // when it began, or went on where another one was cut
	Ended time.Time `json:"ended"`
	By    string    `json:"by"`
	Tally
	Refusals []Refusal `json:"refusals,omitempty"` // the first hundred
}

// Start makes a run now, or follows the one that is under way, and returns what came of it. watch, if it is not nil, is told about twice a second how far it is.
// The run goes on when ctx ends. The error may be follow.ErrStopped, or ctx's.
func (r *Retention) Start(ctx context.Context, watch func(Tally)) (Result, error) {
	for {
		result, err := r.runs.Do(ctx, func(ctx context.Context, tell func(Tally)) (Result, error) { return r.perform(ctx, tell, false) }, watch)
		if !errors.Is(err, errNotNow) {
			return result, err
		} // that was one by the schedule, which leaves it to another replica
	}
}

// perform makes a run, from its claim to its event.
func (r *Retention) perform(ctx context.Context, tell func(Tally), scheduled bool) (Result, error) {
	by := journal.Who(ctx)
	began := r.Now()
	from, err := r.claim(ctx, began, scheduled)
	if err != nil {
		return Result{}, err
	}
	x := &removal{walk: walk{r: r, now: began, tally: from.Tally}, result: Result{Began: began.UTC(), By: by.Name}, show: tell, at: from.After, beat: time.Now(),
		ctx: journal.By(ctx, journal.Actor{Name: Actor, Request: by.Request})}
	x.walk.act, x.walk.done, x.walk.fail = x.remove, x.finished, x.failed
	x.walk.tell = func(Fate) { tell(x.tally) }
	err = x.repositories(ctx, from.After)
	x.result.Ended, x.result.Tally = r.Now().UTC(), x.tally
	if err != nil {
		return x.result, errors.Join(fmt.Errorf("remove what is not retained: %w", err), r.letGo(context.WithoutCancel(ctx), x.at, x.tally, ctx.Err() == nil))
	}
	r.Log.Info("what is not retained was removed", "tags", x.tally.Goes.Tags, "manifests", x.tally.Goes.Manifests, "refused", x.tally.Refused)
	return x.result, r.conclude(ctx, x.result)
}

// removal is a walk that removes what goes.
type removal struct {
	walk
	ctx    context.Context // whose changes are retention's
	result Result
	show   func(Tally)
	at     string    // the last repository that is done
	beat   time.Time // when it was last written down that the run is under way
}

var errChanged = errors.New("it has changed since it was decided that it goes")

// remove removes a tag or a manifest, if it is still what was decided about.
func (x *removal) remove(ctx context.Context, f Fate) error {
	guard := func(tag string, was registry.Stored) error {
		if tag != f.Tag || was.Needed || was.Digest != f.Digest || !was.Pushed.Equal(f.Pushed) {
			return errChanged
		}
		return nil
	}
	var err error
	if f.Tag != "" {
		err = x.r.Registry.DeleteTag(x.ctx, f.Repo, f.Tag, guard)
	} else {
		err = x.r.Registry.DeleteManifest(x.ctx, f.Repo, f.Digest, guard)
	}
	switch {
	case errors.Is(err, errChanged), gone(err):
	case err == nil:
		x.tally.Goes.add(f.Tag)
		x.r.Log.Debug("removed", "repo", f.Repo, "tag", f.Tag, "digest", f.Digest, "rule", f.Rule, "why", f.Why)
	case registry.Code(err) == "":
		return err
	default:
		x.refused(f, err)
	}
	x.show(x.tally)
	if err := x.alive(ctx); err != nil {
		return err
	}
	return rest(ctx, time.Second/time.Duration(x.r.Rate))
}

// refused notes that something was not let go.
func (x *removal) refused(f Fate, why error) {
	x.tally.Refused++
	if len(x.result.Refusals) < maxFailures {
		x.result.Refusals = append(x.result.Refusals, Refusal{f, reason(why)})
	}
	x.r.Log.Warn("something that is not retained was not let go", "repo", f.Repo, "tag", f.Tag, "digest", f.Digest, "err", why)
}

// reason is what a refusal says to people.
func reason(err error) string {
	var told *registry.Error
	if !errors.As(err, &told) {
		return "it could not be removed"
	}
	switch detail := told.Detail.(type) {
	case map[string]string:
		if hint := detail["hint"]; hint != "" {
			return hint
		}
	case map[string]any:
		if hint, ok := detail["hint"].(string); ok {
			return hint
		}
	}
	return told.Code
}

// failed notes that a repository could not be looked through. The others are.
func (x *removal) failed(repo string, why error) {
	x.tally.Failed++
	if len(x.result.Refusals) < maxFailures {
		x.result.Refusals = append(x.result.Refusals, Refusal{Fate{Repo: repo}, "it could not be looked through; the log says why"})
	}
	x.r.Log.Error("look through a repository for what is not retained", "repo", repo, "err", why)
}

// finished notes that a repository is done.
func (x *removal) finished(ctx context.Context, repo string) error {
	x.at = repo
	return x.alive(ctx)
}

// alive writes down from time to time that the run is under way, and how far it is.
func (x *removal) alive(ctx context.Context) error {
	if time.Since(x.beat) < beatEvery {
		return nil
	}
	x.beat = time.Now()
	return x.r.change(ctx, nil, func(known *row) error {
		known.Open, known.Holder, known.Beat, known.After, known.Tally = true, x.r.holder, x.r.Now().UTC(), x.at, x.tally
		return nil
	})
}
