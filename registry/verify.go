package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Verified is what Verify looked at.
type Verified struct {
	Blobs, Manifests, Tags, Events int
	Bytes                          int64
}

// Verify reads everything and checks every digest: blobs, manifests, what tags and repositories name, and the journal's chain. Each problem is
// given to found as one line; the error says that the reading itself failed. The store must be at rest.
func Verify(ctx context.Context, blobs blob.Store, index kv.DB, found func(problem string)) (Verified, error) {
	if version, err := knownVersion(ctx, index); err != nil {
		return Verified{}, err
	} else if version < IndexVersion {
		return Verified{}, fmt.Errorf("the index is of version %d: start this program with it once, which brings it up to version %d", version, IndexVersion)
	}
	v := &verifier{ctx: ctx, blobs: blobs, index: index, found: found}
	for _, step := range []struct {
		prefix string
		check  func(key string, value []byte) error
	}{
		{prefixBlob, v.blob}, {prefixMan, v.manifest}, {prefixHold, v.hold}, {prefixRev, v.revision}, {prefixTag, v.tag}, {prefixPack, v.pack},
		{prefixRef, v.referrer}, {prefixEdge, v.edge}, {prefixDamaged, v.damaged},
	} {
		from, to := kv.Prefix(step.prefix)
		for pair, err := range index.Scan(ctx, from, to) {
			if err == nil {
				err = step.check(strings.TrimPrefix(pair.Key, step.prefix), pair.Value)
			}
			if err != nil {
				return v.seen, fmt.Errorf("verify %s: %w", pair.Key, err)
			}
		}
	}
	report, err := journal.New(index).Verify(ctx)
	if err != nil {
		return v.seen, fmt.Errorf("verify the journal: %w", err)
	}
	v.seen.Events = int(report.Lines)
	if !report.Sound() {
		v.problem("journal: %s: %s", report.Fault, report.Detail)
	}
	return v.seen, nil
}

type verifier struct {
	ctx   context.Context
	blobs blob.Store
	index kv.DB
	found func(string)
	seen  Verified
}

func (v *verifier) problem(format string, args ...any) { v.found(fmt.Sprintf(format, args...)) }

