//go:build backends

package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv"
)

// root is the rootdirectory of the registry whose data lies in a bucket.
const root = "some where/+registry"

// layInBucket brings a tree into a bucket of its own, key by key.
func layInBucket(t *testing.T) func(t *testing.T, dir string) Medium {
	server := s3test.Start(t)
	return func(t *testing.T, dir string) Medium {
		bucket := server.Bucket(t)
		lay(t, server, bucket, dir)
		return openBucket(t, server, server.Endpoint, bucket)
	}
}

func lay(t *testing.T, server *s3test.Server, bucket, dir string) {
	t.Helper()
	client := server.Client(server.Endpoint)
	var g errgroup.Group
	g.SetLimit(8)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		g.Go(func() error { return put(t, client, bucket, root+"/"+filepath.ToSlash(name), content) })
		return err
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		t.Fatal(err)
	}
	putKey(t, server, bucket, root+"/docker/registry/v2/repositories/", nil) // as some tools mark a folder
}

func put(t *testing.T, client *awss3.Client, bucket, key string, content []byte) error {
	_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)})
	return err
}

func putKey(t *testing.T, server *s3test.Server, bucket, key string, content []byte) {
	t.Helper()
	if err := put(t, server.Client(server.Endpoint), bucket, key, content); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func configOf(server *s3test.Server, endpoint, bucket string) s3.Config {
	return s3.Config{
		Bucket: bucket, Endpoint: endpoint, PathStyle: true, AccessKey: server.AccessKey, SecretKey: server.SecretKey,
		Stall: 20 * time.Second, Attempts: 1, Log: slog.New(slog.DiscardHandler),
	}
}

func openBucket(t *testing.T, server *s3test.Server, endpoint, bucket string) Medium {
	t.Helper()
	cfg := configOf(server, endpoint, bucket)
	cfg.Prefix = root
	folder, err := s3.OpenFolder(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// newCopied is an empty registry in a bucket, that copies what its server has.
func newCopied(t *testing.T, server *s3test.Server, endpoint, bucket string) *Local {
	t.Helper()
	store, err := s3.Open(t.Context(), configOf(server, endpoint, bucket))
	if err != nil {
		t.Fatal(err)
	}
	copies := NewCopies(store, slog.New(slog.DiscardHandler))
	reg, err := registry.Open(t.Context(), registry.Config{Blobs: copies, Index: kv.NewMemory(), Uploads: kv.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	return &Local{Registry: reg, Copies: copies}
}

// watched stands before a server, counts what is asked of it, and can refuse.
type watched struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string // method and key; a copy is COPY
	sent   int64    // bytes of objects and parts, towards the server
	refuse func(what string) int
}

func watch(t *testing.T, server *s3test.Server) *watched {
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if status := w.note(r); status != 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			code := map[int]string{http.StatusForbidden: "AccessDenied", http.StatusServiceUnavailable: "SlowDown"}[status]
			out.WriteHeader(status)
			fmt.Fprintf(out, "<Error><Code>%s</Code><Message>for a test</Message></Error>", code)
			return
		}
		proxy.ServeHTTP(out, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *watched) note(r *http.Request) (status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := r.Method + " " + r.URL.Path
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		what = "COPY " + r.URL.Path
	} else if r.Method == http.MethodPut {
		w.sent += r.ContentLength
	}
	w.asked = append(w.asked, what)
	if w.refuse != nil {
		status = w.refuse(what)
	}
	return status
}

// refusing sets what is refused from now on, and forgets what was asked.
func (w *watched) refusing(refuse func(what string) int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse, w.asked, w.sent = refuse, nil, 0
}

// count returns how many requests of a method were for a key with some words in it.
func (w *watched) count(method string, words ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.asked {
		if strings.HasPrefix(what, method+" ") && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(what, word) }) {
			n++
		}
	}
	return n
}

// From a bucket into one of the same server: each layer is read once, none is sent, and all are copied.
func TestCopies_are_made_by_the_server(t *testing.T) {
	server := s3test.Start(t)
	w := watch(t, server)
	f := newTree(t)
	var layers []ocispec.Descriptor
	for _, tag := range []string{"one", "two", "three"} {
		_, layer := f.image("team/app", tag, tag)
		layers = append(layers, layer)
	}
	f.image("team/other", "1.0", "one")
	from, here := server.Bucket(t), server.Bucket(t)
	lay(t, server, from, f.dir)
	f.lay = func(t *testing.T, _ string) Medium { return openBucket(t, server, w.URL, from) }
	to := newCopied(t, server, w.URL, here)

	dry := runAll(t, Config{From: f.open(), To: to, DryRun: true})
	if n := w.count("PUT") + w.count("COPY") + w.count("POST") + w.count("DELETE"); n != 0 {
		t.Errorf("a dry run asked to change something %d times", n)
	}
	report := runAll(t, Config{From: f.open(), To: to})
	told(t, report)
	if report.Duplicated != 3 || report.Came != dry.Came {
		t.Errorf("%d blobs were copied by the server, and %+v came; want 3, and %+v as foretold", report.Duplicated, report.Came, dry.Came)
	}
	for _, layer := range layers {
		hex := layer.Digest.Encoded()
		if read, copied := w.count("GET", from, hex, "/data"), w.count("COPY", here, hex); read != 1 || copied != 1 {
			t.Errorf("layer %s was read %d times and copied %d times, want once each", hex, read, copied)
		}
		if n := w.count("PUT", hex); n != 0 {
			t.Errorf("layer %s was sent %d times, want never", hex, n)
		}
	}
	if w.sent >= layers[0].Size {
		t.Errorf("%d bytes were sent, want less than a single layer has", w.sent)
	}
	for text, layer := range map[string]ocispec.Descriptor{"one ": layers[0], "two ": layers[1], "three ": layers[2]} {
		if got := read(t, to, "team/app", layer.Digest); got != strings.Repeat(text, 10_000) {
			t.Errorf("layer %s has %d bytes, want those of the source", layer.Digest, len(got))
		}
	}
	w.refusing(nil)
	again := runAll(t, Config{From: f.open(), To: to})
	if n := w.count("COPY") + w.count("PUT"); again.Came != (Tally{}) || n != 0 {
		t.Errorf("the second time %+v came with %d writes, want nothing", again.Came, n)
	}
}

// What is not what its digest says is found out before it is copied, and there is no key for it.
func TestCopies_of_damaged_content_are_not_made(t *testing.T) {
	server := s3test.Start(t)
	w := watch(t, server)
	f := newTree(t)
	_, layer := f.image("team/app", "1.0", "one")
	f.image("team/app", "2.0", "two")
	if err := os.WriteFile(f.data(layer.Digest), bytes.Repeat([]byte("0ne "), 10_000), 0o644); err != nil { // as long
		t.Fatal(err)
	}
	from, here := server.Bucket(t), server.Bucket(t)
	lay(t, server, from, f.dir)
	f.lay = func(t *testing.T, _ string) Medium { return openBucket(t, server, w.URL, from) }
	report := runAll(t, Config{From: f.open(), To: newCopied(t, server, w.URL, here), Tagged: true})
	told(t, report, registry.DigestInvalid)
	if report.Came.Tags != 1 || report.Duplicated != 1 {
		t.Errorf("%d tags came and %d blobs were copied, want the sound one of each", report.Came.Tags, report.Duplicated)
	}
	if n := w.count("COPY", layer.Digest.Encoded()); n != 0 {
		t.Errorf("the server was asked %d times to copy the damaged layer, want never", n)
	}
	for _, key := range server.Objects(t, here) {
		if strings.Contains(key, layer.Digest.Encoded()) {
			t.Errorf("there is %s, want nothing of the damaged layer", key)
		}
	}
}

// A server that copies nothing is asked a few times, and then all passes through here; so it does from another server at once.
func TestCopies_that_are_refused_are_read_and_written(t *testing.T) {
	server := s3test.Start(t)
	for name, c := range map[string]struct {
		other  bool
		copies int
		reads  int // of layers
	}{
		"refused":        {false, maxRefused, maxRefused + 6},
		"another server": {true, 0, 6},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, server)
			f := newTree(t)
			for i := range 6 {
				f.image("team/app", fmt.Sprint("v", i), fmt.Sprint("layer", i))
			}
			from := server.Bucket(t)
			lay(t, server, from, f.dir)
			f.lay = func(t *testing.T, _ string) Medium { return openBucket(t, server, w.URL, from) }
			endpoint := w.URL
			if c.other {
				endpoint = server.Endpoint
			}
			w.refusing(func(what string) int {
				if strings.HasPrefix(what, "COPY ") {
					return http.StatusForbidden
				}
				return 0
			})
			report := runAll(t, Config{From: f.open(), To: newCopied(t, server, endpoint, server.Bucket(t)), Lanes: 1})
			told(t, report)
			if report.Came.Tags != 6 || report.Duplicated != 0 || w.count("COPY") != c.copies {
				t.Errorf("%d tags came, %d blobs copied, after %d requests to copy; want 6, 0, %d", report.Came.Tags, report.Duplicated, w.count("COPY"), c.copies)
			}
			layers := 0
			for i := range 6 {
				layers += w.count("GET", from, digest.FromString(strings.Repeat(fmt.Sprint("layer", i, " "), 10_000)).Encoded(), "/data")
			}
			if layers != c.reads {
				t.Errorf("layers were read %d times, want %d", layers, c.reads)
			}
		})
	}
}

