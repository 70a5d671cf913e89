package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/api"
	"github.com/entrepot/entrepot/artifacts/tree"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// shop is a server with components to export.
type shop struct {
	t      *testing.T
	reg    *registry.Registry
	server *httptest.Server
	mu     sync.Mutex
	asked  []string
	spoil  func(w http.ResponseWriter, r *http.Request) bool // answers instead, if it likes
}

func newShop(t *testing.T) *shop {
	t.Helper()
	index := kv.NewMemory()
	catalog := artifacts.New(artifacts.Config{Index: index})
	reg, err := registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: index, Admissions: []registry.Admission{catalog}})
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, reg: reg}
	files := tree.New(tree.Config{Catalog: catalog, Registry: reg})
	routes := append(api.Routes(api.Config{Catalog: catalog, Registry: reg, File: files.File}), files.Routes()...)
	// Only robot:porter may read anything.
	who := auth.NewRules([]auth.Grant{{Who: "robot:porter", Role: auth.Reader, On: auth.Everywhere}}, true)
	identify := func(_ context.Context, shown auth.Credentials) (auth.Identity, error) {
		if shown.Authorization != "Basic cG9ydGVyOnNlc2FtZQ==" { // porter:sesame
			return auth.Identity{}, auth.ErrWrong
		}
		return auth.Identity{Kind: auth.Robot, Name: "porter"}, nil
	}
	handler := door.New(door.Config{Policy: who, Identify: identify}, routes...)
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		spoil := s.spoil
		s.mu.Unlock()
		if spoil == nil || !spoil(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.server.Close)
	return s
}

func (s *shop) host() string { return strings.TrimPrefix(s.server.URL, "http://") }

// spoilWith lets something answer in the server's place.
func (s *shop) spoilWith(spoil func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoil = spoil
}

// took returns what was asked for since the last time, but for folders.
func (s *shop) took() (files []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range s.asked {
		if !strings.HasSuffix(path, "/") {
			files = append(files, path)
		}
	}
	s.asked = nil
	return files
}

// shopShelf is a repository of the shop, to put samples into.
type shopShelf struct {
	*shop
	repo string
}

func (s shopShelf) Exists(context.Context, ocispec.Descriptor) (bool, error) { return false, nil }
func (s shopShelf) Commit() error                                            { return nil }
func (s shopShelf) Close() error                                             { return nil }

func (s shopShelf) Push(ctx context.Context, d ocispec.Descriptor, content io.Reader) error {
	return s.reg.PutBlob(ctx, s.repo, d.Digest, d.Size, content)
}

func (s shopShelf) Publish(ctx context.Context, d ocispec.Descriptor, content []byte, tag string) error {
	put := registry.Put{Repo: s.repo, Ref: string(d.Digest), ContentType: d.MediaType, Body: content}
	if tag != "" {
		put.Tags = []string{tag}
	}
	_, err := s.reg.PutManifest(ctx, put)
	return err
}

// files publishes files, given as name, content…
func (s *shop) files(repo, artifactType, tag string, subject *ocispec.Descriptor, files ...string) ocispec.Descriptor {
	to := sample{shopShelf{s, repo}}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Subject: subject,
		Config: to.put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
	}
	for i := 0; i < len(files); i += 2 {
		l := to.put("application/octet-stream", []byte(files[i+1]))
		l.Annotations = map[string]string{ocispec.AnnotationTitle: files[i]}
		m.Layers = append(m.Layers, l)
	}
	return to.publish(ocispec.MediaTypeImageManifest, m, tag)
}

const portedOwner = "owner_team: cloud-dmp\nsource_repo: https://gitlab.example.com/cloud-dmp\n"

