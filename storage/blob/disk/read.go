package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Open implements [blob.Reader]. What it returns is an [*os.File].
func (s *Store) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d), blob.CheckOffset(offset)); err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	f, err := os.OpenFile(s.blobPath(d), os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, fmt.Errorf("open content %s: %w", d, notFoundIfAbsent(err))
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			f.Close() // nothing was written
			return nil, fmt.Errorf("open content %s at %d: %w", d, offset, err)
		}
	}
	return f, nil
}

// Stat implements [blob.Reader].
func (s *Store) Stat(ctx context.Context, d digest.Digest) (blob.Info, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return blob.Info{}, fmt.Errorf("stat content: %w", err)
	}
	info, err := os.Lstat(s.blobPath(d))
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat content %s: %w", d, notFoundIfAbsent(err))
	}
	return blob.Info{Digest: d, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Delete implements [blob.Sweeper]. It syncs nothing: content that a power cut brings back is an orphan, which the next sweep finds.
func (s *Store) Delete(ctx context.Context, d digest.Digest) error {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return fmt.Errorf("delete content: %w", err)
	}
	if err := os.Remove(s.blobPath(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete content %s: %w", d, err)
	}
	return nil
}
