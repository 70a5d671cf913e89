package postgres

import (
	"context"
	"errors"
	"iter"

	"github.com/entrepot/entrepot/storage/kv"
)

// A scan reads its first firstPage pairs in one query and twice as many in each further one, up to maxPage: whoever wants only the first few does
// not pay for many. Values of more than maxInline bytes are read one by one, when their turn comes, so that they do not pile up.
const (
	firstPage = 32
	maxPage   = 1024
	maxInline = 8160
)

// Scan implements kv.View. It reads page by page and holds neither a connection nor anything else between them.
func (db *DB) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return scan(ctx, db, from, to, func(page []kv.Pair, from string, limit int) (next []kv.Pair, err error) {
		if err := db.enter(ctx); err != nil {
			return nil, err
		}
		defer db.calls.Done()
		err = db.read(ctx, func(l *link) (err error) {
			next, err = l.page(ctx, page, from, to, limit)
			return err
		})
		return next, wrap(ctx, err, "scan index")
	})
}

// scan yields the pairs of one page after another. read appends the pairs from from on to page.
func scan(ctx context.Context, v kv.View, from, to string, read func(page []kv.Pair, from string, limit int) ([]kv.Pair, error)) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		var page []kv.Pair
		from := from // each run of the sequence begins anew
		for limit := firstPage; ; limit = min(2*limit, maxPage) {
			var err error
			if page, err = read(page[:0], from, limit); err != nil {
				yield(kv.Pair{}, err)
				return
			}
			for _, p := range page {
				if p.Value == nil {
					if p.Value, err = v.Get(ctx, p.Key); errors.Is(err, kv.ErrNotFound) {
						continue // deleted meanwhile
					}
					if err != nil {
						yield(kv.Pair{}, err)
						return
					}
				}
				if !yield(p, nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
			from = page[len(page)-1].Key + "\x00" // the smallest key beyond
		}
	}
}
