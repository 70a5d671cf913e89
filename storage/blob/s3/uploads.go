package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/entrepot/entrepot/storage/blob"
)

// Uploads implements [blob.Sweeper]. Besides uploads it yields what a killed Commit or Quarantine left: a multipart upload of S3 that is older than
// Config.Leftover, under a name that only Abort knows.
func (s *Store) Uploads(ctx context.Context) iter.Seq2[blob.Pending, error] {
	return func(yield func(blob.Pending, error) bool) {
		for pending, err := range s.unfinished(ctx) {
			if err != nil {
				yield(blob.Pending{}, fmt.Errorf("list uploads: %w", err))
				return
			}
			if !yield(pending, nil) {
				return
			}
		}
		oldest := s.now().Add(-s.cfg.Leftover)
		for m, err := range s.multiparts(ctx, "", s.blobsPrefix()) {
			if err != nil {
				yield(blob.Pending{}, fmt.Errorf("list uploads: %w", err))
				return
			}
			name, ok := s.leftoverName(m)
			if began := aws.ToTime(m.Initiated); ok && !began.After(oldest) && !yield(blob.Pending{Name: name, Modified: began}, nil) {
				return
			}
		}
	}
}

// unfinished yields the uploads that have pieces. Those of one upload come one after the other.
func (s *Store) unfinished(ctx context.Context) iter.Seq2[blob.Pending, error] {
	return func(yield func(blob.Pending, error) bool) {
		var name string
		var writes []piece
		flush := func() bool {
			if len(writes) == 0 {
				return true
			}
			u := replay(writes)
			writes = nil
			return yield(blob.Pending{Name: name, Size: u.size(), Modified: u.modified}, nil)
		}
		for object, err := range s.objects(ctx, s.uploadsPrefix()) {
			if err != nil {
				yield(blob.Pending{}, err)
				return
			}
			of, p, ok := s.parsePiece(object)
			if !ok {
				continue
			}
			if of != name && !flush() {
				return
			}
			name = of
			if len(writes) <= mostPieces { // else it cannot be used any more, but it can be aborted
				writes = append(writes, p)
			}
		}
		flush()
	}
}

// Abort implements [blob.Intake]. It removes all of an upload, whatever there is of it.
func (s *Store) Abort(ctx context.Context, upload string) error {
	if err := firstOf(ctx.Err(), blob.CheckUpload(upload)); err != nil {
		return fmt.Errorf("abort: %w", err)
	}
	err := s.abortPieces(ctx, upload)
	if err == nil && strings.HasPrefix(upload, leftover) {
		err = s.abortLeftover(ctx, upload)
	}
	if err != nil {
		return fmt.Errorf("abort upload %s: %w", upload, err)
	}
	return nil
}

func (s *Store) abortPieces(ctx context.Context, upload string) error {
	var keys []string
	var failures []error
	for object, err := range s.objects(ctx, s.uploadPrefix(upload)) {
		if err != nil {
			return err
		}
		if of, _, ok := s.parsePiece(object); !ok || of != upload {
			continue
		}
		if keys = append(keys, *object.Key); len(keys) == 1000 {
			failures = append(failures, s.remove(ctx, keys))
			keys = nil
		}
	}
	return errors.Join(append(failures, s.remove(ctx, keys))...)
}

// leftover begins the names of what killed commits left. The names of uploads that people and registries choose begin otherwise.
const leftover = "s3-multipart-"

// leftoverName returns a name for a multipart upload of content, or of content that was to be put aside, under which Abort finds it again.
func (s *Store) leftoverName(m types.MultipartUpload) (string, bool) {
	d, ok := s.parseBlobKey(aws.ToString(m.Key))
	if !ok {
		d, ok = s.parseQuarantineKey(aws.ToString(m.Key))
	}
	if !ok {
		return "", false
	}
	sum := sha256.Sum256([]byte(aws.ToString(m.UploadId)))
	return blob.Named(leftover+hex.EncodeToString(sum[:16]), d), true
}

func (s *Store) abortLeftover(ctx context.Context, name string) error {
	d := blob.Expected(name)
	if d == "" {
		return nil
	}
	for _, key := range []string{s.blobKey(d), s.quarantineKey(d)} {
		for m, err := range s.multiparts(ctx, key, "") {
			if err != nil {
				return err
			}
			if of, ok := s.leftoverName(m); ok && of == name {
				if err := s.abandon(ctx, *m.Key, m.UploadId); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// multiparts yields S3's multipart uploads under a prefix and after a key, a page at a time. It ends with the first error. minio knows as prefixes only
// whole keys and none: with none it yields those of the whole bucket.
func (s *Store) multiparts(ctx context.Context, prefix, after string) iter.Seq2[types.MultipartUpload, error] {
	return func(yield func(types.MultipartUpload, error) bool) {
		input := &s3.ListMultipartUploadsInput{Bucket: &s.cfg.Bucket}
		if prefix != "" {
			input.Prefix = &prefix
		}
		if after != "" {
			input.KeyMarker = &after
		}
		pages := s3.NewListMultipartUploadsPaginator(s.client, input)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(types.MultipartUpload{}, fmt.Errorf("list multipart uploads of %s*: %w", prefix+after, classify(err)))
				return
			}
			for _, m := range page.Uploads {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}
