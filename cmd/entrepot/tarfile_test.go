package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// packed is a file of a tar that a test makes.
type packed struct {
	name, text, link string
	kind             byte
}

func pack(t testing.TB, files ...packed) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text)), Typeflag: tar.TypeReg, Linkname: f.link}
		if f.kind != 0 {
			h.Typeflag = f.kind
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return keep(t, b.Bytes())
}

func keep(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTarNamesStayInside(t *testing.T) {
	long := strings.Repeat("deep/", 60) + "file" // a PAX header goes before it
	f, err := openTar(pack(t,
		packed{name: "./one", text: "1"},
		packed{name: "../../etc/passwd", text: "2"},
		packed{name: "/abs", text: "3"},
		packed{name: long, text: "4"},
		packed{name: "dir/link", link: "../one", kind: tar.TypeSymlink},
		packed{name: "hard", link: "one", kind: tar.TypeLink},
		packed{name: "out", link: "../../../../etc/hostname", kind: tar.TypeSymlink},
		packed{name: "out-abs", link: "/etc/passwd", kind: tar.TypeSymlink},
		packed{name: "loop-a", link: "loop-b", kind: tar.TypeSymlink},
		packed{name: "loop-b", link: "loop-a", kind: tar.TypeSymlink},
		packed{name: "device", kind: tar.TypeChar},
	))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string]string{
		"one": "1", "./one": "1", "etc/passwd": "2", "abs": "3", long: "4", "dir/link": "1", "dir/../hard": "1",
		"out-abs": "2", // the archive's own /etc/passwd
	} {
		got, err := readAll(f, name, 10)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"out", "loop-a", "device", "absent", "dir"} {
		if _, err := readAll(f, name, 10); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := readAll(f, "one", 0); err == nil {
		t.Error("a file larger than its limit was read")
	}
}

func TestTarDamage(t *testing.T) {
	whole, err := os.ReadFile(pack(t, packed{name: "file", text: strings.Repeat("x", 5000)}))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		fault   string
	}{
		"cut in a file": {whole[:3000], "it ends within file"},
		"no tar":        {bytes.Repeat([]byte("no tar at all "), 100), "no tar file"},
		"gzip":          {zip(whole), "unpack it with gzip -d first"},
	} {
		f, err := openTar(keep(t, c.content))
		if err == nil {
			f.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v; want %q", name, err, c.fault)
		}
	}
}

func TestTarWithTooManyEntries(t *testing.T) {
	files := make([]packed, tarEntries+1)
	for i := range files {
		files[i].name = fmt.Sprint(i)
	}
	if f, err := openTar(pack(t, files...)); err == nil {
		f.Close()
		t.Error("opened")
	}
}

// saved is an archive of docker save with one layer, and what a test changes in it.
func saved(t testing.TB, change func(files map[string]string)) string {
	t.Helper()
	layer := layerTar("hello", "hello")
	config, _ := json.Marshal(imageConfig("amd64", layer))
	files := map[string]string{
		"config.json":   string(config),
		"layer.tar":     string(layer),
		"manifest.json": `[{"Config":"config.json","RepoTags":["app:1"],"Layers":["layer.tar"]}]`,
	}
	change(files)
	var all []packed
	for name, text := range files {
		all = append(all, packed{name: name, text: text})
	}
	return pack(t, all...)
}

