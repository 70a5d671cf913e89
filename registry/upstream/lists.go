package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/storage/kv"
)

// Tags yields the upstream's tags, with those that were pushed here if that is allowed; or, if the upstream does not answer, those that are kept.
func (t *Through) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	u, there, here := t.of(repo)
	switch {
	case u == nil:
		return t.below.Tags(ctx, repo, after)
	case !u.allows(there):
		return func(yield func(string, error) bool) { yield("", denied(u, here)) }
	case u.Offline:
		return t.local.Tags(ctx, here, after)
	case u.Writable:
		return merge(t.tagsThere(ctx, u, there, here, after), t.local.Tags(ctx, here, after))
	}
	return t.tagsThere(ctx, u, there, here, after)
}

// tagsThere yields the upstream's tags, or, if it does not answer from the beginning on, those that are kept.
func (t *Through) tagsThere(ctx context.Context, u *Upstream, there, here, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		last := after
		if !registry.ValidTag(last) {
			last = "" // what is no tag could be read as something else upstream
		}
		for first := true; ; first = false {
			tags, next, err := u.client(ctx).Tags(ctx, there, last, 1000)
			if err != nil {
				t.tagsHere(ctx, u, here, after, first, err, yield)
				return
			}
			for _, tag := range tags {
				if !yield(tag, nil) {
					return
				}
			}
			if last = next; next == "" {
				return
			}
		}
	}
}

// tagsHere goes on when the upstream has refused to list: with what is kept, if it says nothing at all.
func (t *Through) tagsHere(ctx context.Context, u *Upstream, here, after string, nothing bool, err error, yield func(string, error) bool) {
	if errors.Is(err, remote.ErrNotFound) {
		yield("", &registry.Error{Code: registry.NameUnknown, Detail: map[string]string{"name": here}})
		return
	}
	if !nothing || errors.Is(err, remote.ErrDenied) {
		yield("", t.refusal(u, here, err))
		return
	}
	t.log.Warn("an upstream does not list its tags; those that are kept are listed", "repo", here, "err", err)
	t.stale.Add(1)
	registry.Note(ctx, "tags that are kept are listed, for "+u.Remote.Name()+" does not answer now")
	for tag, kept := range t.local.Tags(ctx, here, after) {
		if registry.Code(kept) == registry.NameUnknown {
			kept = t.refusal(u, here, err) // nothing is kept: nobody here knows whether there is something
		}
		if !yield(tag, kept) {
			return
		}
	}
}

// merge yields what two lists in byte order hold, each thing once. That one of them does not know the repository is no fault if the other does.
func merge(a, b iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		nextA, stopA := iter.Pull2(a)
		defer stopA()
		nextB, stopB := iter.Pull2(b)
		defer stopB()
		tagA, errA, moreA := nextA()
		tagB, errB, moreB := nextB()
		if moreA && moreB && registry.Code(errA) == registry.NameUnknown {
			moreA = false
		} else if moreA && moreB && registry.Code(errB) == registry.NameUnknown {
			moreB = false
		}
		for moreA || moreB {
			switch {
			case moreA && errA != nil:
				yield("", errA)
				return
			case moreB && errB != nil:
				yield("", errB)
				return
			}
			tag := tagA
			if !moreA || moreB && tagB < tagA {
				tag = tagB
			}
			if !yield(tag, nil) {
				return
			}
			if moreA && tagA == tag {
				tagA, errA, moreA = nextA()
			}
			if moreB && tagB == tag {
				tagB, errB, moreB = nextB()
			}
		}
	}
}

// Referrers yields what refers to a manifest, by digest: as the upstream listed it, asked again when that is older than a tag may be, with what was pushed here.
// If it does not answer, its last list goes on.
func (t *Through) Referrers(ctx context.Context, repo string, subject digest.Digest, kind, cursor string) iter.Seq2[registry.Referrer, error] {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Referrers(ctx, repo, subject, kind, cursor)
	}
	return func(yield func(registry.Referrer, error) bool) {
		if !u.allows(there) {
			yield(registry.Referrer{}, denied(u, here))
			return
		}
		all, err := t.referrers(ctx, u, there, here, subject)
		if err != nil {
			yield(registry.Referrer{}, err)
			return
		}
		for _, r := range all {
			if kind != "" && r.kind != kind || r.Cursor <= cursor {
				continue
			}
			if !yield(r.Referrer, nil) {
				return
			}
		}
	}
}

