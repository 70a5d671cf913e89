package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"
)

// importSays runs entrepot import as somebody who is logged in nowhere.
func importSays(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), append([]string{"import"}, args...), nil, &out, &out, []string{"DOCKER_CONFIG=" + t.TempDir()})
	return code, out.String()
}

func TestImport_usage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "--from-folder, --from-s3 or --from"},
		{"--from-folder a --from b", "--from-folder, --from-s3 or --from"},
		{"--from-folder a --from-s3 s3://b", "--from-folder, --from-s3 or --from"},
		{"--from-s3 s3://a --list names", "go with --from"},
		{"--from-folder a --s3-endpoint https://s3.example.com", "go with --from-s3"},
		{"--from a --s3-region eu-central-1", "go with --from-s3"},
		{"--from a --s3-path-style", "go with --from-s3"},
		{"--from-s3 bucket", "write it as s3://BUCKET"},
		{"--from-s3 https://s3.example.com/bucket", "write it as s3://BUCKET"},
		{"--from-s3 s3:///prefix", "write it as s3://BUCKET"},
		{"--from-s3 s3://key:secret@bucket", "write it as s3://BUCKET"},
		{"--from-folder a --list names", "go with --from"},
		{"--from a --from-user me", "go together"},
		{"--from a --from-password-file secret", "go together"},
		{"--from a --repositories **/a", "--repositories"},
		{"--from a --tags [", "--tags"},
		{"--from a --map a", "--map"},
		{"--from a --data b registry.example.com", "whose server must be stopped|is stopped"},
		{"--from a one two", "2 arguments"},
	} {
		code, said := importSays(t, strings.Fields(c.args)...)
		if code != 2 || !slices.ContainsFunc(strings.Split(c.want, "|"), func(s string) bool { return strings.Contains(said, s) }) {
			t.Errorf("import %s: exit status %d and %s, want 2 and %q", c.args, code, said, c.want)
		}
	}
}

func TestImport_bucket_flags(t *testing.T) {
	for name, c := range map[string]struct {
		args, environ []string
		want          importBucket
	}{
		"amazon": {[]string{"--from-s3", "s3://old/a/b/", "--s3-region", "eu-central-1"}, []string{"AWS_REGION=elsewhere"}, importBucket{bucket: "old", prefix: "a/b/", region: "eu-central-1"}},
		"environment": {[]string{"--from-s3", "s3://old"}, []string{"AWS_REGION=here", "AWS_ENDPOINT_URL=https://all.example.com", "AWS_ENDPOINT_URL_S3=https://s3.example.com"},
			importBucket{bucket: "old", region: "here", endpoint: "https://s3.example.com", pathStyle: true}},
		"endpoint":      {[]string{"--from-s3", "s3://old/", "--s3-endpoint", "https://s3.example.com"}, nil, importBucket{bucket: "old", endpoint: "https://s3.example.com", pathStyle: true}},
		"no path style": {[]string{"--from-s3", "s3://old", "--s3-endpoint", "https://s3.example.com", "--s3-path-style=false"}, nil, importBucket{bucket: "old", endpoint: "https://s3.example.com"}},
		"amazon's own": {[]string{"--from-s3", "s3://old", "--s3-endpoint", "https://s3.eu-central-1.amazonaws.com"}, nil,
			importBucket{bucket: "old", endpoint: "https://s3.eu-central-1.amazonaws.com"}},
	} {
		var b importBucket
		f := pflag.NewFlagSet("import", pflag.ContinueOnError)
		b.flags(&app{environ: c.environ}, f)
		if err := errors.Join(f.Parse(c.args), b.check()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b.url, b.set = "", nil
		if b != c.want {
			t.Errorf("%s: %+v, want %+v", name, b, c.want)
		}
	}
}

func TestImport_tells_what_is_wrong_with_a_bucket(t *testing.T) {
	const secret = "canary-2259"
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if answer == "" {
			fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", answer)
	}))
	defer server.Close()
	for code, want := range map[string]string{
		"":                      "there is no docker/registry/v2/repositories in it; name the rootdirectory",
		"AccessDenied":          "grant s3:ListBucket and s3:GetObject",
		"SignatureDoesNotMatch": "the credentials are wrong",
	} {
		answer = code
		code, said := importSays(t, "--from-s3", "s3://old/registry", "--s3-endpoint", server.URL, "--data", t.TempDir())
		if code != 1 || !strings.Contains(said, want) || strings.Contains(said, secret) {
			t.Errorf("%q: exit status %d and %s, want 1 and %q", answer, code, said, want)
		}
	}
	if code, said := importSays(t, "--from-s3", "s3://old/../x", "--s3-endpoint", server.URL, "--data", t.TempDir()); code != 1 || !strings.Contains(said, "prefix") {
		t.Errorf("a prefix with dots: exit status %d and %s, want 1 and a word on it", code, said)
	}
}

func TestImport_lists_are_names(t *testing.T) {
	file := filepath.Join(t.TempDir(), "names")
	for text, want := range map[string]string{
		"":                          "names no repository",
		"# nothing\n\n":             "names no repository",
		"team/app\nteam/app:1.0\n":  "no name of a repository",
		"../../etc/passwd\n":        "no name of a repository",
		strings.Repeat("a", 70_000): "too long",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, said := importSays(t, "--from", "127.0.0.1:1", "--list", file, "--data", t.TempDir()); code != 1 || !strings.Contains(said, want) {
			t.Errorf("a list of %.30q: exit status %d and %.300s, want 1 and %q", text, code, said, want)
		}
	}
}

// small is a registry with one image, for those who know the password; the image's layer lies at another host.
type small struct {
	repo, password string
	manifest       []byte
	config, layer  []byte
	elsewhere      string
	tags           []string // the last of them names it
}

