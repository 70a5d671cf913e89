package registry

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Claims are how several registries over the same stores write an upload one after another. The upload's row says who holds it and since when; whoever writes
// renews that, and the one who comes next waits a little and is then told that it is busy. A claim that is renewed no more was left behind: its holder was killed,
// or cut off from the database, and then it may be writing still. So who takes over gives the bytes that were counted a new name in the blob store. What the former
// holder writes late lands under the old name, which no row knows, and expires there; what it wants to record is refused, as the claim is no more its own. The
// clocks of all registries have to agree within half a minute.

const (
	claimEvery = 15 * time.Second // how often a claim is renewed
	claimGood  = time.Minute      // for how long it is good without
	claimLook  = 100 * time.Millisecond
	claimEnd   = 10 * time.Second // how long giving it back may take
)

// errHeld says that another registry writes the upload.
var errHeld = errors.New("upload is claimed by another registry")

// claim is what an upload's row says about who writes it; the zero value for one that never had to move, and that nobody writes.
type claim struct {
	name   string    // in the blob store, if that is not the upload's id any more
	holder string    // empty: nobody
	held   time.Time // when that was last said; zero: what its former holder had is not to be trusted
}

// append adds a claim to a row, behind its other fields.
func (c claim) append(b []byte) []byte {
	if c == (claim{}) {
		return b
	}
	b = append(append(append(append(b, '\t'), c.name...), '\t'), c.holder...)
	var ms int64
	if !c.held.IsZero() {
		ms = c.held.UnixMilli()
	}
	return strconv.AppendInt(append(b, '\t'), ms, 10)
}

// parseClaim reads what append added to the seven fields of an upload.
func parseClaim(line string) (c claim, err error) {
	if strings.Count(line, "\t") < 7 {
		return c, nil // as nearly always where nobody shares the stores
	}
	f := fields(strings.SplitN(line, "\t", 8)[7])
	ms, err := strconv.ParseInt(f[2], 10, 64)
	if c.name, c.holder = f[0], f[1]; ms != 0 {
		c.held = time.UnixMilli(ms)
	}
	return c, err
}

// given is the claim when it was given back.
func (c claim) given() claim { return claim{name: c.name} }

// claimed tells whether somebody writes the upload, as far as its row tells.
func (c claim) claimed(now time.Time) bool { return c.holder != "" && now.Sub(c.held) < claimGood }

// stored is the upload's name in the blob store.
func (u *upload) stored() string {
	if u.name != "" {
		return u.name
	}
	return u.ID
}

// claimUpload makes an upload this call's own until end is called, and waits for that a while. The context it returns ends when the claim is lost.
func (r *Registry) claimUpload(ctx context.Context, repo, id string) (_ context.Context, u *upload, end func(), err error) {
	u, former, err := r.waitForClaim(ctx, repo, id)
	if err != nil {
		return ctx, nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	renewing := make(chan struct{})
	holder := u.holder
	go func() {
		defer close(renewing)
		r.renewClaim(ctx, cancel, repo, id, holder)
	}()
	end = func() {
		cancel(nil)
		<-renewing
		r.endClaim(ctx, repo, u)
	}
	if former && !u.inRow {
		if err := r.moveUpload(ctx, repo, u); err != nil {
			u.held = time.Time{} // the next one has to take over, too
			end()
			return ctx, nil, nil, err
		}
	}
	return ctx, u, end, nil
}

// waitForClaim claims an upload. former tells that somebody held it before and did not give it back.
func (r *Registry) waitForClaim(ctx context.Context, repo, id string) (u *upload, former bool, err error) {
	for deadline := time.Now().Add(busyWait); ; {
		if u, former, err = r.tryClaim(ctx, repo, id); !errors.Is(err, errHeld) {
			return u, former, err
		}
		if time.Now().After(deadline) {
			return nil, false, busy(id)
		}
		select {
		case <-time.After(claimLook):
		case <-ctx.Done():
			return nil, false, busy(id)
		}
	}
}

func (r *Registry) tryClaim(ctx context.Context, repo, id string) (u *upload, former bool, err error) {
	mine := newUUID()
	err = r.uploads.Update(ctx, func(tx kv.Tx) (err error) {
		if u, err = readUpload(ctx, tx, repo, id); err != nil {
			return err
		}
		now := r.now()
		if u.claimed(now) {
			return errHeld
		}
		if former = u.holder != ""; former && u.inRow {
			u.name = newUUID() // nothing is under the old name that counts
		}
		u.holder, u.held = mine, now
		tx.Put(keyUpload(repo, id), u.row())
		return nil
	})
	if err != nil && Code(err) == "" && !errors.Is(err, errHeld) {
		err = fault(err, "claim upload %s of %s", id, repo)
	}
	return u, former, err
}

// renewClaim keeps a claim fresh until ctx ends, and ends it should the claim be lost. What fails is tried again: the claim is good for a few rounds.
func (r *Registry) renewClaim(ctx context.Context, lose context.CancelCauseFunc, repo, id, holder string) {
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.renew(ctx, repo, id, holder)
		if errors.Is(err, errHeld) {
			lose(busy(id))
			return
		}
		if err != nil && ctx.Err() == nil {
			r.log.Warn("renew the claim on an upload", "repo", repo, "upload", id, "err", err)
		}
	}
}

