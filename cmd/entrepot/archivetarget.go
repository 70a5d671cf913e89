package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// archiveTarget is an OCI layout in a tar file. With docker it also has the manifest.json by which docker load finds its image:
// that is the form that docker save itself writes since Docker 25, and older versions read it too, since they follow the paths that
// manifest.json gives.
type archiveTarget struct {
	path    string
	docker  bool
	catalog *catalog

	mu     sync.Mutex
	file   *os.File
	tar    *tar.Writer
	has    map[digest.Digest]bool
	images []savedImage
	done   bool
}

// savedImage is an entry of manifest.json.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func openArchiveTarget(path string, docker bool) (target, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".partial-")
	if err != nil {
		return nil, err
	}
	return &archiveTarget{path: path, docker: docker, catalog: newCatalog(), file: f, tar: tar.NewWriter(f), has: map[digest.Digest]bool{}}, nil
}

func (t *archiveTarget) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.has[d.Digest], nil
}

func (t *archiveTarget) Push(_ context.Context, d ocispec.Descriptor, content io.Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.has[d.Digest] {
		return nil
	}
	if err := t.put(blobPath(d.Digest), d.Size, content); err != nil {
		return err
	}
	t.has[d.Digest] = true
	return nil
}

func (t *archiveTarget) Publish(ctx context.Context, d ocispec.Descriptor, content []byte, tag string) error {
	if !t.docker {
		if err := t.Push(ctx, d, bytes.NewReader(content)); err != nil {
			return err
		}
		t.catalog.add(d, tag, nil)
		return nil
	}
	m, err := parseManifest(content)
	if err != nil {
		return err
	}
	if !m.isImage() {
		return errors.New("only an image can go into a docker-archive")
	}
	if err := t.Push(ctx, d, bytes.NewReader(content)); err != nil {
		return err
	}
	image := savedImage{Config: blobPath(m.Config.Digest), Layers: []string{}}
	for _, l := range m.Layers {
		image.Layers = append(image.Layers, blobPath(l.Digest))
	}
	if tag == "" {
		t.catalog.add(d, "", nil)
	} else {
		image.RepoTags = []string{tag}
		t.catalog.add(d, tag[strings.LastIndexByte(tag, ':')+1:], map[string]string{containerdName: fullName(tag)})
	}
	t.images = append(t.images, image)
	return nil
}

// fullName writes an image's name with the host that docker leaves out.
func fullName(name string) string {
	switch {
	case hasHost(name):
		return name
	case strings.Contains(name, "/"):
		return "docker.io/" + name
	}
	return "docker.io/library/" + name
}

func (t *archiveTarget) Commit() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	index, err := t.catalog.json()
	if err != nil {
		return err
	}
	tail := []struct {
		name    string
		content []byte
	}{{ocispec.ImageLayoutFile, layoutMark()}, {ocispec.ImageIndexFile, index}}
	if t.docker {
		images, err := json.Marshal(t.images)
		if err != nil {
			return err
		}
		tail = append(tail, struct {
			name    string
			content []byte
		}{"manifest.json", images})
	}
	for _, f := range tail {
		if err := t.put(f.name, int64(len(f.content)), bytes.NewReader(f.content)); err != nil {
			return err
		}
	}
	if err := t.tar.Close(); err != nil {
		return err
	}
	if err := t.file.Chmod(0o644); err != nil {
		return err
	}
	// The old archive is only given up for one that is on the disk.
	if err := t.file.Sync(); err != nil {
		return err
	}
	if err := t.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(t.file.Name(), t.path); err != nil {
		return err
	}
	t.done = true
	return nil
}

// Close removes the archive unless it is complete.
func (t *archiveTarget) Close() error {
	if t.done {
		return nil
	}
	t.file.Close() // it goes away, so what could not be written to it does not matter
	return os.Remove(t.file.Name())
}

// put adds a file. After a fault the archive is as before, so that the same file can be put once more.
func (t *archiveTarget) put(name string, size int64, content io.Reader) error {
	if err := t.tar.Flush(); err != nil {
		return err
	}
	begin, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	err = t.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg})
	if err == nil {
		var n int64
		if n, err = io.Copy(t.tar, content); err == nil && n != size {
			err = fmt.Errorf("%s has %d bytes, and not %d", name, n, size)
		}
	}
	if err == nil {
		return nil
	}
	if back := t.file.Truncate(begin); back != nil {
		return errors.Join(err, back)
	}
	if _, back := t.file.Seek(begin, io.SeekStart); back != nil {
		return errors.Join(err, back)
	}
	t.tar = tar.NewWriter(t.file)
	return err
}
