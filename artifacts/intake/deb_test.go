package intake

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
)

// TestDeb_says_itself what it is: under which version it belongs, and what its file is called.
func TestDeb_says_itself(t *testing.T) {
	for _, c := range []struct{ version, tag, file string }{
		{"1.0.2", "deb-1.0.2", "hello_1.0.2_amd64.deb"},
		{"1.0.2-1", "deb-1.0.2", "hello_1.0.2-1_amd64.deb"},
		{"3:1.0.2-1", "deb-1.0.2", "hello_1.0.2-1_amd64.deb"},
		{"1.0.2-1~bpo12+1", "deb-1.0.2", "hello_1.0.2-1~bpo12+1_amd64.deb"},
		{"1.0.2+dfsg-1", "deb-1.0.2_dfsg", "hello_1.0.2+dfsg-1_amd64.deb"},
		{"1.0.0-rc1-1", "deb-1.0.0-rc1", "hello_1.0.0-rc1-1_amd64.deb"},
	} {
		h := build(t)
		for _, compression := range []string{"", "gz", "xz", "zst"} {
			kept, err := h.deb("", "", debtest.Spec{Version: c.version, Compression: compression, Arch: "amd64", Files: map[string]string{"usr/share/hello": "hello\n"}})
			if compression == "" && (err != nil || kept.Tag != c.tag || kept.Name != c.file) {
				t.Errorf("%s is %+v, %v, want %s of %s", c.version, kept, err, c.file, c.tag)
			}
			if compression != "" { // the same triple with other bytes
				wantRefusal(t, err, registry.Denied, "has other content already")
			}
		}
		m, _ := h.manifest(service, c.tag)
		if m.ArtifactType != artifacts.TypeDeb || len(m.Layers) != 1 || m.Layers[0].MediaType != artifacts.TypeDebPackage || title(m.Layers[0]) != c.file {
			t.Errorf("%s is %+v", c.version, m)
		}
	}
	for _, version := range []string{"1", "1.2", "1.2-1", "1.2.3.4-1", "1.0.0~rc1-1", "1.0.0-rc1", "1.0.0-beta", "20260101-1", "01.0.0-1"} {
		h := build(t)
		_, err := h.deb("", "", debtest.Spec{Version: version})
		wantRefusal(t, err, registry.ManifestInvalid, version, "?version=")
		if kept := h.must(h.deb("1.2.0", "", debtest.Spec{Version: version})); kept.Tag != "deb-1.2.0" {
			t.Errorf("%s is %+v", version, kept)
		}
	}
}

// TestDeb_has_one_name, whatever its file was called: packages of other architectures are added, and the same one is known again.
func TestDeb_has_one_name(t *testing.T) {
	h := build(t)
	amd, arm := debtest.Spec{Version: "1.0.2-1"}, debtest.Spec{Version: "1.0.2-1", Arch: "arm64"}
	first := h.must(h.deb("", "app.deb", amd))
	if again := h.must(h.deb("1.0.2", "other-name.deb", amd)); !again.Same || again.Digest != first.Digest || again.Name != "hello_1.0.2-1_amd64.deb" {
		t.Errorf("%+v", again)
	}
	file := debtest.Build(arm)
	h.must(h.File(h.ctx, service, "v1.0.2", artifacts.Deb, "app.deb", "text/plain", int64(len(file)), bytes.NewReader(file), Put{}))
	h.wantFiles("deb-1.0.2", "hello_1.0.2-1_amd64.deb", "hello_1.0.2-1_arm64.deb")
	_, err := h.deb("", "", debtest.Spec{Package: strings.Repeat("p", 100), Version: "1.0.3+" + strings.Repeat("v", 100)})
	wantRefusal(t, err, registry.ManifestInvalid, "it may have 200")
	_, err = h.Deb(h.ctx, service, "", "../x.deb", -1, unread{t}, Put{})
	wantRefusal(t, err, registry.ManifestInvalid, "no folder")
	_, err = h.Deb(h.ctx, service, "1.0", "", -1, unread{t}, Put{})
	wantRefusal(t, err, registry.ManifestInvalid, "all three numbers")
	_, err = h.Deb(h.ctx, "cloud/dmp", "", "", -1, unread{t}, Put{})
	wantRefusal(t, err, registry.NameInvalid, "<domain>/<group>/<service>")
}

// TestDeb_pushed_by_others under another name is known by its content.
func TestDeb_pushed_by_others(t *testing.T) {
	h := build(t)
	file := string(debtest.Build(debtest.Spec{Version: "1.0.2"}))
	pushed := h.push(service, "deb-1.0.2", artifact("", layer("x.deb", "application/octet-stream", digest.FromString(file), int64(len(file)))), file)
	if kept := h.must(h.deb("", "", debtest.Spec{Version: "1.0.2"})); !kept.Same || kept.Digest != pushed || kept.Name != "hello_1.0.2_amd64.deb" {
		t.Errorf("%+v", kept)
	}
	_, err := h.deb("", "", debtest.Spec{Version: "1.0.2", More: "Section: other\n"})
	wantRefusal(t, err, registry.Denied, "hello_1.0.2_amd64.deb of deb-1.0.2 has other content")
	h.must(h.deb("", "", debtest.Spec{Version: "1.0.2", Arch: "arm64"}))
	h.wantFiles("deb-1.0.2", "hello_1.0.2_arm64.deb", "x.deb")
	// Nor need it have a title.
	h.push(service, "deb-2.0.0", artifact("", layer("", artifacts.TypeDebPackage, digest.FromString(file), int64(len(file)))), file)
	_, err = h.deb("2.0.0", "", debtest.Spec{Version: "1.0.2", More: "Section: other\n"})
	wantRefusal(t, err, registry.Denied, "hello_1.0.2_amd64.deb of deb-2.0.0 has other content")
}

