package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// handful is how many entries of a folder are in memory at once.
const handful = 256

// List implements [blob.Sweeper]. Files whose name is not a digest, or that lie in another's folder, are passed over.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for _, alg := range algorithms {
			shelves, err := s.shelvesOf(alg)
			if err = firstOf(ctx.Err(), err); err != nil {
				yield(blob.Info{}, fmt.Errorf("list content: %w", err))
				return
			}
			for _, shelf := range shelves {
				for info, err := range files(ctx, shelf) {
					if err != nil {
						yield(blob.Info{}, fmt.Errorf("list content: %w", err))
						return
					}
					d := digest.NewDigestFromEncoded(digest.Algorithm(alg), info.Name())
					if blob.CheckDigest(d) != nil || s.shelfPath(d) != shelf {
						continue
					}
					if !yield(blob.Info{Digest: d, Size: info.Size(), Modified: info.ModTime()}, nil) {
						return
					}
				}
			}
		}
	}
}

// Uploads implements [blob.Sweeper]. Files whose name is not that of an upload are passed over.
func (s *Store) Uploads(ctx context.Context) iter.Seq2[blob.Pending, error] {
	return func(yield func(blob.Pending, error) bool) {
		for info, err := range files(ctx, s.uploads) {
			if err != nil {
				yield(blob.Pending{}, fmt.Errorf("list uploads: %w", err))
				return
			}
			if !blob.ValidUpload(info.Name()) {
				continue
			}
			if !yield(blob.Pending{Name: info.Name(), Size: info.Size(), Modified: info.ModTime()}, nil) {
				return
			}
		}
	}
}

// files yields the regular files in a folder, a handful at a time. It ends with the first error.
func files(ctx context.Context, folder string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		dir, err := os.Open(folder)
		if errors.Is(err, fs.ErrNotExist) {
			return // somebody tidied up empty folders
		}
		if err != nil {
			yield(nil, err)
			return
		}
		defer dir.Close()
		for {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			entries, err := dir.ReadDir(handful)
			for _, entry := range entries {
				if !entry.Type().IsRegular() {
					continue
				}
				info, err := entry.Info()
				if errors.Is(err, fs.ErrNotExist) {
					continue // deleted or committed since its name was read
				}
				if !yield(info, err) || err != nil {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
