package registry

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// How a blob is kept while a sweeper may be about to delete the same content. The content is committed before its row can be written, so for a moment nobody
// knows of it. A sweeper therefore dooms a blob first (in its row; content without a row gets one), waits for r.doomed, and only then has it die: deletes the
// content, and the row last. Here, a doomed blob is saved by its row; while one dies, its uploader waits and then commits his own bytes. From the look that finds
// no row to the writing of one less than r.doomed passes, so that nothing can have been doomed and have died in between; what took longer begins with another look.

// dyingWait is how long an upload waits until older content of the same digest is gone: longer than a claim on it, should whoever deletes it have died himself.
const dyingWait = 90 * time.Second

// errVanished says that a blob went, is going, or may have gone.
var errVanished = errors.New("blob vanished")

// touchEvery is how old the record that a blob was relied upon may grow before it is renewed; a sweeper waits longer than this.
func (r *Registry) touchEvery() time.Duration { return min(time.Hour, r.grace/4) }

// keep makes the received bytes of u, which match d, a blob of repo.
func (r *Registry) keep(ctx context.Context, repo string, d digest.Digest, u *upload) error {
	for deadline := time.Now().Add(dyingWait); ; {
		err := r.tryKeep(ctx, repo, d, u)
		if !errors.Is(err, errVanished) {
			return err
		}
		if time.Now().After(deadline) {
			return stillDying(d)
		}
		select { // what dies is gone soon
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func stillDying(d digest.Digest) error {
	return &Error{Code: Busy, Detail: map[string]string{"digest": string(d), "hint": "older content of this digest is being deleted; try again"}}
}

// tryKeep is one try; after errVanished another one is worth it.
func (r *Registry) tryKeep(ctx context.Context, repo string, d digest.Digest, u *upload) error {
	looked := r.now()
	known, err := r.alive(ctx, d)
	if err != nil {
		return err
	}
	if !u.inRow {
		there := false
		if known { // but it may be lost, in a disk that failed or behind a backup that was restored: then this brings it back
			_, err := r.blobs.Stat(ctx, d)
			if there = err == nil; err != nil && !errors.Is(err, blob.ErrNotFound) {
				return fault(err, "look up blob %s", d)
			}
		}
		if !there {
			if err := r.commit(ctx, d, u); err != nil {
				return err
			}
		}
	}
	var added int64
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		added = 0
		kv.Ahead(tx, keyBlob(d), keyDamaged(d), keyHold(repo, d))
		row, err := tx.Get(ctx, keyBlob(d))
		switch {
		case errors.Is(err, kv.ErrNotFound) && (known || r.now().Sub(looked) > r.doomed/2):
			return errVanished
		case errors.Is(err, kv.ErrNotFound):
			added = u.Size
			now := r.now()
			tx.Put(keyBlob(d), stock{size: u.Size, committed: now, touched: now}.row())
			if _, err := r.restoreIn(ctx, tx, d, u.action()); err != nil { // it may have been damaged
				return err
			}
			if u.inRow {
				tx.Put(keyData(d), u.bytes)
				tx.Put(keySettle(now, d), []byte("data"))
			}
		case err != nil:
			return err
		default:
			s, err := parseStock(row)
			if err != nil {
				return err
			}
			if !s.dying.IsZero() {
				return errVanished
			}
			if !s.doomed.IsZero() || r.now().Sub(s.touched) > r.touchEvery() {
				r.save(tx, d, s)
			}
		}
		return r.hold(ctx, tx, repo, d, u.Size, journal.Event{Action: u.action()})
	})
	if err == nil {
		r.stored.Add(added)
		if added > 0 && u.inRow {
			r.noteUnsettled()
		}
	}
	return fault(err, "record blob %s of %s", d, repo)
}

// alive tells whether a blob is stored; errVanished: it is just being deleted.
func (r *Registry) alive(ctx context.Context, d digest.Digest) (bool, error) {
	row, err := r.index.Get(ctx, keyBlob(d))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fault(err, "look up blob %s", d)
	}
	s, err := parseStock(row)
	if err == nil && !s.dying.IsZero() {
		err = errVanished
	}
	return err == nil, fault(err, "look up blob %s", d)
}

// commit makes an upload content. An earlier try may have come this far and failed behind it.
func (r *Registry) commit(ctx context.Context, d digest.Digest, u *upload) error {
	err := r.blobs.Commit(ctx, u.stored(), d)
	if errors.Is(err, blob.ErrUploadUnknown) {
		if info, statErr := r.blobs.Stat(ctx, d); statErr != nil || info.Size != u.Size {
			return uploadUnknown(u.ID) // its bytes were swept before they could be recorded, or lost in a power cut: they are to be sent again
		}
		err = nil
	}
	return fault(err, "store blob %s", d)
}

// save takes a blob's doom away, if it has one, and notes that it is relied on.
func (r *Registry) save(tx kv.Tx, d digest.Digest, s stock) {
	if !s.doomed.IsZero() {
		tx.Delete(keyDoomed(s.doomed, d))
	}
	s.doomed, s.touched = time.Time{}, r.now()
	tx.Put(keyBlob(d), s.row())
}
