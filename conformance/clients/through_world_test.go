//go:build clients

package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
)

// seen starts a registry with this configuration, through which others are seen. The configuration says where it listens, so that `entrepot config clients`
// knows it too.
func seen(t *testing.T, config string, opts ...program.Option) *program.Program {
	t.Helper()
	opts = append(opts, func(p *program.Program) { program.Config("listen: " + p.Addr + "\n" + config)(p) })
	p := program.Start(t, opts...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", p.Addr, p.Tail(40))
		}
	})
	return p
}

// printed is what `entrepot config clients` prints for the configuration that the registry runs with.
func printed(t *testing.T, p *program.Program, engine string) string {
	t.Helper()
	out, err := p.CLI("config", "clients", engine, "--config", "config.yml")
	if err != nil {
		t.Fatalf("entrepot config clients %s: %v\n%s", engine, err, out)
	}
	return out
}

// hosts writes the files that are printed for containerd, each where the line before it says, but below the session's folder.
func (s *session) hosts(printed string) {
	s.t.Helper()
	files := strings.Split(printed, "# /etc/containerd/")
	if len(files) < 2 || files[0] != "" {
		s.t.Fatalf("these are no files for /etc/containerd:\n%s", printed)
	}
	for _, file := range files[1:] {
		path, content, _ := strings.Cut(file, "\n")
		s.write(path, content)
	}
}

// drop returns a session of podman, buildah and skopeo that has what is printed for podman as a file of registries.conf.d, and no other settings.
func drop(t *testing.T, printed string) *session {
	t.Helper()
	s := storage(t, "")
	s.write(".config/containers/registries.conf.d/entrepot.conf", printed)
	return s
}

// daemon reads what is printed for Docker Engine.
func daemon(t *testing.T, printed string) map[string]any {
	t.Helper()
	var settings map[string]any
	if err := json.Unmarshal([]byte(printed), &settings); err != nil {
		t.Fatalf("this is no daemon.json: %v\n%s", err, printed)
	}
	return settings
}

// witness stands before an upstream and notes what that is asked for.
type witness struct {
	URL, addr string
	server    *httptest.Server
	links     *httptest.Server // where it sends those whom the upstream sends to its bucket

	mu    sync.Mutex
	asked []string // "GET /v2/…" in the order in which they came
	gave  []string // those that got what they asked for
	parts int      // how many of them went on from where they stood
	gate  *gate
	ways  []way
}

// way is where in its bucket an upstream has what somebody asked for.
type way struct {
	path string
	to   *url.URL
}

// gate holds back a blob in the middle.
type gate struct {
	after   int64         // bytes that pass
	reached chan struct{} // closed when so many have
	open    chan struct{} // close it to let the rest pass
	once    sync.Once
}

// watch puts a witness before a registry.
func watch(t *testing.T, upstream string) *witness {
	t.Helper()
	to := &url.URL{Scheme: "http", Host: upstream}
	w := &witness{}
	proxy := &httputil.ReverseProxy{
		// The upstream learns by which name it is called, as behind any proxy that keeps the host: its token service is there too.
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ModifyResponse: w.answered,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
		ErrorLog: quiet,
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		proxy.ServeHTTP(rw, r)
	}))
	w.server.Config.ErrorLog = quiet
	w.links = httptest.NewServer(http.HandlerFunc(w.leads))
	w.links.Config.ErrorLog = quiet
	w.URL, w.addr = w.server.URL, w.server.Listener.Addr().String()
	t.Cleanup(w.close)
	return w
}

// close ends the witness: nobody answers there any more.
func (w *witness) close() {
	for _, s := range []*httptest.Server{w.server, w.links} {
		s.CloseClientConnections()
		s.Close()
	}
}

// leads takes the place of the upstream's bucket. It is another origin than the upstream, as the bucket is.
func (w *witness) leads(rw http.ResponseWriter, r *http.Request) {
	var n int
	w.mu.Lock()
	if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil || n < 0 || n >= len(w.ways) {
		w.mu.Unlock()
		http.NotFound(rw, r)
		return
	}
	to := w.ways[n]
	w.mu.Unlock()
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.Out.URL, r.Out.Host = to.to, to.to.Host },
		ModifyResponse: func(res *http.Response) error { w.gives(res, to.path); return nil },
		ErrorLog:       quiet,
	}
	proxy.ServeHTTP(rw, r)
}

