package tree

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// unpackTar reads an archive, checks that what is called by its digest is it, and returns its files and their order.
func unpackTar(t *testing.T, body string) (files map[string]string, order []string) {
	t.Helper()
	files = map[string]string{}
	r := tar.NewReader(strings.NewReader(body))
	for {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, order
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := files[head.Name]; twice {
			t.Errorf("%s is there twice", head.Name)
		}
		files[head.Name] = string(content)
		order = append(order, head.Name)
		if hex, ok := strings.CutPrefix(head.Name, "blobs/sha256/"); ok && digest.FromBytes(content).Encoded() != hex {
			t.Errorf("%s is %s", head.Name, digest.FromBytes(content))
		}
	}
}

// loaded is what an archive says of its only image, to those who read manifest.json and to those who read index.json.
func loaded(t *testing.T, files map[string]string) (list saved, name string, m ocispec.Manifest, d digest.Digest) {
	t.Helper()
	var all []saved
	var index ocispec.Index
	if err := errors.Join(json.Unmarshal([]byte(files["manifest.json"]), &all), json.Unmarshal([]byte(files["index.json"]), &index)); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || len(index.Manifests) != 1 || files["oci-layout"] != `{"imageLayoutVersion":"1.0.0"}` {
		t.Fatalf("%v, %v, %s", all, index, files["oci-layout"])
	}
	d = index.Manifests[0].Digest
	if err := json.Unmarshal([]byte(files[blobPath(d)]), &m); err != nil {
		t.Fatal(err)
	}
	for _, one := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if _, ok := files[blobPath(one.Digest)]; !ok {
			t.Errorf("the layout lacks %s", one.Digest)
		}
	}
	for _, path := range append([]string{all[0].Config}, all[0].Layers...) {
		if _, ok := files[path]; !ok {
			t.Errorf("there is no %s, of which manifest.json speaks", path)
		}
	}
	return all[0], index.Manifests[0].Annotations["io.containerd.image.name"], m, d
}

// TestImage_is_what_docker_loads, and keeps its digest.
func TestImage_is_what_docker_loads(t *testing.T) {
	h := build(t)
	d := h.gzipImage(service, "amd64", "hello", "1.0.2")
	for host, want := range map[string]string{
		"registry.example.com:5000": "registry.example.com:5000/" + service + ":1.0.2",
		"registry.example.com":      "registry.example.com/" + service + ":1.0.2",
		"localhost":                 "localhost/" + service + ":1.0.2",
		"registry":                  "registry:80/" + service + ":1.0.2",
		"[::1]:5000":                service + ":1.0.2",
	} {
		r := h.get(folder+"docker/image.tar", "Host", host).want(t, 200)
		if r.ContentLength != int64(len(r.body)) || r.Header.Get("Content-Type") != "application/x-tar" || r.Header.Get("Content-Disposition") != "attachment; filename=image.tar" {
			t.Errorf("%d bytes, %v", len(r.body), r.Header)
		}
		files, order := unpackTar(t, r.body)
		list, name, m, got := loaded(t, files)
		if got != d.Digest || fmt.Sprint(list.RepoTags) != "["+want+"]" || name != want || len(list.Layers) != 2 {
			t.Errorf("at %s: %s, %v, %s; want %s of %s", host, got, list, name, want, d.Digest)
		}
		for i, path := range list.Layers {
			if path != blobPath(m.Layers[i].Digest) {
				t.Errorf("layer %d is %s, want it as it was pushed", i, path)
			}
		}
		if len(order) != 7 || order[0] != "oci-layout" || order[1] != "index.json" || order[2] != "manifest.json" {
			t.Errorf("order %v", order)
		}
		if again := h.get(folder+"docker/image.tar", "Host", host); again.body != r.body || again.Header.Get("Etag") != r.Header.Get("Etag") {
			t.Error("the same image is made of other bytes the next time")
		}
		h.get(folder+"docker/image.tar", "Host", host, "If-None-Match", r.Header.Get("Etag")).want(t, 304)
		if head := h.do("HEAD", folder+"docker/image.tar", "Host", host).want(t, 200); head.ContentLength != r.ContentLength || head.Header.Get("Etag") != r.Header.Get("Etag") {
			t.Errorf("HEAD: %v", head.Header)
		}
	}
}

