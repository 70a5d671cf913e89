package intake

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/registry"
)

// TestFile_is_what_oras_push_makes, byte for byte, but for the time.
func TestFile_is_what_oras_push_makes(t *testing.T) {
	h := build(t)
	kept := h.must(h.generic("v1.0.2", "fw.bin", "firmware"))
	const want = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.entrepot.generic.v1",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},` +
		`"layers":[{"mediaType":"application/octet-stream","digest":"sha256:c3bf47ea1f4a4a605470313cacb3a44f4a461f68c6faeab07e737610cb5ac835","size":8,` +
		`"annotations":{"org.opencontainers.image.title":"fw.bin"}}]}`
	_, body, err := h.reg.Manifest(h.ctx, service, "generic-1.0.2")
	if err != nil || string(body) != want {
		t.Errorf("%v: the manifest is\n%s\nwant\n%s", err, body, want)
	}
	if is := (Kept{service, "generic-1.0.2", digest.FromString(want), "fw.bin", digest.FromString("firmware"), 8, "1.0.2", false}); kept != is {
		t.Errorf("%+v, want %+v", kept, is)
	}
	v, err := h.Catalog.Version(h.ctx, service, "1.0.2")
	if err != nil || v.Formats[artifacts.Generic].Digest != kept.Digest || v.Formats[artifacts.Generic].By != "user:alice" {
		t.Errorf("the catalog has %+v, %v", v, err)
	}
}

// TestFile_adds_to_a_version: in whichever order the files come, the manifest is the same in the end.
func TestFile_adds_to_a_version(t *testing.T) {
	contents := map[string]string{"a.bin": "", "b.bin": "same", "c.bin": "same", "long.bin": strings.Repeat("x", 100_000)}
	var before digest.Digest
	for _, order := range [][]string{{"a.bin", "b.bin", "c.bin", "long.bin"}, {"long.bin", "c.bin", "a.bin", "b.bin"}, {"c.bin", "b.bin", "long.bin", "a.bin"}} {
		h := build(t)
		var last Kept
		for _, name := range order {
			last = h.must(h.generic("1.0.2", name, contents[name]))
		}
		h.wantFiles("generic-1.0.2", "a.bin", "b.bin", "c.bin", "long.bin")
		m, d := h.manifest(service, "generic-1.0.2")
		if d != last.Digest || before != "" && d != before {
			t.Errorf("in the order %q the manifest is %s, want %s and %s", order, d, last.Digest, before)
		}
		before = d
		for _, l := range m.Layers {
			if want := contents[title(l)]; l.Digest != digest.FromString(want) || l.Size != int64(len(want)) {
				t.Errorf("%s is %+v", title(l), l)
			}
		}
	}
}

// TestFile_never_changes: the same content again is no change, and another one is refused and not kept.
func TestFile_never_changes(t *testing.T) {
	h := build(t)
	h.must(h.generic("1.0.2", "fw.bin", "firmware"))
	first := h.must(h.generic("1.0.2", "other.bin", "other"))
	again := h.must(h.generic("1.0.2", "fw.bin", "firmware"))
	if !again.Same || again.Digest != first.Digest || again.File != digest.FromString("firmware") || again.Size != 8 {
		t.Errorf("pushed again it is %+v, want it to be the same", again)
	}
	_, err := h.generic("1.0.2", "fw.bin", "patched")
	wantRefusal(t, err, registry.Denied, "fw.bin of generic-1.0.2 has other content", "generic-1.0.3", string(digest.FromString("patched")))
	if _, d := h.manifest(service, "generic-1.0.2"); d != first.Digest || h.holds("patched") {
		t.Errorf("what was refused left a trace: %s, the blob is there: %t", d, h.holds("patched"))
	}
	if err := h.reg.DeleteTag(h.ctx, service, "generic-1.0.2", nil); err != nil {
		t.Fatal(err)
	}
	_, err = h.generic("1.0.2", "fw.bin", "patched")
	wantRefusal(t, err, registry.Denied, "was deleted")
}