// referrer is one with its artifact type.
type referrer struct {
	registry.Referrer
	kind string
}

// maxReferrers bounds how many are listed of one manifest.
const maxReferrers = 10_000

// referrers returns those that the upstream lists and those that are kept, each once, by digest.
func (t *Through) referrers(ctx context.Context, u *Upstream, there, here string, subject digest.Digest) ([]referrer, error) {
	listed, err := t.listed(ctx, u, there, here, subject)
	if err != nil {
		return nil, err
	}
	var all []referrer
	add := func(body []byte) error {
		var d ocispec.Descriptor
		if err := json.Unmarshal(body, &d); err != nil {
			return err
		}
		all = append(all, referrer{registry.Referrer{Descriptor: body, Cursor: string(d.Digest)}, d.ArtifactType})
		return nil
	}
	for _, body := range listed {
		if err := add(body); err != nil {
			return nil, err
		}
	}
	for r, err := range t.local.Referrers(ctx, here, subject, "", "") {
		if err != nil {
			return nil, err
		}
		if len(all) == maxReferrers {
			break
		}
		if err := add(r.Descriptor); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b referrer) int { return strings.Compare(a.Cursor, b.Cursor) })
	return slices.CompactFunc(all, func(a, b referrer) bool { return a.Cursor == b.Cursor }), nil
}

// listed returns the upstream's list, which is kept for as long as a tag.
func (t *Through) listed(ctx context.Context, u *Upstream, there, here string, subject digest.Digest) ([]json.RawMessage, error) {
	known, fresh, err := t.keptList(ctx, u, here, subject)
	if err != nil || fresh || u.Offline {
		return known, err
	}
	err = t.ask(ctx, here+" referrers "+string(subject), func(ctx context.Context) error { return t.list(ctx, u, there, here, subject) })
	switch {
	case err == nil:
		known, _, err = t.keptList(ctx, u, here, subject)
		return known, err
	case errors.Is(err, remote.ErrDenied):
		return nil, t.refusal(u, here, err)
	}
	if known == nil && !t.refersHere(ctx, here, subject) {
		return nil, t.refusal(u, here, err) // an empty list would say that there are none
	}
	t.log.Warn("an upstream does not list referrers; those that are kept are listed", "repo", here, "err", err)
	t.stale.Add(1)
	registry.Note(ctx, "referrers that are kept are listed, for "+u.Remote.Name()+" does not answer now")
	return known, nil
}

// refersHere tells whether anything is kept that refers to a manifest.
func (t *Through) refersHere(ctx context.Context, here string, subject digest.Digest) bool {
	for _, err := range t.local.Referrers(ctx, here, subject, "", "") {
		return err == nil
	}
	return false
}

// keptList returns the upstream's last list, and whether it is fresh.
func (t *Through) keptList(ctx context.Context, u *Upstream, here string, subject digest.Digest) (known []json.RawMessage, fresh bool, err error) {
	b, err := t.index.Get(ctx, keyReferrers(here, subject))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	at, list := parseRow(b)
	if err := json.Unmarshal([]byte(list), &known); err != nil {
		return nil, false, nil // it is asked for again
	}
	age := t.now().Sub(at)
	return known, age >= 0 && age < u.TagTTL, nil
}

// list asks the upstream, and keeps what it says.
func (t *Through) list(ctx context.Context, u *Upstream, there, here string, subject digest.Digest) error {
	all, err := u.client(ctx).Referrers(ctx, there, subject)
	if err != nil && !errors.Is(err, remote.ErrNotFound) {
		return err
	}
	if all == nil {
		all = []ocispec.Descriptor{}
	}
	body, err := json.Marshal(all[:min(len(all), maxReferrers)])
	if err != nil {
		return err
	}
	return t.index.Update(ctx, func(tx kv.Tx) error {
		tx.Put(keyReferrers(here, subject), row(t.now(), string(body)))
		return nil
	})
}
