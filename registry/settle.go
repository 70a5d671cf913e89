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

// Settling copies to the blob store what so far lies in the index alone: manifests and small blobs, as packs, and the journal, as segments.
// A push need not wait for it, since the index is durable; but the index can then be rebuilt from content (Reindex).

const (
	settleEvery = time.Minute      // how long it may take until a thing is copied
	settleAfter = 1024             // things that wait are enough not to wait longer
	segmentSize = 4096             // lines of a closed segment
	backoff     = 10 * time.Second // after a failure
)

// noteUnsettled counts what waits to be copied, and wakes the settler when it is much.
func (r *Registry) noteUnsettled() {
	if r.waiting.Add(1) == settleAfter {
		select {
		case r.unsettle <- struct{}{}:
		default:
		}
	}
}

func (r *Registry) runSettle(ctx context.Context) {
	wait := time.Duration(0) // first of all what the last run left
	for {
		due := false
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			// The journal's end is sealed first, by its own sealer or here.
			for n, err := r.journal.Seal(last); n > 0 && err == nil; n, err = r.journal.Seal(last) {
			}
			if err := r.settleAll(last, true); err != nil {
				r.log.Warn("copy the last content from the index to the blob store; it is done after the next start", "err", err)
			}
			return
		case <-r.unsettle:
		case <-time.After(wait):
			due = true
		}
		wait = settleEvery
		if err := r.settleAll(ctx, due); err != nil && ctx.Err() == nil {
			r.log.Error("copy content from the index to the blob store", "err", err)
			wait = backoff
		}
	}
}

// settleAll copies what waits; the journal's open end, which is written anew each time, only when it is due.
func (r *Registry) settleAll(ctx context.Context, due bool) error {
	_, err := r.Settle(ctx)
	return errors.Join(err, r.saveSegments(ctx, due))
}

// Settle copies everything that waits for it to the blob store, and returns how many things it copied.
func (r *Registry) Settle(ctx context.Context) (int, error) {
	r.waiting.Store(0)
	from, to := kv.Prefix(prefixSettle)
	var pack []packed
	size, total := 0, 0
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil {
			return total, err
		}
		_, d, _ := strings.Cut(pair.Key, "!")
		e := packed{Kind: string(pair.Value), Digest: digest.Digest(d), waits: pair.Key}
		key := keyMan(e.Digest)
		if e.Kind == "data" {
			key = keyData(e.Digest)
		}
		if e.body, err = r.index.Get(ctx, key); errors.Is(err, kv.ErrNotFound) {
			e.Kind = "" // deleted meanwhile: only its row is to go
		} else if err != nil {
			return total, err
		}
		e.Size = len(e.body)
		pack, size = append(pack, e), size+e.Size
		if size >= packBytes || len(pack) == packEntries {
			if err := r.savePack(ctx, pack); err != nil {
				return total, err
			}
			total, pack, size = total+len(pack), nil, 0
		}
	}
	if len(pack) == 0 {
		return total, nil
	}
	return total + len(pack), r.savePack(ctx, pack)
}

// savePack stores a pack and then, in one transaction, records it and that its entries wait no longer.
func (r *Registry) savePack(ctx context.Context, entries []packed) error {
	var present []packed
	for _, e := range entries {
		if e.Kind != "" {
			present = append(present, e)
		}
	}
	var d digest.Digest
	if len(present) > 0 {
		body := writePack(present)
		d = digest.FromBytes(body)
		if err := r.store(ctx, d, body); err != nil {
			return fmt.Errorf("store pack %s: %w", d, err)
		}
	}
	return r.index.Update(ctx, func(tx kv.Tx) error {
		if d != "" {
			// A crash may have left the same pack as content that nobody knew.
			if err := r.unorphan(ctx, tx, d); err != nil {
				return err
			}
			tx.Put(keyPack(d), []byte(fmt.Sprint(len(present))))
		}
		for _, e := range entries {
			tx.Delete(e.waits)
		}
		return nil
	})
}

func (r *Registry) store(ctx context.Context, d digest.Digest, body []byte) error {
	name := blob.Named(newUUID(), d)
	_, err := r.blobs.Append(ctx, name, 0, bytes.NewReader(body))
	if err == nil {
		err = r.blobs.Commit(ctx, name, d)
	}
	if err != nil {
		r.abort(ctx, name)
	}
	return err
}

// segmentState is where the journal's saved part ends.
type segmentState struct {
	From uint64        `json:"from"`           // first line of the open segment
	To   uint64        `json:"to"`             // line behind its last one
	Open digest.Digest `json:"open,omitempty"` // the open segment as saved
}

// errAhead says that another registry over the same stores has saved segments meanwhile.
var errAhead = errors.New("journal segments were saved meanwhile")

// saveSegments saves the sealed journal as content, in segments of segmentSize lines. The last, open one is written anew as it grows, if asked
// for.
func (r *Registry) saveSegments(ctx context.Context, open bool) error {
	for {
		state := segmentState{From: 1, To: 1}
		row, err := r.index.Get(ctx, keySegment)
		if err == nil {
			err = json.Unmarshal(row, &state)
		}
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		head, err := r.journal.Head(ctx)
		if err != nil {
			return err
		}
		to := min(head+1, state.From+segmentSize)
		closed := to == state.From+segmentSize
		if to <= state.To || !closed && !open {
			return nil
		}
		body, err := r.journal.Export(ctx, state.From, to)
		if err != nil {
			return err
		}
		d := digest.FromBytes(body)
		if err := r.store(ctx, d, body); err != nil {
			return fmt.Errorf("store journal segment %s: %w", d, err)
		}
		next := segmentState{From: state.From, To: to, Open: d}
		if closed {
			next = segmentState{From: to, To: to}
		}
		value, err := json.Marshal(next)
		if err != nil {
			return err
		}
		err = r.index.Update(ctx, func(tx kv.Tx) error {
			if now, err := tx.Get(ctx, keySegment); err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			} else if !bytes.Equal(now, row) {
				return errAhead
			}
			if err := r.unorphan(ctx, tx, d); err != nil {
				return err
			}
			tx.Put(keySegment, value)
			tx.Put(keySegmentAt(state.From), []byte(d))
			return nil
		})
		if errors.Is(err, errAhead) {
			continue // what was stored for nothing is content without a row, and is swept
		}
		if err != nil {
			return err
		}
		if state.Open != "" && state.Open != d {
			if err := r.blobs.Delete(ctx, state.Open); err != nil {
				r.log.Warn("remove the journal's replaced segment", "digest", state.Open, "err", err)
			}
		}
		if !closed {
			return nil
		}
	}
}
