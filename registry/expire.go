package registry

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

func (r *Registry) runExpire(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(r.uploadTTL/4, 10*time.Minute)):
		}
		if _, err := r.ExpireUploads(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("expire uploads", "err", err)
		}
	}
}

// ExpireUploads forgets uploads that nobody has written for longer than the limit, and bytes in the blob store that belong to no upload
// (a crash, or a lost row, leaves such). It returns how many it removed.
func (r *Registry) ExpireUploads(ctx context.Context) (int, error) {
	before := r.now().Add(-r.uploadTTL)
	alive := map[string]bool{}
	removed := 0
	from, to := kv.Prefix(prefixUpload)
	for pair, err := range r.uploads.Scan(ctx, from, to) {
		if err != nil {
			return removed, err
		}
		repo, id, _ := strings.Cut(strings.TrimPrefix(pair.Key, prefixUpload), "!")
		gone, err := r.expire(ctx, repo, id, pair.Value, before)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		} else if u, err := parseUpload(id, pair.Value); err == nil {
			alive[u.stored()] = true
		}
	}
	for pending, err := range r.blobs.Uploads(ctx) {
		if err != nil {
			return removed, err
		}
		if alive[pending.Name] || pending.Modified.After(before) {
			continue
		}
		r.abort(ctx, pending.Name)
		removed++
	}
	if removed > 0 {
		r.log.Info("uploads expired", "count", removed)
	}
	return removed, nil
}

// expire forgets an upload if nobody has written it since the given time and nobody is writing it now.
func (r *Registry) expire(ctx context.Context, repo, id string, row []byte, before time.Time) (gone bool, err error) {
	if u, err := parseUpload(id, row); err == nil && (u.touched.After(before) || u.claimed(r.now())) {
		return false, nil
	}
	unlock, free := r.writing.lock(ctx, keyUpload(repo, id), 0)
	if !free {
		return false, nil
	}
	defer unlock()
	// It may have been written, or finished, since its row was read.
	if row, err = r.uploads.Get(ctx, keyUpload(repo, id)); err != nil {
		if errors.Is(err, kv.ErrNotFound) {
			err = nil
		}
		return false, err
	}
	u, err := parseUpload(id, row)
	if err != nil {
		r.log.Warn("an upload's row is damaged; it is forgotten", "repo", repo, "upload", id)
		u = &upload{Upload: Upload{ID: id}}
	} else if u.touched.After(before) || u.claimed(r.now()) {
		return false, nil
	}
	r.dropUpload(ctx, repo, u)
	return true, nil
}