// A copy that fails because the server is busy is tried again, and is no refusal.
func TestCopies_are_tried_again_when_the_server_is_busy(t *testing.T) {
	server := s3test.Start(t)
	w := watch(t, server)
	f := newTree(t)
	_, layer := f.image("team/app", "1.0", "one")
	from := server.Bucket(t)
	lay(t, server, from, f.dir)
	f.lay = func(t *testing.T, _ string) Medium { return openBucket(t, server, w.URL, from) }
	busy := maxRefused
	w.refusing(func(what string) int {
		if strings.HasPrefix(what, "COPY ") {
			if busy--; busy >= 0 {
				return http.StatusServiceUnavailable
			}
		}
		return 0
	})
	report := runAll(t, Config{From: f.open(), To: newCopied(t, server, w.URL, server.Bucket(t)),
		Passing: func(err error) bool { return errors.Is(err, blob.ErrUnavailable) }, Wait: func(context.Context, time.Duration) {}})
	told(t, report)
	if n := w.count("PUT", layer.Digest.Encoded()); report.Duplicated != 1 || n != 0 {
		t.Errorf("%d blobs were copied by the server, and the layer was sent %d times; want 1, and never", report.Duplicated, n)
	}
}

// S3 that does not answer for a while is asked again; one that stays away ends the run, and a later one goes on.
func TestBucket_that_is_away_is_asked_again(t *testing.T) {
	server := s3test.Start(t)
	w := watch(t, server)
	f := newTree(t)
	for i := range 8 {
		f.image(fmt.Sprint("team/app", i), "1.0", fmt.Sprint("layer", i))
	}
	from := server.Bucket(t)
	lay(t, server, from, f.dir)
	f.lay = func(t *testing.T, _ string) Medium { return openBucket(t, server, w.URL, from) }
	to := newCopied(t, server, w.URL, server.Bucket(t))
	away := func(err error) bool { return errors.Is(err, blob.ErrUnavailable) }
	left := 0
	slow := func(what string) int {
		if left--; left < 0 && strings.HasPrefix(what, "GET ") && strings.HasSuffix(what, "/data") {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	left = 25
	w.refusing(slow)
	waits := 0
	report, err := Run(t.Context(), Config{From: f.open(), To: to, Tagged: true, Passing: away, Wait: func(context.Context, time.Duration) { waits++ }})
	if !away(err) || report.Came.Tags == 0 || report.Came.Tags == 8 || waits < (attempts-1)*brokenInARow {
		t.Errorf("%v after %d tags and %d pauses; want that S3 is not available, after some of them and all tries", err, report.Came.Tags, waits)
	}
	left = 3
	w.refusing(slow)
	rest := runAll(t, Config{From: f.open(), To: to, Tagged: true, Passing: away, Wait: func(context.Context, time.Duration) { left = 1 << 20 }})
	told(t, rest)
	if rest.Came.Tags+report.Came.Tags != 8 || rest.Here.Tags != report.Came.Tags {
		t.Errorf("then %d tags came and %d were here, want the rest of 8 after %d", rest.Came.Tags, rest.Here.Tags, report.Came.Tags)
	}
}

// Who cannot read what refers to an image says so: nobody shall take it for an image without a signature.
func TestBucket_referrers_that_cannot_be_read_are_told_of(t *testing.T) {
	server := s3test.Start(t)
	w := watch(t, server)
	f := newTree(t)
	image, layer := f.image("team/app", "1.0", "one")
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x-signature", Config: layer, Layers: []ocispec.Descriptor{layer}, Subject: &image}
	m.SchemaVersion = 2
	signature := f.manifest("team/app", "", m)
	from := server.Bucket(t)
	lay(t, server, from, f.dir)
	f.lay = func(t *testing.T, _ string) Medium { return openBucket(t, server, w.URL, from) }
	to := newLocal(t)
	w.refusing(func(what string) int {
		if strings.HasPrefix(what, "GET ") && strings.HasSuffix(what, signature.Digest.Encoded()+"/data") {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	told(t, runAll(t, Config{From: f.open(), To: to, Tags: []string{"1.*"}}), "referrers of "+string(image.Digest))
	w.refusing(nil)
	told(t, runAll(t, Config{From: f.open(), To: to, Tags: []string{"1.*"}}))
	if _, err := to.Registry.Resolve(t.Context(), "team/app", string(signature.Digest)); err != nil {
		t.Errorf("the signature did not come the second time: %v", err)
	}
}

// A run that is cut at any request leaves nothing wrong, and is gone on with where it was.
func TestBucket_run_that_is_cut_goes_on(t *testing.T) {
	server := s3test.Start(t)
	w := watch(t, server)
	f := newTree(t)
	var layers []ocispec.Descriptor
	for i := range 4 {
		_, layer := f.image("team/app", fmt.Sprint("v", i), fmt.Sprint("layer", i))
		layers = append(layers, layer)
	}
	from, here := server.Bucket(t), server.Bucket(t)
	lay(t, server, from, f.dir)
	f.lay = func(t *testing.T, _ string) Medium { return openBucket(t, server, w.URL, from) }
	to := newCopied(t, server, w.URL, here)
	runs, copies := 0, 0
	for n := 7; ; n += 7 {
		ctx, cut := context.WithCancel(t.Context())
		left := n
		w.refusing(func(string) int {
			if left--; left == 0 {
				cut()
			}
			return 0
		})
		folder, err := NewFolder(ctx, openBucket(t, server, w.URL, from))
		var report Report
		if err == nil {
			report, err = Run(ctx, Config{From: folder, To: to})
		}
		cut()
		copies += w.count("COPY")
		if runs++; err == nil {
			told(t, report)
			break
		}
		if !errors.Is(err, context.Canceled) || n > 1000 {
			t.Fatalf("cut at request %d: %v, want that it was cut", n, err)
		}
	}
	if runs < 4 || copies < len(layers) || copies >= len(layers)+runs {
		t.Errorf("%d runs copied %d times, want several runs, and %d copies with at most one more for each that was cut", runs, copies, len(layers))
	}
	for i, layer := range layers {
		if got := read(t, to, "team/app", layer.Digest); got != strings.Repeat(fmt.Sprint("layer", i, " "), 10_000) {
			t.Errorf("layer %d has %d bytes, want those of the source", i, len(got))
		}
	}
}

// Keys that no registry has written are told of, or passed over; what is beside the root directory is not looked at.
func TestBucket_foreign_keys_stop_nothing_else(t *testing.T) {
	server := s3test.Start(t)
	f := newTree(t)
	f.image("team/app", "1.0", "one")
	bucket := server.Bucket(t)
	lay(t, server, bucket, f.dir)
	for _, key := range []string{
		"docker/registry/v2/repositories/outside/_manifests/tags/1.0/current/link",
		root + "/docker/registry/v2/repositories/stray",
		root + "/docker/registry/v2/repositories/team/app/_manifests/tags/stray",
		root + "/docker/registry/v2/repositories/team/app/_manifests/tags/a b+c/current/link",
		root + "/docker/registry/v2/repositories/Ünder/_manifests/x",
		root + "/docker/registry/v2/repositories/line\nbreak/_manifests/x",
		root + "/docker/registry/v2/repositories/team/app/_manifests/revisions/sha256/none/link",
		root + "/docker/registry/v2/repositories/team/app/_uploads/1/data",
	} {
		putKey(t, server, bucket, key, []byte("x"))
	}
	folder, err := NewFolder(t.Context(), openBucket(t, server, server.Endpoint, bucket))
	if err != nil {
		t.Fatal(err)
	}
	report := runAll(t, Config{From: folder, To: newLocal(t)})
	told(t, report, `"stray" among the tags`, `"a b+c" among the tags`, `"Ünder" is no name`, `"line\nbreak" is no name`, `"sha256:none" is no digest`)
	if report.Came.Tags != 1 || report.Repositories != 1 {
		t.Errorf("%d tags of %d repositories came, want the good one alone", report.Came.Tags, report.Repositories)
	}
}

// What reads a list that has several pages, reads all of it.
func TestBucket_lists_have_pages(t *testing.T) {
	server := s3test.Start(t)
	f := newTree(t)
	d, _ := f.image("team/app", "v0", "one")
	for i := range 1200 {
		f.write(string(d.Digest), "repositories/team/app/_manifests/tags", fmt.Sprint("v", i), "current/link")
	}
	bucket := server.Bucket(t)
	lay(t, server, bucket, f.dir)
	folder, err := NewFolder(t.Context(), openBucket(t, server, server.Endpoint, bucket))
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]bool{}
	for tag, err := range folder.Tags(t.Context(), "team/app") {
		if err != nil {
			t.Fatal(err)
		}
		tags[tag] = true
	}
	if len(tags) != 1200 {
		t.Errorf("%d tags are listed, want 1200", len(tags))
	}
}

func TestNewFolder_refuses_a_bucket_without_a_registry(t *testing.T) {
	server := s3test.Start(t)
	for bucket, want := range map[string]string{server.Bucket(t): "there is no docker/registry/v2/repositories", "none-such": "no such bucket"} {
		if _, err := NewFolder(t.Context(), openBucket(t, server, server.Endpoint, bucket)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bucket %s: %v, want %q", bucket, err, want)
		}
	}
}
