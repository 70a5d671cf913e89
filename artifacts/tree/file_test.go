package tree

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// TestFile_is_sent_with_what_is_known_of_it.
func TestFile_is_sent_with_what_is_known_of_it(t *testing.T) {
	h := build(t)
	h.furnish()
	d := digest.FromString("firmware")
	raw, _ := hex.DecodeString(d.Encoded())
	want := map[string]string{
		"Content-Type": "application/octet-stream", "Content-Length": "8", "Etag": `"` + string(d) + `"`, "Last-Modified": "Wed, 04 Mar 2026 05:06:07 GMT",
		"Repr-Digest": "sha-256=:" + base64.StdEncoding.EncodeToString(raw) + ":", "X-Checksum-Sha256": d.Encoded(), "Accept-Ranges": "bytes",
		"Content-Disposition": "attachment; filename=fw.bin", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
		"Cache-Control": "public, max-age=31536000, immutable",
	}
	for _, method := range []string{"GET", "HEAD"} {
		r := h.do(method, folder+"generic/fw.bin").want(t, 200)
		for header, value := range want {
			if got := r.Header.Get(header); got != value {
				t.Errorf("%s: %s: %q, want %q", method, header, got, value)
			}
		}
		if method == "GET" && r.body != "firmware" || method == "HEAD" && r.body != "" {
			t.Errorf("%s: %q", method, r.body)
		}
	}
	if r := h.get(folder+"generic/fw.bin", "Range", "bytes=2-4").want(t, 206); r.body != "rmw" || r.Header.Get("Content-Range") != "bytes 2-4/8" {
		t.Errorf("a range: %q, %q", r.body, r.Header.Get("Content-Range"))
	}
	if r := h.get(folder+"generic/fw.bin", "Range", "bytes=8-").want(t, 416); r.body != "416 the range lies beyond the content: Content-Range tells the size\n" {
		t.Errorf("beyond the end: %q", r.body)
	}
	h.get(folder+"generic/fw.bin", "If-None-Match", `"`+string(d)+`"`).want(t, 304)
	h.get(folder+"generic/fw.bin", "If-Modified-Since", "Wed, 04 Mar 2026 05:06:07 GMT").want(t, 304)
}

// TestFile_never_runs: what a browser could take for a page is sent as bytes to keep.
func TestFile_never_runs(t *testing.T) {
	h := build(t)
	h.furnish()
	r := h.get(folder+"generic/docs/read%20me.html").want(t, 200)
	if r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("Content-Disposition") != `attachment; filename="read me.html"` {
		t.Errorf("%s, %s", r.Header.Get("Content-Type"), r.Header.Get("Content-Disposition"))
	}
	r = h.get(folder+"generic/docs/h%C3%A4user.txt").want(t, 200)
	if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || r.Header.Get("Content-Disposition") != "attachment; filename*=utf-8''h%C3%A4user.txt" {
		t.Errorf("%s, %s", r.Header.Get("Content-Type"), r.Header.Get("Content-Disposition"))
	}
	for given, want := range map[string]string{
		"":                                          "application/octet-stream",
		"text/html":                                 "application/octet-stream",
		"TEXT/HTML; charset=utf-7":                  "application/octet-stream",
		"image/svg+xml":                             "application/octet-stream",
		"application/xhtml+xml":                     "application/octet-stream",
		"application/vnd.mozilla.xul+xml":           "application/octet-stream",
		"application/javascript":                    "application/octet-stream",
		"multipart/x-mixed-replace":                 "application/octet-stream",
		"application/vnd.x\r\nSet-Cookie: a=b":      "application/octet-stream",
		"application/gzip; x=y":                     "application/gzip",
		"text/plain; charset=utf-7":                 "text/plain; charset=utf-8",
		"application/vnd.debian.binary-package":     "application/vnd.debian.binary-package",
		"application/vnd.oci.image.layer.v1.tar":    "application/vnd.oci.image.layer.v1.tar",
		"application/" + strings.Repeat("vnd.", 80): "application/octet-stream",
	} {
		if got := safeType(given); got != want {
			t.Errorf("%q is sent as %q, want %q", given, got, want)
		}
	}
}