func TestFile_names(t *testing.T) {
	for name, hint := range map[string]string{
		"":                       "has no name",
		".":                      "does not begin with a full stop",
		"..":                     "does not begin with a full stop",
		".hidden":                "does not begin with a full stop",
		"a/b":                    "no folder",
		"../../etc/passwd":       "no folder",
		`a\b`:                    "letters, digits",
		"a b":                    "letters, digits",
		"a\x00":                  "letters, digits",
		"a\r\nX-Evil: 1":         "letters, digits",
		"a%2fb":                  "letters, digits",
		"größe.bin":              "letters, digits",
		"<script>":               "letters, digits",
		"\xff":                   "letters, digits",
		strings.Repeat("a", 201): "has 201 bytes",
		"manifest.yaml":          "name of a document",
		"metadata.yaml":          "name of a document",
		"ownership.yaml":         "name of a document",
		"policy.yaml":            "name of a document",
		"SHA256SUMS":             "something of its own",
		"image.tar":              "something of its own",
	} {
		for _, format := range []artifacts.Kind{artifacts.Generic, artifacts.Deb} {
			_, err := build(t).File(t.Context(), service, "1.0.2", format, name, "", -1, unread{t}, Put{})
			wantRefusal(t, err, registry.ManifestInvalid, hint)
		}
	}
	_, err := build(t).File(t.Context(), service, "1.0.2", artifacts.Deb, "x.rpm", "", -1, unread{t}, Put{})
	wantRefusal(t, err, registry.ManifestInvalid, "ends with .deb")
	h := build(t)
	for _, name := range []string{"a", "-", "A_1.0+x~y-z.tar.gz", "manifest.yml", strings.Repeat("a", 200)} {
		h.must(h.generic("1.0.2", name, "content"))
	}
}

func TestFile_targets(t *testing.T) {
	for _, c := range []struct{ component, number, code, hint string }{
		{"cloud/dmp", "1.0.2", registry.NameInvalid, "<domain>/<group>/<service>"},
		{"a/b/c/d", "1.0.2", registry.NameInvalid, "<domain>/<group>/<service>"},
		{"cloud/../x", "1.0.2", registry.NameInvalid, "<domain>/<group>/<service>"},
		{"Cloud/dmp/x", "1.0.2", registry.NameInvalid, "lower-case"},
		{service, "", registry.ManifestInvalid, "is empty"},
		{service, "1.0", registry.ManifestInvalid, "all three numbers"},
		{service, "latest", registry.ManifestInvalid, "where a number should be"},
		{service, "0a1b2c3d", registry.ManifestInvalid, "as a commit is"},
		{service, "1.0.2/../1.0.3", registry.ManifestInvalid, ""},
		{service, "1.0.0-" + strings.Repeat("a", 120), registry.ManifestInvalid, "too long for a tag"},
	} {
		for _, format := range []artifacts.Kind{artifacts.Generic, artifacts.Deb} {
			_, err := build(t).File(t.Context(), c.component, c.number, format, "fw.deb", "", -1, unread{t}, Put{})
			wantRefusal(t, err, c.code, c.hint)
		}
	}
	_, err := build(t).File(t.Context(), service, "1.0.2", artifacts.Docker, "fw.bin", "", -1, unread{t}, Put{})
	wantRefusal(t, err, registry.Unsupported, "docker push")
	h := build(t)
	if kept := h.must(h.generic("1.0.2+build.5", "fw.bin", "x")); kept.Tag != "generic-1.0.2_build.5" || kept.Version != "1.0.2+build.5" {
		t.Errorf("%+v", kept)
	}
}

func TestFile_media_types(t *testing.T) {
	h := build(t)
	for i, c := range []struct{ given, want string }{
		{"", "application/octet-stream"},
		{"application/x-www-form-urlencoded", "application/octet-stream"},
		{"application/x-www-form-urlencoded; charset=utf-8", "application/octet-stream"},
		{"Application/GZip", "application/gzip"},
		{"text/plain; charset=utf-8", "text/plain"},
	} {
		number := fmt.Sprintf("1.0.%d", i)
		_, err := h.File(h.ctx, service, number, artifacts.Generic, "fw.bin", c.given, -1, strings.NewReader("x"), Put{})
		if m, _ := h.manifest(service, "generic-"+number); err != nil || m.Layers[0].MediaType != c.want {
			t.Errorf("%q makes a layer of type %v, %v, want %s", c.given, m.Layers, err, c.want)
		}
	}
	for _, given := range []string{"gzip", "a/", "/", "a b/c", "a/b\nc", "a/" + strings.Repeat("b", 300), "application/vnd.oci.image.layer.nondistributable.v1.tar"} {
		_, err := h.File(h.ctx, service, "2.0.0", artifacts.Generic, "fw.bin", given, -1, unread{t}, Put{})
		wantRefusal(t, err, registry.ManifestInvalid, "media type")
	}
}

// TestFile_that_does_not_arrive leaves nothing, and is told to be the client's fault.
func TestFile_that_does_not_arrive(t *testing.T) {
	for _, size := range []int{0, 10, 100_000, 3 << 20} {
		h := buildOnDisk(t)
		content := strings.Repeat("x", size)
		_, err := h.File(h.ctx, service, "1.0.2", artifacts.Generic, "fw.bin", "", -1, torn(content), Put{})
		if !registry.Interrupted(err) {
			t.Errorf("after %d bytes: %v, want the client's fault", size, err)
		}
		for _, length := range []int64{int64(size) + 1, int64(size) - 1} {
			if length < 0 {
				continue
			}
			_, err = h.File(h.ctx, service, "1.0.2", artifacts.Generic, "fw.bin", "", length, strings.NewReader(content), Put{})
			wantRefusal(t, err, registry.SizeInvalid)
		}
		if _, err := h.Catalog.Version(h.ctx, service, "1.0.2"); err != artifacts.ErrUnknown || h.holds(content) {
			t.Errorf("after %d bytes there is a version (%v) or a blob (%t)", size, err, h.holds(content))
		}
	}
}

