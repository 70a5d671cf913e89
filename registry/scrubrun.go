package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// ScrubConfig is what a Scrubber stands on.
type ScrubConfig struct {
	Registry *Registry
	Every    time.Duration // from one run's beginning to the next one's; 0: by hand only
	Rate     int64         // bytes a second; 0: DefaultScrubRate, negative: as fast as possible

	Fetch func(ctx context.Context, repo string, d digest.Digest) (io.ReadCloser, error) // as in ScrubOptions
	Peers []Peer                                                                         // as in ScrubOptions
}

// These hold where nothing else is set.
const (
	DefaultScrubEvery = 30 * 24 * time.Hour
	DefaultScrubRate  = 20 << 20
)

var (
	// ErrScrubElsewhere says that another replica scrubs.
	ErrScrubElsewhere = errors.New("another replica scrubs just now; ask again when it is done")
	// ErrScrubStopped says that a scrub was cut because the registry stops.
	ErrScrubStopped = errors.New("the registry stops; the scrub goes on where it stands when it has started again")
)

const (
	scrubLook  = time.Minute      // for what is due, and for what was healed by others
	scrubBeat  = 20 * time.Second // of a run, to say how far it is
	scrubLease = 2 * time.Minute  // after its last beat a run is taken to be gone
	scrubTell  = 500 * time.Millisecond
)

// ScrubResult is what came of a run.
type ScrubResult struct {
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	By    string    `json:"by"`
	ScrubTally
	Damages []Damage `json:"damages,omitempty"` // that were found since the program last began with it, at most maxScrubDamages
}

// maxScrubDamages bounds the list of a result; Damages has them all.
const maxScrubDamages = 100

// ScrubState is how it is with scrubbing.
type ScrubState struct {
	Every   string        `json:"every,omitempty"` // empty: by hand only
	Rate    int64         `json:"rate,omitempty"`  // bytes a second
	Next    *time.Time    `json:"next,omitempty"`  // when the next run is due
	Running *ScrubRunning `json:"running,omitempty"`
	Last    *ScrubResult  `json:"last,omitempty"`
	Damages []Damage      `json:"damages"` // blobs that are not whole again, at most maxScrubDamages
	More    bool          `json:"more,omitempty"`
}

// ScrubRunning is a run under way, here or on another replica, as far as it has told, or one that was cut and is to go on.
type ScrubRunning struct {
	Began time.Time `json:"began"`
	Here  bool      `json:"here"`
	Cut   bool      `json:"cut,omitempty"` // nobody is at it just now
	ScrubTally
}

// Scrubber scrubs on a schedule, on one replica at a time. What it was at is kept in the index, so that it goes on where it stood.
type Scrubber struct {
	ScrubConfig
	holder string
	life   context.Context
	stop   context.CancelFunc
	runs   sync.WaitGroup

	damaged, healed, read atomic.Int64

	mu      sync.Mutex
	stopped bool
	now     *scrubRun
}

// scrubRun is one run. The result is there when done is closed.
type scrubRun struct {
	mu    sync.Mutex
	row   scrubRow
	list  []Damage
	begun ScrubTally // before this process began with it

	done   chan struct{}
	result ScrubResult
	err    error
}

// keyScrub is the row of what is known of scrubs.
const keyScrub = "meta/scrub"

type scrubRow struct {
	Began  time.Time    `json:"began"`
	By     string       `json:"by"`
	Open   bool         `json:"open,omitempty"` // it has not come to its end
	Holder string       `json:"holder,omitempty"`
	Beat   time.Time    `json:"beat,omitzero"`
	After  string       `json:"after,omitempty"` // it goes on behind this key
	Tally  ScrubTally   `json:"tally"`
	Last   *ScrubResult `json:"last,omitempty"`
}

// NewScrubber returns a scrubber. Nothing runs yet.
func NewScrubber(c ScrubConfig) *Scrubber {
	s := &Scrubber{ScrubConfig: c, holder: rand.Text()}
	s.Rate = max(0, cmp.Or(c.Rate, DefaultScrubRate))
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

// Counts are of this process since it started, for metrics.
func (s *Scrubber) Counts() (read, damaged, healed int64) {
	return s.read.Load(), s.damaged.Load(), s.healed.Load()
}

// Run scrubs when it is due until ctx ends, finishes what a killed one has left, and gives back what others have healed. It returns when the run under way has
// ended, also one by hand; from then on none begins.
func (s *Scrubber) Run(ctx context.Context) {
	defer s.end()
	for wait := time.Duration(0); pause(ctx, wait) == nil; wait = scrubLook {
		s.Registry.background(ctx, "mend damaged blobs", func() error { return s.Registry.Mend(ctx) })
		s.look(ctx)
	}
}

func (s *Scrubber) end() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.stop()
	s.runs.Wait()
}

