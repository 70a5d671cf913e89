package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
)

const (
	maxLink    = 256       // bytes of a file that names a digest
	maxEntries = 2_000_000 // of one folder
)

// entries yields what a folder holds, in no order and a part at a time. A context that is done ends it.
func (f *Folder) entries(ctx context.Context, name string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		dir, err := f.openFolder(name)
		if err != nil {
			yield(nil, err)
			return
		}
		defer dir.Close()
		for seen := 0; ctx.Err() == nil; {
			some, err := dir.ReadDir(512)
			for _, e := range some {
				if !yield(e, nil) {
					return
				}
			}
			if seen += len(some); seen > maxEntries {
				err = fmt.Errorf("folder %s has more than %d entries; the others are left away", name, maxEntries)
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(nil, err)
				}
				return
			}
		}
	}
}

func (f *Folder) openFolder(name string) (*os.File, error) {
	if err := f.isFolder(name); err != nil {
		return nil, err
	}
	return f.root.Open(name)
}

// isFolder returns nil for a folder that is reached through folders alone. An os.Root lets nothing lead out of it, but would follow links within: there are
// none in what a registry writes.
func (f *Folder) isFolder(name string) error {
	if parent := path.Dir(name); parent != "." {
		if err := f.isFolder(parent); err != nil {
			return err
		}
	}
	info, err := f.root.Lstat(name)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder, and is not followed", name)
	}
	return err
}

// open opens a plain file that is reached through folders alone.
func (f *Folder) open(name string) (*os.File, error) {
	if err := f.isFolder(path.Dir(name)); err != nil {
		return nil, err
	}
	before, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file, and is not read", name)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	if after, err := file.Stat(); err != nil || !os.SameFile(before, after) {
		file.Close()
		return nil, fmt.Errorf("%s was replaced while it was opened", name)
	}
	return file, nil
}

// link reads a file that names a digest.
func (f *Folder) link(name string) (digest.Digest, error) {
	file, err := f.open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxLink))
	if err != nil {
		return "", fmt.Errorf("read link: %w", err)
	}
	if !registry.ValidDigest(string(text)) {
		return "", fmt.Errorf("the link %s is damaged: it has %.80q, and no digest", name, text)
	}
	return digest.Digest(text), nil
}

// content opens the bytes of a digest.
func (f *Folder) content(d digest.Digest) (*os.File, error) {
	hex := d.Encoded()
	file, err := f.open(path.Join(layout, "blobs", d.Algorithm().String(), hex[:2], hex, "data"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("its bytes are not there: %w", err)
	}
	return file, err
}
