package s3

import (
	"context"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/entrepot/entrepot/storage/blob"
)

// List implements [blob.Sweeper]. Keys that are not ours are passed over.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for object, err := range s.objects(ctx, s.blobsPrefix()) {
			if err != nil {
				yield(blob.Info{}, fmt.Errorf("list content: %w", err))
				return
			}
			d, ok := s.parseBlobKey(aws.ToString(object.Key))
			if !ok {
				continue
			}
			if !yield(blob.Info{Digest: d, Size: aws.ToInt64(object.Size), Modified: aws.ToTime(object.LastModified)}, nil) {
				return
			}
		}
	}
}
