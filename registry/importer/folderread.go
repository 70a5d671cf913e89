package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

const (
	maxLink    = 256       // bytes of a file that names a digest
	maxEntries = 2_000_000 // of one folder
)

// entries yields what a folder holds, in no order. A context that is done ends it.
func (f *Folder) entries(ctx context.Context, name string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		seen := 0
		for e, err := range f.medium.List(ctx, name) {
			switch {
			case err != nil:
				e = nil
			case seen == maxEntries:
				yield(nil, fmt.Errorf("folder %s has more than %d entries; the others are left away", name, maxEntries))
				return
			case !plain(e.Name()):
				e, err = nil, fmt.Errorf("%.300q in folder %s is no name of a file", e.Name(), name)
			}
			if seen++; !yield(e, err) {
				return
			}
		}
	}
}

// plain tells whether a name stays where it is when it is put behind a path.
func plain(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.Contains(name, "/")
}

// link reads a file that names a digest.
func (f *Folder) link(ctx context.Context, name string) (digest.Digest, error) {
	text, err := f.medium.Read(ctx, name, maxLink)
	if err != nil {
		return "", fmt.Errorf("read link: %w", err)
	}
	if !registry.ValidDigest(string(text)) {
		return "", fmt.Errorf("the link %s is damaged: it has %.80q, and no digest", name, text)
	}
	return digest.Digest(text), nil
}

// dataOf is where the bytes of a digest lie.
func dataOf(d digest.Digest) string {
	hex := d.Encoded()
	return path.Join(layout, "blobs", d.Algorithm().String(), hex[:2], hex, "data")
}

// content opens the bytes of a digest, and tells how many they are.
func (f *Folder) content(ctx context.Context, d digest.Digest) (io.ReadCloser, int64, error) {
	content, size, err := f.medium.Open(ctx, dataOf(d))
	return content, size, gone(err)
}

// gone puts in words that bytes are missing.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("its bytes are not there: %w", err)
	}
	return err
}
