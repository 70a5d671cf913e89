package registry

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// Pulls are counted in memory and written now and then, many together: a pull costs no write. What a crash loses is a few minutes of counts.

const (
	pullsEvery = time.Minute
	pullsBatch = 512     // rows of one transaction
	pullsMost  = 100_000 // manifests whose pulls wait to be written; beyond that new ones are not counted until they are
)

// pulls are those that wait to be written.
type pulls struct {
	mu    sync.Mutex
	fresh map[pullKey]pulled
}

// pullKey is what is pulled. It is made with each pull, without a copy of its parts.
type pullKey struct {
	repo string
	d    digest.Digest
}

// pulled is when something was last pulled, and how often.
type pulled struct {
	last  time.Time
	count int64
}

func (p pulled) row() []byte {
	return strconv.AppendInt(append(strconv.AppendInt(nil, p.last.UnixMilli(), 10), '\t'), p.count, 10)
}

func parsePulled(row []byte) pulled {
	f := fields(string(row))
	ms, _ := strconv.ParseInt(f[0], 10, 64)
	count, _ := strconv.ParseInt(f[1], 10, 64)
	return pulled{time.UnixMilli(ms).UTC(), count}
}

func (p pulled) and(other pulled) pulled {
	p.count += other.count
	if other.last.After(p.last) {
		p.last = other.last
	}
	return p
}

// Pulled notes that a manifest was pulled.
func (r *Registry) Pulled(repo string, d digest.Digest) {
	key := pullKey{repo, d}
	now := r.now()
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	if r.pulls.fresh == nil {
		r.pulls.fresh = map[pullKey]pulled{}
	}
	known, ok := r.pulls.fresh[key]
	if ok || len(r.pulls.fresh) < pullsMost {
		r.pulls.fresh[key] = pulled{now, known.count + 1}
	}
}

// LastPull tells when a manifest was last pulled, and how often it was; the zero time if it never was, as far as is known.
func (r *Registry) LastPull(ctx context.Context, repo string, d digest.Digest) (time.Time, int64, error) {
	r.pulls.mu.Lock()
	known := r.pulls.fresh[pullKey{repo, d}]
	r.pulls.mu.Unlock()
	row, err := r.index.Get(ctx, keyPull(repo, d))
	if err == nil {
		known = known.and(parsePulled(row))
	} else if errors.Is(err, kv.ErrNotFound) {
		err = nil
	}
	return known.last, known.count, fault(err, "look up when %s of %s was pulled", d, repo)
}

func (r *Registry) runPulls(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			r.background(last, "write down what was pulled", func() error { return r.SavePulls(last) })
			return
		case <-time.After(pullsEvery):
		}
		r.background(ctx, "write down what was pulled", func() error { return r.SavePulls(ctx) })
	}
}

// SavePulls writes down what was pulled since the last time.
func (r *Registry) SavePulls(ctx context.Context) error {
	r.pulls.mu.Lock()
	fresh := r.pulls.fresh
	r.pulls.fresh = nil
	r.pulls.mu.Unlock()
	for len(fresh) > 0 {
		var batch []pullKey
		for key := range fresh {
			if batch = append(batch, key); len(batch) == pullsBatch {
				break
			}
		}
		if err := r.savePulls(ctx, batch, fresh); err != nil {
			r.pulls.mu.Lock()
			for key, p := range r.pulls.fresh {
				fresh[key] = fresh[key].and(p)
			}
			r.pulls.fresh = fresh // to be tried again
			r.pulls.mu.Unlock()
			return err
		}
		for _, key := range batch {
			delete(fresh, key)
		}
	}
	return nil
}

func (r *Registry) savePulls(ctx context.Context, batch []pullKey, fresh map[pullKey]pulled) error {
	return r.index.Update(ctx, func(tx kv.Tx) error {
		for _, key := range batch {
			// What was deleted meanwhile leaves no row behind.
			if _, err := tx.Get(ctx, keyRev(key.repo, key.d)); errors.Is(err, kv.ErrNotFound) {
				continue
			} else if err != nil {
				return err
			}
			now := fresh[key]
			row, err := tx.Get(ctx, keyPull(key.repo, key.d))
			if err == nil {
				now = now.and(parsePulled(row))
			} else if !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			tx.Put(keyPull(key.repo, key.d), now.row())
		}
		return nil
	})
}
