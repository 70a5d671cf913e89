package registry

import (
	"context"
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
		u, err := parseUpload(id, pair.Value)
		if err == nil && u.touched.After(before) {
			alive[id] = true
			continue
		}
		unlock, free := r.writing.lock(ctx, id, 0)
		if !free { // being written just now
			alive[id] = true
			continue
		}
		if err != nil {
			r.log.Warn("upload's row is damaged", "repo", repo, "upload", id)
			u = &upload{Upload: Upload{ID: id}}
		}
		r.dropUpload(ctx, repo, u)
		unlock()
		removed++
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
