package s3

import (
	"context"
	"fmt"
	"io"

	"github.com/entrepot/entrepot/storage/blob"
)

// Append implements [blob.Intake]. When ctx ends no more is read, but what was received is still brought to S3 and counted.
func (s *Store) Append(ctx context.Context, upload string, offset int64, src io.Reader) (int64, error) {
	if err := firstOf(blob.CheckUpload(upload), blob.CheckOffset(offset)); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	a, size, err := s.openToAppend(ctx, upload, offset)
	if err != nil {
		return size, fmt.Errorf("append to upload %s at %d: %w", upload, offset, err)
	}
	srcErr, err := a.receive(ctx, src)
	size, failed := a.finish()
	if err = firstOf(failed, err); err != nil {
		return size, fmt.Errorf("append to upload %s at %d: %w", upload, size, err)
	}
	return size, srcErr
}

// openToAppend finds an upload out of the bucket and prepares to write it at offset. With an error it returns the upload's size.
func (s *Store) openToAppend(ctx context.Context, upload string, offset int64) (*appending, int64, error) {
	asking := ctx
	if ctx.Err() != nil { // the size is told also to who has gone
		var cancel func()
		asking, cancel = s.detached(ctx)
		defer cancel()
	}
	u, err := s.find(asking, upload)
	if err = firstOf(ctx.Err(), err); err != nil {
		if u == nil {
			return nil, 0, err
		}
		return nil, u.size(), err
	}
	switch size := u.size(); {
	case !u.known && offset > 0:
		return nil, 0, blob.ErrUploadUnknown
	case offset > size:
		return nil, size, blob.ErrUploadShort
	}
	return s.newAppending(ctx, upload, offset, u), offset, nil
}

// detached returns a context that does not end with ctx, for what has to be done all the same. It ends when S3 had time for some tries.
func (s *Store) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*s.cfg.Stall)
}
