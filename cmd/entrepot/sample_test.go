package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// sample makes small images and artifacts, always the same for the same words.
type sample struct{ to target }

func (s sample) put(mediaType string, content []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if err := s.to.Push(context.Background(), d, bytes.NewReader(content)); err != nil {
		panic(err)
	}
	return d
}

func (s sample) publish(mediaType string, v any, tag string) ocispec.Descriptor {
	content, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	d := describeManifest(mediaType, content)
	if err := s.to.Publish(context.Background(), d, content, tag); err != nil {
		panic(err)
	}
	return d
}

// layerTar is a layer with one file in it.
func layerTar(name, text string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg})
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

func zip(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

// imageConfig is the configuration of an image of these uncompressed layers.
func imageConfig(architecture string, layers ...[]byte) ocispec.Image {
	created := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	c := ocispec.Image{
		Created:  &created,
		Platform: ocispec.Platform{OS: "linux", Architecture: architecture},
		Config:   ocispec.ImageConfig{Labels: map[string]string{"org.opencontainers.image.title": "sample"}},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromBytes(l))
		c.History = append(c.History, ocispec.History{CreatedBy: "sample"})
	}
	return c
}

// image publishes an image of one compressed layer.
func (s sample) image(tag, text, architecture string) ocispec.Descriptor {
	l := layerTar("hello", text)
	config, _ := json.Marshal(imageConfig(architecture, l))
	return s.publish(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      s.put(ocispec.MediaTypeImageConfig, config),
		Layers:      []ocispec.Descriptor{s.put(ocispec.MediaTypeImageLayerGzip, zip(l))},
		Annotations: map[string]string{"org.example.text": text},
	}, tag)
}

// index publishes an index of an image for each of two platforms.
func (s sample) index(tag, text string) ocispec.Descriptor {
	i := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, architecture := range []string{"amd64", "arm64"} {
		d := s.image("", text+" for "+architecture, architecture)
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		i.Manifests = append(i.Manifests, d)
	}
	return s.publish(ocispec.MediaTypeImageIndex, i, tag)
}

// referrer publishes an artifact about subject.
func (s sample) referrer(subject ocispec.Descriptor, artifactType, text string) ocispec.Descriptor {
	subject = ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return s.publish(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       s.put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{s.put("text/plain", []byte(text))},
		Subject:      &subject,
	}, "")
}

// sampleCommand makes a layout, or adds to one, for the scripts: sample [-index] [-sbom] [-save] DIR TAG TEXT.
func sampleCommand() {
	index := flag.Bool("index", false, "two platforms")
	sbom := flag.Bool("sbom", false, "an SBOM on it, and a signature on the SBOM")
	save := flag.Bool("save", false, "DIR is a file as docker save wrote it before Docker 25, TAG its repo:tag")
	flag.Parse()
	if flag.NArg() != 3 {
		fmt.Fprintln(os.Stderr, "sample [-index] [-sbom] [-save] DIR TAG TEXT")
		os.Exit(2)
	}
	path, tag, text := flag.Arg(0), flag.Arg(1), flag.Arg(2)
	if *save {
		if err := os.WriteFile(path, savedTar(tag, text), 0o644); err != nil {
			panic(err)
		}
		return
	}
	t, err := openLayoutTarget(path)
	if err != nil {
		panic(err)
	}
	s := sample{t}
	root := ocispec.Descriptor{}
	if *index {
		root = s.index(tag, text)
	} else {
		root = s.image(tag, text, "amd64")
	}
	if *sbom {
		s.referrer(s.referrer(root, "application/spdx+json", "sbom of "+text), "application/vnd.example.signature", "signature of "+text)
	}
	if err := t.Commit(); err != nil {
		panic(err)
	}
	fmt.Println(root.Digest)
}

// savedTar is an image as docker save wrote it up to version 24: the second layer is the first one again, as a link.
func savedTar(name, text string) []byte {
	l := layerTar("hello", text)
	config, _ := json.Marshal(imageConfig("amd64", l, l))
	configName := digest.FromBytes(config).Encoded() + ".json"
	images, _ := json.Marshal([]savedImage{{Config: configName, RepoTags: []string{name}, Layers: []string{"one/layer.tar", "two/layer.tar"}}})
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name    string
		content []byte
	}{{"one/VERSION", []byte("1.0")}, {"one/layer.tar", l}, {configName, config}, {"manifest.json", images}} {
		_ = w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg})
		_, _ = w.Write(f.content)
	}
	_ = w.WriteHeader(&tar.Header{Name: "two/layer.tar", Linkname: "../one/layer.tar", Typeflag: tar.TypeSymlink})
	_ = w.Close()
	return b.Bytes()
}