func newSmall(repo, password, elsewhere string, tags ...string) *small {
	s := &small{repo: repo, tags: tags, password: password, elsewhere: elsewhere, config: []byte(`{"os":"linux","architecture":"amd64"}`), layer: bytes.Repeat([]byte("layer"), 10_000)}
	s.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, digest.FromBytes(s.config), len(s.config), ocispec.MediaTypeImageLayer, digest.FromBytes(s.layer), len(s.layer))
	return s
}

func (s *small) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, password, _ := r.BasicAuth(); password != s.password {
		w.Header().Set("Www-Authenticate", `Basic realm="small"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer := func(mediaType string, body []byte) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Docker-Content-Digest", string(digest.FromBytes(body)))
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	}
	at := "/v2/" + s.repo
	switch r.URL.Path {
	case "/v2/":
	case "/v2/_catalog":
		answer("application/json", fmt.Appendf(nil, `{"repositories":[%q]}`, s.repo))
	case at + "/tags/list":
		answer("application/json", fmt.Appendf(nil, `{"name":%q,"tags":["%s"]}`, s.repo, strings.Join(s.tags, `","`)))
	case at + "/manifests/" + s.tags[len(s.tags)-1], at + "/manifests/" + string(digest.FromBytes(s.manifest)):
		answer(ocispec.MediaTypeImageManifest, s.manifest)
	case at + "/blobs/" + string(digest.FromBytes(s.config)):
		answer("application/octet-stream", s.config)
	case at + "/blobs/" + string(digest.FromBytes(s.layer)):
		http.Redirect(w, r, s.elsewhere, http.StatusTemporaryRedirect)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// The password of the source goes to the source, and to nobody whom it points at; nor is it printed.
func TestImport_password_of_the_source(t *testing.T) {
	const password = "canary-8841"
	var mu sync.Mutex
	var told []string
	var s *small
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, r.Header.Get("Authorization"))
		_, _ = w.Write(s.layer)
	}))
	defer other.Close()
	s = newSmall("app", password, other.URL, "not a tag", "1.0")
	source := httptest.NewServer(s)
	defer source.Close()
	file, data := filepath.Join(t.TempDir(), "password"), t.TempDir()
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := importSays(t, "--from", source.URL, "--from-user", "me", "--from-password-file", file, "--data", data)
	if code != 1 || !strings.Contains(said, `"not a tag" is no tag`) || !strings.Contains(said, "1 things did not come") || !strings.Contains(said, "came: 1 tags, 1 manifests, 2 blobs") {
		t.Errorf("exit status %d and\n%s\nwant 1, the tag 1.0, and a word on what is no tag", code, said)
	}
	if strings.Contains(said, password) {
		t.Error("the password is printed")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 || told[0] != "" {
		t.Errorf("the other host was sent Authorization %q, want one request without", told)
	}
	if code, said := importSays(t, "--from", source.URL, "--data", t.TempDir()); code != 1 || !strings.Contains(said, "log in with: entrepot login") {
		t.Errorf("without the password: exit status %d and %s, want 1 and where to log in", code, said)
	}
}

// A blob that stands still is given up, in a way that is tried again.
func TestImport_gives_up_what_stands_still(t *testing.T) {
	release := make(chan struct{})
	content := bytes.Repeat([]byte("x"), 1000)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(content[:100])
		w.(http.Flusher).Flush()
		<-release
	}))
	defer source.Close()
	defer close(release)
	from, err := newImportSource(&client{app: &app{environ: []string{"DOCKER_CONFIG=" + t.TempDir()}}}, &importOptions{from: source.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	from.stall = 50 * time.Millisecond
	r, err := from.Blob(t.Context(), "app", ocispec.Descriptor{Digest: digest.FromBytes(content), Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); len(got) != 100 || !passing(err) || !strings.Contains(err.Error(), "nothing came for 50ms") {
		t.Errorf("%d bytes, and %v; want 100, and that nothing came", len(got), err)
	}
}

// A tag that a component does not get by a push is told of with the reason; the others come, and what it named is there by its digest.
func TestImport_judges_components_as_every_push(t *testing.T) {
	var s *small
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.layer) }))
	defer other.Close()
	s = newSmall("cloud/dmp/ms-app", "", other.URL, "cloud.prod")
	source := httptest.NewServer(s)
	defer source.Close()
	data := t.TempDir()
	code, said := importSays(t, "--from", source.URL, "--data", data)
	if code != 1 || !strings.Contains(said, "cloud/dmp/ms-app: tag cloud.prod: what is deployed in cloud.prod is said by a promotion") ||
		!strings.Contains(said, "came: 0 tags, 1 manifests, 2 blobs") {
		t.Errorf("exit status %d and\n%s\nwant 1, the manifest without its tag, and the reason", code, said)
	}
	s.tags = []string{"1.0.2"}
	if code, said := importSays(t, "--from", source.URL, "--data", data); code != 0 || !strings.Contains(said, "came: 1 tags, 0 manifests, 0 blobs") {
		t.Errorf("a version of the same: exit status %d and\n%s\nwant 0 and its tag", code, said)
	}
}

func TestImport_tells_who_has_the_store(t *testing.T) {
	data := t.TempDir()
	c, err := storeConfig(&app{}, "", data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(context.Background(), c, newLog(c.Log, os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "docker/registry/v2/repositories"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, said := importSays(t, "--from-folder", folder, "--data", data); code != 1 || !strings.Contains(said, "or name its host") {
		t.Errorf("a store that is in use: exit status %d and %s, want 1 and the advice to name the host", code, said)
	}
}
