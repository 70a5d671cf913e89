package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Put is a manifest to be stored.
type Put struct {
	Repo        string
	Ref         string   // a tag, or the manifest's digest
	Tags        []string // more tags, for a push by digest
	ContentType string   // what the client calls it; may be empty
	Body        []byte

	Judge func(m *Manifest) error // asked about what is to be stored; nil: nothing to ask
	Guard Guard                   // asked before a tag that names something else is moved
}

// Guard is asked, in the transaction, before a tag is moved or removed, or (tag "") a manifest is removed: what it named, when and by whom it was
// pushed. An error keeps all as it is. Nil guards nothing. It may be asked more than once.
type Guard func(tag string, was Stored) error

func (g Guard) ask(tag string, was Stored) error {
	if g == nil {
		return nil
	}
	return g(tag, was)
}

// PutResult tells what was stored.
type PutResult struct {
	Descriptor ocispec.Descriptor
	Tags       []string      // all tags that name it now by this push
	Subject    digest.Digest // what it refers to, or ""
}

// PutManifest stores a manifest and lets tags name it (distribution-spec, "Pushing Manifests"). The blobs that it names must be held by the
// repository. All of it, with what the admissions record and the journal's events, happens in one transaction.
func (r *Registry) PutManifest(ctx context.Context, p Put) (PutResult, error) {
	none := PutResult{}
	if err := checkName(p.Repo); err != nil {
		return none, err
	}
	if int64(len(p.Body)) > r.manifestBytes {
		return none, &Error{Code: TooLarge, Detail: map[string]any{"limit": r.manifestBytes,
			"hint": "a manifest names content; put the content itself into blobs"}}
	}
	d, tags := digest.Digest(p.Ref), p.Tags
	if strings.Contains(p.Ref, ":") {
		if err := checkDigest(d); err != nil {
			return none, err
		}
		if got := d.Algorithm().FromBytes(p.Body); got != d {
			return none, mismatch(d, got, int64(len(p.Body)))
		}
	} else {
		d, tags = digest.FromBytes(p.Body), append([]string{p.Ref}, tags...)
	}
	for _, tag := range tags {
		if err := checkTag(tag); err != nil {
			return none, err
		}
	}
	m, err := ParseManifest(p.ContentType, d, p.Body)
	if err != nil {
		return none, err
	}
	if p.Judge != nil {
		if err := p.Judge(m); err != nil {
			return none, err
		}
	}
	verdicts, err := r.admit(ctx, Push{Repo: p.Repo, Tags: tags, Manifest: *m, Bytes: p.Body})
	if err != nil {
		return none, err
	}
	by := journal.Who(ctx).Name
	stored := false
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		kv.Ahead(tx, aboutToRead(p.Repo, tags, m)...)
		if err := allHeld(ctx, tx, p.Repo, m); err != nil {
			return err
		}
		now := Stored{Descriptor: m.Descriptor, Pushed: r.now().Truncate(time.Millisecond), By: by} // as its row has it
		fresh, err := putRevision(ctx, tx, p.Repo, m, now, p.Body)
		if err != nil {
			return err
		}
		stored = fresh
		e := journal.Event{Action: "tag.set", Repo: p.Repo, Digest: string(d), MediaType: m.Descriptor.MediaType, Size: m.Descriptor.Size, Result: "ok"}
		if fresh {
			e.Action = "manifest.push"
		}
		for _, tag := range tags {
			before, moved, err := moveTag(ctx, tx, p.Repo, tag, now, verdicts.guard(ctx, tx, p.Guard))
			if err != nil {
				return err
			}
			if !moved && before == now.Digest {
				moved, err = renewTag(ctx, tx, p.Repo, tag, now.Pushed)
				if err != nil {
					return err
				}
			}
			if moved {
				e.Tag, e.From = tag, string(before)
				journal.Append(ctx, tx, e)
				e.Action, fresh = "tag.set", false
			}
		}
		if fresh {
			e.Tag, e.From = "", ""
			journal.Append(ctx, tx, e)
		}
		return verdicts.record(ctx, tx, now)
	})
	if err != nil {
		return none, fault(err, "store manifest %s of %s", d, p.Repo)
	}
	if stored {
		r.noteUnsettled()
	}
	res := PutResult{Descriptor: m.Descriptor, Tags: tags}
	if m.Subject != nil {
		res.Subject = m.Subject.Digest
	}
	return res, nil
}