// hold lets only so many bytes of the next large blob pass.
func (w *witness) hold(after int64) *gate {
	g := &gate{after: after, reached: make(chan struct{}), open: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = g
	return g
}

// answered looks at an answer of the upstream.
func (w *witness) answered(res *http.Response) error {
	path := res.Request.URL.Path
	if to, err := res.Location(); err == nil && res.StatusCode == http.StatusTemporaryRedirect {
		w.mu.Lock()
		defer w.mu.Unlock()
		res.Header.Set("Location", fmt.Sprintf("%s/%d", w.links.URL, len(w.ways)))
		w.ways = append(w.ways, way{path, to})
		return nil
	}
	w.gives(res, path)
	return nil
}

// gives notes what the upstream gives, by the path at which it was asked for, and holds it back if it is to be held.
func (w *witness) gives(res *http.Response, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusPartialContent {
		if res.StatusCode == http.StatusPartialContent {
			w.parts++
		}
		w.gave = append(w.gave, res.Request.Method+" "+path)
	}
	if g := w.gate; g != nil && res.Request.Method == http.MethodGet && res.ContentLength > g.after && strings.Contains(path, "/blobs/") {
		res.Body = &held{ReadCloser: res.Body, gate: g, ended: res.Request.Context().Done()}
		w.gate = nil // once: whoever comes back gets the rest
	}
}

// held is a body at a gate.
type held struct {
	io.ReadCloser
	*gate
	passed int64
	ended  <-chan struct{}
}

func (h *held) Read(p []byte) (int, error) {
	if h.passed >= h.after {
		h.once.Do(func() { close(h.reached) })
		select {
		case <-h.open:
		case <-h.ended:
			return 0, io.ErrUnexpectedEOF
		}
		return h.ReadCloser.Read(p)
	}
	n, err := h.ReadCloser.Read(p[:min(int64(len(p)), h.after-h.passed)])
	h.passed += int64(n)
	return n, err
}

// count tells how often something was given: a method, and the end of a path.
func (w *witness) count(method, path string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.gave {
		if m, p, _ := strings.Cut(a, " "); m == method && strings.HasSuffix(p, path) {
			n++
		}
	}
	return n
}

// all returns what was asked for so far.
func (w *witness) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// forget begins anew.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.gave = nil, nil
}

// fetchedOnce fails the test unless each blob of the image was fetched once and its manifest too.
func (w *witness) fetchedOnce(t *testing.T, i image) {
	t.Helper()
	for _, b := range i.blobs {
		if n := w.count("GET", "/blobs/"+digest.FromBytes(b).String()); n != 1 {
			t.Errorf("the upstream gave %d times a blob of %d bytes, want once: %q", n, len(b), w.all())
		}
	}
	if n := w.manifests(); n != 1 {
		t.Errorf("the upstream gave %d times a manifest, want once: %q", n, w.all())
	}
}

// manifests tells how many manifests were fetched.
func (w *witness) manifests() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.gave {
		if strings.HasPrefix(a, "GET ") && strings.Contains(a, "/manifests/") {
			n++
		}
	}
	return n
}

// resumed tells how often a blob was fetched on from where it stood.
func (w *witness) resumed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parts
}

// silent fails the test if anything was asked for.
func (w *witness) silent(t *testing.T) {
	t.Helper()
	if all := w.all(); len(all) > 0 {
		t.Errorf("the upstream was asked for %q, and should not have been", all)
	}
}

// newApart is an image for an architecture that has no layer in common with any other: an engine that has those need not ask for one of them.
func newApart(t *testing.T, architecture string) image {
	t.Helper()
	i := newImage(t)
	program := layer(t, "hello", 0o755, append(slices.Clone(hello(t)), noise(t, 64)...))
	var config ocispec.Image
	if err := json.Unmarshal(i.blobs[0], &config); err != nil {
		t.Fatal(err)
	}
	config.Architecture = architecture
	config.RootFS.DiffIDs[0] = digest.FromBytes(program)
	apart := image{noise: i.noise}
	return apart.with(t, encode(t, config), squeeze(t, program), i.blobs[2])
}

// newLargeImage is an image with one layer of so many bytes, that nothing packs.
func newLargeImage(t *testing.T, size int) image {
	t.Helper()
	big := layer(t, "large", 0o644, noise(t, size))
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(big)}}}
	return image{}.with(t, encode(t, config), big)
}

// with is an image with this config and these layers. A layer that is no gzip is a tar.
func (i image) with(t *testing.T, config []byte, layers ...[]byte) image {
	t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: describe(ocispec.MediaTypeImageConfig, config)}
	for _, l := range layers {
		mediaType := ocispec.MediaTypeImageLayer
		if bytes.HasPrefix(l, []byte{0x1f, 0x8b}) {
			mediaType = ocispec.MediaTypeImageLayerGzip
		}
		m.Layers = append(m.Layers, describe(mediaType, l))
	}
	i.manifest = encode(t, m)
	i.digest = digest.FromBytes(i.manifest)
	i.blobs = append([][]byte{config}, layers...)
	return i
}

// pushIndex uploads images by their digests, and under the tag an index that names them by their architectures.
func pushIndex(t *testing.T, addr, repo, tag string, images map[string]image) digest.Digest {
	t.Helper()
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for architecture, i := range images {
		i.push(t, addr, repo, i.digest.String())
		d := describe(ocispec.MediaTypeImageManifest, i.manifest)
		d.Platform = &ocispec.Platform{Architecture: architecture, OS: "linux"}
		list.Manifests = append(list.Manifests, d)
	}
	body := encode(t, list)
	caller{base: "http://" + addr}.send(t, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, ocispec.MediaTypeImageIndex, body, http.StatusCreated)
	return digest.FromBytes(body)
}
