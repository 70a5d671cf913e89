package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const (
	lookEvery   = time.Second      // for what is due
	rereadEvery = 30 * time.Second // for what other replicas have done
	beatEvery   = 20 * time.Second // of a run, to say that it is under way
	lease       = time.Minute      // after its last beat a run is taken to be gone
	retryLeast  = 10 * time.Minute // after a run with failures, if that is sooner than the schedule
)

// Run begins what is due until ctx ends, and returns when all runs, those by hand too, have ended. From then on nothing is begun.
func (m *Mirrors) Run(ctx context.Context) {
	if err := m.forget(ctx); err != nil && ctx.Err() == nil {
		m.Log.Error("forget mirrors that are configured no more", "err", err)
	}
	// What is due is looked for by the clock of the configuration, and how often that is done is not worth one.
	look, reread := time.NewTicker(lookEvery), time.NewTicker(rereadEvery)
	defer look.Stop()
	defer reread.Stop()
	for ctx.Err() == nil {
		m.look()
		select {
		case <-look.C:
		case <-reread.C:
			if err := m.reread(ctx); err != nil && ctx.Err() == nil {
				m.Log.Error("read what is known of mirrors", "err", err)
			}
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
	m.stop()
	m.runs.Wait()
}

// look begins what is due, one run for each upstream.
func (m *Mirrors) look() {
	now := m.Now()
	m.mu.Lock()
	var due []*job
	for _, j := range m.jobs {
		if next := m.next(j.selection, j.row); j.run == nil && !next.IsZero() && !next.After(now) && !m.lanes[j.upstream] {
			due = append(due, j)
		}
	}
	slices.SortStableFunc(due, func(a, b *job) int { return m.next(a.selection, a.row).Compare(m.next(b.selection, b.row)) })
	m.mu.Unlock()
	for _, j := range due {
		if _, err := m.begin(j, journal.Actor{Name: "system"}, true); err != nil && !errors.Is(err, errNotNow) && !errors.Is(err, ErrStopped) {
			m.Log.Error("begin a mirror's run", "repo", j.repo, "err", err)
		}
	}
}

// next tells when an entry is due, by what is known of its runs; the zero time is never.
func (m *Mirrors) next(s *selection, known row) time.Time {
	last := known.Last
	switch {
	case s.Every == 0:
		return time.Time{}
	case known.Began.IsZero(), known.Print != s.print && known.Began.Before(m.opened):
		return m.opened // it never ran, or not as the configuration has it since the start
	case known.Open || last == nil:
		return later(known.Began, known.Beat.Add(lease)) // it was cut
	}
	every := s.Every
	if last.Failed > 0 {
		every = min(every, max(every/8, retryLeast))
	}
	return known.Began.Add(every + jitter(every/10, s.repo, known.Began))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// jitter is less than most, and always the same for the same run: entries that began together drift apart, and all replicas agree.
func jitter(most time.Duration, repo string, began time.Time) time.Duration {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%s %d", repo, began.UnixNano())
	if most <= 0 {
		return 0
	}
	return time.Duration(sum.Sum64() % uint64(most))
}

// errNotNow says that somebody else has begun, or has just done, what was due.
var errNotNow = errors.New("another replica is at it")

// begin begins a run, or returns the one that is under way. scheduled ones wait for each other, and leave alone what another replica is at.
func (m *Mirrors) begin(j *job, by journal.Actor, scheduled bool) (*run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case j.run != nil:
		return j.run, nil
	case m.stopped:
		return nil, ErrStopped
	case scheduled && m.lanes[j.upstream]:
		return nil, errNotNow
	}
	r := m.newRun(j, by.Name)
	j.run = r
	if scheduled {
		m.lanes[j.upstream] = true
	}
	m.runs.Go(func() { m.perform(journal.By(m.life, by), j, r, scheduled) })
	return r, nil
}

// perform makes a run, from its claim to its result.
func (m *Mirrors) perform(ctx context.Context, j *job, r *run, scheduled bool) {
	err := m.claim(ctx, j, r, scheduled)
	if err == nil {
		m.Log.Info("a mirror's run begins", "repo", r.repo, "by", r.by)
		ctx, cancel := context.WithCancel(ctx)
		beating := make(chan struct{})
		go func() { defer close(beating); m.beat(ctx, j, r) }()
		err = r.mirror(ctx)
		cancel()
		<-beating
		err = m.finish(context.WithoutCancel(ctx), j, r, err)
	}
	switch {
	case m.life.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, errNotNow)):
		err = ErrStopped
	case err != nil && !errors.Is(err, errNotNow):
		m.Log.Error("a mirror's run could not be recorded", "repo", r.repo, "err", err)
	}
	m.mu.Lock()
	r.err, j.run = err, nil
	if scheduled {
		delete(m.lanes, j.upstream)
	}
	m.mu.Unlock()
	close(r.done)
}

