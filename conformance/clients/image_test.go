//go:build clients

package clients

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// greeting is what the hello program prints when it is run without a word.
const greeting = "hello from a small image"

// helloSource is a program for images without a shell: it greets, waits as a pod's sandbox does, or tells the digest of a file
// inside the container, so that a test can compare content from end to end.
const helloSource = `package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "wait":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
		<-c
	case len(os.Args) == 3 && os.Args[1] == "sum":
		b, err := os.ReadFile(os.Args[2])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Printf("sha256:%x\n", sha256.Sum256(b))
	default:
		fmt.Println("` + greeting + `")
	}
}
`

// workshop is where the hello program is built, once a test process; sweep removes it.
var workshop string

func sweep() { _ = os.RemoveAll(workshop) }

var buildHello = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "echello")
	if err != nil {
		return nil, err
	}
	workshop = dir
	if err := os.WriteFile(filepath.Join(dir, "hello.go"), []byte(helloSource), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "hello", "hello.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build hello: %v\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "hello"))
})

// hello returns the hello program: a static binary.
func hello(t *testing.T) []byte {
	t.Helper()
	b, err := buildHello()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noise returns n bytes that nothing can compress.
func noise(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// buildContext puts the hello program, a file of noise and a Dockerfile into the session's folder name. The noise makes every
// build's layers its own.
func (s *session) buildContext(name string, size int) (sum string) {
	s.t.Helper()
	big := noise(s.t, size)
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.write(name+"/Dockerfile", "FROM scratch\nCOPY hello /hello\nCOPY big /big\nRUN [\"/hello\", \"sum\", \"/big\"]\nENTRYPOINT [\"/hello\"]\n")
	s.write(name+"/big", string(big))
	if err := os.Chmod(s.write(name+"/hello", string(hello(s.t))), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return digest.FromBytes(big).String()
}

// image is a small true image made without any client, so that a client's pull is tested apart from its push.
type image struct {
	digest   digest.Digest // of the manifest
	manifest []byte
	blobs    [][]byte // config and layers
	noise    digest.Digest
}

// newImage makes an image of the hello program and some noise of its own, which runs hello with the words.
func newImage(t *testing.T, words ...string) image {
	t.Helper()
	big := noise(t, 64<<10)
	layers := [][]byte{layer(t, "hello", 0o755, hello(t)), layer(t, "big", 0o644, big)}
	config := ocispec.Image{
		Platform: ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		Config:   ocispec.ImageConfig{Entrypoint: append([]string{"/hello"}, words...)},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l))
		m.Layers = append(m.Layers, describe(ocispec.MediaTypeImageLayerGzip, squeeze(t, l)))
	}
	c := encode(t, config)
	m.Config = describe(ocispec.MediaTypeImageConfig, c)
	i := image{manifest: encode(t, m), blobs: [][]byte{c}, noise: digest.FromBytes(big)}
	for _, l := range layers {
		i.blobs = append(i.blobs, squeeze(t, l))
	}
	i.digest = digest.FromBytes(i.manifest)
	return i
}

// push uploads the image with plain requests: a POST and a PUT for each blob, a PUT for the manifest under each tag.
func (i image) push(t *testing.T, addr, repo string, tags ...string) {
	t.Helper()
	i.pushAs(t, caller{base: "http://" + addr}, repo, tags...)
}

// pushAs is push by somebody in particular.
func (i image) pushAs(t *testing.T, who caller, repo string, tags ...string) {
	t.Helper()
	for _, b := range i.blobs {
		res := who.send(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", "", nil, http.StatusAccepted)
		at, err := res.Location()
		if err != nil {
			t.Fatal(err)
		}
		q := at.Query()
		q.Set("digest", digest.FromBytes(b).String())
		at.RawQuery = q.Encode()
		who.send(t, http.MethodPut, at.RequestURI(), "application/octet-stream", b, http.StatusCreated)
	}
	for _, tag := range tags {
		who.send(t, http.MethodPut, "/v2/"+repo+"/manifests/"+url.PathEscape(tag), ocispec.MediaTypeImageManifest, i.manifest, http.StatusCreated)
	}
}

// layout writes the image as an OCI layout into dir, tagged as given.
func (i image) layout(t *testing.T, dir, tag string) {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	m := describe(ocispec.MediaTypeImageManifest, i.manifest)
	m.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	files := map[string][]byte{
		filepath.Join(dir, "oci-layout"): []byte(`{"imageLayoutVersion":"1.0.0"}`),
		filepath.Join(dir, "index.json"): encode(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{m}}),
	}
	for _, b := range append([][]byte{i.manifest}, i.blobs...) {
		files[filepath.Join(blobs, digest.FromBytes(b).Encoded())] = b
	}
	for path, b := range files {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func describe(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// layer returns a tar of one file.
func layer(t *testing.T, name string, mode int64, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// squeeze compresses with gzip; equal input gives equal output.
func squeeze(t *testing.T, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}