// TestImage_is_sent_in_ranges, wherever they begin and end.
func TestImage_is_sent_in_ranges(t *testing.T) {
	h := build(t)
	layers := [][]byte{layerOf("a", strings.Repeat("a", 100_000)), layerOf("b", strings.Repeat("b", 3000)), nil}
	h.push(service, h.image(service, "amd64", layers, h.blob(service, ocispec.MediaTypeImageLayer, "", layers[0]),
		h.blob(service, ocispec.MediaTypeImageLayerZstd, "", zstandard(layers[1])), h.blob(service, ocispec.MediaTypeImageLayer, "", nil)), "1.0.2")
	whole := h.get(folder+"docker/image.tar").want(t, 200)
	size := len(whole.body)
	for from := 0; from < size; from += 1237 {
		to := min(from+100+from%9000, size-1)
		r := h.get(folder+"docker/image.tar", "Range", fmt.Sprintf("bytes=%d-%d", from, to), "If-Range", whole.Header.Get("Etag")).want(t, 206)
		if r.body != whole.body[from:to+1] || r.cut != nil {
			t.Fatalf("from %d to %d: %d bytes, %v", from, to, len(r.body), r.cut)
		}
	}
	if r := h.get(folder+"docker/image.tar", "Range", fmt.Sprintf("bytes=0-9,%d-", size-10)).want(t, 206); !strings.Contains(r.body, "oci-layout"[:10]) || r.cut != nil {
		t.Errorf("two ranges: %v, %v", r.Header, r.cut)
	}
	h.get(folder+"docker/image.tar", "Range", fmt.Sprintf("bytes=%d-", size)).want(t, 416)
}

// TestImage_is_the_one_for_a_platform.
func TestImage_is_the_one_for_a_platform(t *testing.T) {
	h := build(t)
	child := func(arch, variant string) ocispec.Descriptor {
		d := h.gzipImage(service, arch, arch+variant)
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}
		return d
	}
	arm, v8, amd := child("arm", "v7"), child("arm64", "v8"), child("amd64", "")
	attested := amd
	attested.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	sparse := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("elsewhere"), Size: 9, Platform: &ocispec.Platform{OS: "linux", Architecture: "s390x"}}
	index := func(children ...ocispec.Descriptor) ocispec.Index {
		return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
	}
	plainAmd := amd
	plainAmd.Platform = nil
	h.push(service, index(attested, sparse, arm, v8, amd), "1.0.2")
	h.push(service, index(sparse, arm, v8), "2.0.0")
	h.push(service, index(arm, plainAmd), "3.0.0")
	h.push(service, index(attested, sparse), "4.0.0")
	h.gzipImage(service, "amd64", "amd64", "5.0.0")
	for _, c := range []struct {
		version, platform string
		want              digest.Digest
		hint              string
	}{
		{"1.0.2", "", amd.Digest, ""},
		{"1.0.2", "linux/amd64", amd.Digest, ""},
		{"1.0.2", "linux/arm64", v8.Digest, ""},
		{"1.0.2", "linux/arm64/v8", v8.Digest, ""},
		{"1.0.2", "linux/arm", arm.Digest, ""},
		{"1.0.2", "linux/arm/v6", "", "choose with ?platform= among linux/arm/v7, linux/arm64/v8, linux/amd64"},
		{"1.0.2", "linux/s390x", "", "no image for linux/s390x"},
		{"2.0.0", "", arm.Digest, ""},
		{"3.0.0", "linux/amd64", amd.Digest, ""},
		{"4.0.0", "", "", "no image of which an image.tar could be made"},
		{"5.0.0", "linux/amd64", amd.Digest, ""},
		{"5.0.0", "linux/arm64", "", "choose with ?platform= among linux/amd64"},
	} {
		r := h.get(strings.Replace(folder, "1.0.2", c.version, 1) + "docker/image.tar?platform=" + c.platform)
		if c.hint != "" {
			if r.want(t, 404); !strings.Contains(r.body, c.hint) {
				t.Errorf("%s for %s: %q, want %q", c.version, c.platform, r.body, c.hint)
			}
			continue
		}
		files, _ := unpackTar(t, r.want(t, 200).body)
		if _, _, _, got := loaded(t, files); got != c.want {
			t.Errorf("%s for %s: %s, want %s", c.version, c.platform, got, c.want)
		}
	}
	for _, bad := range []string{"linux", "linux/", "a/b/c/d", strings.Repeat("x/", 99)} {
		h.get(folder+"docker/image.tar?platform="+bad).want(t, 400)
	}
	// The folder says what there is to choose from, and of what nothing can be made.
	if e := h.list(folder+"docker/").entry(t, imageTar); fmt.Sprint(e.Platforms) == "" || e.Image != amd.Digest || e.Size == nil {
		t.Errorf("%+v", e)
	}
	if e := h.list("/tree/components/"+service+"/versions/4.0.0/docker/").entry(t, imageTar); e.Image != "" || e.Size != nil {
		t.Errorf("%+v", e)
	}
}

