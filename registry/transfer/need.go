package transfer

import (
	"context"
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
	prefixBlob    = "blob/"    // <d>: size, committed, touched, doomed, dying; and <d>!<repo>
	prefixData    = "data/"    // <d>: a small blob's bytes, which need no content
	prefixPack    = "pack/"    // <d>
	prefixSegment = "segment/" // <from>: digest
)

// Content is a content that there has to be.
type Content struct {
	Digest digest.Digest
	Size   int64 // bytes; below zero: the index does not know it
}

// Needed yields what content an index needs, without holding it in memory: blobs but for those that lie in the index itself or are being deleted, packs, and the
// journal's segments.
func Needed(ctx context.Context, index kv.View) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		for content, err := range neededBlobs(ctx, index) {
			if !yield(content, err) || err != nil {
				return
			}
		}
		for _, prefix := range []string{prefixPack, prefixSegment} {
			from, to := kv.Prefix(prefix)
			for pair, err := range index.Scan(ctx, from, to) {
				content := Content{digest.Digest(strings.TrimPrefix(pair.Key, prefixPack)), -1}
				if prefix == prefixSegment {
					content.Digest = digest.Digest(pair.Value)
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
	content = Content{digest.Digest(d), -1}
	if content.Size, err = strconv.ParseInt(fields[0], 10, 64); err == nil && content.Size < 0 {
		err = strconv.ErrRange
	}
	if err == nil {
		err = blob.CheckDigest(content.Digest)
	}
	if err != nil {
		return content, false, fmt.Errorf("the index's row of blob %.140q is damaged: %w; entrepot verify tells of all such rows", d, err)
	}
	return content, len(fields) < 5 || fields[4] == "", nil
}

// listed yields what content a store has.
func listed(from blob.Sweeper) func(context.Context) iter.Seq2[Content, error] {
	return func(ctx context.Context) iter.Seq2[Content, error] {
		return func(yield func(Content, error) bool) {
			for info, err := range from.List(ctx) {
				if err != nil {
					err = fmt.Errorf("list content: %w", err)
				}
				if !yield(Content{info.Digest, info.Size}, err) || err != nil {
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
