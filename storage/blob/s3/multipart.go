package s3

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// copiesAtOnce is how many parts the server is asked to copy at the same time for one commit. They cost this process nothing.
const copiesAtOnce = 16

// copyParts makes an object of several parts. It appears when all are there, or not at all.
func (s *Store) copyParts(ctx context.Context, key string, parts []part) error {
	id, err := s.createMultipart(ctx, key, "")
	if err != nil {
		return err
	}
	done := make([]types.CompletedPart, len(parts))
	var size int64
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(copiesAtOnce)
	for i, p := range parts {
		size += p.size()
		group.Go(func() (err error) {
			done[i], err = s.fillPart(inGroup, key, id, int32(i+1), p)
			return err
		})
	}
	err = group.Wait()
	if err == nil {
		err = s.completeMultipart(ctx, key, id, done, size)
	}
	if err != nil {
		return errors.Join(err, s.abandon(ctx, key, id))
	}
	return nil
}

// createMultipart begins a multipart upload. It does not end with ctx: an answer that nobody waits for would leave an upload whose id nobody knows.
// Parts come with checksums of the given kind, or with none: minio takes no copied parts where there is one, and Amazon no checksums where there is none.
func (s *Store) createMultipart(ctx context.Context, key string, checksums types.ChecksumAlgorithm) (*string, error) {
	ctx, cancel := s.detached(ctx)
	defer cancel()
	input := &s3.CreateMultipartUploadInput{
		Bucket: &s.cfg.Bucket, Key: &key, ContentType: aws.String(contentType), ChecksumAlgorithm: checksums,
		ServerSideEncryption: types.ServerSideEncryption(s.cfg.SSE), StorageClass: types.StorageClass(s.cfg.StorageClass),
	}
	if s.cfg.KMSKey != "" {
		input.SSEKMSKeyId = &s.cfg.KMSKey
	}
	out, err := s.client.CreateMultipartUpload(ctx, input)
	if err != nil {
		return nil, fmt.Errorf("begin multipart upload of %s: %w", key, classify(err))
	}
	return out.UploadId, nil
}

// fillPart brings a part to where it belongs: by a copy on the server, or through memory.
func (s *Store) fillPart(ctx context.Context, key string, id *string, number int32, p part) (types.CompletedPart, error) {
	if p.copied() {
		return s.copyPart(ctx, key, id, number, p[0])
	}
	content, err := s.readPart(ctx, p)
	if err != nil {
		return types.CompletedPart{}, err
	}
	defer s.memory.giveBack(content.slabs)
	return s.putPart(ctx, key, id, number, content, "")
}

// putPart sends a parcel as a part. S3 refuses what does not match the checksum, or without those the MD5.
func (s *Store) putPart(ctx context.Context, key string, id *string, number int32, content *parcel, checksums types.ChecksumAlgorithm) (types.CompletedPart, error) {
	input := &s3.UploadPartInput{
		Bucket: &s.cfg.Bucket, Key: &key, UploadId: id, PartNumber: &number, Body: content.reader(), ContentLength: &content.size,
	}
	if checksums == "" {
		input.ContentMD5 = aws.String(content.md5())
	} else {
		input.ChecksumCRC32C = aws.String(encodeCRC(content.crc))
	}
	out, err := s.client.UploadPart(ctx, input)
	if err != nil {
		return types.CompletedPart{}, fmt.Errorf("put part %d of %s: %w", number, key, classify(err))
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: input.ChecksumCRC32C}, nil
}

func (s *Store) copyPart(ctx context.Context, key string, id *string, number int32, r span) (types.CompletedPart, error) {
	input := &s3.UploadPartCopyInput{
		Bucket: &s.cfg.Bucket, Key: &key, UploadId: id, PartNumber: &number, CopySource: s.copySource(r.of.key),
	}
	whole := r.size() == r.of.whole
	if !whole {
		input.CopySourceRange = aws.String(fmt.Sprintf("bytes=%d-%d", r.from, r.to-1))
	}
	out, err := s.composer.UploadPartCopy(ctx, input)
	if err != nil {
		return types.CompletedPart{}, fmt.Errorf("copy %s to part %d of %s: %w", r.of.key, number, key, classify(err))
	}
	if out.CopyPartResult == nil {
		return types.CompletedPart{}, fmt.Errorf("copy %s to part %d of %s: S3 did not say what became of it", r.of.key, number, key)
	}
	if copied := aws.ToString(out.CopyPartResult.ETag); whole && isMD5(copied) && isMD5(r.of.etag) && plainTags(out.ServerSideEncryption) && !sameTag(copied, r.of.etag) {
		return types.CompletedPart{}, fmt.Errorf("copy %s to part %d of %s: the copy has MD5 %s, and the piece had %s", r.of.key, number, key, copied, r.of.etag)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag}, nil
}

// plainTags tells whether S3's tags are MD5 sums of the bytes: they are not when a key of KMS encrypts.
func plainTags(sse types.ServerSideEncryption) bool {
	return sse == "" || sse == types.ServerSideEncryptionAes256
}

var md5Tag = regexp.MustCompile(`^"?[0-9a-f]{32}"?$`)

// isMD5 tells whether a tag looks like the MD5 of one request's bytes. Tags of what was put together do not, and some servers make others.
func isMD5(tag string) bool { return md5Tag.MatchString(tag) }

// sameTag compares tags, which some servers quote and others do not.
func sameTag(a, b string) bool { return strings.Trim(a, `"`) == strings.Trim(b, `"`) }

// completeMultipart makes the object. S3 may carry that out although its answer got lost, and the repetition then finds no such upload: the object's
// size tells whether it was so.
func (s *Store) completeMultipart(ctx context.Context, key string, id *string, done []types.CompletedPart, size int64) error {
	_, err := s.composer.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.cfg.Bucket, Key: &key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if code(err) == "NoSuchUpload" {
		if there, headErr := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.Bucket, Key: &key}); headErr == nil && aws.ToInt64(there.ContentLength) == size {
			return nil
		}
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("complete multipart upload of %s: %w", key, classify(err))
	}
	return nil
}

// abandon aborts a multipart upload, also if ctx ends. One that is not there is no error.
func (s *Store) abandon(ctx context.Context, key string, id *string) error {
	ctx, cancel := s.detached(ctx)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.cfg.Bucket, Key: &key, UploadId: id})
	if err != nil && code(err) != "NoSuchUpload" && !isAbsent(err) {
		return fmt.Errorf("abort multipart upload of %s: %w", key, classify(err))
	}
	return nil
}
