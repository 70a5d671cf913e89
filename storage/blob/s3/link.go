package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// longestLink is how long S3 lets a presigned link live.
const longestLink = 7 * 24 * time.Hour

// Link implements [blob.Linker]: whoever has the link may GET this content until ttl has passed, without any header but Range. It asks S3 nothing, and
// makes a link for content that is not there, too. With credentials that expire (a role's) the link may end before ttl.
func (s *Store) Link(ctx context.Context, d digest.Digest, ttl time.Duration) (string, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return "", fmt.Errorf("link content: %w", err)
	}
	if ttl < time.Second || ttl > longestLink {
		return "", fmt.Errorf("link content %s: %v is no time for a link to live; use a second to seven days", d, ttl)
	}
	signed, err := s.links.PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.cfg.Bucket, Key: aws.String(s.blobKey(d)), ResponseContentType: aws.String(contentType),
	}, s3.WithPresignExpires(ttl))
	if err != nil {
		return "", fmt.Errorf("link content %s: %w", d, classify(err))
	}
	return signed.URL, nil
}