// stock fills the shop: a component with an image for two platforms and all documents, a newer version of it that is not good, and another component.
func (s *shop) stock() {
	const name = "cloud/dmp/ms-ingestion"
	image := sample{shopShelf{s, name}}.index("1.0.2", "hello")
	image = ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}
	s.files(name, artifacts.TypeBuild, "", &image, "manifest.yaml",
		fmt.Sprintf("format: docker\nversion: 1.0.2\nsha256: %s\nbuilt_at: 2026-01-02T03:04:05Z\n", image.Digest.Encoded()))
	s.files(name, artifacts.TypeMetadata, "", &image, "metadata.yaml", "architecture: [amd64, arm64]\nmulti_arch: true\ndomains: [cloud]\nenvironments: [prod]\n"+
		"group: dmp\nservice_name: ms-ingestion\nteam: ingestion\n")
	s.files("cloud/dmp", artifacts.TypeOwnership, "ownership", nil, "ownership.yaml", portedOwner)
	s.files(name, artifacts.TypeGeneric, "generic-1.1.0", nil, "fw.bin", "firmware", "docs/read me.txt", "text", "../../../../evil", "evil")
	s.files("core/net/amf", artifacts.TypeGeneric, "generic-2.0.0", nil, "amf.bin", "amf")
}

// export runs the verb.
func (s *shop) export(args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	var out, told bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &told, environ: []string{
		envServer + "=" + s.server.URL, envRobot + "=porter", envSecret + "=sesame", "DOCKER_CONFIG=" + s.t.TempDir(),
	}}
	cmd := exportVerb(a)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(s.t.Context())
	return out.String(), told.String(), err
}

// filesUnder lists the files in a folder.
func filesUnder(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantExported(t *testing.T, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := filesUnder(t, dir); !slices.Equal(got, want) {
		t.Errorf("there is\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

var exportedEvil = "sha256-" + digest.FromString("evil").Encoded()

func wholeShop() (all []string) {
	const c = "components/cloud/dmp/ms-ingestion/versions/"
	return []string{
		"components/cloud/dmp/ownership.yaml",
		c + "1.0.2/SHA256SUMS", c + "1.0.2/docker/image.tar", c + "1.0.2/docker/manifest.yaml", c + "1.0.2/metadata.yaml", c + "1.0.2/ownership.yaml",
		c + "1.1.0/SHA256SUMS", c + "1.1.0/generic/docs/read me.txt", c + "1.1.0/generic/fw.bin", c + "1.1.0/generic/" + exportedEvil, c + "1.1.0/ownership.yaml",
		"components/core/net/amf/versions/2.0.0/SHA256SUMS", "components/core/net/amf/versions/2.0.0/generic/amf.bin",
	}
}

// TestExport_writes_the_tree, and fetches nothing twice.
func TestExport_writes_the_tree(t *testing.T) {
	s := newShop(t)
	s.stock()
	dir := filepath.Join(t.TempDir(), "new", "export")
	out, told, err := s.export(dir)
	if err != nil {
		t.Fatal(err, told)
	}
	wantExported(t, dir, wholeShop()...)
	if !strings.HasPrefix(out, "exported to "+dir+": 13 files, ") || strings.Count(told, "\n") != 3 || !strings.Contains(told, "core/net/amf 2.0.0: 2 files, 85 B fetched\n") {
		t.Errorf("said %q and %q", out, told)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "components/cloud/dmp/ownership.yaml")); err != nil || string(got) != portedOwner {
		t.Errorf("%q, %v", got, err)
	}
	// The image is one that cp reads, too.
	image := filepath.Join(dir, "components/cloud/dmp/ms-ingestion/versions/1.0.2/docker/image.tar")
	archive, err := openDockerArchive(t.Context(), image, s.host()+"/cloud/dmp/ms-ingestion:1.0.2")
	if err != nil {
		t.Fatal(err)
	}
	archive.Close()
	info, err := os.Stat(filepath.Join(dir, "components/core/net/amf/versions/2.0.0/generic/amf.bin"))
	if stored, _ := s.reg.Stored(t.Context(), "core/net/amf", "generic-2.0.0"); err != nil || !info.ModTime().Equal(stored.Pushed.Truncate(time.Second)) {
		t.Errorf("changed at %v, want when it was pushed: %v, %v", info.ModTime(), stored.Pushed, err)
	}

	s.took()
	out, _, err = s.export("-q", dir)
	if took := s.took(); err != nil || len(took) > 0 || out != "" {
		t.Errorf("again: fetched %q, said %q, %v", took, out, err)
	}
	// What is wrong is fetched again, and nothing else.
	spoilt := wholeShop()[2:4]
	for _, name := range spoilt {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 1
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, wholeShop()[8]), 3); err != nil {
		t.Fatal(err)
	}
	out, _, err = s.export(dir)
	if took := s.took(); err != nil || !slices.Equal(took, []string{"/tree/" + spoilt[0], "/tree/" + spoilt[1], "/tree/" + wholeShop()[8]}) || !strings.HasSuffix(out, ", 10 were there\n") {
		t.Errorf("mending: fetched %q, said %q, %v", took, out, err)
	}
	wantExported(t, dir, wholeShop()...)
}

// TestExport_writes_what_was_asked_for.
func TestExport_writes_what_was_asked_for(t *testing.T) {
	s := newShop(t)
	s.stock()
	all := wholeShop()
	owner, good, newer, other := all[:1], all[1:6], all[6:11], all[11:]
	noImage := slices.Delete(slices.Clone(good), 1, 2)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"cloud/dmp/ms-ingestion"}, slices.Concat(owner, good, newer)},
		{[]string{"cloud/dmp/ms-ingestion@1.1.0"}, slices.Concat(owner, newer)},
		{[]string{"cloud/dmp/ms-ingestion@v1.1.0"}, slices.Concat(owner, newer)},
		{[]string{"cloud/dmp/ms-ingestion@latest"}, slices.Concat(owner, good)},
		{[]string{"--latest", "components/cloud/dmp/ms-ingestion"}, slices.Concat(owner, good)},
		{[]string{"--latest"}, slices.Concat(owner, good)}, // of the other component none is good
		{[]string{"cloud/dmp"}, slices.Concat(owner, good, newer)},
		{[]string{"core"}, other},
		{[]string{s.host() + "/core/net"}, other},
		{[]string{"--no-images", "core", "cloud/dmp/ms-ingestion@1.0.2"}, slices.Concat(owner, noImage, other)},
	} {
		dir := t.TempDir()
		if _, told, err := s.export(append(c.args, dir)...); err != nil {
			t.Errorf("%q: %v, %s", c.args, err, told)
			continue
		}
		wantExported(t, dir, c.want...)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "called with 0 arguments"},
		{[]string{"cloud/dmp/ms-ingestion@", "x"}, "ends where a version should follow"},
		{[]string{"Cloud", "x"}, "is no component"},
		{[]string{"../..", "x"}, "is no component"},
		{[]string{"--latest", "cloud/dmp/ms-ingestion@1.0.2", "x"}, "names a version, and --latest another"},
		{[]string{"cloud/dmp/ms-ingestion@9.9.9", t.TempDir()}, "has no version 9.9.9"},
		{[]string{"cloud/dmp/none", t.TempDir()}, "not found"},
		{[]string{"cloud/none", t.TempDir()}, "not found"},
	} {
		if _, _, err := s.export(c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("a folder was made for what was asked for in the wrong way")
	}
}