// look begins a run if one is due.
func (s *Scrubber) look(ctx context.Context) {
	row, err := s.known(ctx)
	if err == nil {
		if due := s.next(row); due.IsZero() || due.After(s.Registry.now()) {
			return
		}
		var run *scrubRun
		if run, err = s.begin(ctx, true); err == nil {
			select {
			case <-run.done:
				err = run.err
			case <-ctx.Done():
				return
			}
		}
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrScrubElsewhere) && !errors.Is(err, ErrScrubStopped) {
		s.Registry.log.Error("scrub", "err", err)
	}
}

// next tells when a run is due; the zero time is never.
func (s *Scrubber) next(row scrubRow) time.Time {
	switch {
	case row.Open:
		return row.Beat.Add(scrubLease) // it was cut, by hand or not, unless somebody is at it
	case s.Every <= 0:
		return time.Time{}
	}
	return row.Began.Add(s.Every)
}

// Start scrubs now, or goes on with a run that was cut, or follows the one that is under way here, and returns what came of it. watch, if it is not nil, is told
// about twice a second how far it is. The run goes on when ctx ends. The error is ErrScrubElsewhere, ErrScrubStopped, ctx's, or what the scrub failed of.
func (s *Scrubber) Start(ctx context.Context, watch func(ScrubTally)) (ScrubResult, error) {
	run, err := s.begin(ctx, false)
	if err != nil {
		return ScrubResult{}, err
	}
	if watch == nil {
		watch = func(ScrubTally) {}
	}
	tick := time.NewTicker(scrubTell)
	defer tick.Stop()
	for {
		watch(run.tally())
		select {
		case <-run.done:
			if run.err == nil {
				watch(run.tally())
			}
			return run.result, run.err
		case <-tick.C:
		case <-ctx.Done():
			return ScrubResult{}, ctx.Err()
		}
	}
}

// State tells how it is with scrubbing.
func (s *Scrubber) State(ctx context.Context) (ScrubState, error) {
	row, err := s.known(ctx)
	if err != nil {
		return ScrubState{}, err
	}
	state := ScrubState{Rate: s.Rate, Last: row.Last, Damages: []Damage{}}
	if s.Every > 0 {
		state.Every = s.Every.String()
	}
	s.mu.Lock()
	here := s.now
	s.mu.Unlock()
	if here != nil {
		row = here.snapshot()
	}
	if next := s.next(row); here == nil && !next.IsZero() {
		state.Next = &next
	}
	if row.Open {
		state.Running = &ScrubRunning{Began: row.Began, Here: here != nil, Cut: here == nil && s.Registry.now().Sub(row.Beat) >= scrubLease, ScrubTally: row.Tally}
	}
	for d, err := range s.Registry.Damages(ctx) {
		if err != nil {
			return state, err
		}
		if state.More = len(state.Damages) == maxScrubDamages; state.More {
			break
		}
		state.Damages = append(state.Damages, d)
	}
	return state, nil
}

func (s *Scrubber) begin(ctx context.Context, scheduled bool) (*scrubRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.now != nil:
		return s.now, nil
	case s.stopped:
		return nil, ErrScrubStopped
	}
	row, err := s.claim(ctx, scheduled)
	if err != nil {
		return nil, err
	}
	run := &scrubRun{row: row, begun: row.Tally, done: make(chan struct{})}
	s.now = run
	work := journal.By(s.life, journal.Who(ctx))
	s.runs.Go(func() { s.perform(work, run) })
	return run, nil
}

// claim writes down that this replica scrubs. It goes on with what was cut.
func (s *Scrubber) claim(ctx context.Context, scheduled bool) (row scrubRow, err error) {
	now := s.Registry.now().UTC()
	err = s.change(ctx, func(known *scrubRow, _ kv.Tx) error {
		at := known.Open && known.Holder != "" && known.Holder != s.holder && now.Sub(known.Beat) < scrubLease
		if due := s.next(*known); at || scheduled && (due.IsZero() || due.After(now)) {
			return ErrScrubElsewhere
		}
		if !known.Open {
			*known = scrubRow{Began: now, By: journal.Who(ctx).Name, Last: known.Last}
		}
		known.Open, known.Holder, known.Beat = true, s.holder, now
		row = *known
		return nil
	})
	return row, err
}

