package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// files is a folder, or a tar file seen as one.
type files interface {
	open(name string) (io.ReadCloser, int64, error) // name is relative, with slashes; the error of an absent one is fs.ErrNotExist
	Close() error
}

// folder is a folder whose names and links cannot lead out of it.
type folder struct{ root *os.Root }

func openFolder(path string) (*folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &folder{root}, nil
}

func (f *folder) open(name string) (io.ReadCloser, int64, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func (f *folder) Close() error { return f.root.Close() }

// Bounds of what a tar file may ask of us. Its makers may be anybody.
const (
	tarEntries = 50000
	tarHops    = 16
)

// tarFile knows where in a tar file each file is. Nothing is ever unpacked: content is read in place, so names cannot lead anywhere
// and memory is taken for names only.
type tarFile struct {
	file    *os.File
	entries map[string]tarEntry
}

type tarEntry struct {
	offset, size int64
	link         string // where a link leads, from the archive's root
}

func openTar(name string) (*tarFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	t := &tarFile{file: f, entries: map[string]tarEntry{}}
	if err := t.scan(); err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return t, nil
}

func (t *tarFile) scan() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no file; an archive is read in more than one pass, so it has to be one")
	}
	magic := make([]byte, 4)
	if _, err := t.file.ReadAt(magic, 0); err == nil {
		if c := compression(magic); c != "" {
			return fmt.Errorf("the archive is compressed; unpack it with %s -d first", c)
		}
	}
	r := tar.NewReader(t.file)
	for n := 0; ; n++ {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it is no tar file, or it is damaged: %w", err)
		}
		if n == tarEntries {
			return fmt.Errorf("it has more than %d entries", tarEntries)
		}
		name := inside("", h.Name)
		e := tarEntry{size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
			if isSparse(h) {
				continue // its bytes do not lie in a row; nobody who packs an image makes such a thing
			}
			// The reader takes whole blocks only, so after a header it stands at the content.
			if e.offset, err = t.file.Seek(0, io.SeekCurrent); err != nil {
				return err
			}
			if e.offset+e.size > info.Size() {
				return fmt.Errorf("it ends within %s", printable(name))
			}
		case tar.TypeSymlink:
			e.link = inside(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			e.link = inside("", h.Linkname)
		default:
			continue
		}
		t.entries[name] = e
	}
}

// inside returns the name that a path has when the archive's root is where .. ends.
func inside(dir, name string) string {
	if strings.HasPrefix(name, "/") {
		dir = ""
	}
	return strings.TrimPrefix(path.Clean("/"+dir+"/"+name), "/")
}

func isSparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (t *tarFile) open(name string) (io.ReadCloser, int64, error) {
	name = inside("", name)
	for range tarHops {
		e, ok := t.entries[name]
		if !ok {
			return nil, 0, fmt.Errorf("%s: %w", printable(name), fs.ErrNotExist)
		}
		if e.link == "" {
			return io.NopCloser(io.NewSectionReader(t.file, e.offset, e.size)), e.size, nil
		}
		name = e.link
	}
	return nil, 0, fmt.Errorf("%s: its links lead in circles", printable(name))
}

func (t *tarFile) Close() error { return t.file.Close() }

// compression names the tool whose magic number begins with head, or "" for none that is known.
func compression(head []byte) string {
	switch {
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return "gzip"
	case len(head) >= 4 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd:
		return "zstd"
	case len(head) >= 3 && head[0] == 'B' && head[1] == 'Z' && head[2] == 'h':
		return "bzip2"
	case len(head) >= 4 && head[0] == 0xfd && head[1] == '7' && head[2] == 'z' && head[3] == 'X':
		return "xz"
	}
	return ""
}

// readAll reads a small file of f.
func readAll(f files, name string, limit int64) ([]byte, error) {
	r, size, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, fmt.Errorf("%s has %s, more than the %s that it may have", printable(name), humanSize(size), humanSize(limit))
	}
	return io.ReadAll(io.LimitReader(r, limit))
}