// TestExport_goes_on_with_the_rest after what cannot be had, keeps nothing that is not whole, and says so in the end.
func TestExport_goes_on_with_the_rest(t *testing.T) {
	s := newShop(t)
	s.stock()
	image := s.image()
	for what, spoil := range map[string]struct {
		path string
		with func(w http.ResponseWriter, r *http.Request)
		told string
	}{
		"other content":               {"generic/fw.bin", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "FIRMWARE") }, "has not the digest"},
		"more content":                {"generic/fw.bin", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "firmware and more") }, "has not the digest"},
		"less content":                {"generic/fw.bin", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "firm") }, "has not the digest"},
		"a refusal":                   {"generic/fw.bin", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "404 it is lost", 404) }, "it is lost"},
		"an image that is no archive": {"docker/image.tar", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 9000)) }, "no tar file"},
		"an archive that ends":        {"docker/image.tar", func(w http.ResponseWriter, _ *http.Request) { w.Write(image[:3800]) }, "unexpected EOF"},
	} {
		s.spoilWith(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, spoil.path) {
				return false
			}
			spoil.with(w, r)
			return true
		})
		dir := t.TempDir()
		out, told, err := s.export(dir)
		if err == nil || !strings.Contains(err.Error(), "1 could not be exported") || !strings.Contains(told, spoil.told) || out != "" {
			t.Errorf("%s: %v, said %q and %q", what, err, out, told)
		}
		wantExported(t, dir, slices.DeleteFunc(wholeShop(), func(name string) bool { return strings.HasSuffix(name, spoil.path) })...)
	}
}

