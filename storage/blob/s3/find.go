package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// mostPieces bounds what is believed of one upload: more than its parts may be, with as many that were overtaken and not yet removed.
const mostPieces = 4 * maxParts

var errTooMany = errors.New("there are too many pieces; abort the upload")

// find returns what the bucket knows of an upload.
func (s *Store) find(ctx context.Context, name string) (*state, error) {
	var writes []piece
	for object, err := range s.objects(ctx, s.uploadPrefix(name)) {
		if err != nil {
			return nil, err
		}
		if of, p, ok := s.parsePiece(object); ok && of == name {
			writes = append(writes, p)
		}
		if len(writes) > mostPieces {
			return nil, errTooMany
		}
	}
	return replay(writes), nil
}

// parsePiece returns the piece that an object is, and its upload.
func (s *Store) parsePiece(object types.Object) (string, piece, bool) {
	name, p, ok := s.parsePieceKey(aws.ToString(object.Key))
	p.size = aws.ToInt64(object.Size)
	p.whole, p.etag, p.modified = p.size, aws.ToString(object.ETag), aws.ToTime(object.LastModified)
	return name, p, ok && p.size >= 0
}

// objects yields what lies under a prefix, in the order of keys, a page of at most a thousand at a time. It ends with the first error.
func (s *Store) objects(ctx context.Context, prefix string) iter.Seq2[types.Object, error] {
	return func(yield func(types.Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.cfg.Bucket, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(types.Object{}, fmt.Errorf("list %s*: %w", prefix, classify(err)))
				return
			}
			for _, object := range page.Contents {
				if !yield(object, nil) {
					return
				}
			}
		}
	}
}

// span is a part of a piece, from and to counted from the piece's beginning.
type span struct {
	of       *piece
	from, to int64
}

func (r span) size() int64 { return r.to - r.from }

// load reads a span into a parcel, which has room for it.
func (s *Store) load(ctx context.Context, p *parcel, r span) error {
	in, err := s.download(ctx, r.of.key, r.from, r.to)
	if err != nil {
		return err
	}
	defer in.Close()
	crc, err := p.read(in, r.size())
	if err != nil {
		return fmt.Errorf("get %s: %w", r.of.key, err)
	}
	if r.from == 0 && r.to == r.of.whole && crc != r.of.crc {
		return fmt.Errorf("get %s: its bytes have rotted: their checksum was %08x and is %08x", r.of.key, r.of.crc, crc)
	}
	return nil
}
