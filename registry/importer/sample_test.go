package importer

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// tree is a folder as distribution's registry keeps one, written by hand.
type tree struct {
	t   *testing.T
	dir string
	lay func(t *testing.T, dir string) Medium // brings it to where it is read; nil: it is read where it is written
}

func newTree(t *testing.T) tree {
	f := tree{t: t, dir: t.TempDir()}
	f.mkdir("repositories")
	return f
}

// eachMedium runs a test with a tree that lies on a disk, and with the tag backends with one in a bucket too.
func eachMedium(t *testing.T, test func(t *testing.T, f tree)) {
	t.Run("disk", func(t *testing.T) { test(t, newTree(t)) })
	if lay := layInBucket(t); lay != nil {
		t.Run("bucket", func(t *testing.T) {
			f := newTree(t)
			f.lay = lay
			test(t, f)
		})
	}
}

// at returns where something lies in the folder.
func (f tree) at(parts ...string) string {
	return filepath.Join(append([]string{f.dir, "docker", "registry", "v2"}, parts...)...)
}

func (f tree) mkdir(parts ...string) {
	f.t.Helper()
	if err := os.MkdirAll(f.at(parts...), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

func (f tree) write(content string, parts ...string) {
	f.t.Helper()
	f.mkdir(filepath.Dir(filepath.Join(parts...)))
	if err := os.WriteFile(f.at(parts...), []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// data is where a digest's bytes lie.
func (f tree) data(d digest.Digest) string {
	return f.at("blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded(), "data")
}

func (f tree) content(content string) digest.Digest {
	d := digest.FromString(content)
	f.write(content, "blobs", "sha256", d.Encoded()[:2], d.Encoded(), "data")
	return d
}

func (f tree) layer(repo, mediaType, content string) ocispec.Descriptor {
	d := f.content(content)
	f.write(string(d), "repositories", repo, "_layers", "sha256", d.Encoded(), "link")
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (f tree) manifest(repo, tag string, v any) ocispec.Descriptor {
	f.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		f.t.Fatal(err)
	}
	d := f.content(string(body))
	f.write(string(d), "repositories", repo, "_manifests", "revisions", "sha256", d.Encoded(), "link")
	if tag != "" {
		f.write(string(d), "repositories", repo, "_manifests", "tags", tag, "current", "link")
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(body))}
}

// image is an image of one layer, longer than what an index keeps by itself.
func (f tree) image(repo, tag, text string) (image, layer ocispec.Descriptor) {
	f.t.Helper()
	layer = f.layer(repo, ocispec.MediaTypeImageLayer, strings.Repeat(text+" ", 10_000))
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: f.layer(repo, ocispec.MediaTypeImageConfig, `{"text":"`+text+`"}`), Layers: []ocispec.Descriptor{layer}}
	m.SchemaVersion = 2
	return f.manifest(repo, tag, m), layer
}

func (f tree) open() *Folder {
	f.t.Helper()
	open := func() (*Folder, error) { return OpenFolder(f.dir) }
	if f.lay != nil {
		open = func() (*Folder, error) { return NewFolder(f.t.Context(), f.lay(f.t, f.dir)) }
	}
	folder, err := open()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { folder.Close() })
	return folder
}

// newLocal is an empty registry.
func newLocal(t *testing.T) *Local {
	t.Helper()
	reg, err := registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: kv.NewMemory(), Uploads: kv.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	return &Local{Registry: reg}
}

// runAll runs a move that is to come to its end.
func runAll(t *testing.T, c Config) Report {
	t.Helper()
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("the move ended early: %v", err)
	}
	return report
}

// told wants each of some words to be in a failure of its own.
func told(t *testing.T, r Report, wants ...string) {
	t.Helper()
	var all []string
	for _, f := range r.Failures {
		all = append(all, f.Repo+": "+f.What+": "+f.Err.Error())
	}
	for _, want := range wants {
		found := -1
		for i, text := range all {
			if strings.Contains(text, want) {
				found = i
			}
		}
		if found < 0 {
			t.Errorf("no failure tells of %q; left are %q", want, all)
			continue
		}
		all = append(all[:found], all[found+1:]...)
	}
	if len(all) > 0 {
		t.Errorf("failures that nobody expects: %q", all)
	}
}

func read(t *testing.T, l *Local, repo string, d digest.Digest) string {
	t.Helper()
	_, content, err := l.Registry.OpenBlob(t.Context(), repo, d)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	b, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
