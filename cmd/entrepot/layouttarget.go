package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// catalog is the index.json of a layout that is being written.
type catalog struct {
	mu    sync.Mutex
	index ocispec.Index
}

func newCatalog() *catalog {
	return &catalog{index: ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}}
}

// add enters d under its tag, which it takes from whatever had it before; without a tag it is entered once.
func (c *catalog) add(d ocispec.Descriptor, tag string, more map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d = plain(d)
	if tag == "" {
		if !slices.ContainsFunc(c.index.Manifests, func(e ocispec.Descriptor) bool { return e.Digest == d.Digest }) {
			c.index.Manifests = append(c.index.Manifests, d)
		}
		return
	}
	c.index.Manifests = slices.DeleteFunc(c.index.Manifests, func(e ocispec.Descriptor) bool {
		return e.Annotations[ocispec.AnnotationRefName] == tag || e.Digest == d.Digest && tagOf(e) == ""
	})
	d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	for k, v := range more {
		d.Annotations[k] = v
	}
	c.index.Manifests = append(c.index.Manifests, d)
}

func (c *catalog) json() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return json.Marshal(c.index)
}

func layoutMark() []byte {
	return []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)
}

// layoutTarget is an OCI layout in a folder, new or one to add to.
type layoutTarget struct {
	dir     string
	catalog *catalog
}

func openLayoutTarget(dir string) (target, error) {
	t := &layoutTarget{dir: dir, catalog: newCatalog()}
	switch entries, err := os.ReadDir(dir); {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0:
		return t, nil
	case err != nil:
		return nil, err
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// To add blobs to somebody's home folder helps nobody.
	old, err := readLayout(f)
	if err != nil {
		return nil, fmt.Errorf("%s has something else in it: %w", dir, err)
	}
	t.catalog.index = old.index
	return t, nil
}

func (t *layoutTarget) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	info, err := os.Stat(filepath.Join(t.dir, filepath.FromSlash(blobPath(d.Digest))))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() == d.Size, err
}

func (t *layoutTarget) Push(_ context.Context, d ocispec.Descriptor, content io.Reader) error {
	return t.put(blobPath(d.Digest), content)
}

func (t *layoutTarget) Publish(_ context.Context, d ocispec.Descriptor, content []byte, tag string) error {
	if err := t.put(blobPath(d.Digest), bytes.NewReader(content)); err != nil {
		return err
	}
	t.catalog.add(d, tag, nil)
	return nil
}

// Commit writes index.json last, in one step: a layout names only what it holds, also one whose copy was interrupted.
func (t *layoutTarget) Commit() error {
	index, err := t.catalog.json()
	if err != nil {
		return err
	}
	if err := t.put(ocispec.ImageLayoutFile, bytes.NewReader(layoutMark())); err != nil {
		return err
	}
	return t.put(ocispec.ImageIndexFile, bytes.NewReader(index))
}

func (t *layoutTarget) Close() error { return nil }

// put writes a file beside its place and then moves it there, so that a file under its name is always whole.
func (t *layoutTarget) put(name string, content io.Reader) error {
	path := filepath.Join(t.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return writeWhole(path, func(f *os.File) error {
		_, err := io.Copy(f, content)
		return err
	})
}

// writeWhole writes path with fill, all of it or nothing.
func writeWhole(path string, fill func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".partial-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
