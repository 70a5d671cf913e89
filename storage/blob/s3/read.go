package s3

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Open implements [blob.Reader]. The reader ends with ctx.
func (s *Store) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d), blob.CheckOffset(offset)); err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	rc, err := s.download(ctx, s.blobKey(d), offset, -1)
	if err != nil {
		return nil, fmt.Errorf("open content %s: %w", d, err)
	}
	return rc, nil
}

// Stat implements [blob.Reader].
func (s *Store) Stat(ctx context.Context, d digest.Digest) (blob.Info, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return blob.Info{}, fmt.Errorf("stat content: %w", err)
	}
	info, err := s.head(ctx, s.blobKey(d))
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat content %s: %w", d, err)
	}
	info.Digest = d
	return info, nil
}

// head asks for the size and the age of an object.
func (s *Store) head(ctx context.Context, key string) (blob.Info, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.Bucket, Key: &key})
	if err != nil {
		return blob.Info{}, classify(err)
	}
	return blob.Info{Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// Delete implements [blob.Sweeper].
func (s *Store) Delete(ctx context.Context, d digest.Digest) error {
	return s.DeleteAll(ctx, []digest.Digest{d})
}

// DeleteAll does what Delete does for each of many, with one request for a thousand of them. After an error some are deleted and some are not, and
// it may be called again.
func (s *Store) DeleteAll(ctx context.Context, all []digest.Digest) error {
	keys := make([]string, len(all))
	for i, d := range all {
		if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
			return fmt.Errorf("delete content: %w", err)
		}
		keys[i] = s.blobKey(d)
	}
	if err := s.remove(ctx, keys); err != nil {
		return fmt.Errorf("delete content: %w", err)
	}
	return nil
}
