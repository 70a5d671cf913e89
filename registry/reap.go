package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// reapBatch is how many blobs are deleted together.
const reapBatch = 256

// reapers is how many contents are deleted at once, by a store that cannot delete many in one request.
const reapers = 8

// claimFor is for how long a blob is one reaper's. It deletes content in the first half of that time only, and another one takes over after all of it: what is
// deleted late could be content that somebody has pushed again.
func (r *Registry) claimFor() time.Duration { return min(time.Minute, r.doomed) }

// Reaped is what Reap deleted.
type Reaped struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// reaping is a blob that dies.
type reaping struct {
	key    string // of its row among the doomed
	d      digest.Digest
	orphan bool // it was content without a row
	stock  stock
}

// Reap deletes the blobs that were doomed long enough ago and that nobody has wanted since. What it could not finish, the next one does. Several may reap at once.
func (r *Registry) Reap(ctx context.Context) (done Reaped, err error) {
	for from := prefixDoomed; ; {
		batch, err := r.condemned(ctx, from)
		if err != nil || len(batch) == 0 {
			return done, err
		}
		from = batch[len(batch)-1].key + "\x00"
		dying, err := r.condemn(ctx, batch)
		if err == nil {
			dying, err = r.deleteContent(ctx, dying)
		}
		if err == nil {
			dying, err = r.forget(ctx, dying)
		}
		if err != nil {
			return done, fmt.Errorf("delete what nobody holds: %w", err)
		}
		for _, b := range dying {
			done.Blobs, done.Bytes = done.Blobs+1, done.Bytes+b.stock.size
			r.stored.Add(-b.stock.size)
		}
	}
}

// evicted is what the row of a doomed blob says that was pulled from elsewhere, and can be again.
const evicted = "evicted"

// kept returns from which doomed blob on they stay, unless they were evicted. A backup shows one moment: what it names was held then, so it was doomed later.
func (r *Registry) kept(ctx context.Context) (from string, err error) {
	var since time.Time
	if r.keptSince != nil {
		since, err = r.keptSince(ctx, r.index)
	}
	if err != nil || since.IsZero() {
		return prefixDoomed + "~", err
	}
	return keyDoomed(since, ""), nil
}

// condemned returns the next blobs whose time is over. It looks each time what backups may need: one may have begun meanwhile.
func (r *Registry) condemned(ctx context.Context, from string) (batch []reaping, err error) {
	kept, err := r.kept(ctx)
	if err != nil {
		return nil, fmt.Errorf("look which of what nobody holds backups may need: %w", err)
	}
	end := keyDoomed(r.now().Add(-r.doomed), "")
	for pair, err := range r.index.Scan(ctx, from, end) {
		if err != nil {
			return nil, err
		}
		if pair.Key >= kept && string(pair.Value) != evicted {
			continue
		}
		_, d, _ := strings.Cut(pair.Key, "!")
		if batch = append(batch, reaping{key: pair.Key, d: digest.Digest(d), orphan: string(pair.Value) == "orphan"}); len(batch) == reapBatch {
			break
		}
	}
	return batch, nil
}

// condemn claims those that are still doomed, and forgets about the others. From here on nobody can have them: who pushes such content waits until it is gone.
func (r *Registry) condemn(ctx context.Context, batch []reaping) (dying []reaping, err error) {
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		dying = dying[:0]
		now := r.now().Truncate(time.Millisecond)
		kv.Ahead(tx, rowsOf(batch)...)
		for _, b := range batch {
			row, err := tx.Get(ctx, keyBlob(b.d))
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			gone := err != nil
			if !gone {
				if b.stock, err = parseStock(row); err != nil {
					return err
				}
			}
			if gone || keyDoomed(b.stock.doomed, b.d) != b.key {
				tx.Delete(b.key)
				continue
			}
			if !b.stock.dying.IsZero() && now.Sub(b.stock.dying) <= r.claimFor() {
				continue // somebody is at it
			}
			b.stock.dying = now
			tx.Put(keyBlob(b.d), b.stock.row())
			dying = append(dying, b)
		}
		return nil
	})
	return dying, err
}