// TestDeb_that_is_none is refused with what is wrong with it, and received no further than to where that shows.
func TestDeb_that_is_none(t *testing.T) {
	good := string(debtest.Build(debtest.Spec{Version: "1.0.2"}))
	for name, c := range map[string]struct{ content, hint string }{
		"empty":      {"", "archive: begins with"},
		"text":       {"hello", "archive: begins with"},
		"cut":        {good[:len(good)/2], "the file ends too early"},
		"no control": {string(debtest.Ar(debtest.Member{Name: "debian-binary", Body: []byte("2.0\n")})), "has no control.tar"},
		"no version": {string(debtest.Build(debtest.Spec{Control: "Package: hello\nArchitecture: all\nDescription: x\n"})), "Version"},
		"behind it":  {good + "more", "member header"},
	} {
		h := build(t)
		_, err := h.Deb(h.ctx, service, "1.0.2", "x.deb", -1, strings.NewReader(c.content), Put{})
		wantRefusal(t, err, registry.ManifestInvalid, "x.deb is no Debian package", c.hint)
		if registry.Interrupted(err) || h.holds(c.content) {
			t.Errorf("%s: the client is told to have gone away (%v), or the blob is there (%t)", name, err, h.holds(c.content))
		}
	}
	h := buildOnDisk(t)
	endless := &counted{r: zeros(1 << 40)}
	_, err := h.Deb(h.ctx, service, "1.0.2", "", 1<<40, endless, Put{})
	wantRefusal(t, err, registry.ManifestInvalid, "the file is no Debian package")
	if endless.n > 1<<20 {
		t.Errorf("%d bytes were read of what is no package from its first on", endless.n)
	}
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// TestDeb_that_does_not_arrive is the client's fault and no fault of the package.
func TestDeb_that_does_not_arrive(t *testing.T) {
	file := string(debtest.Build(debtest.Spec{Version: "1.0.2", Files: map[string]string{"usr/share/x": strings.Repeat("x", 200_000)}}))
	for _, at := range []int{0, 3, 100, 5000, 100_000, len(file)} {
		h := buildOnDisk(t)
		_, err := h.Deb(h.ctx, service, "", "", -1, torn(file[:at]), Put{})
		if !registry.Interrupted(err) || isFault(err) {
			t.Errorf("torn at %d: %v, want the client's fault", at, err)
		}
		_, err = h.Deb(h.ctx, service, "", "", int64(len(file))+1, strings.NewReader(file), Put{})
		wantRefusal(t, err, registry.SizeInvalid)
	}
}

// TestDeb_on_a_full_disk: the package is told to be innocent, and so is the client.
func TestDeb_on_a_full_disk(t *testing.T) {
	h := buildOn(t, full{blob.NewMemory()})
	file := debtest.Build(debtest.Spec{Version: "1.0.2", Files: map[string]string{"usr/share/x": strings.Repeat("x", 200_000)}})
	_, err := h.Deb(h.ctx, service, "", "", int64(len(file)), bytes.NewReader(file), Put{})
	wantRefusal(t, err, registry.Full)
	if registry.Interrupted(err) {
		t.Errorf("%v, want no fault of the client's", err)
	}
}

// full has no room for anything longer than the first bytes.
type full struct{ blob.Store }

func (f full) Append(ctx context.Context, name string, offset int64, src io.Reader) (int64, error) {
	size, err := f.Store.Append(ctx, name, offset, io.LimitReader(src, 20_000))
	return size, cmp.Or(err, blob.ErrFull)
}

// TestDeb_is_not_held_in_memory: 64 MiB of files pass through buffers that are shorter by far.
func TestDeb_is_not_held_in_memory(t *testing.T) {
	h := buildOnDisk(t)
	const size = 64 << 20
	head := debtest.Ar(
		debtest.Member{Name: "debian-binary", Body: []byte("2.0\n")},
		debtest.Member{Name: "control.tar", Body: debtest.Tar(debtest.Entry{Name: "./control", Body: debtest.Spec{Version: "1.0.2"}.Text()})},
	)
	body := io.MultiReader(bytes.NewReader(head), strings.NewReader(debtest.Header("data.tar", fmt.Sprint(size))), zeros(size))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	kept := h.must(h.Deb(h.ctx, service, "", "", -1, body, Put{}))
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", used, size)
	}
	_, content, err := h.reg.OpenBlob(h.ctx, service, kept.File)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if pkg, err := deb.Read(content, deb.Limits{}); err != nil || pkg.Size != kept.Size {
		t.Errorf("what is stored is %+v, %v", pkg, err)
	}
}
