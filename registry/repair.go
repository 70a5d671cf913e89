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

// Repaired is what Repair did.
type Repaired struct {
	Changed int // rows of the index that were written or removed
	Lost    int // things that are named and whose content is not there
}

// Repair makes the rows of the index agree that follow from each other: what a manifest says decides about edges, referrers and who has it; a tag's row about the
// manifest it names; content that is there about its row. Nothing goes that has content: a manifest's bytes, blobs and tags are never removed. Each change, and each
// thing whose content is missing, with the images that it hits, is given to tell as one line. The store should be at rest.
//
// Content is not read, but for its presence and size: Verify, or a scrub, does that.
func Repair(ctx context.Context, blobs blob.Store, index kv.DB, tell func(line string)) (Repaired, error) {
	if version, err := knownVersion(ctx, index); err != nil {
		return Repaired{}, err
	} else if version < IndexVersion {
		return Repaired{}, fmt.Errorf("the index is of version %d: start this program with it once, which brings it up to version %d", version, IndexVersion)
	}
	r := &repairer{ctx: ctx, blobs: blobs, index: index, tell: tell, now: time.Now().UTC().Truncate(time.Millisecond), lost: map[digest.Digest]bool{}}
	for _, step := range []struct {
		prefix string
		plan   func(v kv.View, key string, row []byte) ([]edit, error)
	}{
		{prefixTag, r.tag}, {prefixRev, r.revision}, {prefixMan, r.manifest}, {prefixEdge, r.edge}, {prefixRef, r.referrer}, {prefixList, r.list}, {prefixRepo, r.repository},
		{prefixHold, r.hold}, {prefixBlob, r.blob}, {prefixDoomed, r.doomed},
	} {
		if err := r.walk(step.prefix, step.plan); err != nil {
			return r.done, fmt.Errorf("repair %s: %w", step.prefix, err)
		}
	}
	return r.done, nil
}

type repairer struct {
	ctx   context.Context
	blobs blob.Store
	index kv.DB
	tell  func(string)
	now   time.Time
	done  Repaired
	lost  map[digest.Digest]bool // that were told of
}

// maxLost bounds what is remembered of what was told; what is beyond may be told twice.
const maxLost = 1 << 16

// edit is a change of one row.
type edit struct {
	key   string
	value []byte
	drop  bool
	says  string
}

func put(key string, value []byte, says string, args ...any) edit {
	return edit{key, value, false, fmt.Sprintf(says, args...)}
}

func drop(key, says string, args ...any) edit {
	return edit{key, nil, true, fmt.Sprintf(says, args...)}
}

