package kv

import (
	"context"
	"iter"
)

// Lister is an optional power of a view: to scan keys without their values, for less than what a Scan costs.
type Lister interface {
	// Keys yields the keys of what Scan yields.
	Keys(ctx context.Context, from, to string) iter.Seq2[string, error]
}

// Keys yields the keys from <= key < to, as Scan of the view does.
func Keys(ctx context.Context, v View, from, to string) iter.Seq2[string, error] {
	if l, ok := v.(Lister); ok {
		return l.Keys(ctx, from, to)
	}
	return func(yield func(string, error) bool) {
		for p, err := range v.Scan(ctx, from, to) {
			if !yield(p.Key, err) {
				return
			}
		}
	}
}
