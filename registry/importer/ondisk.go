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
)

// onDisk is a [Medium] in a folder of this machine. What it opens is an *os.File.
type onDisk struct{ root *os.Root }

var _ Medium = onDisk{}

// Close implements [Medium].
func (m onDisk) Close() error { return m.root.Close() }

// List implements [Medium].
func (m onDisk) List(ctx context.Context, place string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		dir, err := m.openFolder(place)
		if err != nil {
			yield(nil, err)
			return
		}
		defer dir.Close()
		for ctx.Err() == nil {
			some, err := dir.ReadDir(512)
			for _, e := range some {
				if !yield(e, nil) {
					return
				}
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

func (m onDisk) openFolder(name string) (*os.File, error) {
	if err := m.isFolder(name); err != nil {
		return nil, err
	}
	return m.root.Open(name)
}

// isFolder returns nil for a folder that is reached through folders alone. An os.Root lets nothing lead out of it, but would follow links within: there are
// none in what a registry writes.
func (m onDisk) isFolder(name string) error {
	if parent := path.Dir(name); parent != "." {
		if err := m.isFolder(parent); err != nil {
			return err
		}
	}
	info, err := m.root.Lstat(name)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder, and is not followed", name)
	}
	return err
}

// Read implements [Medium].
func (m onDisk) Read(_ context.Context, name string, most int64) ([]byte, error) {
	file, err := m.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most))
}

// Open implements [Medium].
func (m onDisk) Open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	file, err := m.open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// open opens a plain file that is reached through folders alone.
func (m onDisk) open(name string) (*os.File, error) {
	if err := m.isFolder(path.Dir(name)); err != nil {
		return nil, err
	}
	before, err := m.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file, and is not read", name)
	}
	file, err := m.root.Open(name)
	if err != nil {
		return nil, err
	}
	if after, err := file.Stat(); err != nil || !os.SameFile(before, after) {
		file.Close()
		return nil, fmt.Errorf("%s was replaced while it was opened", name)
	}
	return file, nil
}
