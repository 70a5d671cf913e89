package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Config is what a registry stands on. Zero values of the limits mean the defaults.
type Config struct {
	Blobs   blob.Store
	Index   kv.DB // durable
	Uploads kv.DB // may be lazy: survives a restart, not a power cut. Nil means Index.
	Shared  bool  // other registries stand on the same three at the same time

	ManifestBytes int64         // longest manifest; default 4 MiB, the least that clients may count on
	UploadTTL     time.Duration // how long an upload may rest; default 24 h
	FillTries     int           // how often a fill that has begun is tried again when nothing more comes, after 100 ms and then after longer and longer pauses; default 11: half a minute, in which a registry is started anew
	Grace         time.Duration // for how long content that nothing names is let be, since it was pushed or relied on; default 24 h
	Doomed        time.Duration // for how long what is to be deleted waits for somebody who wants it after all; default 10 min
	SweepEvery    time.Duration // default 1 h; negative: never by itself

	// KeptSince returns a moment: what is let go of after it stays, whatever Grace and Doomed say, since a backup may name it; but not what was pulled from elsewhere. Zero, and nil,
	// keep nothing.
	KeptSince func(context.Context, kv.View) (time.Time, error)

	LinkTTL time.Duration // for how long links to content are good that clients are sent to, if the store makes such; 0: they are not

	Quotas     []Quota     // at most one for a path
	Admissions []Admission // asked in turn about each manifest
	Log        *slog.Logger
	Now        func() time.Time // for tests
}

// These hold where nothing else is set.
const (
	DefaultManifestBytes = 4 << 20
	DefaultUploadTTL     = 24 * time.Hour
	DefaultGrace         = 24 * time.Hour
	DefaultDoomed        = 10 * time.Minute
	DefaultSweepEvery    = time.Hour
)

// smallBlob is the size in bytes up to which a blob lies in the index: its push then costs one shared sync instead of three of its own.
// Configs, documents and signatures are that small.
const smallBlob = 16 << 10

// Registry is this registry's own content. It is a [Source]. Its methods may be called by many at once.
type Registry struct {
	blobs      blob.Store
	index      kv.DB
	uploads    kv.DB
	shared     bool
	journal    *journal.Journal
	quotas     quotas
	admissions []Admission
	log        *slog.Logger
	now        func() time.Time

	manifestBytes int64
	uploadTTL     time.Duration
	linkTTL       time.Duration
	fillTries     int
	grace         time.Duration
	doomed        time.Duration
	sweepEvery    time.Duration
	keptSince     func(context.Context, kv.View) (time.Time, error)

	pulls    pulls
	lists    referrerLists
	writing  locks         // uploads that a request is writing
	waiting  atomic.Int64  // things to be settled, since the last time
	unsettle chan struct{} // wakes the settler
	stored   atomic.Int64  // bytes
}

// Open prepares a registry. It refuses an index that a newer program wrote; it reads nothing that grows with what is stored.
func Open(ctx context.Context, c Config) (*Registry, error) {
	r := &Registry{
		blobs: c.Blobs, index: c.Index, uploads: c.Uploads, shared: c.Shared, journal: journal.New(c.Index),
		admissions: c.Admissions, log: c.Log, now: c.Now,
		manifestBytes: cmp.Or(c.ManifestBytes, DefaultManifestBytes), uploadTTL: cmp.Or(c.UploadTTL, DefaultUploadTTL),
		linkTTL: c.LinkTTL, fillTries: cmp.Or(c.FillTries, 11), grace: cmp.Or(c.Grace, DefaultGrace), doomed: cmp.Or(c.Doomed, DefaultDoomed), sweepEvery: cmp.Or(c.SweepEvery, DefaultSweepEvery),
		keptSince: c.KeptSince,
		unsettle:  make(chan struct{}, 1), lists: referrerLists{long: longReferrers},
	}
	if r.uploads == nil {
		r.uploads = r.index
	}
	var err error
	if r.quotas, err = newQuotas(c.Quotas); err != nil {
		return nil, err
	}
	if len(r.quotas) > 0 {
		r.index = &metered{DB: r.index, quotas: r.quotas}
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r, checkVersion(ctx, r.index)
}

// Journal returns the registry's journal.
func (r *Registry) Journal() *journal.Journal { return r.journal }

// ManifestBytes returns the longest manifest that is taken, in bytes.
func (r *Registry) ManifestBytes() int64 { return r.manifestBytes }

// nothing is a digest that no content has.
const nothing = digest.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")

// readyWait is how long a floor below may take to show that it answers.
const readyWait = 3 * time.Second

// Ready tells whether the floors below answer: nil if every request can be served now. A program that a newer one has taken the index from meanwhile is not ready.
func (r *Registry) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	if _, err := knownVersion(ctx, r.index); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if _, err := r.uploads.Get(ctx, keyVersion); err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("uploads: %w", err)
	}
	if _, err := r.blobs.Stat(ctx, nothing); err != nil && !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("content: %w", err)
	}
	return nil
}

// Run does what must go on beside the requests until ctx ends: it seals the journal, copies settled bytes to the blob store, lets uploads
// expire, sweeps, writes down what was pulled, and counts what quotas are about. What one round could not do, the next one tries again.
func (r *Registry) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { r.journal.Run(ctx) })
	work.Go(func() { r.runSettle(ctx) })
	work.Go(func() { r.runExpire(ctx) })
	work.Go(func() { r.runMeasure(ctx) })
	work.Go(func() { r.runSweep(ctx) })
	work.Go(func() { r.runPulls(ctx) })
	work.Go(func() { r.runQuotas(ctx) })
	work.Wait()
}

// locks lets one holder at a time have a name.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// lock takes the name, waiting at most for the given time; it tells whether it succeeded. The holder calls unlock.
func (l *locks) lock(ctx context.Context, name string, wait time.Duration) (unlock func(), ok bool) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		if l.held == nil {
			l.held = map[string]chan struct{}{}
		}
		free, taken := l.held[name]
		if !taken {
			mine := make(chan struct{})
			l.held[name] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, name)
				l.mu.Unlock()
				close(mine)
			}, true
		}
		l.mu.Unlock()
		select {
		case <-free:
		case <-deadline.C:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
}
