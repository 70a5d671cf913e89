package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// contentType is that of every object. A blob's own type is known to the manifests that name it.
const contentType = "application/octet-stream"

// encodeCRC writes a checksum as S3 does.
func encodeCRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// putPiece sends a parcel as a piece of an upload.
func (s *Store) putPiece(ctx context.Context, name string, p *parcel, number int64) (piece, error) {
	written := piece{number: number, start: p.start, size: p.size, whole: p.size, crc: p.crc}
	written.key = s.pieceKey(name, written)
	etag, err := s.put(ctx, written.key, p, "")
	written.etag = etag
	return written, err
}

// put sends a parcel in one request. S3 refuses what does not match the checksum.
func (s *Store) put(ctx context.Context, key string, p *parcel, class types.StorageClass) (etag string, err error) {
	input := &s3.PutObjectInput{
		Bucket: &s.cfg.Bucket, Key: &key, Body: p.reader(), ContentLength: &p.size, ContentType: aws.String(contentType),
		ChecksumCRC32C: aws.String(encodeCRC(p.crc)), ServerSideEncryption: types.ServerSideEncryption(s.cfg.SSE), StorageClass: class,
	}
	if s.cfg.KMSKey != "" {
		input.SSEKMSKeyId = &s.cfg.KMSKey
	}
	if p.size == 0 {
		input.Body = bytes.NewReader(nil)
	}
	out, err := s.client.PutObject(ctx, input)
	if err != nil {
		return "", fmt.Errorf("put %s: %w", key, classify(err))
	}
	return aws.ToString(out.ETag), nil
}

// remove deletes objects, a thousand in a request. It goes on after an error, and returns all of them.
func (s *Store) remove(ctx context.Context, keys []string) error {
	var failures []error
	for len(keys) > 0 {
		batch := keys[:min(len(keys), 1000)]
		keys = keys[len(batch):]
		failures = append(failures, s.removeBatch(ctx, batch))
	}
	return errors.Join(failures...)
}

func (s *Store) removeBatch(ctx context.Context, keys []string) error {
	if len(keys) == 1 {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &keys[0]})
		if err != nil && !isAbsent(err) {
			return fmt.Errorf("delete %s: %w", keys[0], classify(err))
		}
		return nil
	}
	objects := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		objects[i].Key = &keys[i]
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &s.cfg.Bucket, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("delete %d objects, the first of them %s: %w", len(keys), keys[0], classify(err))
	}
	for _, failed := range out.Errors {
		c := aws.ToString(failed.Code)
		if c == "NoSuchKey" {
			continue
		}
		err := fmt.Errorf("%s: %.200s", c, aws.ToString(failed.Message))
		if c == "SlowDown" || c == "InternalError" || c == "ServiceUnavailable" {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return fmt.Errorf("delete %s and %d others: %w", aws.ToString(failed.Key), len(out.Errors)-1, err)
	}
	return nil
}
