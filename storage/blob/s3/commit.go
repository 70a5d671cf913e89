package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Commit implements [blob.Intake]. Content of one piece is copied in one request, other content is put together from copies of its pieces. What becomes
// visible under the key of d is whole, and its size is asked of S3 once more before the pieces are deleted. Pieces that then cannot be deleted stay
// as an unfinished upload, to be aborted: that is logged and no error, since the content is there.
func (s *Store) Commit(ctx context.Context, upload string, d digest.Digest) error {
	if err := firstOf(ctx.Err(), blob.CheckUpload(upload), blob.CheckDigest(d)); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := s.commit(ctx, upload, d); err != nil {
		return fmt.Errorf("commit upload %s as %s: %w", upload, d, err)
	}
	return nil
}

func (s *Store) commit(ctx context.Context, upload string, d digest.Digest) error {
	u, err := s.find(ctx, upload)
	if err != nil {
		return err
	}
	if !u.known {
		return blob.ErrUploadUnknown
	}
	if err := s.compose(ctx, u, s.blobKey(d)); err != nil {
		if errors.Is(err, blob.ErrNotFound) { // aborted meanwhile
			return fmt.Errorf("%w: %w", blob.ErrUploadUnknown, err)
		}
		return err
	}
	if err := s.confirm(ctx, d, u.size()); err != nil {
		return err
	}
	if err := s.removeWrites(ctx, u); err != nil {
		s.log.Warn("pieces of a committed upload are left; they are listed as an unfinished upload", "upload", upload, "digest", d, "err", err)
	}
	return nil
}

// confirm requires that S3 shows d in its whole size.
func (s *Store) confirm(ctx context.Context, d digest.Digest, size int64) error {
	info, err := s.Stat(ctx, d)
	if errors.Is(err, blob.ErrNotFound) {
		return errors.New("S3 took it and does not show it; is something else deleting from the bucket?")
	}
	if err == nil && info.Size != size {
		err = fmt.Errorf("S3 took %d bytes and shows %d", size, info.Size)
	}
	return err
}

// removeWrites deletes all that was found of an upload, also if ctx ends.
func (s *Store) removeWrites(ctx context.Context, u *state) error {
	ctx, cancel := s.detached(ctx)
	defer cancel()
	keys := make([]string, len(u.all))
	for i, w := range u.all {
		keys[i] = w.key
	}
	return s.remove(ctx, keys)
}

// compose makes the object key out of an upload, in one step for who reads it.
func (s *Store) compose(ctx context.Context, u *state, key string) error {
	parts := plan(u.pieces)
	switch {
	case len(parts) > maxParts:
		return fmt.Errorf("it has %d parts, and S3 allows %d; use a larger part size", len(parts), maxParts)
	case len(parts) == 1 && !parts[0].copied():
		return s.putRead(ctx, key, parts[0])
	case len(parts) == 1 && parts[0][0].size() == u.pieces[0].whole:
		return s.copyWhole(ctx, key, u.pieces[0])
	}
	return s.copyParts(ctx, key, parts)
}

// part is a part of the content to be: one span that the server copies, or several that must be read, since one of them is too short.
type part []span

// copied tells whether the server copies the part.
func (p part) copied() bool { return len(p) == 1 }

func (p part) size() (total int64) {
	for _, r := range p {
		total += r.size()
	}
	return total
}

// plan divides pieces into parts that S3 takes: each but the last has 5 MiB. A part that must be read has less than 15 MiB. No pieces are one
// part of nothing.
func plan(pieces []piece) []part {
	var parts []part
	var short part // a run of spans that together are too short so far
	for i := range pieces {
		rest := span{&pieces[i], 0, pieces[i].size}
		if len(short) > 0 {
			need := minPart - short.size()
			if need > rest.size() || rest.size()-need < minPart {
				need = rest.size()
			}
			short = append(short, span{rest.of, 0, need})
			rest.from = need
			if short.size() >= minPart {
				parts, short = append(parts, short), nil
			}
		}
		switch {
		case rest.size() == 0:
		case rest.size() >= minPart || i == len(pieces)-1:
			parts = append(parts, part{rest})
		default:
			short = part{rest}
		}
	}
	if len(short) > 0 || len(parts) == 0 {
		parts = append(parts, short)
	}
	return parts
}

// readPart reads a part into memory. The caller gives its slabs back.
func (s *Store) readPart(ctx context.Context, p part) (*parcel, error) {
	slabs, err := s.memory.take(ctx, slabsFor(p.size()))
	if err != nil {
		return nil, err
	}
	content := &parcel{slabs: slabs}
	for _, r := range p {
		if err := s.load(ctx, content, r); err != nil {
			s.memory.giveBack(slabs)
			return nil, err
		}
	}
	return content, nil
}

// putRead makes an object of the only part there is, which has to be read.
func (s *Store) putRead(ctx context.Context, key string, p part) error {
	content, err := s.readPart(ctx, p)
	if err != nil {
		return err
	}
	defer s.memory.giveBack(content.slabs)
	_, err = s.put(ctx, key, content, types.StorageClass(s.cfg.StorageClass))
	return err
}

// copyWhole makes an object of the only piece there is, on the server.
func (s *Store) copyWhole(ctx context.Context, key string, p piece) error {
	checksum, err := s.copyObject(ctx, p.key, key)
	if err == nil && differs(checksum, p.crc) {
		err = fmt.Errorf("copy %s to %s: the copy has another checksum", p.key, key)
	}
	return err
}

// copyObject has the server copy an object in one request. It returns the copy's checksum, if S3 tells it.
func (s *Store) copyObject(ctx context.Context, from, to string) (checksum *string, err error) {
	input := &s3.CopyObjectInput{
		Bucket: &s.cfg.Bucket, Key: &to, CopySource: s.copySource(from), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		ServerSideEncryption: types.ServerSideEncryption(s.cfg.SSE), StorageClass: types.StorageClass(s.cfg.StorageClass),
	}
	if s.cfg.KMSKey != "" {
		input.SSEKMSKeyId = &s.cfg.KMSKey
	}
	out, err := s.composer.CopyObject(ctx, input)
	if err != nil {
		return nil, fmt.Errorf("copy %s to %s: %w", from, to, classify(err))
	}
	if out.CopyObjectResult == nil {
		return nil, nil
	}
	return out.CopyObjectResult.ChecksumCRC32C, nil
}

// differs tells whether a checksum that S3 answered, if it did, is another.
func differs(answered *string, crc uint32) bool {
	return answered != nil && *answered != "" && *answered != encodeCRC(crc)
}

// copySource names a source as S3 wants it. Buckets and keys of ours hold nothing that would have to be escaped.
func (s *Store) copySource(key string) *string { return aws.String(s.cfg.Bucket + "/" + key) }