// TestFile_that_fails_on_the_way leaves nothing either: whoever asked may have given up, or have a reader that panics.
func TestFile_that_fails_on_the_way(t *testing.T) {
	for _, format := range []artifacts.Kind{artifacts.Generic, artifacts.Deb} {
		h := buildOnDisk(t)
		begins := string(debtest.Ar(debtest.Member{Name: "debian-binary", Body: []byte("2.0\n")}))
		ctx, giveUp := context.WithCancel(h.ctx)
		body := io.MultiReader(strings.NewReader(begins), once(giveUp), zeros(1<<20), broken{})
		if _, err := h.File(ctx, service, "1.0.2", format, "x.deb", "", -1, body, Put{}); err == nil {
			t.Errorf("%s: it is taken", format)
		}
		func() {
			defer func() {
				if recover() != "reading panics" {
					t.Errorf("%s: the panic is lost", format)
				}
			}()
			body := io.MultiReader(strings.NewReader(begins), once(func() { panic("reading panics") }))
			_, err := h.File(h.ctx, service, "1.0.2", format, "x.deb", "", -1, body, Put{})
			t.Errorf("%s: it returned %v", format, err)
		}()
	}
	h := build(t)
	_, err := h.generic("1.0.2", "fw.bin", `{"entrepotJournal":1,"from":1,"to":2,"prev":"`+strings.Repeat("0", 64)+`"}`)
	wantRefusal(t, err, registry.BlobUploadInvalid, "the registry's own use")
}

// once is an empty reader that does something.
type once func()

func (do once) Read([]byte) (int, error) {
	do()
	return 0, io.EOF
}

// TestFile_is_not_held_in_memory: 64 MiB pass through buffers that are shorter by far.
func TestFile_is_not_held_in_memory(t *testing.T) {
	h := buildOnDisk(t)
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	kept := h.must(h.File(h.ctx, service, "1.0.2", artifacts.Generic, "fw.bin", "", size, zeros(size), Put{}))
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", used, size)
	}
	_, content, err := h.reg.OpenBlob(h.ctx, service, kept.File)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if n, err := io.Copy(io.Discard, content); n != size || err != nil {
		t.Errorf("%d bytes are stored, %v", n, err)
	}
}

// TestFile_keeps_what_others_pushed: the type, the annotations and the layers of a version that others made.
func TestFile_keeps_what_others_pushed(t *testing.T) {
	h := build(t)
	m := artifact("", layer("z.bin", "application/gzip", digest.FromString("z"), 1), layer("a.bin", "application/gzip", digest.FromString("a"), 1))
	m.Annotations = map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z", ocispec.AnnotationRevision: "0a1b2c3"}
	pushed := h.push(service, "generic-v1.0.2", m, "z", "a")
	same := h.must(h.generic("1.0.2", "z.bin", "z"))
	if !same.Same || same.Digest != pushed || same.Tag != "generic-v1.0.2" {
		t.Errorf("%+v, want it to be what is there", same)
	}
	_, err := h.generic("1.0.2", "z.bin", "y")
	wantRefusal(t, err, registry.Denied, "other content")
	grown := h.must(h.generic("1.0.2", "m.bin", "m"))
	h.wantFiles("generic-v1.0.2", "a.bin", "m.bin", "z.bin")
	got, d := h.manifest(service, "generic-v1.0.2")
	if d != grown.Digest || got.ArtifactType != "" || got.Annotations[ocispec.AnnotationRevision] != "0a1b2c3" || got.Layers[0].MediaType != "application/gzip" {
		t.Errorf("%+v", got)
	}
	if v, err := h.Catalog.Version(h.ctx, service, "1.0.2"); err != nil || len(v.Formats[artifacts.Generic].Files) != 3 || v.Commit != "0a1b2c3" {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestFile_cannot_join_an_index that somebody pushed under the version's tag.
func TestFile_cannot_join_an_index(t *testing.T) {
	h := build(t)
	body := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/vnd.entrepot.generic.v1","manifests":[]}`
	if _, err := h.reg.PutManifest(h.ctx, registry.Put{Repo: service, Ref: "generic-1.0.2", Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	_, err := h.generic("1.0.2", "fw.bin", "x")
	wantRefusal(t, err, registry.Denied, "image.index", "push a new version")
}