// TestFile_is_served_to_other_routes under paths of theirs.
func TestFile_is_served_to_other_routes(t *testing.T) {
	h := build(t)
	h.furnish()
	last := func(path string) (string, string, bool) {
		return service, strings.TrimPrefix(path, "/x/"), strings.HasPrefix(path, "/x/")
	}
	route := door.Route{Name: "x", Match: last, Errors: door.Problem, Methods: map[string]door.Access{"GET": {Action: auth.Pull,
		Serve: func(w http.ResponseWriter, r *http.Request, c door.Call) error {
			return h.tree.File(w, r, c, c.On, "v1.0.2", c.Last)
		}}}}
	h.server.Config.Handler = door.New(door.Config{Policy: auth.Open}, route)
	for path, want := range map[string]string{
		"generic/fw.bin": "firmware", "generic/docs/h%C3%A4user.txt": "Häuser", "metadata.yaml": metadataText, "ownership.yaml": ownerText,
		"generic/manifest.yaml": "format: generic\n", "SHA256SUMS": digest.FromString("firmware").Encoded() + "  generic/fw.bin\n", "docker/image.tar": "oci-layout",
	} {
		if r := h.get("/x/"+path).want(t, 200); !strings.Contains(r.body, want) {
			t.Errorf("%s: %q, want %q", path, r.body, want)
		}
	}
	for _, path := range []string{"", "generic", "generic/", "generic/x", "deb/x.deb", "../1.0.2/metadata.yaml"} {
		if r := h.get("/x/"+path).want(t, 404); r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %s", path, r.Header.Get("Content-Type"))
		}
	}
}

// TestDocument_may_change, so caches ask for it again, and readers see what it is.
func TestDocument_may_change(t *testing.T) {
	h := build(t, auth.Grant{Who: "user:dmp", Role: auth.Reader, On: "cloud"})
	h.furnish()
	for path, want := range map[string]string{
		"ownership.yaml": ownerText, "metadata.yaml": metadataText, "../../../ownership.yaml": ownerText,
	} {
		r := h.get(filepath.Join(folder, path), "Authorization", "dmp").want(t, 200)
		if r.body != want || r.Header.Get("Content-Type") != "application/yaml" || r.Header.Get("Cache-Control") != "private, no-cache" ||
			r.Header.Get("Etag") != `"`+string(digest.FromString(want))+`"` || r.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %q, %v", path, r.body, r.Header)
		}
	}
	before := h.get(folder+"ownership.yaml", "Authorization", "dmp").Header.Get("Etag")
	h.document("cloud/dmp", artifacts.TypeOwnership, "ownership.yaml", ownerText+"slack_channel: \"#dmp\"\n", nil, "ownership")
	if r := h.get(folder+"ownership.yaml", "Authorization", "dmp", "If-None-Match", before).want(t, 200); r.body != ownerText+"slack_channel: \"#dmp\"\n" {
		t.Errorf("%q", r.body)
	}
}

// TestSums_are_those_of_all_files_but_the_image.
func TestSums_are_those_of_all_files_but_the_image(t *testing.T) {
	h := build(t)
	h.furnish()
	r := h.get(folder+"SHA256SUMS").want(t, 200)
	if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%v", r.Header)
	}
	var seen []string
	for line := range strings.Lines(r.body) {
		sum, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || strings.TrimSuffix(line, "\n") == line {
			t.Errorf("a line %q", line)
		}
		if got := h.get(folder+strings.ReplaceAll(path, " ", "%20")).want(t, 200).body; digest.FromString(got).Encoded() != sum {
			t.Errorf("%s: %s, want %s", path, digest.FromString(got).Encoded(), sum)
		}
		seen = append(seen, path)
	}
	if got, want := strings.Join(seen, ", "), "docker/manifest.yaml, generic/docs/häuser.txt, generic/docs/read me.html, generic/fw.bin, generic/manifest.yaml, metadata.yaml, ownership.yaml"; got != want {
		t.Errorf("sums of %s, want %s", got, want)
	}
}

