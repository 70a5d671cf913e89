package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
)

// binary is the program that is tested: the one that ENTREPOT_BIN names, or one that is built from the tree around this module.
func binary(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("ENTREPOT_BIN")
	if bin != "" {
		return bin
	}
	bin = filepath.Join(t.TempDir(), "entrepot")
	build := exec.Command("go", "build", "-o", bin, "./cmd/entrepot")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build entrepot: %v\n%s", err, out)
	}
	return bin
}

// serveIn serves what a folder holds, and returns its URL and what ends it.
func serveIn(t *testing.T, bin, dir string) (address string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	out := &log{}
	cmd := exec.Command(bin, "serve", "--listen", addr, "--data", dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start entrepot: %v", err)
	}
	end := make(chan struct{})
	go func() { defer close(end); _ = cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-end:
		case <-time.After(30 * time.Second):
			t.Error("entrepot did not end within 30 s of SIGTERM")
			_ = cmd.Process.Kill()
			<-end
		}
	})
	t.Cleanup(stop)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if res, err := http.Get("http://" + addr + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return "http://" + addr, stop
			}
		}
		select {
		case <-end:
			t.Fatalf("entrepot ended at start:\n%s", out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("entrepot is not ready after 30 s:\n%s", out)
		}
	}
}

// imports runs entrepot import and returns its exit status and what it printed.
func imports(t *testing.T, bin string, args ...string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append([]string{"import"}, args...)...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("run entrepot import: %v", err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// mustImport is imports where all is to come.
func mustImport(t *testing.T, bin string, args ...string) string {
	t.Helper()
	code, said := imports(t, bin, args...)
	if code != 0 {
		t.Fatalf("entrepot import %s: exit status %d, want 0:\n%s", strings.Join(args, " "), code, said)
	}
	return said
}

// distributionIn serves distribution's registry from a folder.
func distributionIn(t *testing.T, dir string) http.Handler {
	t.Helper()
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{
		Version: configuration.CurrentVersion,
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": dir},
			"delete":      configuration.Parameters{"enabled": true},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	config.Catalog.MaxEntries = 1000
	config.HTTP.Secret = "only for this process"
	return handlers.NewApp(context.Background(), config)
}

// pusher fills a registry, and remembers what it pushed.
type pusher struct {
	t         *testing.T
	url       string
	manifests map[string]string   // "repo digest" → media type
	blobs     map[string][]string // repo → digests
	lists     map[string]bool     // "repo tag" of tagged lists of referrers
}

func (p *pusher) send(method, path, contentType string, body []byte, want int) *http.Response {
	p.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = p.url + path
	}
	req, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	if res.StatusCode != want {
		text, _ := io.ReadAll(res.Body)
		p.t.Fatalf("%s %s: %d, want %d: %s", method, path, res.StatusCode, want, text)
	}
	return res
}

func (p *pusher) blob(repo, mediaType string, content []byte) map[string]any {
	p.t.Helper()
	res := p.send("POST", "/v2/"+repo+"/blobs/uploads/", "", nil, http.StatusAccepted)
	to, err := res.Request.URL.Parse(res.Header.Get("Location"))
	if err != nil {
		p.t.Fatal(err)
	}
	d := digest.FromBytes(content).String()
	query := to.Query()
	query.Set("digest", d)
	to.RawQuery = query.Encode()
	p.send("PUT", to.String(), octets, content, http.StatusCreated)
	p.blobs[repo] = append(p.blobs[repo], d)
	return descriptor(mediaType, content)
}

func (p *pusher) manifest(repo, tag, mediaType string, v map[string]any) map[string]any {
	p.t.Helper()
	v["schemaVersion"], v["mediaType"] = 2, mediaType
	body := encode(v)
	d := descriptor(mediaType, body)
	ref := tag
	if ref == "" {
		ref = d["digest"].(string)
	}
	p.send("PUT", "/v2/"+repo+"/manifests/"+ref, mediaType, body, http.StatusCreated)
	p.manifests[repo+" "+d["digest"].(string)] = mediaType
	return d
}

// noise is content that is as long as it is said, and always the same for the same name.
func noise(name string, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, i))
		b.Write(sum[:])
	}
	return b.Bytes()[:size]
}