func (r *Registry) renew(ctx context.Context, repo, id, holder string) error {
	return r.uploads.Update(ctx, func(tx kv.Tx) error {
		u, err := ownUpload(ctx, tx, repo, id, holder)
		if err == nil {
			u.held = r.now()
			tx.Put(keyUpload(repo, id), u.row())
		}
		return err
	})
}

// ownUpload returns an upload's row if that holder has it, else errHeld.
func ownUpload(ctx context.Context, v kv.View, repo, id, holder string) (*upload, error) {
	row, err := v.Get(ctx, keyUpload(repo, id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, errHeld // who took it over has finished it
	}
	if err != nil {
		return nil, err
	}
	u, err := parseUpload(id, row)
	if err == nil && u.holder != holder {
		err = errHeld
	}
	return u, err
}

// endClaim gives back a claim that saveUpload or dropUpload did not. A claim without a time stays, as one that was left behind.
func (r *Registry) endClaim(ctx context.Context, repo string, u *upload) {
	if u.holder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimEnd)
	defer cancel()
	err := r.uploads.Update(ctx, func(tx kv.Tx) error {
		now, err := ownUpload(ctx, tx, repo, u.ID, u.holder)
		if err != nil {
			return err
		}
		if now.held = u.held; !u.held.IsZero() {
			now.claim = now.given()
		}
		tx.Put(keyUpload(repo, u.ID), now.row())
		return nil
	})
	if err != nil && !errors.Is(err, errHeld) {
		r.log.Warn("give an upload back; it is busy for a minute", "repo", repo, "upload", u.ID, "err", err)
	}
}

// moveUpload copies what was counted of an upload to a new name, away from a former holder. Should less be left than was counted, the client learns where to go on.
func (r *Registry) moveUpload(ctx context.Context, repo string, u *upload) error {
	src, err := r.blobs.Resume(ctx, u.stored(), 0)
	if errors.Is(err, blob.ErrUploadUnknown) {
		r.dropUpload(ctx, repo, u)
		return uploadUnknown(u.ID)
	}
	if err != nil {
		return fault(err, "take over upload %s", u.ID)
	}
	defer src.Close()
	next := newUUID()
	size, err := r.blobs.Append(ctx, next, 0, io.LimitReader(src, u.Size))
	if err != nil {
		r.abort(ctx, next)
		return fault(err, "take over upload %s", u.ID)
	}
	if size < u.Size {
		u.Size, u.state = size, nil
	}
	u.name = next
	err = r.uploads.Update(ctx, func(tx kv.Tx) error {
		_, err := ownUpload(ctx, tx, repo, u.ID, u.holder)
		if err == nil {
			tx.Put(keyUpload(repo, u.ID), u.row())
		}
		return err
	})
	if errors.Is(err, errHeld) {
		return busy(u.ID)
	}
	return fault(err, "take over upload %s", u.ID)
}

// rested returns an upload when nobody writes it, or as it is after some time.
func (r *Registry) rested(ctx context.Context, repo, id string, wait time.Duration) (*upload, error) {
	for deadline := time.Now().Add(wait); ; {
		u, err := r.loadUpload(ctx, repo, id)
		if err != nil || !u.claimed(r.now()) || time.Now().After(deadline) {
			return u, err
		}
		select {
		case <-time.After(claimLook):
		case <-ctx.Done():
			return u, nil
		}
	}
}

// readUpload reads an upload of whoever asks.
func readUpload(ctx context.Context, v kv.View, repo, id string) (*upload, error) {
	row, err := v.Get(ctx, keyUpload(repo, id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, uploadUnknown(id)
	}
	if err != nil {
		return nil, fault(err, "look up upload %s of %s", id, repo)
	}
	u, err := parseUpload(id, row)
	if err != nil {
		return nil, fault(err, "look up upload %s of %s", id, repo)
	}
	if u.by != field(journal.Who(ctx).Name) {
		return nil, uploadUnknown(id)
	}
	return u, nil
}

func busy(id string) error {
	return &Error{Code: Busy, Detail: map[string]string{"upload": clip(id),
		"hint": "another request is writing this upload; ask for its status and continue from there"}}
}
