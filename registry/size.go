package registry

import (
	"context"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// measureEvery is how often the store's size is counted anew; in between, what this process stores is added.
const measureEvery = time.Hour

// StoredBytes is the size of all blobs, each counted once however many repositories hold it. It is an estimate: right soon after the start and
// kept up to date from then on.
func (r *Registry) StoredBytes() int64 { return r.stored.Load() }

func (r *Registry) runMeasure(ctx context.Context) {
	for {
		if err := r.measure(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("measure the store", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(measureEvery):
		}
	}
}

func (r *Registry) measure(ctx context.Context) error {
	from, to := kv.Prefix(prefixBlob)
	total, seen := int64(0), 0
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		if s, err := parseStock(pair.Value); err == nil && !strings.Contains(pair.Key, "!") {
			total += s.size
		}
		if seen++; seen%1000 == 0 { // there is no hurry, and there are requests
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	r.stored.Store(total)
	return nil
}