// aboutToRead are the keys that storing a manifest reads.
func aboutToRead(repo string, tags []string, m *Manifest) []string {
	d := m.Descriptor.Digest
	keys := []string{keyRev(repo, d), keyMan(d), keyRepo(repo)}
	for _, tag := range tags {
		keys = append(keys, keyTag(repo, tag))
	}
	for _, need := range m.needed() {
		keys = append(keys, keyHold(repo, need.Digest))
	}
	return keys
}

// allHeld refuses a manifest whose blobs the repository does not hold, naming all that are missing.
func allHeld(ctx context.Context, tx kv.Tx, repo string, m *Manifest) error {
	var missing []map[string]any
	for _, need := range m.needed() {
		_, err := tx.Get(ctx, keyHold(repo, need.Digest))
		if errors.Is(err, kv.ErrNotFound) {
			missing = append(missing, map[string]any{"digest": need.Digest, "mediaType": need.MediaType, "size": need.Size})
		} else if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return &Error{Code: ManifestBlobUnknown, Detail: map[string]any{"name": repo, "missing": missing,
			"hint": "push or mount these blobs into the repository, then push the manifest again"}}
	}
	return nil
}

// putRevision writes everything that belongs to a manifest of a repository, and tells whether it was new there.
func putRevision(ctx context.Context, tx kv.Tx, repo string, m *Manifest, now Stored, body []byte) (fresh bool, err error) {
	d := m.Descriptor.Digest
	if row, err := tx.Get(ctx, keyRev(repo, d)); err == nil {
		before, err := parseStored(row)
		if err == nil && before.MediaType != m.Descriptor.MediaType {
			err = &Error{Code: ManifestInvalid, Detail: map[string]any{"faults": []string{fmt.Sprintf(
				"these bytes are stored as %s already; they cannot be %s as well", before.MediaType, m.Descriptor.MediaType)}}}
		}
		return false, err
	} else if !errors.Is(err, kv.ErrNotFound) {
		return false, err
	}
	if _, err := tx.Get(ctx, keyMan(d)); errors.Is(err, kv.ErrNotFound) {
		tx.Put(keyMan(d), body)
		tx.Put(keySettle(now.Pushed, d), []byte("man"))
	} else if err != nil {
		return false, err
	}
	if _, err := tx.Get(ctx, keyRepo(repo)); errors.Is(err, kv.ErrNotFound) {
		tx.Put(keyRepo(repo), []byte(now.Pushed.UTC().Format(time.RFC3339)))
	} else if err != nil {
		return false, err
	}
	tx.Put(keyRev(repo, d), now.row())
	tx.Put(keyHas(d, repo), nil)
	for _, child := range m.children() {
		tx.Put(keyEdge(child, repo, d), nil)
	}
	if m.Subject != nil {
		desc := m.Descriptor
		desc.ArtifactType, desc.Annotations = m.ReferrerType(), m.Annotations
		row, err := json.Marshal(desc)
		if err != nil {
			return false, err
		}
		putReferrer(tx, repo, m.Subject.Digest, m.ReferrerType(), d, row)
	}
	return true, nil
}

// moveTag lets tag name the manifest if the guard does not mind, and tells what it named before and whether anything changed.
func moveTag(ctx context.Context, tx kv.Tx, repo, tag string, now Stored, guard tagGuard) (before digest.Digest, moved bool, err error) {
	row, err := tx.Get(ctx, keyTag(repo, tag))
	if err == nil {
		was, err := parseStored(row)
		if err != nil || was.Digest == now.Digest {
			return was.Digest, false, err
		}
		if stays, err := guard(tag, &was); err != nil || stays {
			return was.Digest, false, err
		}
		before = was.Digest
		tx.Delete(keyNamed(repo, before, tag))
	} else if !errors.Is(err, kv.ErrNotFound) {
		return "", false, err
	} else if stays, err := guard(tag, nil); err != nil || stays {
		return "", false, err
	}
	tx.Put(keyTag(repo, tag), now.row())
	tx.Put(keyNamed(repo, now.Digest, tag), nil)
	return before, true, nil
}

// renewAfter is how old a tag's push must be for another one of the same content to count: many replicas that push the same at once write it once.
const renewAfter = time.Minute

// renewTag notes that what a tag names was pushed again: its age, which retention goes by, begins anew. Who set the tag stays, since the right to remove
// it hangs on that.
func renewTag(ctx context.Context, tx kv.Tx, repo, tag string, at time.Time) (renewed bool, err error) {
	was, err := tagged(ctx, tx, repo, tag)
	if err != nil || at.Sub(was.Pushed) < renewAfter {
		return false, err
	}
	was.Pushed = at
	tx.Put(keyTag(repo, tag), was.row())
	return true, nil
}
