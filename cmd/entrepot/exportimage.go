package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/version"
)

// imageName is what the image may be called that is in a version's image.tar, behind a host: cloud/dmp/ms-ingestion:1.0.2.
func imageName(file string) string {
	dir := path.Dir(path.Dir(file)) // without docker/image.tar
	component := strings.TrimPrefix(path.Dir(path.Dir(dir)), "components/")
	v, _ := version.Parse(path.Base(dir)) // what is none has no image
	return component + ":" + v.Tag()
}

// imageTar is what was found in an image.tar.
type imageTar struct {
	has      map[string]bool // checked, if they are called by their digests
	manifest []byte          // of the image that is wanted
	list     []savedImage    // of manifest.json
	index    ocispec.Index
}

// checkImageTar reads an image.tar, which is made by the server and has no digest of its own, and tells whether it is the image: all content in it is what it is
// called, both ways to load it lead to the manifest that is wanted, or to what that names, and the image gets no other name.
func checkImageTar(r io.Reader, name string, want digest.Digest) error {
	if err := want.Validate(); err != nil {
		return contentError(fmt.Sprintf("the server says that its image is %q", want))
	}
	t := imageTar{has: map[string]bool{}}
	from := tar.NewReader(r)
	for range tarEntries {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			// The whole of the answer counts, also what stands behind the end of the archive.
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
			return t.judge(name, want)
		}
		if errors.Is(err, tar.ErrHeader) {
			return contentError("it is no tar file")
		}
		if err == nil {
			err = t.add(h, from, want)
		}
		if err != nil {
			return err
		}
	}
	return contentError(fmt.Sprintf("it holds more than %d files", tarEntries))
}

// add checks a file of the archive.
func (t *imageTar) add(h *tar.Header, content io.Reader, want digest.Digest) error {
	if h.Typeflag != tar.TypeReg || t.has[h.Name] {
		return contentError(fmt.Sprintf("it holds %q, which is no file, or there twice", h.Name))
	}
	t.has[h.Name] = true
	switch h.Name {
	case ocispec.ImageLayoutFile:
		return nil
	case "manifest.json":
		return readPart(content, h, &t.list)
	case ocispec.ImageIndexFile:
		return readPart(content, h, &t.index)
	}
	rest, ok := strings.CutPrefix(h.Name, ocispec.ImageBlobsDir+"/")
	d := digest.Digest(strings.Replace(rest, "/", ":", 1))
	if !ok || d.Validate() != nil {
		return contentError(fmt.Sprintf("it holds %q, which belongs to no image", h.Name))
	}
	if d == want {
		if h.Size > manifestLimit {
			return contentError(fmt.Sprintf("its manifest has %d bytes", h.Size))
		}
		body, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		t.manifest, content = body, bytes.NewReader(body)
	}
	check := d.Verifier()
	if _, err := io.Copy(check, content); err != nil {
		return err
	}
	if !check.Verified() {
		return contentError(fmt.Sprintf("%s in it has other content", d))
	}
	return nil
}

// readPart reads a file of JSON.
func readPart(content io.Reader, h *tar.Header, into any) error {
	if h.Size > manifestLimit {
		return contentError(fmt.Sprintf("%s in it has %d bytes", h.Name, h.Size))
	}
	body, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if json.Unmarshal(body, into) != nil {
		return contentError(h.Name + " in it is not readable")
	}
	return nil
}

// judge tells whether all is there, and nothing else.
func (t *imageTar) judge(name string, want digest.Digest) error {
	m, err := parseManifest(t.manifest)
	if t.manifest == nil || err != nil || !m.isImage() {
		return contentError("it lacks the manifest of its image")
	}
	for _, d := range m.parts() {
		if !t.has[blobPath(d.Digest)] {
			return contentError("it lacks " + d.Digest.String())
		}
	}
	if len(t.index.Manifests) != 1 || t.index.Manifests[0].Digest != want {
		return contentError("its index.json leads to another image")
	}
	// Docker checks layers against the config itself.
	if len(t.list) != 1 || t.list[0].Config != blobPath(m.Config.Digest) || len(t.list[0].Layers) != len(m.Layers) {
		return contentError("its manifest.json leads to another image")
	}
	called := append([]string{t.index.Manifests[0].Annotations[containerdName]}, t.list[0].RepoTags...)
	for _, c := range called {
		if c != name && !strings.HasSuffix(c, "/"+name) {
			return contentError(fmt.Sprintf("it would be loaded as %q, and not as %s", c, name))
		}
	}
	for _, layer := range t.list[0].Layers {
		if !t.has[layer] {
			return contentError(fmt.Sprintf("it lacks %q", layer))
		}
	}
	return nil
}
