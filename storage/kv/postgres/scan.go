package postgres

import (
	"context"
	"errors"
	"iter"

	"github.com/entrepot/entrepot/storage/kv"
)

// A scan reads its first pairs in one query and more in each further one, up to maxPage: whoever wants only the first few does not pay for many. An Update's
// begins with fewer: what it reads is what it may be in conflict about. Who says how many are going to be read (kv.Expecting) gets those at once. Values of more than maxInline bytes are read one by one, when their turn comes, so that they do not pile up.
const (
	firstPage     = 128
	firstOfUpdate = 32
	growth        = 4
	maxPage       = 1024
	maxInline     = 8160
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

// Keys implements kv.Lister, page by page as well.
func (db *DB) Keys(ctx context.Context, from, to string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var page []string
		from := from
		for limit := first(ctx); ; limit = min(growth*limit, maxPage) {
			if err := db.enter(ctx); err != nil {
				yield("", err)
				return
			}
			err := db.read(ctx, func(l *link) (err error) {
				page, err = l.keys(ctx, page[:0], from, to, limit)
				return err
			})
			db.calls.Done()
			if err != nil {
				yield("", wrap(ctx, err, "scan index"))
				return
			}
			for _, key := range page {
				if !yield(key, nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
			from = page[len(page)-1] + "\x00"
		}
	}
}

// scan yields the pairs of one page after another. read appends the pairs from from on to page.
func scan(ctx context.Context, v kv.View, from, to string, read func(page []kv.Pair, from string, limit int) ([]kv.Pair, error)) iter.Seq2[kv.Pair, error] {
	return scanBy(ctx, v, from, to, first(ctx), read)
}

// first is how many pairs a scan of ctx reads in its first page.
func first(ctx context.Context) int { return max(1, min(kv.Expected(ctx, firstPage), maxPage)) }

// scanBy is scan with a first page of so many.
func scanBy(ctx context.Context, v kv.View, from, to string, first int, read func(page []kv.Pair, from string, limit int) ([]kv.Pair, error)) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		var page []kv.Pair
		from := from // each run of the sequence begins anew
		for limit := first; ; limit = min(growth*limit, maxPage) {
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
