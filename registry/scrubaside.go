package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// How damaged content is put aside while it may be pushed, deleted and swept by others, and while this process may die at any moment.
//
//	1  In one transaction the blob gets a row among the damaged, the holds of its repositories move behind that row, and its own row says that it dies: whoever
//	   pushes such content waits, as if it were being deleted (keep.go).
//	2  The content is put aside, or deleted where the store cannot do that.
//	3  In one transaction the blob's row goes, and the event is written. Now the blob is unknown, and may be pushed.
//
// A row that is still at step 1 is finished by Mend, here or on another replica, after the same time in which a reaper is taken to be gone. Only blobs that were
// stored longer than r.doomed ago are touched: an upload that found no row before has by then been recorded or begins anew, so that its fresh bytes are not what
// is put aside.
//
//	damaged/<d>          what was found, as JSON
//	damaged/<d>!<repo>   the row of the repository's hold, which it gets back
const prefixDamaged = "damaged/"

func keyDamaged(d digest.Digest) string                { return prefixDamaged + string(d) }
func keyDamagedOf(d digest.Digest, repo string) string { return keyDamaged(d) + "!" + repo }
func damagedHolders(d digest.Digest) (prefix, to string) {
	return kv.Prefix(of(prefixDamaged, string(d)))
}
func (r *Registry) settledBefore(committed time.Time) bool { return r.now().Sub(committed) > r.doomed }

// damagedRow is what is known of a damaged blob.
type damagedRow struct {
	What   string    `json:"what"`
	Detail string    `json:"detail,omitempty"`
	Size   int64     `json:"size"`
	Found  time.Time `json:"found"`
	Dying  time.Time `json:"dying,omitzero"` // since when it is being put aside; zero: that is done
	Aside  string    `json:"aside,omitempty"`
	Kept   []byte    `json:"kept,omitempty"` // the damaged bytes of a small blob, which lay in the index
}

func parseDamaged(b []byte) (row damagedRow, err error) {
	if json.Unmarshal(b, &row) != nil {
		return row, errRow
	}
	return row, nil
}

func (row damagedRow) encode() []byte {
	b, _ := json.Marshal(row) // texts, numbers and times only
	return b
}

func (row damagedRow) damage(d digest.Digest) Damage {
	aside := row.Aside
	if len(row.Kept) > 0 {
		aside = "index row " + keyDamaged(d)
	}
	return Damage{Kind: "blob", Digest: d, Size: row.Size, What: row.What, Detail: row.Detail, Found: row.Found, Aside: aside}
}

// Damages yields the blobs that are damaged and not whole again, with the images that are made of them.
func (r *Registry) Damages(ctx context.Context) iter.Seq2[Damage, error] {
	return func(yield func(Damage, error) bool) {
		from, to := kv.Prefix(prefixDamaged)
		for from < to {
			d, row, next, err := r.nextDamaged(ctx, from, to)
			if err != nil {
				yield(Damage{}, fault(err, "list damaged blobs"))
				return
			}
			if from = next; d == "" {
				return
			}
			found := row.damage(d)
			found.Images, found.More, err = hits(ctx, r.index, d)
			if !yield(found, fault(err, "list damaged blobs")) || err != nil {
				return
			}
		}
	}
}

// nextDamaged returns the first damaged blob from a key on, and where to go on; no digest: there is none. No transaction is left open.
func (r *Registry) nextDamaged(ctx context.Context, from, to string) (d digest.Digest, row damagedRow, next string, err error) {
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil {
			return "", row, "", err
		}
		name := strings.TrimPrefix(pair.Key, prefixDamaged)
		if strings.Contains(name, "!") {
			continue // whose it was
		}
		row, err = parseDamaged(pair.Value)
		end, _ := strings.CutSuffix(of(prefixDamaged, name), "!")
		return digest.Digest(name), row, end + "\"", err // '"' follows '!', behind which its holders stand
	}
	return "", row, to, nil
}

