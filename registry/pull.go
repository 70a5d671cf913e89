package registry

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/storage/kv"
)

var _ Source = (*Registry)(nil)

// Resolve returns what a tag or a digest names.
func (r *Registry) Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error) {
	s, err := r.Stored(ctx, repo, ref)
	return s.Descriptor, err
}

// Stored returns what a tag or a digest names, with when and by whom it was pushed.
func (r *Registry) Stored(ctx context.Context, repo, ref string) (Stored, error) {
	return storedIn(ctx, r.index, repo, ref)
}

func storedIn(ctx context.Context, view kv.View, repo, ref string) (Stored, error) {
	if err := checkName(repo); err != nil {
		return Stored{}, err
	}
	var key string
	if strings.Contains(ref, ":") {
		if err := checkDigest(digest.Digest(ref)); err != nil {
			return Stored{}, err
		}
		key = keyRev(repo, digest.Digest(ref))
	} else {
		if !ValidTag(ref) {
			return Stored{}, manifestUnknown(repo, clip(ref)) // what cannot be pushed is not there
		}
		key = keyTag(repo, ref)
	}
	row, err := view.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return Stored{}, manifestUnknown(repo, ref)
	}
	if err != nil {
		return Stored{}, fault(err, "look up %s in %s", ref, repo)
	}
	s, err := parseStored(row)
	return s, fault(err, "look up %s in %s", ref, repo)
}

func manifestUnknown(repo, ref string) error {
	return &Error{Code: ManifestUnknown, Detail: map[string]string{"name": repo, "reference": ref}}
}

// Manifest returns what a tag or a digest names, with its bytes. It reads the index alone, and just twice: a tag's row is enough to know
// that the repository has the manifest.
func (r *Registry) Manifest(ctx context.Context, repo, ref string) (ocispec.Descriptor, []byte, error) {
	s, body, err := manifestIn(ctx, r.index, repo, ref)
	if errors.Is(err, kv.ErrNotFound) { // deleted between the two reads, or moved away from; a transaction sees both at one moment
		err = r.index.Update(ctx, func(tx kv.Tx) (err error) {
			s, body, err = manifestIn(ctx, tx, repo, ref)
			return err
		})
	}
	return s.Descriptor, body, err
}

func manifestIn(ctx context.Context, view kv.View, repo, ref string) (Stored, []byte, error) {
	s, err := storedIn(ctx, view, repo, ref)
	if err != nil {
		return Stored{}, nil, err
	}
	body, err := view.Get(ctx, keyMan(s.Digest))
	return s, body, fault(err, "read manifest %s", s.Digest)
}

// Tags yields repo's tags after the given one, in byte order. A repository that holds nothing is NameUnknown.
func (r *Registry) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := checkName(repo); err != nil {
			yield("", err)
			return
		}
		prefix := of(prefixTag, repo)
		none := true
		for key, err := range r.keysAfter(ctx, prefix, after) {
			if err != nil {
				yield("", fault(err, "list tags of %s", repo))
				return
			}
			none = false
			if !yield(key[len(prefix):], nil) {
				return
			}
		}
		// A tag is of a repository that there is: only where there is none has that to be looked up.
		if none {
			if err := r.checkRepo(ctx, repo); err != nil {
				yield("", err)
			}
		}
	}
}

// checkRepo refuses a repository that has neither a manifest nor a blob.
func (r *Registry) checkRepo(ctx context.Context, repo string) error {
	if err := checkName(repo); err != nil {
		return err
	}
	_, err := r.index.Get(ctx, keyRepo(repo))
	if errors.Is(err, kv.ErrNotFound) {
		from, to := kv.Prefix(of(prefixHold, repo))
		for _, err := range r.index.Scan(ctx, from, to) {
			return fault(err, "look up repository %s", repo)
		}
		return &Error{Code: NameUnknown, Detail: map[string]string{"name": repo}}
	}
	return fault(err, "look up repository %s", repo)
}

// Has tells whether there is a repository that holds anything.
func (r *Registry) Has(ctx context.Context, repo string) bool {
	return ValidName(repo) && r.checkRepo(ctx, repo) == nil
}

// Repositories yields the repositories that have manifests, after the given one, in byte order.
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range r.keysAfter(ctx, prefixRepo, after) {
			if err != nil {
				yield("", fault(err, "list repositories"))
				return
			}
			if !yield(key[len(prefixRepo):], nil) {
				return
			}
		}
	}
}

// keysAfter yields the keys under prefix whose rest comes after the given one; an empty one means from the start.
func (r *Registry) keysAfter(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	from, to := boundsAfter(prefix, after)
	return kv.Keys(ctx, r.index, from, to)
}

func boundsAfter(prefix, after string) (from, to string) {
	from, to = kv.Prefix(prefix)
	if after != "" {
		from = prefix + after + "\x00"
	}
	return from, to
}