// deleteContent deletes content. An orphan that somebody has committed anew since it was doomed is spared; it loses its row again.
func (r *Registry) deleteContent(ctx context.Context, dying []reaping) (gone []reaping, err error) {
	if len(dying) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dying[0].stock.dying.Add(r.claimFor()/2).Sub(r.now()))
	defer cancel()
	var content []digest.Digest
	for _, b := range dying {
		if b.orphan {
			info, err := r.blobs.Stat(ctx, b.d)
			if err != nil && !errors.Is(err, blob.ErrNotFound) {
				return nil, err
			}
			if err == nil && info.Modified.After(b.stock.doomed) {
				if err := r.spare(ctx, b); err != nil {
					return nil, err
				}
				continue
			}
		}
		gone = append(gone, b)
		content = append(content, b.d)
	}
	return gone, r.deleteAll(ctx, content)
}

// deleteAll deletes content, many at once if the store can.
func (r *Registry) deleteAll(ctx context.Context, all []digest.Digest) error {
	if many, ok := r.blobs.(blob.Remover); ok {
		return deleteMany(ctx, many, all)
	}
	var work sync.WaitGroup
	next, failed := make(chan digest.Digest), make(chan error, reapers)
	for range reapers {
		work.Go(func() {
			var last error
			for d := range next {
				if err := r.blobs.Delete(ctx, d); err != nil {
					last = err
				}
			}
			failed <- last
		})
	}
	for _, d := range all {
		next <- d
	}
	close(next)
	work.Wait()
	close(failed)
	var why []error
	for err := range failed {
		why = append(why, err)
	}
	return errors.Join(why...)
}

// together is how many contents are deleted by one request. A server deletes them one after another, so that some requests at once are done sooner than a long one.
const together = 64

func deleteMany(ctx context.Context, store blob.Remover, all []digest.Digest) error {
	var work sync.WaitGroup
	failed := make([]error, (len(all)+together-1)/together)
	for i, part := range slices.Collect(slices.Chunk(all, together)) {
		work.Go(func() { failed[i] = store.DeleteAll(ctx, part) })
	}
	work.Wait()
	return errors.Join(failed...)
}

// forget removes the rows of blobs whose content is gone, as far as they are still one's own.
func (r *Registry) forget(ctx context.Context, gone []reaping) (own []reaping, err error) {
	if len(gone) == 0 {
		return nil, nil
	}
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		own = own[:0]
		kv.Ahead(tx, rowsOf(gone)...)
		for _, b := range gone {
			mine, err := r.claimed(ctx, tx, b)
			if err != nil {
				return err
			}
			if !mine {
				continue
			}
			tx.Delete(b.key)
			tx.Delete(keyBlob(b.d))
			tx.Delete(keyData(b.d))
			journal.Append(ctx, tx, journal.Event{Action: "blob.sweep", Digest: string(b.d), Size: b.stock.size, Result: "ok"})
			own = append(own, b)
		}
		return nil
	})
	return own, err
}

// rowsOf are the keys of their rows.
func rowsOf(batch []reaping) []string {
	keys := make([]string, len(batch))
	for i, b := range batch {
		keys[i] = keyBlob(b.d)
	}
	return keys
}

// claimed tells whether a blob is still claimed as it was.
func (r *Registry) claimed(ctx context.Context, tx kv.Tx, b reaping) (bool, error) {
	row, err := tx.Get(ctx, keyBlob(b.d))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	return string(row) == string(b.stock.row()), err
}

// spare lets an orphan be content without a row again, as it was.
func (r *Registry) spare(ctx context.Context, b reaping) error {
	return r.index.Update(ctx, func(tx kv.Tx) error {
		mine, err := r.claimed(ctx, tx, b)
		if mine {
			tx.Delete(b.key)
			tx.Delete(keyBlob(b.d))
		}
		return err
	})
}
