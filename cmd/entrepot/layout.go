package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// The name of an image as containerd and docker write it into a layout's index.
const containerdName = "io.containerd.image.name"

// layout is an OCI image layout to read from, in a folder or in a tar file.
type layout struct {
	files files
	index ocispec.Index

	once      sync.Once
	referrers map[digest.Digest][]ocispec.Descriptor
	broken    error
}

func openLayoutFolder(path string) (origin, error) {
	f, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	return openLayout(f)
}

func openLayoutArchive(path string) (origin, error) {
	t, err := openTar(path)
	if err != nil {
		return nil, err
	}
	return openLayout(t)
}

// openLayout takes over f.
func openLayout(f files) (*layout, error) {
	l, err := readLayout(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func readLayout(f files) (*layout, error) {
	var mark ocispec.ImageLayout
	content, err := readAll(f, ocispec.ImageLayoutFile, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it is no OCI layout: it has no file %s", ocispec.ImageLayoutFile)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &mark); err != nil || mark.Version != ocispec.ImageLayoutVersion {
		return nil, fmt.Errorf("it is an OCI layout of a version other than %s", ocispec.ImageLayoutVersion)
	}
	l := &layout{files: f}
	if content, err = readAll(f, ocispec.ImageIndexFile, manifestBytes); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &l.index); err != nil {
		return nil, fmt.Errorf("%s is not readable: %w", ocispec.ImageIndexFile, err)
	}
	return l, nil
}

// tagOf returns the tag of an entry of index.json. Some tools write an image's whole name where the tag belongs.
func tagOf(d ocispec.Descriptor) string {
	name := d.Annotations[ocispec.AnnotationRefName]
	if _, tag, ok := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":"); ok {
		return tag
	}
	return name
}

// plain removes from an entry what says something of the layout and not of the content.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Platform: d.Platform, ArtifactType: d.ArtifactType}
}

// Find looks up a tag, an image's whole name, or a digest; with "" it is the one thing with a tag, or the one thing at all.
func (l *layout) Find(ctx context.Context, ref string) (ocispec.Descriptor, string, error) {
	if ref == "" {
		return l.only(ctx)
	}
	for _, d := range l.index.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] == ref || tagOf(d) == ref {
			return plain(d), tagOf(d), nil
		}
	}
	if d := digest.Digest(ref); d.Validate() == nil {
		for _, e := range l.index.Manifests {
			if e.Digest == d {
				return plain(e), "", nil
			}
		}
		found, err := l.byDigest(d)
		return found, "", err
	}
	return ocispec.Descriptor{}, "", fmt.Errorf("the layout has no such tag; %s", l.choice(ctx))
}

func (l *layout) only(ctx context.Context) (ocispec.Descriptor, string, error) {
	tagged, all := map[string]ocispec.Descriptor{}, map[digest.Digest]ocispec.Descriptor{}
	for _, d := range l.index.Manifests {
		all[d.Digest] = plain(d)
		if tag := tagOf(d); tag != "" {
			tagged[tag] = plain(d)
		}
	}
	switch {
	case len(all) == 0:
		return ocispec.Descriptor{}, "", errors.New("the layout is empty")
	case len(tagged) == 1:
		for tag, d := range tagged {
			return d, tag, nil
		}
	case len(all) == 1:
		return plain(l.index.Manifests[0]), "", nil
	}
	return ocispec.Descriptor{}, "", fmt.Errorf("the layout holds more than one thing; %s", l.choice(ctx))
}

// choice says what can be named.
func (l *layout) choice(ctx context.Context) string {
	tags, _ := l.Tags(ctx)
	if len(tags) == 0 {
		return "it has no tags, so name a digest of its " + ocispec.ImageIndexFile
	}
	return "its tags are " + printable(strings.Join(tags, ", "))
}

// byDigest finds a manifest that only another one names; its media type is in itself.
func (l *layout) byDigest(d digest.Digest) (ocispec.Descriptor, error) {
	content, err := readAll(l.files, blobPath(d), manifestLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", d, errdef.ErrNotFound)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m, err := parseManifest(content)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	t := m.MediaType
	switch {
	case t == "" && m.isIndex():
		t = ocispec.MediaTypeImageIndex
	case t == "":
		t = ocispec.MediaTypeImageManifest
	}
	return ocispec.Descriptor{MediaType: t, Digest: d, Size: int64(len(content))}, nil
}

func (l *layout) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", printable(d.Digest.String()), err)
	}
	r, size, err := l.files.open(blobPath(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", d.Digest, errdef.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if size != d.Size {
		r.Close()
		return nil, fmt.Errorf("%s has %d bytes there, and not %d", d.Digest, size, d.Size)
	}
	return r, nil
}

func (l *layout) Tags(context.Context) ([]string, error) {
	var tags []string
	for _, d := range l.index.Manifests {
		if t := tagOf(d); t != "" {
			tags = append(tags, t)
		}
	}
	return sortedTags(tags), nil
}

// Referrers lists the manifests of the layout whose subject is d. A layout keeps no such list, so it is made once, of everything that
// index.json leads to.
func (l *layout) Referrers(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	l.once.Do(func() {
		l.referrers = map[digest.Digest][]ocispec.Descriptor{}
		seen := map[digest.Digest]bool{}
		next := l.index.Manifests
		for len(next) > 0 && l.broken == nil {
			d := plain(next[0])
			next = next[1:]
			if seen[d.Digest] || !isManifestType(d.MediaType) {
				continue
			}
			if seen[d.Digest] = true; len(seen) > manifestCount {
				l.broken = fmt.Errorf("the layout has more than %d manifests", manifestCount)
				return
			}
			content, err := fetchBytes(ctx, l, d, manifestLimit)
			if isAbsent(err) {
				continue // an index may be kept in part
			}
			if err != nil {
				l.broken = err
				return
			}
			m, err := parseManifest(content)
			if err != nil {
				l.broken = fmt.Errorf("read %s: %w", d.Digest, err)
				return
			}
			next = append(next[:len(next):len(next)], m.Manifests...)
			if m.Subject != nil {
				l.referrers[m.Subject.Digest] = append(l.referrers[m.Subject.Digest], d)
			}
		}
	})
	return l.referrers[d.Digest], l.broken
}

func (l *layout) Close() error { return l.files.Close() }

// blobPath is where a layout keeps content. The digest has to be valid.
func blobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}
