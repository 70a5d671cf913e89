package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// copiedWhole is the most that is copied in one request. S3 allows 5 GB and takes long for them; parts, of a quarter of this, are copied beside each other.
const copiedWhole = 1 << 30

// Quarantine implements [blob.Quarantiner]. The server copies the object under quarantine/, whatever its bytes are by now, and when it shows the copy in its
// whole size, the object is deleted: at every moment at least one of both is there. What was copied and could not be deleted is found by a repetition, which
// deletes it then. So copying goes on when ctx is out of time, within bounds, unless it is cancelled; and nothing is deleted after ctx has ended.
func (s *Store) Quarantine(ctx context.Context, d digest.Digest) (string, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return "", fmt.Errorf("put content aside: %w", err)
	}
	place := s.quarantineKey(d)
	if err := s.moveAside(ctx, s.blobKey(d), place); err != nil {
		return "", fmt.Errorf("put content %s aside: %w", d, err)
	}
	return "s3://" + s.cfg.Bucket + "/" + place, nil
}

func (s *Store) moveAside(ctx context.Context, from, place string) error {
	content, err := s.head(ctx, from)
	if err != nil {
		return err
	}
	if err := s.copyAside(ctx, from, content, place); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("it is copied to %s, and not deleted yet: %w", place, err)
	}
	return s.remove(ctx, []string{from})
}

// copyAside sees to it that a copy of an object is at place, unless one is there that was made after the object.
func (s *Store) copyAside(ctx context.Context, from string, content blob.Info, place string) error {
	there, err := s.head(ctx, place)
	if err == nil && there.Size == content.Size && there.Modified.After(content.Modified) {
		return nil
	}
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	ctx, cancel := s.unhurried(ctx)
	defer cancel()
	if content.Size <= s.copiedWhole {
		_, err = s.copyObject(ctx, from, place)
	} else {
		err = s.copyParts(ctx, place, spread(from, content.Size, s.copiedWhole/4))
	}
	if err != nil {
		return err
	}
	there, err = s.head(ctx, place)
	if errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("S3 copied it to %s and does not show that; is something else deleting from the bucket?", place)
	}
	if err == nil && there.Size != content.Size {
		err = fmt.Errorf("S3 copied it to %s, which has %d bytes instead of %d", place, there.Size, content.Size)
	}
	return err
}

// unhurried returns a context that ends when ctx is cancelled, and not when that is out of time: then it has as long as a request of the composer may take.
func (s *Store) unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), patient*s.cfg.Stall)
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return longer, func() { stop(); cancel() }
}

// spread divides an object into parts of the same length or somewhat more, and into no more of them than S3 takes.
func spread(key string, size, length int64) []part {
	count := min(max(1, size/length), maxParts)
	of := &piece{key: key, size: size, whole: size}
	parts := make([]part, count)
	for i := range count {
		parts[i] = part{span{of, size / count * i, size / count * (i + 1)}}
	}
	parts[count-1][0].to = size
	return parts
}