// TestExport_tries_again what broke off.
func TestExport_tries_again(t *testing.T) {
	s := newShop(t)
	s.stock()
	tries := 0
	s.spoilWith(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "fw.bin") || tries == 2 {
			return false
		}
		tries++
		w.Header().Set("Content-Length", "8")
		io.WriteString(w, "firm")
		return true
	})
	dir := t.TempDir()
	if _, told, err := s.export(dir); err != nil || tries != 2 {
		t.Errorf("after %d tries: %v, %s", tries, err, told)
	}
	wantExported(t, dir, wholeShop()...)
}

// TestExport_is_never_led_out_of_its_folder, nor to another server.
func TestExport_is_never_led_out_of_its_folder(t *testing.T) {
	s := newShop(t)
	s.stock()
	bait := func(name, kind string) map[string]any {
		return map[string]any{"name": name, "type": kind, "size": 4, "digest": digest.FromString("evil"), "url": "http://elsewhere.example.com/" + name}
	}
	s.spoilWith(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/tree/components/core/net/amf/versions/2.0.0/" {
			var entries []any
			for _, name := range []string{"../evil", "..", ".", "", "/evil", "a/b", `a\b`, ".bashrc", "a\x1b[31m", "a\n", strings.Repeat("a", 300)} {
				entries = append(entries, bait(name, "file"), bait(name, "dir"))
			}
			json.NewEncoder(w).Encode(map[string]any{"path": r.URL.Path, "entries": append(entries, bait("good", "file"))})
			return true
		}
		if strings.HasSuffix(r.URL.Path, "/good") {
			io.WriteString(w, "evil")
			return true
		}
		return false
	})
	above := t.TempDir()
	dir := filepath.Join(above, "export")
	_, told, err := s.export("core", dir)
	if err == nil || strings.Count(told, "could lead elsewhere") != 22 || strings.ContainsAny(strings.ReplaceAll(told, "\n", ""), "\x1b\r") {
		t.Errorf("%v: %q", err, told)
	}
	wantExported(t, above, "export/components/core/net/amf/versions/2.0.0/good")

	// Nor by what it calls a version.
	s.spoilWith(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/resolve/") {
			return false
		}
		io.WriteString(w, `{"version":"../../dmp/ms-ingestion/versions/1.0.2"}`)
		return true
	})
	misled := t.TempDir()
	if _, _, err := s.export("core/net/amf@latest", misled); err == nil || !strings.Contains(err.Error(), "which is none") {
		t.Errorf("another version: %v", err)
	}
	wantExported(t, misled)

	// A link in the folder that leads out is not followed.
	outside := t.TempDir()
	linked := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(linked, "components"), 0o755), os.Symlink(outside, filepath.Join(linked, "components", "core"))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.export("core", linked); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("over a link: %v", err)
	}
	wantExported(t, outside)

	// Who is sent elsewhere does not go there with its login.
	var visits []string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { visits = append(visits, r.Header.Get("Authorization")) }))
	defer thief.Close()
	s.spoilWith(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusFound)
		return true
	})
	if _, _, err := s.export(t.TempDir()); err == nil || !strings.Contains(err.Error(), "sends elsewhere") || len(visits) > 0 {
		t.Errorf("%v, visits with %q", err, visits)
	}
}

// TestExport_ends whatever the server says.
func TestExport_ends(t *testing.T) {
	s := newShop(t)
	n := 0
	for what, answer := range map[string]func() any{
		"a list without end": func() any { n++; return map[string]any{"next": "same"} },
		"folders without end": func() any {
			n++
			return map[string]any{"entries": []any{map[string]any{"name": "a", "type": "dir"}}}
		},
		"no list": func() any { return "no list" },
	} {
		s.spoilWith(func(w http.ResponseWriter, _ *http.Request) bool {
			json.NewEncoder(w).Encode(answer())
			return true
		})
		n = 0
		if _, _, err := s.export(t.TempDir()); err == nil || n > 50 {
			t.Errorf("%s: %v after %d answers", what, err, n)
		}
	}
	s.spoilWith(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, `{"errors":[]}`, http.StatusUnauthorized)
		return true
	})
	if _, _, err := s.export(t.TempDir()); err == nil || !strings.Contains(err.Error(), "log in with: entrepot login") {
		t.Errorf("without a login: %v", err)
	}
}