// putAside takes a damaged blob out of service. stock is its row as it was before it was read: if it is another one by now, nothing is done, and nil is returned.
func (r *Registry) putAside(ctx context.Context, d digest.Digest, was stock, bad decay) (*damagedRow, error) {
	row := damagedRow{What: bad.what, Detail: bad.detail, Size: was.size, Found: r.now().UTC().Truncate(time.Millisecond)}
	claimed := false
	err := r.index.Update(ctx, func(tx kv.Tx) error {
		claimed = false
		now, err := stockOf(ctx, tx, d)
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !now.doomed.IsZero() || !now.dying.IsZero() || !now.committed.Equal(was.committed) || !r.settledBefore(now.committed) {
			return nil
		}
		if row.Kept, err = tx.Get(ctx, keyData(d)); err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		claimed = true
		row.Dying = r.now().UTC().Truncate(time.Millisecond)
		now.doomed, now.dying = row.Dying, row.Dying
		tx.Put(keyBlob(d), now.row())
		tx.Put(keyDamaged(d), row.encode())
		return parkHolds(ctx, tx, d)
	})
	if err != nil || !claimed {
		return nil, fault(err, "take the damaged blob %s out of service", d)
	}
	return r.finishAside(ctx, d, row)
}

func stockOf(ctx context.Context, view kv.View, d digest.Digest) (stock, error) {
	row, err := view.Get(ctx, keyBlob(d))
	if err != nil {
		return stock{}, err
	}
	return parseStock(row)
}

// parkHolds moves the holds on a blob behind its row among the damaged.
func parkHolds(ctx context.Context, tx kv.Tx, d digest.Digest) error {
	prefix := of(prefixBlob, string(d))
	from, to := kv.Prefix(prefix)
	var repos []string
	for pair, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		repos = append(repos, strings.TrimPrefix(pair.Key, prefix))
	}
	for _, repo := range repos {
		hold, err := tx.Get(ctx, keyHold(repo, d))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if err == nil {
			tx.Put(keyDamagedOf(d, repo), hold)
		}
		dropHold(tx, repo, d)
	}
	return nil
}

// unparkHolds gives the repositories that held a blob their holds back, and forgets that it was damaged.
func unparkHolds(ctx context.Context, tx kv.Tx, d digest.Digest) error {
	from, to := damagedHolders(d)
	var keys []string
	for pair, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		keys = append(keys, pair.Key)
		repo := pair.Key[len(from):]
		_, err = tx.Get(ctx, keyHold(repo, d))
		if errors.Is(err, kv.ErrNotFound) {
			tx.Put(keyHold(repo, d), pair.Value)
			tx.Put(keyHeld(d, repo), nil)
		} else if err != nil {
			return err
		}
	}
	for _, key := range append(keys, keyDamaged(d)) {
		tx.Delete(key)
	}
	return nil
}

// asideError is that content could not be put aside. It waits for that, and nobody can push it, until Mend succeeds.
type asideError struct {
	error
	dying time.Time // of the claim
}

func (e *asideError) Unwrap() error { return e.error }

// finishAside does steps 2 and 3 of what was claimed at row.Dying.
func (r *Registry) finishAside(ctx context.Context, d digest.Digest, row damagedRow) (*damagedRow, error) {
	limited, cancel := context.WithTimeout(ctx, row.Dying.Add(r.claimFor()/2).Sub(r.now()))
	defer cancel()
	var err error
	if store, ok := r.blobs.(blob.Quarantiner); ok {
		row.Aside, err = store.Quarantine(limited, d)
		if errors.Is(err, blob.ErrNotFound) {
			err = nil
		}
	} else {
		err = r.blobs.Delete(limited, d)
	}
	if err != nil {
		return nil, &asideError{fmt.Errorf("put the damaged blob %s aside: %w", d, err), row.Dying}
	}
	dying := row.Dying
	mine := false
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		mine = false
		now, err := stockOf(ctx, tx, d)
		if errors.Is(err, kv.ErrNotFound) || err == nil && !now.dying.Equal(dying) {
			return nil // another one has taken over
		}
		if err != nil {
			return err
		}
		mine, row.Dying = true, time.Time{}
		tx.Delete(keyBlob(d))
		tx.Delete(keyData(d))
		tx.Put(keyDamaged(d), row.encode())
		journal.Append(ctx, tx, journal.Event{Action: "blob.damaged", Digest: string(d), Size: row.Size, Note: row.What, Result: field(row.Detail)})
		return nil
	})
	if err != nil {
		return nil, fault(err, "record that blob %s is damaged", d)
	}
	if mine {
		r.stored.Add(-row.Size)
	}
	return &row, nil
}

// takeBack undoes what was claimed at dying, and not put aside. It is for content that can be neither read nor put aside: that may be readable tomorrow.
func (r *Registry) takeBack(ctx context.Context, d digest.Digest, dying time.Time) error {
	return r.index.Update(withoutQuotas(ctx), func(tx kv.Tx) error {
		now, err := stockOf(ctx, tx, d)
		if errors.Is(err, kv.ErrNotFound) || err == nil && !now.dying.Equal(dying) {
			return nil // another one has taken over
		}
		if err != nil {
			return err
		}
		now.doomed, now.dying = time.Time{}, time.Time{}
		tx.Put(keyBlob(d), now.row())
		return unparkHolds(ctx, tx, d)
	})
}

