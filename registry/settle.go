package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// Settling copies to the blob store what so far lies in the index alone: manifests, small blobs, and the journal as segments. A push need
// not wait for it, since the index is durable; but the index can then be rebuilt from content (Reindex).

const (
	settleEvery  = time.Second      // how long bursts are gathered
	settleBatch  = 128              // copies whose rows are removed in one transaction
	segmentEvery = time.Minute      // how old the unsaved end of the journal may grow
	segmentLines = 4096             // lines of a closed segment
	backoff      = 10 * time.Second // after a failure
)

func (r *Registry) nudgeSettle() {
	select {
	case r.unsettle <- struct{}{}:
	default:
	}
}

func (r *Registry) runSettle(ctx context.Context) {
	wait, segmentDue := time.Duration(0), time.Now().Add(segmentEvery)
	for {
		select {
		case <-ctx.Done():
			// What is left is settled after the next start; the journal's end is worth a last effort. It is sealed first, by the sealer or here.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			for n, err := r.journal.Seal(last); n > 0 && err == nil; n, err = r.journal.Seal(last) {
			}
			if err := r.saveSegments(last); err != nil {
				r.log.Warn("save the journal's last segment", "err", err)
			}
			return
		case <-time.After(wait):
		}
		wait = settleEvery
		if _, err := r.Settle(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("copy content from the index to the blob store", "err", err)
			wait = backoff
			continue
		}
		if time.Now().After(segmentDue) {
			segmentDue = time.Now().Add(segmentEvery)
			if err := r.saveSegments(ctx); err != nil && ctx.Err() == nil {
				r.log.Error("save the journal as content", "err", err)
			}
		}
		select {
		case <-r.unsettle:
		case <-ctx.Done():
		case <-time.After(time.Until(segmentDue)):
		}
	}
}

// Settle copies everything that waits for it, and returns how many it copied. It rests between copies as long as each took, so that
// pushes come first.
func (r *Registry) Settle(ctx context.Context) (int, error) {
	from, to := kv.Prefix(prefixSettle)
	var done []string
	total := 0
	flush := func() error {
		if len(done) == 0 {
			return nil
		}
		keys := done
		done = nil
		total += len(keys)
		return r.index.Update(ctx, func(tx kv.Tx) error {
			for _, key := range keys {
				tx.Delete(key)
			}
			return nil
		})
	}
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil {
			return total, err
		}
		d := digest.Digest(strings.TrimPrefix(pair.Key, prefixSettle))
		key := keyMan(d)
		if string(pair.Value) == "data" {
			key = keyData(d)
		}
		began := time.Now()
		body, err := r.index.Get(ctx, key)
		if err == nil {
			err = r.store(ctx, d, body)
		}
		if err != nil && !errors.Is(err, kv.ErrNotFound) { // deleted meanwhile: nothing to settle
			return total, errors.Join(fmt.Errorf("copy %s: %w", d, err), flush())
		}
		done = append(done, pair.Key)
		if len(done) == settleBatch {
			if err := flush(); err != nil {
				return total, err
			}
		}
		select {
		case <-time.After(time.Since(began)):
		case <-ctx.Done():
			return total, errors.Join(ctx.Err(), flush())
		}
	}
	return total, flush()
}

func (r *Registry) store(ctx context.Context, d digest.Digest, body []byte) error {
	name := blob.Named(newUUID(), d)
	if _, err := r.blobs.Append(ctx, name, 0, bytes.NewReader(body)); err != nil {
		r.abort(ctx, name)
		return err
	}
	if err := r.blobs.Commit(ctx, name, d); err != nil {
		r.abort(ctx, name)
		return err
	}
	return nil
}

// segmentState is where the journal's saved part ends.
type segmentState struct {
	From uint64        `json:"from"`           // first line of the open segment
	To   uint64        `json:"to"`             // line behind its last one
	Open digest.Digest `json:"open,omitempty"` // the open segment as saved
}

// saveSegments saves the sealed journal as content, in segments of segmentLines. The last, open one is written anew as it grows.
func (r *Registry) saveSegments(ctx context.Context) error {
	for {
		var state segmentState
		row, err := r.index.Get(ctx, keySegment)
		if err == nil {
			err = json.Unmarshal(row, &state)
		}
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if state.From == 0 {
			state.From, state.To = 1, 1
		}
		head, err := r.journal.Head(ctx)
		if err != nil {
			return err
		}
		to := min(head+1, state.From+segmentLines)
		if to <= state.To {
			return nil
		}
		body, err := r.journal.Export(ctx, state.From, to)
		if err != nil {
			return err
		}
		d := digest.FromBytes(body)
		if err := r.store(ctx, d, body); err != nil {
			return err
		}
		old := state.Open
		next := segmentState{From: state.From, To: to, Open: d}
		closed := to == state.From+segmentLines
		if closed {
			next = segmentState{From: to, To: to}
		}
		value, err := json.Marshal(next)
		if err != nil {
			return err
		}
		err = r.index.Update(ctx, func(tx kv.Tx) error {
			tx.Put(keySegment, value)
			tx.Put(keySegmentAt(fmt.Sprintf("%016x", state.From)), []byte(d))
			return nil
		})
		if err != nil {
			return err
		}
		if old != "" && old != d {
			if err := r.blobs.Delete(ctx, old); err != nil {
				r.log.Warn("remove the journal's replaced segment", "digest", old, "err", err)
			}
		}
		if !closed {
			return nil
		}
	}
}
