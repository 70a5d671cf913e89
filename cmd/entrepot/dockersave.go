package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// savedLayers is far above the 127 layers that an overlay filesystem can stack.
const savedLayers = 1000

// savedArchive is one image of a tar file of docker save. Its manifest is the one in the archive when there is one (Docker 25 and
// later, and cp itself), else it is made here, of the layers as they are.
type savedArchive struct {
	tar      *tarFile
	name     string // its repo:tag, "" if it has none
	root     ocispec.Descriptor
	manifest []byte
	paths    map[digest.Digest]string
}

// openDockerArchive opens the image called name (repo:tag), or the only one.
func openDockerArchive(ctx context.Context, path, name string) (origin, error) {
	t, err := openTar(path)
	if err != nil {
		return nil, err
	}
	s, err := readSaved(ctx, t, name)
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

func readSaved(ctx context.Context, t *tarFile, name string) (*savedArchive, error) {
	content, err := readAll(t, "manifest.json", manifestLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it has no manifest.json, so docker save (1.10 or later) has not written it; name an OCI layout as oci-archive:FILE")
	}
	if err != nil {
		return nil, err
	}
	var images []savedImage
	if err := json.Unmarshal(content, &images); err != nil {
		return nil, fmt.Errorf("manifest.json is not readable: %w", err)
	}
	image, name, err := pickSaved(images, name)
	if err != nil {
		return nil, err
	}
	if len(image.Layers) > savedLayers {
		return nil, fmt.Errorf("the image has %d layers, and more than %d cannot be", len(image.Layers), savedLayers)
	}
	s := &savedArchive{tar: t, name: name, paths: map[digest.Digest]string{}}
	if err := s.build(image); err != nil {
		return nil, err
	}
	return s, s.preferOwn(ctx)
}

// pickSaved finds an image by its name, with or without the host that docker leaves out, and returns the name as it stands there.
func pickSaved(images []savedImage, name string) (savedImage, string, error) {
	var names []string
	for _, i := range images {
		for _, tag := range i.RepoTags {
			if name != "" && (tag == name || fullName(tag) == fullName(name)) {
				return i, tag, nil
			}
			names = append(names, tag)
		}
	}
	list := printable(strings.Join(names, ", "))
	switch {
	case len(images) == 0:
		return savedImage{}, "", errors.New("it holds no image")
	case name == "" && len(images) == 1:
		return images[0], strings.Join(names[:min(1, len(names))], ""), nil
	case name == "":
		return savedImage{}, "", fmt.Errorf("it holds %d images; add the name of one: %s", len(images), list)
	}
	return savedImage{}, "", fmt.Errorf("it holds no %s, but %s", printable(name), list)
}

// build makes the image's manifest.
func (s *savedArchive) build(image savedImage) error {
	content, err := readAll(s.tar, image.Config, configLimit)
	if err != nil {
		return fmt.Errorf("read the image's configuration: %w", err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(content, &config); err != nil {
		return fmt.Errorf("the image's configuration is not readable: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return fmt.Errorf("the image's configuration names %d layers, but manifest.json %d", len(config.RootFS.DiffIDs), len(image.Layers))
	}
	d := describeManifest(ocispec.MediaTypeImageConfig, content)
	s.paths[d.Digest] = image.Config
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: d, Layers: []ocispec.Descriptor{}}
	m.SchemaVersion = 2
	for i, path := range image.Layers {
		l, err := s.layer(path, config.RootFS.DiffIDs[i])
		if err != nil {
			return fmt.Errorf("read layer %d: %w", i+1, err)
		}
		s.paths[l.Digest] = path
		m.Layers = append(m.Layers, l)
	}
	if s.manifest, err = json.Marshal(m); err != nil {
		return err
	}
	s.root = describeManifest(ocispec.MediaTypeImageManifest, s.manifest)
	return nil
}

// layer describes a layer without reading more of it than it must. The copy itself checks every digest that is claimed here.
func (s *savedArchive) layer(path string, diffID digest.Digest) (ocispec.Descriptor, error) {
	r, size, err := s.tar.open(path)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer r.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{Size: size}
	switch c := compression(head[:n]); c {
	case "":
		// The digest of an uncompressed layer is what the configuration calls its diff id.
		if err := diffID.Validate(); err != nil {
			return d, fmt.Errorf("diff id %q: %w", printable(diffID.String()), err)
		}
		d.MediaType, d.Digest = ocispec.MediaTypeImageLayer, diffID
		return d, nil
	case "gzip":
		d.MediaType = ocispec.MediaTypeImageLayerGzip
	case "zstd":
		d.MediaType = ocispec.MediaTypeImageLayerZstd
	default:
		return d, fmt.Errorf("%s is packed with %s, which image layers may not be", printable(path), c)
	}
	if hex, ok := strings.CutPrefix(inside("", path), "blobs/sha256/"); ok {
		if claimed := digest.NewDigestFromEncoded(digest.SHA256, hex); claimed.Validate() == nil {
			d.Digest = claimed
			return d, nil
		}
	}
	d.Digest, err = digest.FromReader(io.MultiReader(bytes.NewReader(head[:n]), r))
	return d, err
}

// preferOwn takes the archive's own manifest of the same image, if it has one: then the image keeps its digest.
func (s *savedArchive) preferOwn(ctx context.Context) error {
	l, err := readLayout(s.tar)
	if err != nil {
		return nil // no layout, so there is nothing to prefer
	}
	made, err := parseManifest(s.manifest)
	if err != nil {
		return err
	}
	for _, d := range l.index.Manifests {
		if isIndexType(d.MediaType) || !isManifestType(d.MediaType) {
			continue
		}
		content, err := fetchBytes(ctx, l, d, manifestLimit)
		if err != nil {
			continue
		}
		own, err := parseManifest(content)
		if err != nil || own.Config == nil || own.Config.Digest != made.Config.Digest || !slices.EqualFunc(own.Layers, made.Layers, sameContent) {
			continue
		}
		s.root, s.manifest = plain(d), content
		break
	}
	return nil
}

func sameContent(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest && a.Size == b.Size }

// Find returns the image that was chosen when the archive was opened.
func (s *savedArchive) Find(context.Context, string) (ocispec.Descriptor, string, error) {
	return s.root, s.name, nil
}

func (s *savedArchive) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if d.Digest == s.root.Digest {
		return io.NopCloser(bytes.NewReader(s.manifest)), nil
	}
	path, ok := s.paths[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, errdef.ErrNotFound)
	}
	r, _, err := s.tar.open(path)
	return r, err
}

func (s *savedArchive) Tags(context.Context) ([]string, error) { return nil, nil }

func (s *savedArchive) Referrers(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	return nil, nil
}

func (s *savedArchive) Close() error { return s.tar.Close() }