// Mend finishes what a scrub that was killed has begun, and gives blobs that were damaged and are stored again, whoever brought them, back to all repositories that
// held them. What cannot be put aside keeps nothing else from being mended.
func (r *Registry) Mend(ctx context.Context) error {
	var stuck *asideError
	from, to := kv.Prefix(prefixDamaged)
	for from < to {
		d, row, next, err := r.nextDamaged(ctx, from, to)
		if err != nil {
			return fmt.Errorf("mend: %w", err)
		}
		if from = next; d == "" {
			break
		}
		if !row.Dying.IsZero() {
			if err = r.resumeAside(ctx, d); errors.As(err, &stuck) {
				err = nil
			}
		} else {
			_, err = r.restore(ctx, d, "a push or a pull")
		}
		if err != nil {
			return fmt.Errorf("mend: %w", err)
		}
	}
	if stuck != nil {
		return fmt.Errorf("mend: %w", stuck)
	}
	return nil
}

// resumeAside takes over what somebody has left at step 1.
func (r *Registry) resumeAside(ctx context.Context, d digest.Digest) error {
	var row damagedRow
	claimed := false
	err := r.index.Update(ctx, func(tx kv.Tx) error {
		claimed = false
		b, err := tx.Get(ctx, keyDamaged(d))
		if err == nil {
			row, err = parseDamaged(b)
		}
		if errors.Is(err, kv.ErrNotFound) || err == nil && (row.Dying.IsZero() || r.now().Sub(row.Dying) <= r.claimFor()) {
			return nil
		}
		if err != nil {
			return err
		}
		now, err := stockOf(ctx, tx, d)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if err != nil || !now.dying.Equal(row.Dying) { // its row is not the one that was claimed: let that be
			row.Dying = time.Time{}
			tx.Put(keyDamaged(d), row.encode())
			return nil
		}
		claimed = true
		row.Dying = r.now().UTC().Truncate(time.Millisecond)
		now.doomed, now.dying = row.Dying, row.Dying
		tx.Put(keyBlob(d), now.row())
		tx.Put(keyDamaged(d), row.encode())
		return nil
	})
	if err == nil && claimed {
		_, err = r.finishAside(ctx, d, row)
	}
	return err
}

// restore gives a blob that is stored again back to the repositories that held it, and tells whether it did.
func (r *Registry) restore(ctx context.Context, d digest.Digest, by string) (bool, error) {
	restored := false
	err := r.index.Update(withoutQuotas(ctx), func(tx kv.Tx) (err error) {
		restored, err = r.restoreIn(ctx, tx, d, by)
		return err
	})
	return restored, fault(err, "give blob %s back", d)
}

func (r *Registry) restoreIn(ctx context.Context, tx kv.Tx, d digest.Digest, by string) (bool, error) {
	b, err := tx.Get(ctx, keyDamaged(d))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if row, err := parseDamaged(b); err == nil && !row.Dying.IsZero() {
		return false, nil
	}
	s, err := stockOf(ctx, tx, d)
	if errors.Is(err, kv.ErrNotFound) || err == nil && !s.dying.IsZero() {
		return false, nil // it is not here
	}
	if err != nil {
		return false, err
	}
	if err := unparkHolds(ctx, tx, d); err != nil {
		return false, err
	}
	r.save(tx, d, s)
	journal.Append(ctx, tx, journal.Event{Action: "blob.healed", Digest: string(d), Size: s.size, Note: by, Result: "ok"})
	return true, nil
}

// whyUnknown tells whoever asks for a blob that repo does not hold whether that is because its content is damaged.
func (r *Registry) whyUnknown(ctx context.Context, repo string, d digest.Digest) error {
	if _, err := r.index.Get(ctx, keyDamagedOf(d, repo)); err != nil {
		return blobUnknown(repo, d)
	}
	return &Error{Code: BlobDamaged, Detail: map[string]string{"name": repo, "digest": string(d),
		"hint": "its bytes have rotted in the registry's store and are not served; push the image again from a machine that has it, and this blob will be taken"}}
}

// BlobDamaged says that a blob is not served since its content is damaged. To clients it is a blob that is unknown, with this message: then they push it.
const BlobDamaged = "BLOB_DAMAGED"
