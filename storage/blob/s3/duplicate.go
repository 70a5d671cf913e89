package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot/entrepot/storage/blob"
)

const (
	// mostCopied is the most that S3 copies in one request.
	mostCopied = 5 << 30
	// copiedPart is how long the parts are of what is longer. S3's largest object has 5120 of them.
	copiedPart = 1 << 30
)

// Duplicate returns what makes content of this store out of an object that the same server has, without its bytes passing through this process. It is nil for a
// reader that no [Folder] has opened, or one of another server: that has to be read. Who calls the function has read all of the object before, and found that it
// is d: the server copies that object, and not another that took its place meanwhile. Where the server is asked for the SHA-256 of the copy and tells it, that
// is compared too. An error is [ErrUnavailable], [blob.ErrFull], or why the server does not copy this: it may not be allowed.
func (s *Store) Duplicate(content io.Reader) func(ctx context.Context, d digest.Digest) error {
	from, ok := content.(*download)
	if !ok || from.etag == "" || from.end < 0 || !sameServer(s.client, from.s.client) {
		return nil
	}
	o := original{bucket: from.s.cfg.Bucket, key: from.key, etag: from.etag, size: from.end}
	return func(ctx context.Context, d digest.Digest) error {
		err := firstOf(ctx.Err(), blob.CheckDigest(d))
		if err == nil {
			err = s.duplicate(ctx, o, d, mostCopied, copiedPart)
		}
		if err != nil {
			return fmt.Errorf("copy %s of bucket %s as content %s: %w", o.key, o.bucket, d, err)
		}
		return nil
	}
}

// sameServer tells whether two clients speak to one server. Amazon's regions are one server, that copies between them.
func sameServer(a, b *s3.Client) bool {
	at := func(c *s3.Client) string {
		u, err := url.Parse(aws.ToString(c.Options().BaseEndpoint))
		if err != nil {
			return "?" + aws.ToString(c.Options().BaseEndpoint)
		}
		return u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.Path, "/")
	}
	return at(a) == at(b)
}

// original is an object that is copied.
type original struct {
	bucket, key, etag string
	size              int64
}

// source names it as S3 wants it.
func (o original) source() *string {
	parts := strings.Split(o.bucket+"/"+o.key, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(part), "+", "%2B") // some servers read a plus as a blank
	}
	return aws.String(strings.Join(parts, "/"))
}

// duplicate copies an object with one request, or in parts if it is longer than most.
func (s *Store) duplicate(ctx context.Context, o original, d digest.Digest, most, part int64) error {
	var err error
	if o.size > most {
		err = s.duplicateParts(ctx, o, s.blobKey(d), part)
	} else {
		err = s.duplicateWhole(ctx, o, d)
	}
	if err != nil {
		return classify(err)
	}
	return s.confirm(ctx, d, o.size)
}

// duplicateWhole takes over nothing but the bytes: a Content-Encoding or a tag of the original would mean something else here.
func (s *Store) duplicateWhole(ctx context.Context, o original, d digest.Digest) error {
	key := s.blobKey(d)
	input := &s3.CopyObjectInput{
		Bucket: &s.cfg.Bucket, Key: &key, CopySource: o.source(), CopySourceIfMatch: &o.etag, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String(contentType), TaggingDirective: types.TaggingDirectiveReplace,
		ServerSideEncryption: types.ServerSideEncryption(s.cfg.SSE), StorageClass: types.StorageClass(s.cfg.StorageClass),
	}
	if d.Algorithm() == digest.SHA256 {
		input.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	if s.cfg.KMSKey != "" {
		input.SSEKMSKeyId = &s.cfg.KMSKey
	}
	out, err := s.composer.CopyObject(ctx, input)
	if err != nil {
		return err
	}
	if out.CopyObjectResult != nil && denies(out.CopyObjectResult.ChecksumSHA256, d) {
		ctx, cancel := s.detached(ctx)
		defer cancel()
		return errors.Join(errors.New("the server says that what it copied is not that; it was changed meanwhile"), s.remove(ctx, []string{key}))
	}
	return nil
}

// duplicateParts makes content of ranges of an object. It appears when all are there, or not at all.
func (s *Store) duplicateParts(ctx context.Context, o original, key string, part int64) error {
	id, err := s.createMultipart(ctx, key, "")
	if err != nil {
		return err
	}
	done := make([]types.CompletedPart, (o.size+part-1)/part)
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(copiesAtOnce)
	for i := range done {
		group.Go(func() (err error) {
			from := int64(i) * part
			done[i], err = s.duplicatePart(inGroup, o, key, id, int32(i+1), from, min(from+part, o.size))
			return err
		})
	}
	if err = group.Wait(); err == nil {
		err = s.completeMultipart(ctx, key, id, done, o.size)
	}
	if err != nil {
		return errors.Join(err, s.abandon(ctx, key, id))
	}
	return nil
}

func (s *Store) duplicatePart(ctx context.Context, o original, key string, id *string, number int32, from, to int64) (types.CompletedPart, error) {
	out, err := s.composer.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: &s.cfg.Bucket, Key: &key, UploadId: id, PartNumber: &number, CopySource: o.source(), CopySourceIfMatch: &o.etag,
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", from, to-1)),
	})
	if err != nil {
		return types.CompletedPart{}, err
	}
	if out.CopyPartResult == nil {
		return types.CompletedPart{}, fmt.Errorf("S3 did not say what became of part %d", number)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag}, nil
}

// denies tells whether a SHA-256 that the server told, if it did, is that of something else than d.
func denies(told *string, d digest.Digest) bool {
	if d.Algorithm() != digest.SHA256 || aws.ToString(told) == "" {
		return false
	}
	sum, err := base64.StdEncoding.DecodeString(*told)
	return err == nil && hex.EncodeToString(sum) != d.Encoded()
}