const configType, layerType = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"

func (p *pusher) image(repo, tag, name string) map[string]any {
	p.t.Helper()
	config := p.blob(repo, configType, fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","name":%q}`, name))
	return p.manifest(repo, tag, image, map[string]any{"config": config,
		"layers": []any{p.blob(repo, layerType, noise("base", 300_000)), p.blob(repo, layerType, noise(name, 50_000)), p.blob(repo, layerType, noise("small"+name, 2_000))}})
}

// fill pushes a bit of everything: images that share a layer, an index, Docker's own types, what is not tagged any more, and what refers to something.
func fill(t *testing.T, at string, fallback bool) *pusher {
	p := &pusher{t: t, url: at, manifests: map[string]string{}, blobs: map[string][]string{}, lists: map[string]bool{}}
	p.image("team/app", "latest", "former")
	p.image("team/app", "latest", "one")
	subject := p.image("team/app", "1.0", "one")
	arm := p.image("team/app", "", "arm")
	p.manifest("team/app", "multi", index, map[string]any{"manifests": []any{subject, arm}})
	dockerConfig := p.blob("library/alpine", "application/vnd.docker.container.image.v1+json", []byte(`{"architecture":"amd64","os":"linux"}`))
	dockerImage := p.manifest("library/alpine", "3.20", docker, map[string]any{"config": dockerConfig,
		"layers": []any{p.blob("library/alpine", "application/vnd.docker.image.rootfs.diff.tar.gzip", noise("base", 300_000))}})
	dockerImage["platform"] = map[string]string{"architecture": "amd64", "os": "linux"}
	p.manifest("library/alpine", "list", list, map[string]any{"manifests": []any{dockerImage}})
	empty := []byte("{}")
	sbom := p.manifest("team/app", "", image, map[string]any{"artifactType": "application/spdx+json", "subject": subject,
		"config": p.blob("team/app", "application/vnd.oci.empty.v1+json", empty), "layers": []any{p.blob("team/app", "application/spdx+json", []byte(`{"spdx":"2.3"}`))}})
	name := strings.Replace(subject["digest"].(string), ":", "-", 1)
	p.manifest("team/app", name+".sig", image, map[string]any{"config": p.blob("team/app", configType, []byte(`{"signed":true}`)),
		"layers": []any{p.blob("team/app", "application/vnd.dev.cosign.simplesigning.v1+json", []byte(`{"critical":{}}`))}})
	if fallback {
		sbom["artifactType"] = "application/spdx+json"
		p.manifest("team/app", name, index, map[string]any{"manifests": []any{sbom}})
		p.lists["team/app "+name] = true
	}
	return p
}

func fetch(t *testing.T, address string) (int, string, []byte) {
	t.Helper()
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, mediaType := range []string{image, index, docker, list} {
		req.Header.Add("Accept", mediaType)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), body
}

func names(t *testing.T, address, member string) []string {
	t.Helper()
	status, _, body := fetch(t, address)
	var all map[string]json.RawMessage
	var names []string
	if status != http.StatusOK || json.Unmarshal(body, &all) != nil || json.Unmarshal(all[member], &names) != nil {
		t.Fatalf("GET %s: %d %s, want a list of %s", address, status, body, member)
	}
	slices.Sort(names)
	return names
}

// same fetches a thing from both registries and wants the same answer.
func same(t *testing.T, there, here, path string) []byte {
	t.Helper()
	wantStatus, wantType, want := fetch(t, there+path)
	status, contentType, got := fetch(t, here+path)
	if wantStatus != http.StatusOK || status != wantStatus || strings.Contains(path, "/manifests/") && contentType != wantType || !bytes.Equal(got, want) {
		t.Errorf("GET %s: %d %s with %d bytes, want %d %s with %d bytes, as the source has them", path, status, contentType, len(got), wantStatus, wantType, len(want))
	}
	return got
}

// equal wants everything that was pushed to there to be at here: repositories, tags, manifests, blobs and what refers to what.
func (p *pusher) equal(here string, untagged bool) {
	t := p.t
	t.Helper()
	if got, want := names(t, here+"/v2/_catalog", "repositories"), names(t, p.url+"/v2/_catalog", "repositories"); !slices.Equal(got, want) {
		t.Errorf("repositories are %v, want %v", got, want)
	}
	for repo, blobs := range p.blobs {
		tags := slices.DeleteFunc(names(t, p.url+"/v2/"+repo+"/tags/list", "tags"), func(tag string) bool { return p.lists[repo+" "+tag] })
		if got := names(t, here+"/v2/"+repo+"/tags/list", "tags"); !slices.Equal(got, tags) {
			t.Errorf("tags of %s are %v, want %v", repo, got, tags)
		}
		for _, tag := range tags {
			same(t, p.url, here, "/v2/"+repo+"/manifests/"+tag)
		}
		for _, d := range blobs {
			if untagged || !slices.Contains(former(), d) {
				same(t, p.url, here, "/v2/"+repo+"/blobs/"+d)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.manifests)) {
		repo, d, _ := strings.Cut(key, " ")
		path := "/v2/" + repo + "/manifests/" + d
		if status, _, body := fetch(t, p.url+path); !p.isList(repo, d) && (untagged || !bytes.Contains(body, []byte(former()[0]))) {
			if got := same(t, p.url, here, path); status == http.StatusOK && bytes.Contains(got, []byte(`"subject"`)) {
				p.refers(here, repo, d, got)
			}
		}
	}
}

// former are blobs of the image that no tag names any more, and that no other image has.
func former() []string {
	return []string{digest.FromBytes([]byte(`{"architecture":"amd64","os":"linux","name":"former"}`)).String(),
		digest.FromBytes(noise("former", 50_000)).String(), digest.FromBytes(noise("smallformer", 2_000)).String()}
}

func (p *pusher) isList(repo, d string) bool {
	for key := range p.lists {
		of, tag, _ := strings.Cut(key, " ")
		if _, _, body := fetch(p.t, p.url+"/v2/"+of+"/manifests/"+tag); of == repo && digest.FromBytes(body).String() == d {
			return true
		}
	}
	return false
}

// refers wants a manifest to be among the referrers of its subject.
func (p *pusher) refers(here, repo, d string, body []byte) {
	p.t.Helper()
	var m struct{ Subject struct{ Digest string } }
	if err := json.Unmarshal(body, &m); err != nil {
		p.t.Fatal(err)
	}
	_, _, referrers := fetch(p.t, here+"/v2/"+repo+"/referrers/"+m.Subject.Digest)
	if !bytes.Contains(referrers, []byte(d)) {
		p.t.Errorf("referrers of %s are %s, want %s among them", m.Subject.Digest, referrers, d)
	}
}

// shared tells whether a blob's file here and in distribution's folder are one.
func shared(t *testing.T, folder, data string, d digest.Digest) bool {
	t.Helper()
	hex := d.Encoded()
	there, err := os.Stat(filepath.Join(folder, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Stat(filepath.Join(data, "blobs/sha256", hex[:2], hex))
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(there, here)
}

func TestImport_folder_into_a_stopped_registry(t *testing.T) {
	bin, folder, data := binary(t), t.TempDir(), filepath.Join(t.TempDir(), "data")
	old := httptest.NewServer(distributionIn(t, folder))
	defer old.Close()
	p := fill(t, old.URL, true)

	said := mustImport(t, bin, "--from-folder", folder, "--data", data, "--dry-run")
	if !regexp.MustCompile(`(?m)^would come: [1-9]`).MatchString(said) {
		t.Errorf("the dry run said %s, want what would come", said)
	}
	if _, err := os.Stat(filepath.Join(data, "blobs/sha256", digest.FromBytes(noise("base", 300_000)).Encoded()[:2])); err == nil {
		t.Error("the dry run brought content")
	}
	mustImport(t, bin, "--from-folder", folder, "--data", data)
	for _, name := range []string{"base", "one", "former"} {
		size := map[bool]int{true: 300_000, false: 50_000}[name == "base"]
		if !shared(t, folder, data, digest.FromBytes(noise(name, size))) {
			t.Errorf("the file of layer %s was copied, want it linked", name)
		}
	}
	here, stop := serveIn(t, bin, data)
	p.equal(here, true)
	stop()

	said = mustImport(t, bin, "--from-folder", folder, "--data", data)
	if !strings.Contains(said, "came: 0 tags, 0 manifests, 0 blobs, 0 B") {
		t.Errorf("a second import said %s, want that nothing came", said)
	}
	if out, err := exec.Command(bin, "verify", "--data", data).CombinedOutput(); err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
}

func TestImport_folder_into_a_running_registry(t *testing.T) {
	bin, folder := binary(t), t.TempDir()
	old := httptest.NewServer(distributionIn(t, folder))
	defer old.Close()
	p := fill(t, old.URL, true)
	here, _ := serveIn(t, bin, t.TempDir())
	said := mustImport(t, bin, "--from-folder", folder, here)
	if !strings.Contains(said, "1 from another repository here") {
		t.Errorf("the import said %s, want that the layer that both repositories have was mounted once", said)
	}
	p.equal(here, true)
}

func TestImport_registry_over_its_API(t *testing.T) {
	bin := binary(t)
	old := httptest.NewServer(distributionIn(t, t.TempDir()))
	defer old.Close()
	p := fill(t, old.URL, true)
	here, _ := serveIn(t, bin, t.TempDir())
	mustImport(t, bin, "--from", old.URL, here)
	p.equal(here, false)

	data := t.TempDir()
	mustImport(t, bin, "--from", old.URL, "--data", data)
	stopped, _ := serveIn(t, bin, data)
	p.equal(stopped, false)
}

func TestImport_from_our_own_program(t *testing.T) {
	bin := binary(t)
	from, _ := serveIn(t, bin, t.TempDir())
	p := fill(t, from, false)
	here, _ := serveIn(t, bin, t.TempDir())
	mustImport(t, bin, "--from", from, here)
	p.equal(here, false)

	code, said := imports(t, bin, "--from", from, "--repositories", "library/**", "--map", "library/** = hub/library/**", here)
	if code != 0 {
		t.Fatalf("with a map: exit status %d, want 0:\n%s", code, said)
	}
	same(t, from, here, "/v2/library/alpine/manifests/3.20")
	if status, _, _ := fetch(t, here+"/v2/hub/library/alpine/manifests/list"); status != http.StatusOK {
		t.Errorf("GET of what was mapped: %d, want 200", status)
	}
}

// Chosen tags bring what refers to them, and nothing else.
func TestImport_tags_with_what_refers_to_them(t *testing.T) {
	bin, folder := binary(t), t.TempDir()
	old := httptest.NewServer(distributionIn(t, folder))
	defer old.Close()
	fill(t, old.URL, true)
	for _, source := range [][]string{{"--from-folder", folder}, {"--from", old.URL}} {
		here, stop := serveIn(t, bin, t.TempDir())
		mustImport(t, bin, append(source, "--repositories", "team/*", "--tags", "1.*", here)...)
		tags := names(t, here+"/v2/team/app/tags/list", "tags")
		if len(tags) != 2 || tags[0] != "1.0" || !strings.HasSuffix(tags[1], ".sig") {
			t.Errorf("%s: tags are %v, want 1.0 and its signature", source[0], tags)
		}
		_, _, body := fetch(t, here+"/v2/team/app/manifests/1.0")
		if _, _, referrers := fetch(t, here+"/v2/team/app/referrers/"+digest.FromBytes(body).String()); !bytes.Contains(referrers, []byte("spdx+json")) {
			t.Errorf("%s: referrers of 1.0 are %s, want its SBOM", source[0], referrers)
		}
		stop()
	}
}

func TestImport_names_a_list_where_the_catalogue_is_closed(t *testing.T) {
	bin := binary(t)
	registry := distributionIn(t, t.TempDir())
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/_catalog" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		registry.ServeHTTP(w, r)
	}))
	defer old.Close()
	fill(t, old.URL, true)
	here, _ := serveIn(t, bin, t.TempDir())
	code, said := imports(t, bin, "--from", old.URL, here)
	if code != 1 || !strings.Contains(said, "--list FILE") {
		t.Errorf("a closed catalogue: exit status %d and %s, want 1 and the advice to take --list", code, said)
	}
	list := filepath.Join(t.TempDir(), "names")
	if err := os.WriteFile(list, []byte("# ours\nlibrary/alpine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustImport(t, bin, "--from", old.URL, "--list", list, here)
	if got := names(t, here+"/v2/_catalog", "repositories"); !slices.Equal(got, []string{"library/alpine"}) {
		t.Errorf("repositories are %v, want the one of the list", got)
	}
}

// Killed in the middle of a layer, an import leaves nothing wrong behind, and the next one goes on: what came is not fetched again.
func TestImport_killed_goes_on(t *testing.T) {
	bin, data := binary(t), filepath.Join(t.TempDir(), "data")
	registry := httptest.NewServer(distributionIn(t, t.TempDir()))
	defer registry.Close()
	at, err := url.Parse(registry.URL)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	fetched := map[string]int{}
	var stuck atomic.Bool
	stuck.Store(true)
	reached, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	once := sync.OnceFunc(func() { close(reached) })
	hold := digest.FromBytes(noise("one", 50_000)).String()
	proxy := httputil.NewSingleHostReverseProxy(at)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" && strings.Contains(r.URL.Path, "/blobs/") {
			mu.Lock()
			fetched[r.URL.Path]++
			mu.Unlock()
			if stuck.Load() && strings.HasSuffix(r.URL.Path, hold) {
				w.Header().Set("Content-Length", "50000")
				_, _ = w.Write(noise("one", 30_000))
				w.(http.Flusher).Flush()
				once()
				select {
				case <-release:
				case <-r.Context().Done():
				}
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	defer old.Close()
	p := fill(t, registry.URL, true)

	killed := exec.Command(bin, "import", "--from", old.URL, "--data", data)
	killed.Dir = t.TempDir()
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Error("the import did not come to the layer that it is killed in within a minute")
	}
	_ = killed.Process.Kill()
	_ = killed.Wait()
	mu.Lock()
	before := maps.Clone(fetched)
	mu.Unlock()
	alpine := "/v2/library/alpine/blobs/" + digest.FromBytes(noise("base", 300_000)).String()
	if before[alpine] != 1 {
		t.Errorf("before it was killed the import fetched %s %d times, want once", alpine, before[alpine])
	}

	stuck.Store(false)
	mustImport(t, bin, "--from", old.URL, "--data", data)
	mu.Lock()
	if fetched[alpine] != 1 {
		t.Errorf("what came before was fetched %d times, want once", fetched[alpine])
	}
	mu.Unlock()
	here, stop := serveIn(t, bin, data)
	p.url = registry.URL
	p.equal(here, false)
	stop()
	if out, err := exec.Command(bin, "verify", "--data", data).CombinedOutput(); err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
}