// TestFile_under_another_digest is there, and told with that; only sha256sum cannot check it.
func TestFile_under_another_digest(t *testing.T) {
	h := build(t)
	content := "long digest"
	d := digest.SHA512.FromString(content)
	if err := h.reg.PutBlob(t.Context(), service, d, int64(len(content)), strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	h.blob(service, "application/vnd.oci.empty.v1+json", "", []byte("{}"))
	h.push(service, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": artifacts.TypeGeneric,
		"config": map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest.FromString("{}"), "size": 2},
		"layers": []any{map[string]any{"mediaType": "application/gzip", "digest": d, "size": len(content), "annotations": map[string]string{"org.opencontainers.image.title": "../x"}}},
	}, "generic-1.0.2")
	r := h.get(folder+"generic/sha512-"+d.Encoded()).want(t, 200)
	if r.body != content || r.Header.Get("X-Checksum-Sha512") != d.Encoded() || !strings.HasPrefix(r.Header.Get("Repr-Digest"), "sha-512=:") {
		t.Errorf("%q, %v", r.body, r.Header)
	}
	if got := h.get(folder+"SHA256SUMS").want(t, 200).body; got != "" {
		t.Errorf("sums %q, want none", got)
	}
}

// TestFile_that_is_not_whole_is_cut, and one that is lost is the registry's fault.
func TestFile_that_is_not_whole_is_cut(t *testing.T) {
	h := build(t)
	content := strings.Repeat("0123456789abcdef", 1<<16)
	h.files(service, artifacts.TypeGeneric, nil, []file{{"fw.bin", "", content}}, "generic-1.0.2")
	path := h.pathOf(digest.FromString(content))
	sent, announced, cut := h.spoilt(folder+"generic/fw.bin", func() error { return os.Truncate(path, 1000) })
	if cut == nil || announced != int64(len(content)) {
		t.Errorf("%d bytes of %d, and a clean end", sent, announced)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	h.get(folder+"generic/fw.bin").want(t, 500)
}

// pathOf is where the disk has a blob.
func (h *house) pathOf(d digest.Digest) string {
	h.t.Helper()
	content, err := h.blobs.Open(h.t.Context(), d, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	defer content.Close()
	return content.(*os.File).Name()
}

// spoilt asks for a path, and does something as soon as the answer begins.
func (h *house) spoilt(path string, spoil func() error) (sent, announced int64, cut error) {
	h.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.handler.ServeHTTP(&spoiling{w, func() {
			if err := spoil(); err != nil {
				h.t.Error(err)
			}
		}}, r)
	}))
	defer server.Close()
	res, err := http.Get(server.URL + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	sent, cut = io.Copy(io.Discard, res.Body)
	return sent, res.ContentLength, cut
}

// spoiling does something when the answer begins.
type spoiling struct {
	http.ResponseWriter
	spoil func()
}

func (s *spoiling) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *spoiling) WriteHeader(status int) {
	s.spoil()
	s.ResponseWriter.WriteHeader(status)
}

func (s *spoiling) ReadFrom(src io.Reader) (int64, error) {
	return s.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
}

// probe stands where the server's own ResponseWriter does and notes what it is handed to send.
type probe struct {
	http.ResponseWriter
	handed []string
}

func (p *probe) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *probe) ReadFrom(src io.Reader) (int64, error) {
	what := fmt.Sprintf("%T", src)
	if limited, ok := src.(*io.LimitedReader); ok {
		what = fmt.Sprintf("bounded %T", limited.R)
	}
	p.handed = append(p.handed, what)
	return p.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
}

// TestFile_goes_out_by_sendfile: what lies in a file reaches the server as that very *os.File, also as a part of image.tar.
func TestFile_goes_out_by_sendfile(t *testing.T) {
	h := build(t)
	content := strings.Repeat("0123456789abcdef", 1<<16)
	h.files(service, artifacts.TypeGeneric, nil, []file{{"fw.bin", "", content}}, "generic-1.0.2")
	layer := []byte(content)
	h.push(service, h.image(service, "amd64", [][]byte{layer}, h.blob(service, "application/vnd.oci.image.layer.v1.tar", "", layer)), "1.0.2")
	var last *probe
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = &probe{ResponseWriter: w}
		h.handler.ServeHTTP(last, r)
	}))
	defer server.Close()
	for path, want := range map[string]string{
		"generic/fw.bin":   "bounded *os.File",
		"docker/image.tar": "bounded io.nopCloserWriterTo, bounded *os.File, bounded io.nopCloserWriterTo", // headers, the layer, padding
	} {
		res, err := http.Get(server.URL + folder + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !bytes.Contains(got, layer) {
			t.Errorf("%s: %d, %d bytes, %v", path, res.StatusCode, len(got), err)
		}
		if handed := strings.Join(last.handed, ", "); handed != want {
			t.Errorf("%s: handed over %s, want %s", path, handed, want)
		}
	}
}