// walk looks at all rows under a prefix. What is to be changed is decided again in the transaction that does it.
func (r *repairer) walk(prefix string, plan func(v kv.View, key string, row []byte) ([]edit, error)) error {
	from, to := kv.Prefix(prefix)
	for from < to {
		var keys []string
		next := to
		for pair, err := range r.index.Scan(r.ctx, from, to) {
			if err != nil {
				return err
			}
			edits, err := plan(r.index, strings.TrimPrefix(pair.Key, prefix), pair.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", pair.Key, err)
			}
			if len(edits) > 0 {
				keys = append(keys, pair.Key)
			}
			if len(keys) == scrubAtOnce {
				next = pair.Key + "\x00"
				break
			}
		}
		var done []edit
		err := r.index.Update(r.ctx, func(tx kv.Tx) error {
			done = done[:0]
			for _, key := range keys {
				row, err := tx.Get(r.ctx, key)
				if errors.Is(err, kv.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				edits, err := plan(tx, strings.TrimPrefix(key, prefix), row)
				if err != nil {
					return err
				}
				for _, e := range edits {
					if e.drop {
						tx.Delete(e.key)
					} else {
						tx.Put(e.key, e.value)
					}
					if list, ok := listOf(e.key); ok {
						tx.Put(list, newState())
					}
				}
				done = append(done, edits...)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, e := range done {
			r.done.Changed++
			r.tell(e.says)
		}
		from = next
	}
	return nil
}

func (r *repairer) has(v kv.View, key string) (bool, error) {
	_, err := v.Get(r.ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// any tells whether there is a row under a prefix.
func (r *repairer) any(v kv.View, prefix string) (bool, error) {
	from, to := kv.Prefix(prefix)
	for _, err := range v.Scan(r.ctx, from, to) {
		return err == nil, err
	}
	return false, nil
}

// missing plans to write rows that are not there.
func (r *repairer) missing(v kv.View, want ...edit) (edits []edit, err error) {
	for _, e := range want {
		there, err := r.has(v, e.key)
		if err != nil {
			return nil, err
		}
		if !there {
			edits = append(edits, e)
		}
	}
	return edits, nil
}

// bytes returns a manifest's bytes, if they are there and match.
func (r *repairer) bytes(v kv.View, d digest.Digest) ([]byte, error) {
	body, err := v.Get(r.ctx, keyMan(d))
	if errors.Is(err, kv.ErrNotFound) || err == nil && (!ValidDigest(string(d)) || d.Algorithm().FromBytes(body) != d) {
		return nil, nil
	}
	return body, err
}

// lose tells, once, of content that is not there, with the images that it hits.
func (r *repairer) lose(v kv.View, what string, d digest.Digest, why string) error {
	if r.lost[d] {
		return nil
	}
	if len(r.lost) < maxLost {
		r.lost[d] = true
	}
	images, more, err := hits(r.ctx, v, d)
	if err != nil {
		return err
	}
	var names []string
	for _, h := range images {
		name := h.Repo + "@" + string(h.Digest)
		if len(h.Tags) > 0 {
			name = h.Repo + ":" + strings.Join(h.Tags, ",") + "@" + string(h.Digest)
		}
		names = append(names, name)
	}
	text := "no image is made of it"
	if len(names) > 0 {
		text = "this hits " + strings.Join(names, " ")
	}
	if more {
		text += " and others"
	}
	r.done.Lost++
	r.tell(fmt.Sprintf("%s %s: %s; %s", what, d, why, text))
	return nil
}

func (r *repairer) tag(v kv.View, key string, row []byte) ([]edit, error) {
	repo, tag, _ := strings.Cut(key, "!")
	s, err := parseStored(row)
	if err != nil || !ValidDigest(string(s.Digest)) {
		return nil, nil // what it named is not known: verify tells of it
	}
	body, err := r.bytes(v, s.Digest)
	if err != nil {
		return nil, err
	}
	if body == nil {
		return nil, r.lose(v, "manifest", s.Digest, fmt.Sprintf("its bytes are missing or damaged, and tag %s of %s names it", tag, repo))
	}
	return r.missing(v, put(keyRev(repo, s.Digest), row, "repository %s: has manifest %s again, which its tag %s names", repo, s.Digest, tag),
		put(keyNamed(repo, s.Digest, tag), nil, "repository %s: manifest %s knows of its tag %s again", repo, s.Digest, tag))
}

func (r *repairer) revision(v kv.View, key string, row []byte) ([]edit, error) {
	repo, rest, _ := strings.Cut(key, "!")
	name, tag, named := strings.Cut(rest, "!")
	d := digest.Digest(name)
	if named {
		return r.named(v, repo, d, tag)
	}
	body, err := r.bytes(v, d)
	if err != nil {
		return nil, err
	}
	if body == nil {
		return nil, r.lose(v, "manifest", d, "its bytes are missing or damaged")
	}
	s, damaged := parseStored(row)
	m, _ := readManifest(s.MediaType, d, body)
	var edits []edit
	if damaged != nil {
		if m, _ = readManifest("", d, body); !isIndex(m.Descriptor.MediaType) && !isManifest(m.Descriptor.MediaType) {
			return nil, nil // what it is, its row alone knew
		}
		s = Stored{Descriptor: m.Descriptor, Pushed: r.now}
		edits = append(edits, put(keyRev(repo, d), s.row(), "repository %s: the row of manifest %s is written anew; when it was pushed is lost", repo, d))
	}
	want := []edit{
		put(keyHas(d, repo), nil, "manifest %s: knows again that repository %s has it", d, repo),
		put(keyRepo(repo), []byte(s.Pushed.UTC().Format(time.RFC3339)), "repository %s: is listed again", repo),
	}
	for _, child := range m.children() {
		want = append(want, put(keyEdge(child, repo, d), nil, "repository %s: manifest %s keeps %s alive again", repo, d, child))
	}
	if m.Subject != nil {
		desc := m.Descriptor
		desc.ArtifactType, desc.Annotations = m.ReferrerType(), m.Annotations
		value, err := json.Marshal(desc)
		if err != nil {
			return nil, err
		}
		want = append(want, put(keyRef(repo, m.Subject.Digest, m.ReferrerType(), d), value, "repository %s: manifest %s is among the referrers of %s again", repo, d, m.Subject.Digest))
	}
	more, err := r.missing(v, want...)
	return append(edits, more...), err
}

// named: a manifest's note of a tag that names something else, or is gone.
func (r *repairer) named(v kv.View, repo string, d digest.Digest, tag string) ([]edit, error) {
	row, err := v.Get(r.ctx, keyTag(repo, tag))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	if s, parsed := parseStored(row); err == nil && (parsed != nil || s.Digest == d) {
		return nil, nil // of a damaged row this may be all that tells what it named
	}
	return []edit{drop(keyNamed(repo, d, tag), "repository %s: manifest %s is not said to have the tag %s any more, which does not name it", repo, d, tag)}, nil
}

func (r *repairer) manifest(v kv.View, key string, _ []byte) ([]edit, error) {
	d, repo, had := strings.Cut(key, "!")
	if !had {
		return nil, nil
	}
	if there, err := r.has(v, keyRev(repo, digest.Digest(d))); err != nil || there {
		return nil, err
	}
	return []edit{drop(prefixMan+key, "manifest %s: is not said to be in repository %s any more, which does not have it", d, repo)}, nil
}

// said returns a manifest that a repository has; nil: it does not have it. known is false if it cannot be read.
func (r *repairer) said(v kv.View, repo string, d digest.Digest) (m *Manifest, known bool, err error) {
	row, err := v.Get(r.ctx, keyRev(repo, d))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	s, damaged := parseStored(row)
	body, err := r.bytes(v, d)
	if err != nil || body == nil || damaged != nil {
		return nil, false, err
	}
	m, _ = readManifest(s.MediaType, d, body)
	return m, true, nil
}

func (r *repairer) edge(v kv.View, key string, _ []byte) ([]edit, error) {
	child, rest, _ := strings.Cut(key, "!")
	repo, d, _ := strings.Cut(rest, "!")
	m, known, err := r.said(v, repo, digest.Digest(d))
	if err != nil || !known {
		return nil, err
	}
	if m != nil {
		for _, c := range m.children() {
			if string(c) == child {
				return nil, nil
			}
		}
	}
	return []edit{drop(prefixEdge+key, "repository %s: %s is not kept alive by manifest %s any more, which does not name it or is not there", repo, child, d)}, nil
}

func (r *repairer) referrer(v kv.View, key string, _ []byte) ([]edit, error) {
	repo, rest, _ := strings.Cut(key, "!")
	d := digest.Digest(rest[strings.LastIndexByte(rest, '!')+1:])
	m, known, err := r.said(v, repo, d)
	if err != nil || !known || m != nil && m.Subject != nil && keyRef(repo, m.Subject.Digest, m.ReferrerType(), d) == prefixRef+key {
		return nil, err
	}
	return []edit{drop(prefixRef+key, "repository %s: does not list the referrer %s any more, which it does not have as such", repo, d)}, nil
}

// list: the state of a list that there is not.
func (r *repairer) list(v kv.View, key string, _ []byte) ([]edit, error) {
	if there, err := r.any(v, prefixRef+key+"!"); err != nil || there {
		return nil, err
	}
	repo, subject, _ := strings.Cut(key, "!")
	return []edit{drop(prefixList+key, "repository %s: has no list of referrers of %s any more, to which nothing refers", repo, subject)}, nil
}

func (r *repairer) repository(v kv.View, repo string, _ []byte) ([]edit, error) {
	if there, err := r.any(v, of(prefixRev, repo)); err != nil || there {
		return nil, err
	}
	return []edit{drop(keyRepo(repo), "repository %s: is not listed any more, it has no manifests", repo)}, nil
}

// content tells the size and age of a blob's content, wherever it lies.
func (r *repairer) content(v kv.View, d digest.Digest) (info blob.Info, there bool, err error) {
	data, err := v.Get(r.ctx, keyData(d))
	if err == nil {
		return blob.Info{Digest: d, Size: int64(len(data)), Modified: r.now}, true, nil
	}
	if !errors.Is(err, kv.ErrNotFound) || !ValidDigest(string(d)) {
		return info, false, err
	}
	info, err = r.blobs.Stat(r.ctx, d)
	if errors.Is(err, blob.ErrNotFound) {
		return info, false, nil
	}
	return info, err == nil, err
}

func (r *repairer) hold(v kv.View, key string, _ []byte) ([]edit, error) {
	repo, name, _ := strings.Cut(key, "!")
	d := digest.Digest(name)
	edits, err := r.missing(v, put(keyHeld(d, repo), nil, "blob %s: knows again that repository %s holds it", d, repo))
	if err != nil {
		return nil, err
	}
	there, err := r.has(v, keyBlob(d))
	if err != nil || there {
		return edits, err
	}
	info, there, err := r.content(v, d)
	if err != nil {
		return nil, err
	}
	if !there {
		return edits, r.lose(v, "blob", d, "its content is missing, and repository "+repo+" holds it")
	}
	return append(edits, put(keyBlob(d), stock{size: info.Size, committed: info.Modified, touched: r.now}.row(), "blob %s: is known again, its content of %d bytes is there", d, info.Size)), nil
}

func (r *repairer) blob(v kv.View, key string, row []byte) ([]edit, error) {
	name, repo, holder := strings.Cut(key, "!")
	d := digest.Digest(name)
	s, damaged := parseStock(row)
	if holder {
		return r.held(v, d, repo)
	}
	info, there, err := r.content(v, d)
	if err != nil {
		return nil, err
	}
	if damaged != nil {
		if !there {
			return nil, r.lose(v, "blob", d, "its row is damaged and its content is missing")
		}
		return []edit{put(keyBlob(d), stock{size: info.Size, committed: info.Modified, touched: r.now}.row(), "blob %s: its row is written anew", d)}, nil
	}
	if s.doomed.IsZero() {
		if !there {
			return nil, r.lose(v, "blob", d, "its content is missing")
		}
		if info.Size != s.size {
			return nil, r.lose(v, "blob", d, fmt.Sprintf("its content has %d bytes instead of %d", info.Size, s.size))
		}
		return nil, nil
	}
	return r.fate(v, d, s, there)
}

// fate makes the row of a blob that is to go agree with the list of those.
func (r *repairer) fate(v kv.View, d digest.Digest, s stock, there bool) ([]edit, error) {
	if aside, err := r.has(v, keyDamaged(d)); err != nil || aside {
		return nil, err // a scrub is putting it aside, and the next one finishes that
	}
	held, err := r.any(v, of(prefixBlob, string(d)))
	if err != nil {
		return nil, err
	}
	if !held {
		return r.missing(v, put(keyDoomed(s.doomed, d), []byte("held"), "blob %s: is among those again that are to go, nobody holds it", d))
	}
	if !there {
		return nil, r.lose(v, "blob", d, "its content is missing")
	}
	at := keyDoomed(s.doomed, d)
	s.doomed, s.dying = time.Time{}, time.Time{}
	edits := []edit{put(keyBlob(d), s.row(), "blob %s: stays, a repository holds it", d)}
	if listed, err := r.has(v, at); err != nil || !listed {
		return edits, err
	}
	return append(edits, drop(at, "blob %s: is not among those any more that are to go", d)), nil
}

// held: a blob's note of who holds it decides nothing by itself. It is right if a manifest of the repository names the blob.
func (r *repairer) held(v kv.View, d digest.Digest, repo string) ([]edit, error) {
	row, err := v.Get(r.ctx, keyHold(repo, d))
	if err == nil && len(row) > 0 && bytes.IndexByte(row, '\t') > 0 {
		return nil, nil
	}
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	named, err := r.any(v, of(prefixEdge, string(d), repo))
	if err != nil {
		return nil, err
	}
	s, unknown := stockOf(r.ctx, v, d)
	if unknown != nil && !errors.Is(unknown, kv.ErrNotFound) && !errors.Is(unknown, errRow) {
		return nil, unknown
	}
	if named && unknown == nil {
		return []edit{put(keyHold(repo, d), fmt.Appendf(nil, "%d\t%d", s.size, s.touched.UnixMilli()), "repository %s: holds blob %s again, which its manifests name", repo, d)}, nil
	}
	if row != nil || named {
		return nil, nil // verify tells of it
	}
	return []edit{drop(keyHeld(d, repo), "blob %s: is not said to be held by repository %s any more, which does not hold it and does not name it", d, repo)}, nil
}

func (r *repairer) doomed(v kv.View, key string, _ []byte) ([]edit, error) {
	_, name, _ := strings.Cut(key, "!")
	d := digest.Digest(name)
	s, err := stockOf(r.ctx, v, d)
	if err != nil && !errors.Is(err, kv.ErrNotFound) || err == nil && keyDoomed(s.doomed, d) == prefixDoomed+key {
		if errors.Is(err, errRow) {
			err = nil // its row could not be written anew
		}
		return nil, err
	}
	return []edit{drop(prefixDoomed+key, "blob %s: is not among those any more that are to go, it stays or went", d)}, nil
}
