package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// What this package knows of the registry's table of keys (registry/keys.go). A test compares it with a registry.
const (
	keyVersion    = "meta/version"
	keySegment    = "meta/segment" // {"from":…,"to":…,"open":digest}: where the journal's saved part ends
	prefixBlob    = "blob/"        // <d>: size, committed, touched, doomed, dying; and <d>!<repo>
	prefixData    = "data/"        // <d>: a small blob's bytes, which need no content
	prefixPack    = "pack/"        // <d>
	prefixSegment = "segment/"     // <from>: digest
)

// Content is a content that there has to be.
type Content struct {
	Digest digest.Digest
	Size   int64 // bytes; below zero: the index does not know it
	// Spare content need not be there: a registry makes it anew. It is the journal's open segment, which is another one a minute later.
	Spare bool
}

// Needed yields what content an index needs, without holding it in memory: blobs but for those that lie in the index itself or that nobody holds any more, packs, and the
// journal's segments.
func Needed(ctx context.Context, index kv.View) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		for content, err := range neededBlobs(ctx, index) {
			if !yield(content, err) || err != nil {
				return
			}
		}
		open, err := readOpen(ctx, index)
		if err != nil {
			yield(Content{}, err)
			return
		}
		for _, prefix := range []string{prefixPack, prefixSegment} {
			from, to := kv.Prefix(prefix)
			for pair, err := range index.Scan(ctx, from, to) {
				content := Content{Digest: digest.Digest(strings.TrimPrefix(pair.Key, prefixPack)), Size: -1}
				if prefix == prefixSegment {
					content.Digest = digest.Digest(pair.Value)
					content.Spare = content.Digest == open.Open
				}
				if err == nil {
					err = blob.CheckDigest(content.Digest)
				}
				if err != nil {
					yield(Content{}, fmt.Errorf("read %s of the index: %w", pair.Key, err))
					return
				}
				if !yield(content, nil) {
					return
				}
			}
		}
	}
}

// openSegment is where the journal's saved part ends.
type openSegment struct {
	From uint64        `json:"from"` // first line of the open segment
	To   uint64        `json:"to"`   // line behind its last one
	Open digest.Digest `json:"open,omitempty"`
}

func readOpen(ctx context.Context, index kv.View) (s openSegment, err error) {
	row, err := index.Get(ctx, keySegment)
	if errors.Is(err, kv.ErrNotFound) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(row, &s)
	}
	if err != nil {
		err = fmt.Errorf("read where the journal's saved part ends: %w", err)
	}
	return s, err
}

// reopen lets the registry save the journal's open segment anew, if it is not among the content. Otherwise an index that is built from content would lack its lines.
func reopen(ctx context.Context, tx kv.Tx, blobs blob.Reader) error {
	s, err := readOpen(ctx, tx)
	if err != nil || s.Open == "" {
		return err
	}
	if _, err = blobs.Stat(ctx, s.Open); !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	row, err := json.Marshal(openSegment{From: s.From, To: s.From})
	if err == nil {
		tx.Put(keySegment, row)
		tx.Delete(fmt.Sprintf("%s%016x", prefixSegment, s.From))
	}
	return err
}

// neededBlobs walks along the blobs and along those that lie in the index, which sort alike.
func neededBlobs(ctx context.Context, index kv.View) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		from, to := kv.Prefix(prefixData)
		next, stop := iter.Pull2(index.Scan(ctx, from, to))
		defer stop()
		inIndex, err, more := next()
		from, to = kv.Prefix(prefixBlob)
		for pair, scanErr := range index.Scan(ctx, from, to) {
			d := strings.TrimPrefix(pair.Key, prefixBlob)
			for scanErr == nil && err == nil && more && strings.TrimPrefix(inIndex.Key, prefixData) < d {
				inIndex, err, more = next()
			}
			if scanErr != nil || err != nil {
				yield(Content{}, fmt.Errorf("read the index's blobs: %w", firstOf(scanErr, err)))
				return
			}
			if strings.Contains(d, "!") || more && strings.TrimPrefix(inIndex.Key, prefixData) == d {
				continue
			}
			content, stays, err := parseBlob(d, string(pair.Value))
			if err == nil && !stays {
				continue
			}
			if !yield(content, err) || err != nil {
				return
			}
		}
	}
}

// parseBlob reads a blob's row. One that is being deleted does not stay.
func parseBlob(d, row string) (content Content, stays bool, err error) {
	fields := strings.Split(row, "\t")
	content = Content{Digest: digest.Digest(d), Size: -1}
	if content.Size, err = strconv.ParseInt(fields[0], 10, 64); err == nil && content.Size < 0 {
		err = strconv.ErrRange
	}
	if err == nil {
		err = blob.CheckDigest(content.Digest)
	}
	if err != nil {
		return content, false, fmt.Errorf("the index's row of blob %.140q is damaged: %w; entrepot verify tells of all such rows", d, err)
	}
	return content, len(fields) < 4, nil // there are more if it is to go
}

// listed yields what content a store has.
func listed(from blob.Sweeper) func(context.Context) iter.Seq2[Content, error] {
	return func(ctx context.Context) iter.Seq2[Content, error] {
		return func(yield func(Content, error) bool) {
			for info, err := range from.List(ctx) {
				if err != nil {
					err = fmt.Errorf("list content: %w", err)
				}
				if !yield(Content{Digest: info.Digest, Size: info.Size}, err) || err != nil {
					return
				}
			}
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
