package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// maxAsked is how many repositories are asked for elsewhere: what many hold, the first of them have as well.
const maxAsked = 16

// healFor bounds how long one source is read for one blob, beside what healRate makes of its size.
const (
	healFor  = 10 * time.Minute
	healRate = 1 << 20 // bytes a second
)

// blob reads a blob, and puts it aside if it is damaged.
func (s *scrub) blob(ctx context.Context, key string) error {
	d := digest.Digest(key)
	if !ValidDigest(key) {
		return nil // verify tells of it
	}
	was, err := stockOf(ctx, s.r.index, d)
	if errors.Is(err, kv.ErrNotFound) || errors.Is(err, errRow) {
		return nil
	}
	if err != nil {
		return err
	}
	if !was.doomed.IsZero() || !s.r.settledBefore(was.committed) {
		return nil
	}
	bad, err := s.examine(ctx, d, was.size, func() (io.ReadCloser, error) { return s.r.openAlone(ctx, d) })
	if err != nil || bad == nil {
		return err
	}
	if _, able := s.r.blobs.(blob.Quarantiner); bad.what == DamageUnreadable && !able {
		// To delete what may be readable tomorrow would be worse than to serve what fails.
		return s.found(ctx, Damage{Kind: "blob", Digest: d, Size: was.size, What: bad.what, Detail: bad.detail + "; it was left where it is", Found: s.r.now().UTC()})
	}
	row, err := s.r.putAside(ctx, d, was, *bad)
	if stuck := (*asideError)(nil); errors.As(err, &stuck) && ctx.Err() == nil {
		if bad.what == DamageUnreadable {
			if left := s.r.takeBack(ctx, d, stuck.dying); left != nil {
				return left
			}
			bad.detail += "; it was left where it is"
		}
		return s.found(ctx, Damage{Kind: "blob", Digest: d, Size: was.size, What: bad.what, Detail: clip(bad.detail + "; " + err.Error()), Found: s.r.now().UTC()})
	}
	if err != nil || row == nil {
		return err
	}
	found := row.damage(d)
	if found.Healed, err = s.heal(ctx, d, *row); err != nil {
		return err
	}
	return s.found(ctx, found)
}

// openAlone opens a blob's content where it lies.
func (r *Registry) openAlone(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	data, err := r.index.Get(ctx, keyData(d))
	if err == nil {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	return r.blobs.Open(ctx, d, 0)
}

// retry tries once more to heal what earlier scrubs found.
func (s *scrub) retry(ctx context.Context) error {
	from, to := kv.Prefix(prefixDamaged)
	for from < to {
		d, row, next, err := s.r.nextDamaged(ctx, from, to)
		if err != nil || d == "" {
			return err
		}
		if from = next; !row.Dying.IsZero() {
			continue // somebody is at it
		}
		healed, err := s.heal(ctx, d, row)
		if err != nil {
			return err
		}
		if healed != "" {
			s.done.Healed++
		}
	}
	return nil
}

// heal asks for good content wherever it may be had, and tells where it came from; nowhere is no error.
func (s *scrub) heal(ctx context.Context, d digest.Digest, row damagedRow) (by string, err error) {
	repos, err := s.r.parked(ctx, d)
	if err != nil || len(repos) == 0 {
		return "", err // nobody has it any more
	}
	type source struct {
		name string
		open func(ctx context.Context) (io.ReadCloser, error)
	}
	var sources []source
	if row.Size <= smallBlob {
		sources = append(sources, source{"a pack", func(ctx context.Context) (io.ReadCloser, error) { return s.r.packedCopy(ctx, "data", d) }})
	}
	for _, p := range s.o.Peers {
		sources = append(sources, source{p.Name, func(ctx context.Context) (io.ReadCloser, error) { return p.Open(ctx, d, repos) }})
	}
	for _, repo := range repos {
		if s.o.Fetch != nil {
			sources = append(sources, source{"upstream of " + repo, func(ctx context.Context) (io.ReadCloser, error) { return s.o.Fetch(ctx, repo, d) }})
		}
	}
	for _, from := range sources {
		err := s.bringBack(ctx, repos[0], d, row.Size, from.open)
		if err == nil {
			if _, err = s.r.restore(ctx, d, from.name); err != nil {
				return "", err
			}
			if _, err = s.r.index.Get(ctx, keyDamaged(d)); errors.Is(err, kv.ErrNotFound) {
				return from.name, nil // by this, or by somebody who was quicker
			}
			err = cmp.Or(err, errVanished)
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if !errors.Is(err, blob.ErrNotFound) && Code(err) != BlobUnknown {
			s.r.log.Warn("a damaged blob could not be healed", "digest", d, "from", from.name, "err", err)
		}
	}
	return "", nil
}

// parked returns some of the repositories that held a damaged blob.
func (r *Registry) parked(ctx context.Context, d digest.Digest) (repos []string, err error) {
	from, to := damagedHolders(d)
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil || len(repos) == maxAsked {
			return repos, err
		}
		repos = append(repos, pair.Key[len(from):])
	}
	return repos, nil
}

// bringBack stores content that matches as a blob of repo.
func (s *scrub) bringBack(ctx context.Context, repo string, d digest.Digest, size int64, open func(context.Context) (io.ReadCloser, error)) error {
	r := s.r
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.o.patience, healFor)+time.Duration(size/healRate)*time.Second)
	defer cancel()
	src, err := open(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	u := &upload{Upload: Upload{ID: blob.Named(newUUID(), d)}, algorithm: d.Algorithm(), inRow: true, fetched: true}
	defer func() {
		if !u.inRow {
			r.abort(ctx, u.stored())
		}
	}()
	h, err := r.receive(ctx, u, size, io.LimitReader(src, size+1)) // one more shows that there is more
	if Code(err) == SizeInvalid {
		return fmt.Errorf("what came is not of the %d bytes that it has, but of %d or more", size, u.Size)
	}
	if err == nil && h == nil {
		h, err = r.rehash(ctx, u, d.Algorithm())
	}
	if err != nil {
		return err
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d {
		return fmt.Errorf("what came is %s, of %d bytes", got, u.Size)
	}
	return r.keep(ctx, repo, d, u)
}

// packedCopy finds what a pack holds of a manifest ("man") or a small blob ("data").
func (r *Registry) packedCopy(ctx context.Context, kind string, d digest.Digest) (io.ReadCloser, error) {
	from, to := kv.Prefix(prefixPack)
	var packs []digest.Digest
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		packs = append(packs, digest.Digest(strings.TrimPrefix(pair.Key, prefixPack)))
	}
	for _, pack := range packs {
		entries, err := r.openPack(ctx, pack)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			continue // another one may have it
		}
		for _, e := range entries {
			if e.Kind == kind && e.Digest == d {
				return io.NopCloser(bytes.NewReader(e.body)), nil
			}
		}
	}
	return nil, blob.ErrNotFound
}

// maxPack bounds what is read of a pack: entries whose sum closed it, the last of which may be as long as a manifest can be, and their lines.
func (r *Registry) maxPack() int64 { return packBytes + r.manifestBytes + packEntries*512 }

// openPack reads a pack, all of whose entries were compared with their digests.
func (r *Registry) openPack(ctx context.Context, d digest.Digest) ([]packed, error) {
	rc, err := r.blobs.Open(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	body, err := io.ReadAll(io.LimitReader(rc, r.maxPack()+1))
	if err != nil {
		return nil, err
	}
	return readPack(body)
}
