package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Sweeping finds what no manifest names any more, and has it go, while pushes go on. There are no marks and no set of what is alive: the rows that say who holds a
// blob and those that say which manifests name it sort alike, so that one walk along both shows every hold that no manifest of its repository explains.
//
//	a repository's hold goes when none of its manifests names the blob, and it was neither pushed nor relied on within the grace;
//	a blob is doomed when no repository holds it (any more), and dies a while later (reap.go), unless somebody wanted it meanwhile (keep.go),
//	and not as long as there is a backup that may need it;
//	content without a row, which a crash may leave, is doomed as well (orphans.go).
//
// Each decision is made again in the transaction that carries it out. Manifests go when their last repository deletes them, uploads when they expire.

// sweepBatch is how many decisions share a transaction.
const sweepBatch = 128

// SweepOptions say how to sweep.
type SweepOptions struct {
	Plan   bool       // change nothing
	Tell   func(Fate) // told of each hold and blob that was looked at; may be nil
	Rate   int        // blobs a second; 0: as fast as possible
	Follow bool       // go on where the last sweep was interrupted
}

// Fate is what a sweep decided about a blob, or about a repository's hold on it.
type Fate struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`           // bytes
	Repo   string        `json:"repo,omitempty"` // whose hold it is; empty: the blob
	Goes   bool          `json:"goes"`
	Why    string        `json:"why"`
}

// Swept is what a sweep did, or would do.
type Swept struct {
	Blobs    int   `json:"blobs"`    // looked at
	Released int   `json:"released"` // holds that went
	Doomed   int   `json:"doomed"`   // blobs that nobody holds from now on
	Bytes    int64 `json:"bytes"`    // of those
}

// Sweep walks along all blobs, releases the holds that nothing explains, and dooms the blobs that nobody holds.
func (r *Registry) Sweep(ctx context.Context, o SweepOptions) (Swept, error) {
	kept, err := r.kept(ctx)
	if err != nil {
		return Swept{}, fmt.Errorf("sweep: look what backups may need: %w", err)
	}
	s := &sweep{r: r, o: o, ctx: ctx, kept: kept, before: r.now().Add(-r.grace)}
	from, to := kv.Prefix(prefixBlob)
	if o.Follow {
		if row, err := r.index.Get(ctx, keySweep); err == nil {
			from = keyBlob(digest.Digest(row))
		}
	}
	next, stop := iter.Pull2(r.index.Scan(ctx, strings.Replace(from, prefixBlob, prefixEdge, 1), prefixEdge[:len(prefixEdge)-1]+"0"))
	defer stop()
	s.edges = next
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err == nil {
			err = s.look(pair)
		}
		if err != nil {
			return s.done, fmt.Errorf("sweep: %w", err)
		}
	}
	err = s.finish()
	if err == nil {
		err = s.flush()
	}
	if err == nil && !o.Plan {
		err = s.arrived()
	}
	if err != nil {
		return s.done, fmt.Errorf("sweep: %w", err)
	}
	return s.done, nil
}

// sweep is one walk.
type sweep struct {
	r      *Registry
	o      SweepOptions
	ctx    context.Context
	kept   string    // as in Registry.kept
	before time.Time // what was pushed or relied on since is let be
	done   Swept

	edges func() (kv.Pair, error, bool)
	edge  string // the next edge, without its prefix; empty: not read yet
	ended bool   // there are no more

	// The blob whose rows are being read.
	d      digest.Digest
	stock  stock
	odd    bool // its row is damaged: it is let be
	held   bool // by a hold that stays
	loose  []loose
	chosen []loose // to be decided on in the next transaction
}

// loose is a hold that nothing explains; without a repository it is a blob that nobody holds.
type loose struct {
	d    digest.Digest
	repo string
}

func (s *sweep) look(pair kv.Pair) error {
	d, repo, holder := strings.Cut(strings.TrimPrefix(pair.Key, prefixBlob), "!")
	if !holder {
		if err := s.finish(); err != nil {
			return err
		}
		return s.begin(digest.Digest(d), pair.Value)
	}
	if string(s.d) != d {
		return nil // a holder of what is not there
	}
	man, err := s.namedBy(d, repo)
	switch {
	case err != nil:
		return err
	case man != "":
		s.held = true
		s.tell(repo, false, "manifest "+man+" names it")
	case s.young():
		s.held = true
		s.tell(repo, false, "it was pushed or relied on "+s.ago(s.stock.touched)+" ago, and the grace is "+s.r.grace.String())
	default:
		s.loose = append(s.loose, loose{s.d, repo})
	}
	if len(s.loose) == sweepBatch { // a blob of very many repositories
		return s.choose()
	}
	return nil
}

func (s *sweep) begin(d digest.Digest, row []byte) (err error) {
	s.d, s.held, s.loose = d, false, nil
	s.stock, err = parseStock(row)
	s.odd = err != nil
	s.done.Blobs++
	if s.o.Rate > 0 && s.done.Blobs%max(1, s.o.Rate/20) == 0 {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
	return nil
}

func (s *sweep) young() bool { return s.odd || s.stock.touched.After(s.before) }

func (s *sweep) ago(t time.Time) string { return s.r.now().Sub(t).Round(time.Second).String() }

// finish decides about the blob whose rows have all been read.
func (s *sweep) finish() error {
	if s.d == "" {
		return nil
	}
	defer func() { s.d = "" }()
	if len(s.loose) == 0 && !s.held && s.stock.doomed.IsZero() {
		if s.young() {
			s.tell("", false, "nobody holds it, but it was pushed or relied on "+s.ago(s.stock.touched)+" ago, and the grace is "+s.r.grace.String())
			return nil
		}
		s.loose = append(s.loose, loose{s.d, ""})
	}
	if !s.stock.doomed.IsZero() {
		if err := s.tellDoomed(); err != nil {
			return err
		}
	}
	return s.choose()
}

// tellDoomed tells of a blob that nobody holds.
func (s *sweep) tellDoomed() error {
	if s.o.Tell == nil {
		return nil
	}
	why := "nobody has held it for " + s.ago(s.stock.doomed)
	if key := keyDoomed(s.stock.doomed, s.d); key >= s.kept {
		what, err := s.r.index.Get(s.ctx, key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if string(what) != evicted {
			s.tell("", false, why+", but a backup from before may need it")
			return nil
		}
	}
	s.tell("", true, why)
	return nil
}

// choose moves the loose holds to those that are decided on together.
func (s *sweep) choose() error {
	if s.o.Plan {
		var err error
		for _, l := range s.loose {
			err = errors.Join(err, s.planned(l))
		}
		s.loose = s.loose[:0]
		return err
	}
	s.chosen = append(s.chosen, s.loose...)
	s.loose = s.loose[:0]
	if len(s.chosen) < sweepBatch {
		return nil
	}
	return s.flush()
}

// planned tells what would be done.
func (s *sweep) planned(l loose) error {
	if l.repo == "" {
		s.tell("", true, "no repository holds it")
	} else {
		row, err := s.r.index.Get(s.ctx, keyHold(l.repo, l.d))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if since, _ := holdSince(row); since.After(s.before) {
			s.held = true
			s.tell(l.repo, false, "it was given to the repository "+s.ago(since)+" ago, and the grace is "+s.r.grace.String())
			return nil
		}
		s.done.Released++
		s.tell(l.repo, true, "no manifest of the repository names it")
	}
	if !s.held {
		s.done.Doomed, s.done.Bytes = s.done.Doomed+1, s.done.Bytes+s.stock.size
		s.held = true // it is counted once
	}
	return nil
}

func (s *sweep) tell(repo string, goes bool, why string) {
	if s.o.Tell != nil {
		s.o.Tell(Fate{s.d, s.stock.size, repo, goes, why})
	}
}

// namedBy returns a manifest of the repository that names the blob, or nothing. Calls come in the order of the edges.
func (s *sweep) namedBy(d, repo string) (string, error) {
	want := d + "!" + repo + "!"
	for !s.ended && (s.edge == "" || s.edge < want) {
		pair, err, more := s.edges()
		if err != nil {
			return "", err
		}
		s.edge, s.ended = strings.TrimPrefix(pair.Key, prefixEdge), !more
	}
	if man, ok := strings.CutPrefix(s.edge, want); ok && !s.ended {
		return man, nil
	}
	return "", nil
}

// flush carries out what was chosen, as far as it is still right.
func (s *sweep) flush() error {
	if len(s.chosen) == 0 {
		return nil
	}
	var fates []Fate
	var done Swept
	err := s.r.index.Update(s.ctx, func(tx kv.Tx) error {
		fates, done = fates[:0], Swept{}
		for _, l := range s.chosen {
			kv.Ahead(tx, keyBlob(l.d))
			if l.repo != "" {
				kv.Ahead(tx, keyHold(l.repo, l.d))
			}
		}
		tx.Put(keySweep, []byte(s.chosen[len(s.chosen)-1].d)) // so far it has come
		for _, l := range s.chosen {
			if err := s.r.release(s.ctx, tx, l, s.before, &done, func(f Fate) { fates = append(fates, f) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.done.Released, s.done.Doomed, s.done.Bytes = s.done.Released+done.Released, s.done.Doomed+done.Doomed, s.done.Bytes+done.Bytes
	if s.o.Tell != nil {
		for _, f := range fates {
			s.o.Tell(f)
		}
	}
	s.chosen = s.chosen[:0]
	return nil
}

// arrived forgets how far the walk had come.
func (s *sweep) arrived() error {
	return s.r.index.Update(s.ctx, func(tx kv.Tx) error {
		tx.Delete(keySweep)
		return nil
	})
}

// release takes a hold that nothing explains, and dooms the blob if it was the last. What has changed since it was chosen is let be.
func (r *Registry) release(ctx context.Context, tx kv.Tx, l loose, before time.Time, done *Swept, tell func(Fate)) error {
	row, err := tx.Get(ctx, keyBlob(l.d))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := parseStock(row)
	if err != nil || !s.doomed.IsZero() || s.touched.After(before) {
		return err
	}
	if l.repo != "" {
		gone, err := r.releaseHold(ctx, tx, l.repo, l.d, before)
		if err != nil || !gone {
			return err
		}
		done.Released++
		tell(Fate{l.d, s.size, l.repo, true, "no manifest of the repository names it"})
	}
	doomed, err := r.doom(ctx, tx, l.d, s, "held")
	if doomed {
		done.Doomed, done.Bytes = done.Doomed+1, done.Bytes+s.size
		tell(Fate{l.d, s.size, "", true, "no repository holds it"})
	}
	return err
}

// releaseHold takes a blob from a repository if none of its manifests names it, and if it was not given to it since the given time. It tells whether it did.
func (r *Registry) releaseHold(ctx context.Context, tx kv.Tx, repo string, d digest.Digest, before time.Time) (bool, error) {
	row, err := tx.Get(ctx, keyHold(repo, d))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	since, size := holdSince(row)
	if since.After(before) {
		return false, nil
	}
	from, to := kv.Prefix(of(prefixEdge, string(d), repo))
	for _, err := range tx.Scan(ctx, from, to) {
		return false, err
	}
	dropHold(tx, repo, d)
	journal.Append(ctx, tx, journal.Event{Action: "blob.release", Repo: repo, Digest: string(d), Size: size, Result: "ok"})
	return true, nil
}

// holdSince reads the row of a hold: since when it is, and the blob's size in bytes.
func holdSince(row []byte) (time.Time, int64) {
	f := fields(string(row))
	size, _ := strconv.ParseInt(f[0], 10, 64)
	ms, _ := strconv.ParseInt(f[1], 10, 64)
	return time.UnixMilli(ms), size
}

// doom lets a blob go that no repository holds, and tells whether that is so. s is its row.
func (r *Registry) doom(ctx context.Context, tx kv.Tx, d digest.Digest, s stock, what string) (bool, error) {
	from, to := kv.Prefix(of(prefixBlob, string(d)))
	for _, err := range tx.Scan(ctx, from, to) {
		return false, err
	}
	s.doomed = r.now().Truncate(time.Millisecond)
	tx.Put(keyBlob(d), s.row())
	tx.Put(keyDoomed(s.doomed, d), []byte(what))
	return true, nil
}