// TestCheckImageTar_knows_the_image by its digest, however the archive is changed.
func TestCheckImageTar_knows_the_image(t *testing.T) {
	s := newShop(t)
	s.stock()
	body := s.image()
	type part struct{ name, content string }
	var parts []part
	var want digest.Digest
	from := tar.NewReader(bytes.NewReader(body))
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		content, err2 := io.ReadAll(from)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{h.Name, string(content)})
		var index ocispec.Index
		if h.Name == "index.json" && json.Unmarshal(content, &index) == nil {
			want = index.Manifests[0].Digest
		}
	}
	archive := func(parts ...part) io.Reader {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, p := range parts {
			h := &tar.Header{Name: p.name, Mode: 0o644, Size: int64(len(p.content)), Typeflag: tar.TypeReg}
			if target, ok := strings.CutPrefix(p.content, "link to "); ok {
				h.Typeflag, h.Linkname, h.Size, p.content = tar.TypeSymlink, target, 0, ""
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, p.content)
		}
		w.Close()
		return &b
	}
	replaced := func(name, old, to string) io.Reader {
		changed := slices.Clone(parts)
		for i := range changed {
			if changed[i].name == name {
				if changed[i].content = strings.ReplaceAll(changed[i].content, old, to); changed[i] == parts[i] {
					t.Fatalf("%s has no %s", name, old)
				}
			}
		}
		return archive(changed...)
	}
	const name = "cloud/dmp/ms-ingestion:1.0.2"
	if err := checkImageTar(archive(parts...), name, want); err != nil {
		t.Fatal(err)
	}
	config, layer := parts[4].name, parts[5].name
	other := "blobs/sha256/" + digest.FromString("other").Encoded()
	for what, c := range map[string]struct {
		tar  io.Reader
		told string
	}{
		"another image":             {archive(slices.Concat(parts[:3], parts[4:])...), "lacks the manifest"},
		"no layer":                  {archive(parts[:5]...), "it lacks sha256:"},
		"a layer of other content":  {replaced(layer, "\x1f", "x"), "has other content"},
		"a config of other content": {replaced(config, "amd64", "arm64"), "has other content"},
		"a link":                    {archive(append(slices.Clone(parts), part{other, "link to /etc/passwd"})...), "is no file"},
		"a file twice":              {archive(append(slices.Clone(parts), parts[0])...), "there twice"},
		"something else":            {archive(append(slices.Clone(parts), part{"../evil", "x"})...), "belongs to no image"},
		"no index.json":             {archive(slices.Concat(parts[:1], parts[2:])...), "index.json leads to another"},
		"no manifest.json":          {archive(slices.Concat(parts[:2], parts[3:])...), "manifest.json leads to another"},
		"another index":             {replaced("index.json", want.Encoded(), digest.FromString("other").Encoded()), "index.json leads to another"},
		"another config":            {replaced("manifest.json", config, layer), "manifest.json leads to another"},
		"another layer":             {replaced("manifest.json", layer, other), "it lacks"},
		"a layer too many":          {replaced("manifest.json", `"Layers":[`, `"Layers":["`+layer+`",`), "manifest.json leads to another"},
		"another name":              {replaced("manifest.json", s.host()+"/cloud/dmp/ms-ingestion:1.0.2", "docker.io/library/alpine:latest"), "would be loaded as"},
		"another name elsewhere":    {replaced("index.json", s.host()+"/cloud/dmp/ms-ingestion:1.0.2", "docker.io/library/alpine:latest"), "would be loaded as"},
		"no JSON":                   {replaced("index.json", "{", "["), "not readable"},
		"nothing":                   {strings.NewReader(""), "lacks the manifest"},
		"no archive":                {strings.NewReader(strings.Repeat("x", 1024)), "no tar file"},
	} {
		if err := checkImageTar(c.tar, name, want); !errors.As(err, new(contentError)) || !strings.Contains(err.Error(), c.told) {
			t.Errorf("%s: %v, want %q", what, err, c.told)
		}
	}
}

// image is the shop's image.tar.
func (s *shop) image() []byte {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.server.URL+"/tree/components/cloud/dmp/ms-ingestion/versions/1.0.2/docker/image.tar", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("porter", "sesame")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		s.t.Fatal(res.Status, err)
	}
	return body
}