func TestHostileSavedImages(t *testing.T) {
	for name, c := range map[string]struct {
		change func(map[string]string)
		fault  string
	}{
		"no manifest.json":   {func(f map[string]string) { delete(f, "manifest.json") }, "has no manifest.json"},
		"no JSON":            {func(f map[string]string) { f["manifest.json"] = "{" }, "manifest.json is not readable"},
		"no image":           {func(f map[string]string) { f["manifest.json"] = "[]" }, "holds no image"},
		"no configuration":   {func(f map[string]string) { delete(f, "config.json") }, "read the image's configuration"},
		"a huge one":         {func(f map[string]string) { f["config.json"] = strings.Repeat(" ", configLimit+1) }, "more than the"},
		"no layer":           {func(f map[string]string) { delete(f, "layer.tar") }, "read layer 1"},
		"layers uncounted":   {func(f map[string]string) { f["config.json"] = "{}" }, "names 0 layers, but manifest.json 1"},
		"an odd compression": {func(f map[string]string) { f["layer.tar"] = "BZh9 and so on" }, "packed with bzip2"},
		"no diff id": {func(f map[string]string) {
			f["config.json"] = `{"rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}`
		}, "diff id"},
		"a path out": {func(f map[string]string) {
			f["manifest.json"] = `[{"Config":"../../../../../../etc/passwd","Layers":["layer.tar"]}]`
		}, "read the image's configuration"},
		"endless layers": {func(f map[string]string) {
			f["manifest.json"] = `[{"Config":"config.json","Layers":["layer.tar"` + strings.Repeat(`,"layer.tar"`, savedLayers) + `]}]`
		}, "more than 1000 cannot be"},
		"another layer": {func(f map[string]string) { f["layer.tar"] = string(layerTar("hello", "evil")) }, "the content is sha256:"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "layout")
			var stdout, stderr bytes.Buffer
			code := run(context.Background(), []string{"cp", "docker-archive:" + saved(t, c.change), "oci:" + dst}, nil, &stdout, &stderr, nil)
			if code != 1 || !strings.Contains(stderr.String(), c.fault) {
				t.Errorf("exit status %d: %s; want %q", code, stderr.String(), c.fault)
			}
			// A layout that names wrong content would be worse than none.
			if _, err := os.Stat(filepath.Join(dst, ocispec.ImageIndexFile)); err == nil {
				t.Error("an index.json was written")
			}
		})
	}
}

func TestCompressedSavedLayer(t *testing.T) {
	layer := zip(layerTar("hello", "hello"))
	path := saved(t, func(f map[string]string) { f["layer.tar"] = string(layer) })
	o, err := openDockerArchive(context.Background(), path, "docker.io/library/app:1")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	d, name, err := o.Find(context.Background(), "")
	if err != nil || name != "app:1" {
		t.Fatalf("found %q, %v", name, err)
	}
	content, err := fetchBytes(context.Background(), o, d, manifestLimit)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseManifest(content)
	if err != nil {
		t.Fatal(err)
	}
	if l := m.Layers[0]; l.MediaType != ocispec.MediaTypeImageLayerGzip || l.Digest != digest.FromBytes(layer) {
		t.Errorf("the layer is %+v", l)
	}
}

// A layout in a folder may have been unpacked from somebody's archive: its links lead nowhere outside.
func TestLayoutFolderDoesNotFollowLinksOut(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	content := []byte("secret")
	if err := os.WriteFile(secret, content, 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := openLayoutTarget(filepath.Join(dir, "l"))
	if err != nil {
		t.Fatal(err)
	}
	d := sample{to}.image("1", "hello", "amd64")
	if err := to.Commit(); err != nil {
		t.Fatal(err)
	}
	secretDigest := digest.FromBytes(content)
	if err := os.Symlink(secret, filepath.Join(dir, "l", filepath.FromSlash(blobPath(secretDigest)))); err != nil {
		t.Fatal(err)
	}
	o, err := openLayoutFolder(filepath.Join(dir, "l"))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := fetchBytes(context.Background(), o, d, manifestLimit); err != nil {
		t.Fatal(err)
	}
	if got, err := fetchBytes(context.Background(), o, ocispec.Descriptor{Digest: secretDigest, Size: int64(len(content))}, 100); err == nil {
		t.Errorf("read %q through a link", got)
	}
}

func FuzzSavedImage(f *testing.F) {
	f.Add([]byte(`[{"Config":"config.json","RepoTags":["app:1"],"Layers":["layer.tar"]}]`), []byte(`{"rootfs":{"diff_ids":["sha256:x"]}}`))
	f.Fuzz(func(t *testing.T, images, config []byte) {
		path := saved(t, func(files map[string]string) {
			files["manifest.json"], files["config.json"] = string(images), string(config)
		})
		if o, err := openDockerArchive(context.Background(), path, ""); err == nil {
			o.Close()
		}
	})
}
