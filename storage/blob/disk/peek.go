package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Peek returns what reads the folder of another store, which may be in use, mounted read-only, or not there: nothing in it is ever written, made, locked or
// removed. It says [blob.ErrNotFound] of content that is not in the folder, and something else if the folder does not hold a store at all, as a disk does not that
// is not mounted. Nothing is looked at before it is asked for.
func Peek(dir string) blob.Reader {
	return peeking{&Store{dir: dir, blobs: filepath.Join(dir, "blobs"), uploads: filepath.Join(dir, "uploads")}}
}

// peeking has of a store only what reads.
type peeking struct{ of *Store }

// Open implements [blob.Reader]. Only plain files are opened: others could make it wait, or do something.
func (p peeking) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	if _, err := p.Stat(ctx, d); err != nil {
		return nil, err
	}
	return p.of.Open(ctx, d, offset)
}

// Stat implements [blob.Reader].
func (p peeking) Stat(ctx context.Context, d digest.Digest) (blob.Info, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return blob.Info{}, fmt.Errorf("stat content: %w", err)
	}
	info, err := os.Lstat(p.of.blobPath(d))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(p.of.blobs); err != nil {
			return blob.Info{}, fmt.Errorf("folder %s holds no content; is it mounted? %w", p.of.dir, err)
		}
		return blob.Info{}, fmt.Errorf("stat content %s: %w", d, blob.ErrNotFound)
	case err != nil:
		return blob.Info{}, fmt.Errorf("stat content %s: %w", d, err)
	case !info.Mode().IsRegular():
		return blob.Info{}, fmt.Errorf("stat content %s: %s is no plain file", d, p.of.blobPath(d))
	}
	return blob.Info{Digest: d, Size: info.Size(), Modified: info.ModTime()}, nil
}