func (v *verifier) has(key string) (bool, error) {
	_, err := v.index.Get(v.ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (v *verifier) blob(key string, row []byte) error {
	if d, repo, held := strings.Cut(key, "!"); held {
		return v.held(digest.Digest(d), repo)
	}
	d := digest.Digest(key)
	s, err := parseStock(row)
	if err != nil || !ValidDigest(key) {
		v.problem("blob %s: its row in the index is damaged", key)
		return nil
	}
	if !s.dying.IsZero() {
		return nil // it may be gone already
	}
	v.seen.Blobs++
	inIndex, err := v.index.Get(v.ctx, keyData(d))
	if err == nil {
		v.content("blob", d, s.size, bytes.NewReader(inIndex))
		return nil
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	if !s.doomed.IsZero() { // nobody needs it, and an index that was restored may know less of it than was done
		if _, err := v.blobs.Stat(v.ctx, d); errors.Is(err, blob.ErrNotFound) {
			return nil
		}
	}
	return v.stored("blob", d, s.size)
}

// stored reads content in the blob store; a size below zero is not known.
func (v *verifier) stored(what string, d digest.Digest, size int64) error {
	rc, err := v.blobs.Open(v.ctx, d, 0)
	if errors.Is(err, blob.ErrNotFound) {
		v.problem("%s %s: its content is missing", what, d)
		return nil
	}
	if err != nil {
		return err
	}
	defer rc.Close()
	v.content(what, d, size, rc)
	return nil
}

func (v *verifier) pack(key string, _ []byte) error { return v.stored("pack", digest.Digest(key), -1) }

// content reads src to its end and compares.
func (v *verifier) content(what string, d digest.Digest, size int64, src io.Reader) {
	h := d.Algorithm().Hash()
	n, err := io.Copy(h, src)
	v.seen.Bytes += n
	switch got := digest.NewDigest(d.Algorithm(), h); {
	case err != nil:
		v.problem("%s %s: cannot be read: %v", what, d, err)
	case size >= 0 && n != size:
		v.problem("%s %s: has %d bytes instead of %d", what, d, n, size)
	case got != d:
		v.problem("%s %s: its content has the digest %s", what, d, got)
	}
}

func (v *verifier) manifest(key string, body []byte) error {
	if d, repo, had := strings.Cut(key, "!"); had {
		return v.must(keyRev(repo, digest.Digest(d)), "manifest %s: is said to be in repository %s, which does not have it", d, repo)
	}
	v.seen.Manifests++
	d := digest.Digest(key)
	if !ValidDigest(key) || d.Algorithm().FromBytes(body) != d {
		v.problem("manifest %s: its bytes do not match the digest", key)
	}
	return nil
}

func (v *verifier) hold(key string, _ []byte) error {
	repo, d, _ := strings.Cut(key, "!")
	if err := v.must(keyHeld(digest.Digest(d), repo), "repository %s: holds blob %s, which does not know of it", repo, d); err != nil {
		return err
	}
	return v.must(prefixBlob+d, "repository %s: holds blob %s, which is not there", repo, d)
}

func (v *verifier) revision(key string, row []byte) error {
	repo, d, _ := strings.Cut(key, "!")
	if d, tag, named := strings.Cut(d, "!"); named {
		return v.named(repo, d, tag)
	}
	s, err := parseStored(row)
	if err != nil {
		v.problem("repository %s: the row of manifest %s is damaged", repo, d)
		return nil
	}
	body, err := v.index.Get(v.ctx, prefixMan+d)
	if errors.Is(err, kv.ErrNotFound) {
		v.problem("repository %s: manifest %s is missing", repo, d)
		return nil
	}
	if err != nil {
		return err
	}
	if err := v.must(keyHas(digest.Digest(d), repo), "repository %s: has manifest %s, which does not know of it", repo, d); err != nil {
		return err
	}
	m, _ := readManifest(s.MediaType, digest.Digest(d), body)
	for _, child := range m.children() {
		if err := v.must(keyEdge(child, repo, digest.Digest(d)), "repository %s: manifest %s does not keep %s alive", repo, d, child); err != nil {
			return err
		}
	}
	if m.Subject != nil {
		if err := v.must(keyRef(repo, m.Subject.Digest, m.ReferrerType(), digest.Digest(d)), "repository %s: manifest %s is not among the referrers of %s", repo, d, m.Subject.Digest); err != nil {
			return err
		}
	}
	return v.must(keyRepo(repo), "repository %s: has manifests and is not listed", repo)
}

// must reports a problem unless the index has the key.
func (v *verifier) must(key, format string, args ...any) error {
	ok, err := v.has(key)
	if err == nil && !ok {
		v.problem(format, args...)
	}
	return err
}

func (v *verifier) held(d digest.Digest, repo string) error {
	if row, err := v.index.Get(v.ctx, keyBlob(d)); err == nil {
		if s, err := parseStock(row); err == nil && !s.doomed.IsZero() {
			v.problem("blob %s: is about to be deleted although repository %s holds it", d, repo)
		}
	}
	return v.must(keyHold(repo, d), "blob %s: is said to be held by repository %s, which does not hold it", d, repo)
}

// damaged tells of what a scrub has put aside and nobody has brought back.
func (v *verifier) damaged(key string, _ []byte) error {
	if d, repo, held := strings.Cut(key, "!"); held {
		v.problem("repository %s: blob %s was found damaged and is not served; push it again", repo, d)
	}
	return nil
}

func (v *verifier) named(repo, d, tag string) error {
	return v.must(keyTag(repo, tag), "repository %s: manifest %s is said to have the tag %s, which is not there", repo, d, tag)
}

func (v *verifier) referrer(key string, _ []byte) error {
	repo, rest, _ := strings.Cut(key, "!")
	d := rest[strings.LastIndexByte(rest, '!')+1:]
	return v.must(keyRev(repo, digest.Digest(d)), "repository %s: lists the referrer %s, which it does not have", repo, d)
}

func (v *verifier) edge(key string, _ []byte) error {
	child, rest, _ := strings.Cut(key, "!")
	repo, d, _ := strings.Cut(rest, "!")
	return v.must(keyRev(repo, digest.Digest(d)), "repository %s: %s is kept alive by manifest %s, which it does not have", repo, child, d)
}

func (v *verifier) tag(key string, row []byte) error {
	v.seen.Tags++
	repo, tag, _ := strings.Cut(key, "!")
	s, err := parseStored(row)
	if err != nil {
		v.problem("repository %s: the row of tag %s is damaged", repo, tag)
		return nil
	}
	if err := v.must(keyNamed(repo, s.Digest, tag), "repository %s: tag %s names %s, which does not know of it", repo, tag, s.Digest); err != nil {
		return err
	}
	return v.must(keyRev(repo, s.Digest), "repository %s: tag %s names %s, which the repository does not have", repo, tag, s.Digest)
}
