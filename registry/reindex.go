package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Reindexed is what Reindex found and made of it.
type Reindexed struct {
	Blobs, Manifests, Tags int
	Events                 uint64
	Until                  time.Time // of the last event that was found; what happened later is not in the new index
}

// Reindex builds an index from content alone. All content is read and checked; what repositories and tags there are comes from the journal's
// segments, which lie among the content. index must be empty. Each thing that could not be brought back is given to found as one line.
func Reindex(ctx context.Context, blobs blob.Store, index kv.DB, found func(problem string)) (Reindexed, error) {
	for range index.Scan(ctx, "", "") {
		return Reindexed{}, errors.New("the new index is not empty")
	}
	if err := checkVersion(ctx, index); err != nil {
		return Reindexed{}, err
	}
	x := &reindexer{ctx: ctx, blobs: blobs, index: index, found: found, lost: map[string]string{}}
	if err := x.stock(); err != nil {
		return x.done, err
	}
	if err := x.replay(); err != nil {
		return x.done, err
	}
	if !x.gap { // otherwise what cannot be placed is better than nothing
		if err := x.tidy(); err != nil {
			return x.done, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(x.lost)) {
		x.found(x.lost[key])
	}
	return x.done, x.count()
}

type reindexer struct {
	ctx      context.Context
	blobs    blob.Store
	index    kv.DB
	found    func(string)
	segments []segment         // of the journal, in no order, and maybe of several histories
	lost     map[string]string // key of the index → what cannot be written under it, as long as the journal does not tell that it went
	gap      bool              // the journal has one
	done     Reindexed
}

func (x *reindexer) problem(format string, args ...any) { x.found(fmt.Sprintf(format, args...)) }

// stock reads all content, records what matches its digest as blobs, and finds the journal's segments.
func (x *reindexer) stock() error {
	rows := map[string][]byte{}
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		batch := rows
		rows = map[string][]byte{}
		return x.index.Update(x.ctx, func(tx kv.Tx) error {
			for key, row := range batch {
				tx.Put(key, row)
			}
			return nil
		})
	}
	for info, err := range x.blobs.List(x.ctx) {
		if err != nil {
			return fmt.Errorf("list content: %w", err)
		}
		head, err := x.check(info)
		switch {
		case err != nil:
			x.problem("content %s: %v; it is left out", info.Digest, err)
		case journal.IsSegment(head):
			if err := x.segment(info); err != nil {
				x.problem("journal segment %s: %v", info.Digest, err)
			}
		case isPack(head):
			if err := x.unpack(info, rows); err != nil {
				x.problem("pack %s: %v", info.Digest, err)
			}
		default:
			rows[keyBlob(info.Digest)] = stock{size: info.Size, committed: info.Modified, touched: time.Now()}.row()
		}
		if len(rows) >= 512 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// check reads content to its end and returns how it begins.
func (x *reindexer) check(info blob.Info) (head []byte, err error) {
	rc, err := x.blobs.Open(x.ctx, info.Digest, 0)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	h := info.Digest.Algorithm().Hash()
	var begin bytes.Buffer
	if _, err := io.Copy(io.MultiWriter(h, &begin), io.LimitReader(rc, 64)); err != nil {
		return nil, err
	}
	if _, err := io.Copy(h, rc); err != nil {
		return nil, err
	}
	if got := digest.NewDigest(info.Digest.Algorithm(), h); got != info.Digest {
		return nil, fmt.Errorf("its bytes have the digest %s", got)
	}
	return begin.Bytes(), nil
}

func (x *reindexer) read(d digest.Digest, most int64) ([]byte, error) {
	rc, err := x.blobs.Open(x.ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	body, err := io.ReadAll(io.LimitReader(rc, most+1))
	if err == nil && int64(len(body)) > most {
		err = fmt.Errorf("longer than %d bytes", most)
	}
	return body, err
}

// unpack records what a pack holds, small blobs and manifests, and the pack itself.
func (x *reindexer) unpack(info blob.Info, rows map[string][]byte) error {
	body, err := x.read(info.Digest, info.Size)
	if err != nil {
		return err
	}
	entries, err := readPack(body)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Kind == "man" {
			rows[keyMan(e.Digest)] = e.body
			continue
		}
		rows[keyBlob(e.Digest)] = stock{size: int64(e.Size), committed: info.Modified, touched: time.Now()}.row()
		rows[keyData(e.Digest)] = e.body
	}
	rows[keyPack(info.Digest)] = []byte(fmt.Sprint(len(entries)))
	return nil
}

func (x *reindexer) segment(info blob.Info) error {
	body, err := x.read(info.Digest, journal.MaxSegmentBytes)
	if err != nil {
		return err
	}
	lines, err := journal.ParseSegment(body)
	if err != nil || len(lines) == 0 {
		return err
	}
	x.segments = append(x.segments, summarize(info.Digest, lines))
	return nil
}

// replay does again what the journal tells, in its order.
func (x *reindexer) replay() error {
	h := newHistories(x.segments)
	for _, s := range h.chosen {
		body, err := x.read(s.d, journal.MaxSegmentBytes)
		if err != nil {
			return err
		}
		lines, err := journal.ParseSegment(body)
		if err != nil {
			return err
		}
		for _, other := range h.rivals(s, lines) {
			x.problem("journal: from line %d on there are two histories, and nothing tells that an index was restored; that which was written to last is taken, and the one in %s, up to %s, is left out",
				s.from, other.d, other.newest.Format(time.RFC3339))
		}
		for chunk := range slices.Chunk(lines, 128) {
			err := x.index.Update(x.ctx, func(tx kv.Tx) error {
				for _, line := range chunk {
					if err := x.apply(tx, line.Event); err != nil {
						return fmt.Errorf("journal line %d: %w", line.Seq, err)
					}
				}
				return nil
			})
			if err == nil {
				err = journal.New(x.index).Restore(x.ctx, chunk)
			}
			if err != nil {
				return err
			}
			last := chunk[len(chunk)-1]
			x.done.Events, x.done.Until = last.Seq, last.Event.Time
		}
	}
	next := x.done.Events + 1
	switch lost := h.gap(next); {
	case lost == nil:
	case lost.from > next:
		x.gap = true
		x.problem("journal: lines %d to %d are missing; what happened then is not in the new index", next, lost.from-1)
	default:
		x.gap = true
		x.problem("journal: what came before %s, from line %d on, is missing; what happened then is not in the new index", lost.d, lost.from)
	}
	return nil
}

func (x *reindexer) apply(tx kv.Tx, e journal.Event) error {
	d := digest.Digest(e.Digest)
	switch e.Action {
	case "blob.push", "blob.mount", "blob.fetch":
		row, err := tx.Get(x.ctx, keyBlob(d))
		if errors.Is(err, kv.ErrNotFound) {
			x.lost[keyHold(e.Repo, d)] = fmt.Sprintf("repository %s: blob %s is lost", e.Repo, d)
			return nil
		}
		if err != nil {
			return err
		}
		s, err := parseStock(row)
		if err != nil {
			return err
		}
		putHold(tx, e.Repo, d, s.size, e.Time)
	case "blob.delete", "blob.release":
		delete(x.lost, keyHold(e.Repo, d))
		dropHold(tx, e.Repo, d)
	case "manifest.push", "tag.set", "manifest.fetch", "tag.fetch":
		return x.applyPush(tx, e, d)
	case "tag.delete":
		delete(x.lost, keyTag(e.Repo, e.Tag))
		dropTag(tx, e.Repo, e.Tag, digest.Digest(e.From))
	case "manifest.delete", "manifest.evict":
		delete(x.lost, keyRev(e.Repo, d))
		_, tags, err := dropRevision(x.ctx, tx, e.Repo, d)
		if Code(err) == ManifestUnknown {
			err = nil
		}
		for _, tag := range tags { // each has an event of its own, unless a lost push was to have moved it
			dropTag(tx, e.Repo, tag, d)
		}
		return err
	}
	return nil
}

func (x *reindexer) applyPush(tx kv.Tx, e journal.Event, d digest.Digest) error {
	s, err := x.revision(tx, e, d)
	if err != nil {
		return err
	}
	if s == nil {
		x.lost[keyRev(e.Repo, d)] = fmt.Sprintf("repository %s: manifest %s is lost", e.Repo, d)
	}
	if e.Tag == "" {
		return nil
	}
	if s == nil {
		// What it named before is not what it names now: no answer is better than that one.
		x.lost[keyTag(e.Repo, e.Tag)] = fmt.Sprintf("repository %s: tag %s names manifest %s, which is lost", e.Repo, e.Tag, d)
		dropTag(tx, e.Repo, e.Tag, digest.Digest(e.From))
		return nil
	}
	delete(x.lost, keyTag(e.Repo, e.Tag))
	s.Pushed, s.By = e.Time, e.Actor
	before, moved, err := moveTag(x.ctx, tx, e.Repo, e.Tag, *s, anyTag)
	if err == nil && !moved && before == s.Digest {
		_, err = renewTag(x.ctx, tx, e.Repo, e.Tag, e.Time)
	}
	return err
}

// revision makes sure that the repository has the manifest, and returns its row, or nil if its bytes are lost.
func (x *reindexer) revision(tx kv.Tx, e journal.Event, d digest.Digest) (*Stored, error) {
	row, err := tx.Get(x.ctx, keyRev(e.Repo, d))
	if err == nil {
		s, err := parseStored(row)
		return &s, err
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	body, err := tx.Get(x.ctx, keyMan(d))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, _ := readManifest(e.MediaType, d, body)
	s := Stored{Descriptor: m.Descriptor, Pushed: e.Time, By: e.Actor}
	_, err = putRevision(x.ctx, tx, e.Repo, m, s, body)
	return &s, err
}

// tidy removes manifests that no repository has any more: packs hold them still.
func (x *reindexer) tidy() error {
	var last string // a manifest nobody is known to have yet
	var gone []string
	from, to := kv.Prefix(prefixMan)
	for pair, err := range x.index.Scan(x.ctx, from, to) {
		if err != nil {
			return err
		}
		if !strings.Contains(pair.Key, "!") {
			if last != "" {
				gone = append(gone, last)
			}
			last = pair.Key
		} else {
			last = ""
		}
	}
	if last != "" {
		gone = append(gone, last)
	}
	for chunk := range slices.Chunk(gone, 1024) {
		err := x.index.Update(x.ctx, func(tx kv.Tx) error {
			for _, key := range chunk {
				tx.Delete(key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *reindexer) count() error {
	for prefix, n := range map[string]*int{prefixBlob: &x.done.Blobs, prefixMan: &x.done.Manifests, prefixTag: &x.done.Tags} {
		from, to := kv.Prefix(prefix)
		for pair, err := range x.index.Scan(x.ctx, from, to) {
			if err != nil {
				return err
			}
			if prefix != prefixTag && strings.Contains(pair.Key, "!") {
				continue // who has it
			}
			*n++
		}
	}
	return nil
}