// claim writes down that a run begins. A scheduled one is not claimed while another replica is at it, or if that has done it meanwhile.
func (m *Mirrors) claim(ctx context.Context, j *job, r *run, scheduled bool) error {
	return m.change(ctx, j, nil, func(now *row) error {
		if scheduled {
			at := now.Open && now.Holder != m.holder && r.began.Sub(now.Beat) < lease
			if at || m.next(j.selection, *now).After(r.began) {
				return errNotNow
			}
		}
		now.Print, now.Began, now.Open, now.Holder, now.Beat = j.print, r.began, true, m.holder, r.began
		return nil
	})
}

// beat says, from time to time, that a run is under way.
func (m *Mirrors) beat(ctx context.Context, j *job, r *run) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := m.change(ctx, j, nil, func(now *row) error {
			now.Open, now.Holder, now.Beat = true, m.holder, m.Now().UTC()
			return nil
		})
		if err != nil && ctx.Err() == nil {
			m.Log.Warn("a mirror's run could not be recorded as under way", "repo", r.repo, "err", err)
		}
	}
}

// finish writes down what came of a run. One that was cut is open still, and nobody is at it.
func (m *Mirrors) finish(ctx context.Context, j *job, r *run, cut error) error {
	if cut != nil {
		err := m.change(ctx, j, nil, func(now *row) error {
			now.Holder, now.Beat = "", time.Time{}
			return nil
		})
		return errors.Join(cut, err)
	}
	r.result = r.conclude()
	if r.result.Failed == 0 && r.Referrers {
		if err := m.forgetAsked(ctx, r); err != nil {
			m.Log.Warn("forget what is mirrored no more", "repo", r.repo, "err", err)
		}
	}
	e := journal.Event{Action: "mirror.run", Repo: r.repo, Result: "ok", Note: fmt.Sprintf("%d tags; fetched %d manifests and %d blobs, %d bytes",
		r.result.Tags.Done, r.result.Fetched.Manifests, r.result.Fetched.Blobs, r.result.Fetched.Bytes)}
	if r.result.Failed > 0 {
		e.Result = fmt.Sprintf("%d failed; %s", r.result.Failed, r.result.Failures[0].Reason)
	}
	m.Log.Info("a mirror's run has ended", "repo", r.repo, "tags", r.result.Tags.Done, "fetched", r.result.Fetched.Bytes, "failed", r.result.Failed,
		"took", r.result.Ended.Sub(r.began).Round(time.Millisecond))
	return m.change(ctx, j, &e, func(now *row) error {
		*now = row{Print: j.print, Began: r.began, Newest: r.list.newest, Last: &r.result}
		return nil
	})
}

// change changes what is known of an entry's runs, in the index and here, with an event, unless that is nil.
func (m *Mirrors) change(ctx context.Context, j *job, e *journal.Event, do func(*row) error) error {
	var now row
	var refused error
	err := m.Index.Update(ctx, func(tx kv.Tx) error {
		b, err := tx.Get(ctx, keyRun(j.repo))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if now = parseRow(b); err != nil {
			now = row{}
		}
		if refused = do(&now); refused != nil {
			return nil // what was read is worth knowing
		}
		if b, err = now.encode(); err != nil {
			return err
		}
		tx.Put(keyRun(j.repo), b)
		if e != nil {
			journal.Append(ctx, tx, *e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	j.row = now
	m.mu.Unlock()
	return refused
}

// reread reads what is known of all entries.
func (m *Mirrors) reread(ctx context.Context) error {
	for _, j := range m.jobs {
		b, err := m.Index.Get(ctx, keyRun(j.repo))
		if errors.Is(err, kv.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		m.mu.Lock()
		if now := parseRow(b); j.run == nil {
			j.row = now
		}
		m.mu.Unlock()
	}
	return nil
}

// forget removes what is known of repositories that no entry is for.
func (m *Mirrors) forget(ctx context.Context) error {
	from, to := kv.Prefix(prefixMirror)
	var gone []string
	for p, err := range m.Index.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(p.Key, prefixRun), prefixAsked)
		repo, _, _ := strings.Cut(rest, "!")
		if _, known := slices.BinarySearchFunc(m.jobs, repo, func(j *job, repo string) int { return cmp.Compare(j.repo, repo) }); !known {
			gone = append(gone, p.Key)
		}
	}
	return m.drop(ctx, gone)
}

// drop removes keys of the index.
func (m *Mirrors) drop(ctx context.Context, keys []string) error {
	for part := range slices.Chunk(keys, 1000) {
		err := m.Index.Update(ctx, func(tx kv.Tx) error {
			for _, key := range part {
				tx.Delete(key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