// perform makes a run, from its claim to its result.
func (s *Scrubber) perform(life context.Context, run *scrubRun) {
	ctx, cancel := context.WithCancel(life)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		for pause(ctx, scrubBeat) == nil {
			if err := s.beat(ctx, run); errors.Is(err, ErrScrubElsewhere) {
				cancel() // this process stood still for too long, and another one has taken over
			} else if err != nil && ctx.Err() == nil {
				s.Registry.log.Warn("how far the scrub is could not be recorded", "err", err)
			}
		}
	}()
	s.Registry.log.Info("a scrub begins", "behind", run.row.After, "rate", s.Rate)
	_, err := s.Registry.Scrub(ctx, ScrubOptions{Rate: s.Rate, After: run.row.After, Fetch: s.Fetch, Peers: s.Peers,
		Tell: func(t ScrubTally) { s.count(run, t) },
		At:   func(after string) { run.at(after) },
		Found: func(d Damage) {
			run.mu.Lock()
			defer run.mu.Unlock()
			if len(run.list) < maxScrubDamages {
				run.list = append(run.list, d)
			}
		},
	})
	cancel()
	<-beating
	err = s.finish(life, run, err)
	s.mu.Lock()
	run.err, s.now = err, nil
	s.mu.Unlock()
	close(run.done)
}

// count keeps how far a run is.
func (s *Scrubber) count(run *scrubRun, t ScrubTally) {
	run.mu.Lock()
	defer run.mu.Unlock()
	was, now := run.row.Tally, run.begun.plus(t)
	run.row.Tally = now
	s.read.Add(now.Bytes - was.Bytes)
	s.damaged.Add(now.Damaged - was.Damaged)
	s.healed.Add(now.Healed - was.Healed)
}

func (t ScrubTally) plus(o ScrubTally) ScrubTally {
	return ScrubTally{t.Things + o.Things, t.Bytes + o.Bytes, t.Damaged + o.Damaged, t.Healed + o.Healed, t.Compacted + o.Compacted}
}

func (r *scrubRun) at(after string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.row.After = after
}

func (r *scrubRun) snapshot() scrubRow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.row
}

func (r *scrubRun) tally() ScrubTally { return r.snapshot().Tally }

func (s *Scrubber) beat(ctx context.Context, run *scrubRun) error {
	at := run.snapshot()
	return s.change(ctx, func(known *scrubRow, _ kv.Tx) error {
		if known.Holder != s.holder {
			return ErrScrubElsewhere
		}
		known.Beat, known.After, known.Tally = s.Registry.now().UTC(), at.After, at.Tally
		return nil
	})
}

// finish writes down what came of a run. One that was cut is open still: after a stop anybody may go on at once, after a failure a while later.
func (s *Scrubber) finish(life context.Context, run *scrubRun, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(life), 10*time.Second)
	defer cancel()
	at := run.snapshot()
	now := s.Registry.now().UTC()
	stopped := life.Err() != nil && failed != nil
	run.result = ScrubResult{Began: at.Began, Ended: now, By: at.By, ScrubTally: at.Tally, Damages: run.list}
	err := s.change(ctx, func(known *scrubRow, tx kv.Tx) error {
		switch {
		case known.Holder != s.holder:
			return ErrScrubElsewhere
		case failed == nil:
			*known = scrubRow{Began: at.Began, By: at.By, Last: &run.result}
			journal.Append(life, tx, journal.Event{Action: "scrub.run", Result: "ok", Note: fmt.Sprintf("read %d things, %d bytes; %d damaged, %d healed",
				at.Tally.Things, at.Tally.Bytes, at.Tally.Damaged, at.Tally.Healed)})
			return nil
		}
		known.Holder, known.Beat, known.After, known.Tally = "", now, at.After, at.Tally
		if stopped {
			known.Beat = time.Time{}
		}
		return nil
	})
	if stopped {
		return ErrScrubStopped
	}
	return errors.Join(failed, err)
}

func (s *Scrubber) known(ctx context.Context) (row scrubRow, err error) {
	b, err := s.Registry.index.Get(ctx, keyScrub)
	if errors.Is(err, kv.ErrNotFound) {
		return scrubRow{Began: s.Registry.now().UTC()}, s.firstLook(ctx)
	}
	if err == nil && json.Unmarshal(b, &row) != nil {
		row = scrubRow{} // it says nothing: one is due
	}
	return row, fault(err, "read what is known of scrubs")
}

// firstLook notes since when there are scrubs, so that the first one does not come with the first start, or never.
func (s *Scrubber) firstLook(ctx context.Context) error {
	return s.change(ctx, func(known *scrubRow, _ kv.Tx) error {
		if known.Began.IsZero() {
			known.Began = s.Registry.now().UTC()
		}
		return nil
	})
}

// change changes what is known of scrubs. An error of do changes nothing.
func (s *Scrubber) change(ctx context.Context, do func(*scrubRow, kv.Tx) error) error {
	return s.Registry.index.Update(ctx, func(tx kv.Tx) error {
		b, err := tx.Get(ctx, keyScrub)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		var known scrubRow
		if err == nil && json.Unmarshal(b, &known) != nil {
			known = scrubRow{}
		}
		if err := do(&known, tx); err != nil {
			return err
		}
		if b, err = json.Marshal(known); err != nil {
			return err
		}
		tx.Put(keyScrub, b)
		return nil
	})
}
