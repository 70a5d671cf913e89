package registry

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// verdicts are those of all admissions about one push.
type verdicts []Verdict

// Again returns a push as it would be if what a tag names were pushed now, for an admission that begins later than the registry.
func (r *Registry) Again(ctx context.Context, repo, tag string) (Push, Stored, error) {
	now, err := r.Stored(ctx, repo, tag)
	if err != nil {
		return Push{}, now, err
	}
	_, body, err := r.Manifest(ctx, repo, string(now.Digest))
	if err != nil {
		return Push{}, now, err
	}
	m, _ := readManifest(now.MediaType, now.Digest, body)
	return r.opened(Push{Repo: repo, Tags: []string{tag}, Manifest: *m, Bytes: body}), now, nil
}

// admit asks the admissions in turn about a push.
func (r *Registry) admit(ctx context.Context, p Push) (verdicts, error) {
	p = r.opened(p)
	var all verdicts
	for _, a := range r.admissions {
		v, err := a.Admit(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// opened gives a push the means to look at what it names.
func (r *Registry) opened(p Push) Push {
	p.Open = func(ctx context.Context, d digest.Digest) (io.ReadSeekCloser, error) {
		_, content, err := r.OpenBlob(ctx, p.Repo, d)
		return content, err
	}
	p.Read = func(ctx context.Context, d digest.Digest) (Manifest, error) {
		desc, body, err := r.Manifest(ctx, p.Repo, string(d))
		if err != nil {
			return Manifest{}, err
		}
		m, _ := readManifest(desc.MediaType, d, body)
		return *m, nil
	}
	return p
}

// tagGuard is asked before a tag is set; was is what it named until now, nil if there was no such tag. A tag may stay where it is.
type tagGuard func(tag string, was *Stored) (stays bool, err error)

// anyTag lets every tag be set.
func anyTag(string, *Stored) (bool, error) { return false, nil }

// guard asks the caller's own guard, and then each verdict.
func (all verdicts) guard(ctx context.Context, tx kv.Tx, own Guard) tagGuard {
	return func(tag string, was *Stored) (bool, error) {
		if was != nil {
			if err := own.ask(tag, *was); err != nil {
				return false, err
			}
		}
		for _, v := range all {
			if v.Tag == nil {
				continue
			}
			if stays, err := v.Tag(ctx, tx, tag, was); err != nil || stays {
				return stays, err
			}
		}
		return false, nil
	}
}

func (all verdicts) record(ctx context.Context, tx kv.Tx, now Stored) error {
	for _, v := range all {
		if v.Record == nil {
			continue
		}
		if err := v.Record(ctx, tx, now); err != nil {
			return err
		}
	}
	return nil
}

// mayRemove asks the caller's own guard and the admissions before something goes.
func (r *Registry) mayRemove(ctx context.Context, tx kv.Tx, own Guard, repo, tag string, was Stored) error {
	if err := own.ask(tag, was); err != nil {
		return err
	}
	for _, a := range r.admissions {
		if err := a.Remove(ctx, tx, repo, tag, was); err != nil {
			return err
		}
	}
	return nil
}

// SetTag lets a tag name a manifest that the repository has, in the transaction of an admission, which is not asked about it.
func SetTag(ctx context.Context, tx kv.Tx, repo, tag string, now Stored) error {
	before, moved, err := moveTag(ctx, tx, repo, tag, now, anyTag)
	if err == nil && moved {
		journal.Append(ctx, tx, journal.Event{
			Action: "tag.set", Repo: repo, Tag: tag, Digest: string(now.Digest), MediaType: now.MediaType, Size: now.Size, From: string(before), Result: "ok",
		})
	}
	return err
}

// ManifestIn returns a stored manifest, as a transaction sees it, for an admission that compares.
func ManifestIn(ctx context.Context, tx kv.Tx, was Stored) (Manifest, error) {
	body, err := tx.Get(ctx, keyMan(was.Digest))
	if err != nil {
		return Manifest{}, err
	}
	m, _ := readManifest(was.MediaType, was.Digest, body)
	return *m, nil
}

// TagIn returns what a tag names, as a transaction sees it; kv.ErrNotFound if there is no such tag.
func TagIn(ctx context.Context, tx kv.Tx, repo, tag string) (Stored, error) {
	return tagged(ctx, tx, repo, tag)
}

// DropTag removes a tag, if there is one, in the transaction of an admission, which is not asked about it.
func DropTag(ctx context.Context, tx kv.Tx, repo, tag string) error {
	was, err := tagged(ctx, tx, repo, tag)
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err == nil {
		deleteTag(ctx, tx, repo, tag, was.Digest)
	}
	return err
}

// Keep stores a manifest that an admission has made of others that the repository has, in its transaction. There are no blobs to it but theirs.
func Keep(ctx context.Context, tx kv.Tx, repo, mediaType string, body []byte, when time.Time) (Stored, error) {
	m, err := ParseManifest(mediaType, digest.FromBytes(body), body)
	if err != nil {
		return Stored{}, err
	}
	now := Stored{Descriptor: m.Descriptor, Pushed: when.Truncate(time.Millisecond), By: journal.Who(ctx).Name}
	if err := allHeld(ctx, tx, repo, m); err != nil {
		return now, err
	}
	fresh, err := putRevision(ctx, tx, repo, m, now, body)
	if err == nil && fresh {
		journal.Append(ctx, tx, journal.Event{
			Action: "manifest.push", Repo: repo, Digest: string(now.Digest), MediaType: now.MediaType, Size: now.Size, Result: "ok",
		})
	}
	return now, err
}