// TestImage_has_zstd_layers_unpacked, besides as they are.
func TestImage_has_zstd_layers_unpacked(t *testing.T) {
	h := build(t)
	content := [][]byte{layerOf("a", "gzip"), layerOf("b", strings.Repeat("zstd", 100_000)), layerOf("c", "plain"), layerOf("b", strings.Repeat("zstd", 100_000))}
	packed := h.blob(service, ocispec.MediaTypeImageLayerZstd, "", zstandard(content[1]))
	d := h.push(service, h.image(service, "amd64", content, h.blob(service, ocispec.MediaTypeImageLayerGzip, "", zipped(content[0])), packed,
		h.blob(service, ocispec.MediaTypeImageLayer, "", content[2]), packed), "1.0.2")

	// How long it is takes unpacking; nobody does that to show a folder.
	if e := h.list(folder+"docker/").entry(t, imageTar); e.Size != nil || e.Image != d.Digest {
		t.Errorf("%+v", e)
	}
	if head := h.do("HEAD", folder+"docker/image.tar").want(t, 200); head.ContentLength > 0 {
		t.Errorf("HEAD knows %d bytes", head.ContentLength)
	}
	r := h.get(folder+"docker/image.tar").want(t, 200)
	if r.ContentLength != int64(len(r.body)) {
		t.Errorf("%d bytes are told, and %d sent", r.ContentLength, len(r.body))
	}
	files, _ := unpackTar(t, r.body)
	list, _, _, got := loaded(t, files)
	if got != d.Digest || len(list.Layers) != 4 || files[list.Layers[1]] != string(content[1]) || list.Layers[3] != list.Layers[1] || files[list.Layers[2]] != string(content[2]) {
		t.Errorf("%s: %v", got, list)
	}
	if e := h.list(folder+"docker/").entry(t, imageTar); e.Size == nil || *e.Size != r.ContentLength {
		t.Errorf("after it was made: %+v", e)
	}
}

// TestImage_that_cannot_be_made is refused before anything is sent.
func TestImage_that_cannot_be_made(t *testing.T) {
	h := build(t)
	one, other := layerOf("a", "one"), layerOf("a", "other")
	foreign := ocispec.Descriptor{MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: digest.FromString("far away"), Size: 8}
	broken := slices.Concat(zstandard(one)[:20], []byte("broken"))
	var wide bytes.Buffer
	wide.Write([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0}) // a frame that wants a window of a gibibyte (RFC 8878, section 3.1.1.1.2)
	wide.Write(make([]byte, 100))
	for i, c := range []struct {
		content [][]byte
		layer   ocispec.Descriptor
		hint    string
	}{
		{[][]byte{one}, foreign, "is not in this registry"},
		{[][]byte{other}, h.blob(service, ocispec.MediaTypeImageLayerZstd, "", zstandard(one)), "is not what the image's config says"},
		{nil, h.blob(service, ocispec.MediaTypeImageLayerZstd, "", zstandard(one)), "does not say what is in layer"},
		{[][]byte{one}, h.blob(service, ocispec.MediaTypeImageLayerZstd, "", broken), "cannot be unpacked"},
		{[][]byte{one}, h.blob(service, ocispec.MediaTypeImageLayerZstd, "", wide.Bytes()), "cannot be unpacked"},
	} {
		number := fmt.Sprintf("1.0.%d", i)
		h.push(service, h.image(service, "amd64", c.content, c.layer), number)
		path := strings.Replace(folder, "1.0.2", number, 1) + "docker/"
		if r := h.get(path+"image.tar").want(t, 404); !strings.Contains(r.body, c.hint) {
			t.Errorf("%s: %q, want %q", number, r.body, c.hint)
		}
		if got := h.list(path).names(); got != "image.tar" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestImage_that_is_not_whole_is_cut: whoever downloads it must notice.
func TestImage_that_is_not_whole_is_cut(t *testing.T) {
	h := build(t)
	first, second := []byte(strings.Repeat("first", 100_000)), []byte(strings.Repeat("second", 100_000))
	h.push(service, h.image(service, "amd64", [][]byte{first, second}, h.blob(service, ocispec.MediaTypeImageLayer, "", first),
		h.blob(service, ocispec.MediaTypeImageLayer, "", second)), "1.0.2")
	if r := h.get(folder+"docker/image.tar").want(t, 200); r.cut != nil {
		t.Fatal(r.cut)
	}
	path := h.pathOf(digest.FromBytes(second))
	for what, spoil := range map[string]func() error{
		"a layer that got short": func() error { return os.Truncate(path, 1000) },
		"a layer that is gone":   func() error { return os.Remove(path) },
	} {
		sent, announced, cut := h.spoilt(folder+"docker/image.tar", spoil)
		if cut == nil || sent >= announced {
			t.Errorf("%s: %d bytes of %d, and a clean end", what, sent, announced)
		}
		if err := os.WriteFile(path, second, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
