package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/entrepot/entrepot/storage/blob"
)

const (
	// bufferSize is the most that one Read of a source is offered.
	bufferSize = 256 << 10
	// slice is the most that one write carries. Larger ones make the kernel look for large pieces of contiguous memory for its page cache, which
	// was seen to cost twice the processor time that all else does; smaller ones cost a system call each.
	slice = 32 << 10
	// stretch is how much is written before the kernel is told to start carrying it to the medium, so that Commit's sync finds little
	// left to do.
	stretch = 8 << 20
)

// buffers holds pairs: an Append reads into one while its source may still be hashing the other, see fill.
var buffers = sync.Pool{New: func() any { return new([2][bufferSize]byte) }}

// Append implements [blob.Intake]. It syncs nothing: what is not committed need not survive a power cut.
func (s *Store) Append(ctx context.Context, upload string, offset int64, src io.Reader) (int64, error) {
	if err := firstOf(blob.CheckUpload(upload), blob.CheckOffset(offset)); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	f, size, err := s.openToWrite(ctx, upload, offset)
	if err != nil {
		return size, fmt.Errorf("append to upload %s at %d: %w", upload, offset, classify(err))
	}
	size, srcErr, err := fill(ctx, f, offset, src)
	// Some filesystems tell only when a file is closed that there was no room.
	if err = firstOf(err, f.Close()); err != nil {
		return size, fmt.Errorf("append to upload %s at %d: %w", upload, size, classify(err))
	}
	return size, srcErr
}

// openToWrite opens an upload to be written at offset, cuts off what lies beyond, and returns its size.
func (s *Store) openToWrite(ctx context.Context, upload string, offset int64) (*os.File, int64, error) {
	flags := os.O_WRONLY | noFollow
	if offset == 0 && ctx.Err() == nil {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(s.uploadPath(upload), flags, fileMode)
	if err != nil {
		return nil, 0, firstOf(ctx.Err(), unknownIfAbsent(err))
	}
	size, err := cut(ctx, f, offset)
	if err != nil {
		f.Close() // nothing was written
		return nil, size, err
	}
	return f, size, nil
}

// cut shortens f to offset, returns the size it has then, and positions f there. Not WriteAt but Write goes on from it: when room ends
// amid a write, WriteAt does not tell how much of it was written.
func cut(ctx context.Context, f *os.File, offset int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	switch {
	case ctx.Err() != nil:
		return size, ctx.Err()
	case offset > size:
		return size, blob.ErrUploadShort
	case offset < size:
		if err := f.Truncate(offset); err != nil {
			return size, err
		}
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return offset, err
		}
	}
	return offset, nil
}

// fill writes src to f, which is positioned at offset, and returns how far it came. An error of src comes back apart from those of the medium.
//
// It writes whatever a Read returns instead of waiting for a full buffer: who follows a growing upload sees the bytes of a slow
// source as soon as they are here, and the price of a write is small beside that of hashing its bytes.
// Two buffers take turns, so that a source may still be hashing its last Read in the background while the next is under way.
func fill(ctx context.Context, f *os.File, offset int64, src io.Reader) (size int64, srcErr, err error) {
	pair := buffers.Get().(*[2][bufferSize]byte)
	started := offset
	for turn := 0; ; turn ^= 1 {
		if err := ctx.Err(); err != nil {
			return offset, nil, err
		}
		var n int
		n, srcErr = src.Read(pair[turn][:])
		if n > 0 {
			written, err := writeSlices(f, pair[turn][:n])
			offset += int64(written)
			if err != nil {
				return offset, nil, err
			}
		}
		if srcErr != nil {
			// Only now, never on the returns above: a source that was not read to its end may still be looking at its last bytes,
			// and the next Append must not write over them.
			buffers.Put(pair)
			if srcErr == io.EOF {
				srcErr = nil
			}
			return offset, srcErr, nil
		}
		if offset-started >= stretch {
			startWriteback(f, started, offset-started)
			started = offset
		}
	}
}

// writeSlices writes p in slices.
func writeSlices(f *os.File, p []byte) (total int, err error) {
	for len(p) > 0 && err == nil {
		var n int
		n, err = f.Write(p[:min(slice, len(p))])
		total, p = total+n, p[n:]
	}
	return total, err
}

// Resume implements [blob.Intake].
func (s *Store) Resume(ctx context.Context, upload string, offset int64) (io.ReadCloser, error) {
	if err := firstOf(ctx.Err(), blob.CheckUpload(upload), blob.CheckOffset(offset)); err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	f, err := os.OpenFile(s.uploadPath(upload), os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, fmt.Errorf("resume upload %s: %w", upload, unknownIfAbsent(err))
	}
	info, err := f.Stat()
	if err != nil {
		f.Close() // nothing was written
		return nil, fmt.Errorf("resume upload %s: %w", upload, err)
	}
	// The end is fixed here: an Append that runs meanwhile makes the file longer, but not this reader.
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, max(0, info.Size()-offset)), f}, nil
}

// Abort implements [blob.Intake].
func (s *Store) Abort(ctx context.Context, upload string) error {
	if err := firstOf(ctx.Err(), blob.CheckUpload(upload)); err != nil {
		return fmt.Errorf("abort: %w", err)
	}
	if err := os.Remove(s.uploadPath(upload)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("abort upload %s: %w", upload, err)
	}
	return nil
}
