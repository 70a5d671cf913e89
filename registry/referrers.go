package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// Referrers yields the manifests of repo that refer to subject, by artifact type and digest. That nothing does, or that there is no such
// repository, is an empty list. What is yielded is only to be read.
func (r *Registry) Referrers(ctx context.Context, repo string, subject digest.Digest, kind, cursor string) iter.Seq2[Referrer, error] {
	return func(yield func(Referrer, error) bool) {
		if err := checkName(repo); err != nil {
			yield(Referrer{}, err)
			return
		}
		if err := checkDigest(subject); err != nil {
			yield(Referrer{}, err)
			return
		}
		all := of(prefixRef, repo, string(subject))
		prefix, after := all, cursor
		if kind != "" {
			prefix = all + kind + "!"
			after = strings.TrimPrefix(cursor, kind+"!")
		}
		from, to := boundsAfter(prefix, after)
		for pair, err := range r.lists.scan(ctx, r.index, repo, subject, from, to) {
			if err != nil {
				yield(Referrer{}, fault(err, "list referrers of %s in %s", subject, repo))
				return
			}
			// A type may itself hold a '!': what is left must then be no digest.
			if kind != "" && !ValidDigest(pair.Key[len(prefix):]) {
				continue
			}
			if !yield(Referrer{Descriptor: pair.Value, Cursor: pair.Key[len(all):]}, nil) {
				return
			}
		}
	}
}

// putReferrer adds a manifest to the list of its subject's referrers.
func putReferrer(tx kv.Tx, repo string, subject digest.Digest, kind string, d digest.Digest, row []byte) {
	tx.Put(keyRef(repo, subject, kind, d), row)
	tx.Put(keyList(repo, subject), newState())
}

// dropReferrer removes a manifest from the list of its subject's referrers, and the state of the list with the last one.
//
// A list that is left is given a new state, which is a write that is in conflict with that of everybody else who changes the list. To remove a state that this
// transaction does not see would be none: somebody else may just be writing it.
func dropReferrer(ctx context.Context, tx kv.Tx, repo string, subject digest.Digest, kind string, d digest.Digest) error {
	tx.Delete(keyRef(repo, subject, kind, d))
	_, err := tx.Get(ctx, keyList(repo, subject))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	last := err == nil
	from, to := kv.Prefix(of(prefixRef, repo, string(subject)))
	for _, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		last = false
		break
	}
	if last {
		tx.Delete(keyList(repo, subject))
	} else {
		tx.Put(keyList(repo, subject), newState())
	}
	return nil
}

// newState is a value that there never was.
func newState() []byte { return []byte(rand.Text()) }
