package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// What the registry keeps for itself is there twice: manifests and small blobs in the index and in packs, the journal in the index and in segments. Each copy heals
// the other one.

// manifest compares a manifest's bytes in the index with its digest.
func (s *scrub) manifest(ctx context.Context, key string) error {
	d := digest.Digest(key)
	body, err := s.r.index.Get(ctx, keyMan(d))
	if errors.Is(err, kv.ErrNotFound) || !ValidDigest(key) {
		return nil
	}
	if err != nil {
		return err
	}
	s.pace.bytes += int64(len(body))
	got := d.Algorithm().FromBytes(body)
	if got == d {
		return nil
	}
	found := Damage{Kind: "manifest", Digest: d, What: DamageDigest, Detail: "its bytes have the digest " + string(got), Found: s.r.now().UTC()}
	rc, err := s.r.packedCopy(ctx, "man", d)
	if err == nil {
		defer rc.Close()
		good, readErr := io.ReadAll(rc)
		err = readErr
		if err == nil && d.Algorithm().FromBytes(good) == d {
			found.Size = int64(len(good))
			found.Healed, err = s.r.replaceManifest(ctx, d, body, good)
		}
	}
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	return s.found(ctx, found)
}

// replaceManifest puts good bytes in the place of damaged ones.
func (r *Registry) replaceManifest(ctx context.Context, d digest.Digest, bad, good []byte) (by string, err error) {
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		by = ""
		now, err := tx.Get(ctx, keyMan(d))
		if err != nil || !bytes.Equal(now, bad) {
			return err
		}
		by = "a pack"
		tx.Put(keyMan(d), good)
		journal.Append(ctx, tx, journal.Event{Action: "manifest.healed", Digest: string(d), Size: int64(len(good)), Note: by, Result: "ok"})
		return nil
	})
	return by, err
}

// pack reads a pack. What a damaged one held is copied anew with the next settling, and only then it goes.
func (s *scrub) pack(ctx context.Context, key string) error {
	d := digest.Digest(key)
	bad, err := s.examine(ctx, d, -1, func() (io.ReadCloser, error) { return s.r.blobs.Open(ctx, d, 0) })
	if err == nil && bad == nil {
		return s.compact(ctx, d)
	}
	if err != nil {
		return err
	}
	found := Damage{Kind: "pack", Digest: d, What: bad.what, Detail: bad.detail, Found: s.r.now().UTC()}
	if err := s.r.copyAnew(ctx); err != nil {
		return err
	}
	if found.Aside, err = s.r.dropPack(ctx, d); err != nil {
		return err
	}
	found.Healed = "the index"
	return s.found(ctx, found)
}

// copyAnew has all manifests and small blobs copied to the blob store again: which of them a damaged pack held is not known.
func (r *Registry) copyAnew(ctx context.Context) error {
	for prefix, kind := range map[string]string{prefixMan: "man", prefixData: "data"} {
		from, to := kv.Prefix(prefix)
		for from < to {
			var all []digest.Digest
			next, looked := to, 0
			for pair, err := range r.index.Scan(ctx, from, to) {
				if err != nil {
					return err
				}
				if !strings.Contains(pair.Key, "!") {
					all = append(all, digest.Digest(strings.TrimPrefix(pair.Key, prefix)))
				}
				if looked++; looked == scrubAtOnce {
					next = pair.Key + "\x00"
					break
				}
			}
			err := r.index.Update(ctx, func(tx kv.Tx) error {
				for _, d := range all {
					tx.Put(keySettle(r.now(), d), []byte(kind))
				}
				return nil
			})
			if err != nil {
				return err
			}
			from = next
		}
	}
	_, err := r.Settle(ctx)
	return err
}

// dropPack forgets a pack whose entries lie elsewhere by now, and tells where what is left of it was put. If it dies in between, the pack is an orphan. Settling may
// have written the very same pack anew: then it stays.
func (r *Registry) dropPack(ctx context.Context, d digest.Digest) (aside string, err error) {
	if bad, err := (&scrub{r: r, pace: newPace(0)}).readOnce(ctx, d, -1, func() (io.ReadCloser, error) { return r.blobs.Open(ctx, d, 0) }); err != nil || bad == nil {
		return "", err
	}
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		tx.Delete(keyPack(d))
		return nil
	})
	if err != nil {
		return "", err
	}
	if store, ok := r.blobs.(blob.Quarantiner); ok {
		aside, err = store.Quarantine(ctx, d)
		if errors.Is(err, blob.ErrNotFound) {
			err = nil
		}
		return aside, err
	}
	return "", r.blobs.Delete(ctx, d)
}

// segment reads a segment of the journal, which is written anew if it is damaged: the index has its lines.
func (s *scrub) segment(ctx context.Context, key string) error {
	value, err := s.r.index.Get(ctx, prefixSegment+key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	from, numberErr := strconv.ParseUint(key, 16, 64)
	d := digest.Digest(value)
	if err != nil || numberErr != nil || !ValidDigest(string(d)) {
		return err
	}
	bad, err := s.examine(ctx, d, -1, func() (io.ReadCloser, error) { return s.r.blobs.Open(ctx, d, 0) })
	if err != nil || bad == nil {
		return err
	}
	// An open segment is written anew as it grows: this may have happened meanwhile.
	now, err := s.r.index.Get(ctx, prefixSegment+key)
	if err != nil || !bytes.Equal(now, value) {
		return err
	}
	found := Damage{Kind: "segment", Digest: d, What: bad.what, Detail: bad.detail, Found: s.r.now().UTC()}
	if found.Healed, err = s.r.healSegment(ctx, from, d); err != nil {
		return err
	}
	return s.found(ctx, found)
}

// healSegment stores the lines from one on again, if they still make the same segment.
func (r *Registry) healSegment(ctx context.Context, from uint64, d digest.Digest) (by string, err error) {
	to := from + segmentSize
	state := segmentState{}
	if row, err := r.index.Get(ctx, keySegment); err == nil && json.Unmarshal(row, &state) == nil && state.From == from {
		to = state.To
	} else if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return "", err
	}
	body, err := r.journal.Export(ctx, from, to)
	if errors.Is(err, journal.ErrSegment) || err == nil && digest.FromBytes(body) != d {
		return "", nil // the journal itself is damaged: verify tells how
	}
	if err != nil {
		return "", err
	}
	return "the index", r.store(ctx, d, body)
}
