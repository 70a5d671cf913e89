package operations

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

func TestHealth(t *testing.T) {
	p := program.Start(t)
	reg := wire.At(p.URL)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if got := reg.Do(t, "GET", path, nil).Want(t, 200); string(got.Body) != want {
			t.Errorf("%s: %q", path, got.Body)
		}
		reg.Do(t, "HEAD", path, nil).Want(t, 200)
		reg.Do(t, "POST", path, nil).Want(t, 405)
	}
}

// metrics reads all samples: the name with its labels, and the value.
func metrics(t *testing.T, reg *wire.Registry) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	for line := range strings.Lines(string(reg.Do(t, "GET", "/metrics", nil).Want(t, 200).Body)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		samples[line[:at]] = value
	}
	return samples
}

func TestMetrics(t *testing.T) {
	p := program.Start(t)
	reg := wire.At(p.URL)
	repo, agent := "secretive/repository-name", "canary-agent/1.0"
	content := wire.Random(100 << 10)
	d := digest.FromBytes(content)
	reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), content, "Content-Type", wire.Octets, "User-Agent", agent).Want(t, 201)
	desc, _ := reg.PushImage(t, repo, "canary-tag")
	for range 3 {
		reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "User-Agent", agent).Want(t, 200)
	}
	reg.Do(t, "GET", wire.ManifestPath(repo, "absent"), nil).Want(t, 404)
	reg.Do(t, "GET", wire.ManifestPath(repo, "canary-tag"), nil).Want(t, 200)
	reg.Do(t, "DELETE", wire.ManifestPath(repo, desc.Digest), nil).Want(t, 202)
	reg.Do(t, "BREW", "/v2/", nil).Want(t, 405)

	// A request that is sending content just now is counted as such.
	body, feed := io.Pipe()
	done := make(chan struct{})
	location := reg.Begin(t, repo)
	go func() {
		_, _ = wire.At(p.URL).Try("PATCH", location, body, "Content-Type", wire.Octets)
		close(done)
	}()
	_, _ = feed.Write([]byte("beginning"))
	time.Sleep(200 * time.Millisecond)
	got := metrics(t, reg)
	feed.Close()
	<-done
	for sample, want := range map[string]float64{
		`entrepot_http_requests_total{method="GET",route="blob",status="200"}`:        3,
		`entrepot_http_requests_total{method="GET",route="manifest",status="200"}`:    1,
		`entrepot_http_requests_total{method="GET",route="manifest",status="404"}`:    1,
		`entrepot_http_requests_total{method="PUT",route="manifest",status="201"}`:    1,
		`entrepot_http_requests_total{method="DELETE",route="manifest",status="202"}`: 1,
		`entrepot_http_requests_total{method="other",route="ping",status="405"}`:      1,
		`entrepot_http_request_seconds_count{method="GET",route="blob"}`:              3,
		`entrepot_uploads_in_flight`: 1,
	} {
		if got[sample] != want {
			t.Errorf("%s is %v, want %v", sample, got[sample], want)
		}
	}
	index, err := os.Stat(filepath.Join(p.Dir, "data", "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	for sample, least := range map[string]float64{
		"entrepot_http_sent_bytes_total": 3 * 100 << 10, "entrepot_http_received_bytes_total": 100 << 10,
		"entrepot_index_bytes": float64(index.Size()), "entrepot_store_bytes": 100 << 10, "entrepot_store_free_bytes": 1,
		"go_goroutines": 1, "process_resident_memory_bytes": 1,
	} {
		if got[sample] < least {
			t.Errorf("%s is %v, want at least %v", sample, got[sample], least)
		}
	}
	label := regexp.MustCompile(`(\w+)="`)
	for sample := range got {
		if !strings.HasPrefix(sample, "entrepot_") {
			continue
		}
		for _, found := range label.FindAllStringSubmatch(sample, -1) {
			if !slices.Contains([]string{"route", "method", "status", "le"}, found[1]) {
				t.Errorf("%s has the label %s", sample, found[1])
			}
		}
		for _, word := range []string{"secretive", "canary", "sha256", "127.0.0.1", "BREW"} {
			if strings.Contains(sample, word) {
				t.Errorf("%s holds a client's word %q", sample, word)
			}
		}
	}
	// What is stored is known again after a restart.
	before := got["entrepot_store_bytes"]
	p.Stop()
	p.Restart()
	var after float64
	for deadline := time.Now().Add(5 * time.Second); after < before && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		after = metrics(t, wire.At(p.URL))["entrepot_store_bytes"]
	}
	if after < before {
		t.Errorf("entrepot_store_bytes is %v after a restart, it was %v", after, before)
	}
}

func TestMetrics_CanBeOff(t *testing.T) {
	p := program.Start(t, program.Config("metrics: false\n"))
	wire.At(p.URL).Do(t, "GET", "/metrics", nil).Want(t, 404)
}

// Each answer that refuses something can be found again in the log by its id, each line is JSON, and no secret is in any.
func TestLog(t *testing.T) {
	p := program.Start(t, program.Config("log: {level: debug, format: json}\n"))
	reg, repo := wire.At(p.URL), wire.Repo(t)
	stored(t, p)
	password, token := "canary-password-81", "canary-token-2c"
	basic := base64.StdEncoding.EncodeToString([]byte("somebody:" + password))
	ids := map[string]int{}
	for _, authorization := range []string{"Basic " + basic, "Bearer " + token} {
		for _, ask := range [][2]string{
			{"GET", wire.ManifestPath(repo, "absent")}, {"GET", "/v2/Bad/tags/list"}, {"GET", "/nowhere"}, {"PUT", wire.ManifestPath(repo, "x")}, {"BREW", "/v2/"},
			{"HEAD", wire.BlobPath(repo, digest.FromString("absent"))}, {"DELETE", wire.ManifestPath(repo, "absent")}, {"PATCH", wire.UploadsPath(repo) + "none"},
		} {
			reply := reg.Do(t, ask[0], ask[1], nil, "Authorization", authorization, "X-Request-Id", "a-client's-own")
			id := reply.Header.Get("X-Request-Id")
			if reply.Status < 400 || id == "" || id == "a-client's-own" || ids[id] != 0 {
				t.Errorf("%s: %d with X-Request-Id %q", reply.Asked, reply.Status, id)
			}
			ids[id] = reply.Status
		}
	}
	limitFiles(t, p, 4<<10)
	full := reg.Do(t, "POST", wire.UploadsPath(repo), []byte{}) // what is no good would be refused before that
	noRoom(t, full)
	ids[full.Header.Get("X-Request-Id")] = full.Status
	limitFiles(t, p, 0)
	p.Stop()
	found := 0
	for line := range strings.Lines(p.Log()) {
		if !strings.HasPrefix(line, "{") {
			continue // what it says on standard output when it starts
		}
		var entry struct {
			Time                        time.Time
			Level, Msg, Request, Method string
			Status                      int
			Err                         string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.IsZero() || entry.Level == "" || entry.Msg == "" {
			t.Errorf("%s is no line of a log: %v", line, err)
		}
		if want, ok := ids[entry.Request]; ok && entry.Msg == "request" {
			if found++; entry.Status != want {
				t.Errorf("request %s was answered %d, and the log says %d", entry.Request, want, entry.Status)
			}
			if want >= 500 && (entry.Err == "" || entry.Level != "ERROR") {
				t.Errorf("the log does not say at level ERROR why the answer was %d: %s", want, line)
			}
		}
	}
	if found != len(ids) {
		t.Errorf("%d of %d refusals are in the log:\n%s", found, len(ids), p.Log())
	}
	for _, secret := range []string{password, token, basic} {
		if strings.Contains(p.Log(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

// sink takes what an exporter sends by OTLP/HTTP.
type sink struct {
	mu   sync.Mutex
	sent [][]byte
}

func newSink(t *testing.T) (*sink, string) {
	s := &sink{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			if unpacked, err := gzip.NewReader(r.Body); err == nil {
				body = unpacked
			}
		}
		text, _ := io.ReadAll(io.LimitReader(body, 1<<20))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sent = append(s.sent, append([]byte(r.Method+" "+r.URL.Path+"\n"), text...))
	}))
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *sink) all() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Join(s.sent, []byte("\n"))
}

func TestTracing(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	id, err := hex.DecodeString(trace)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(p *program.Program) {
		reg := wire.At(p.URL)
		reg.Do(t, "GET", "/v2/some/repository/tags/list", nil, "traceparent", "00-"+trace+"-00f067aa0ba902b7-01", "Authorization", "Bearer canary-token")
		stored(t, p)()
		p.Stop()
	}
	t.Run("on", func(t *testing.T) {
		to, url := newSink(t)
		p := program.Start(t, program.Config("tracing: {endpoint: "+url+"}\n"))
		ask(p)
		all := to.all()
		for _, want := range [][]byte{[]byte("POST /v1/traces"), []byte("entrepot"), []byte("/v2/some/repository/tags/list"), id} {
			if !bytes.Contains(all, want) {
				t.Errorf("in the %d bytes that were sent there is no %q", len(all), want)
			}
		}
		if bytes.Contains(all, []byte("canary-token")) {
			t.Error("a span holds a credential")
		}
	})
	t.Run("off", func(t *testing.T) {
		to, url := newSink(t)
		ask(program.Start(t, program.Env("OTEL_EXPORTER_OTLP_ENDPOINT="+url, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+url+"/v1/traces")))
		if all := to.all(); len(all) > 0 {
			t.Errorf("%d bytes were sent", len(all))
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		p := program.Start(t, program.Config("tracing: {endpoint: http://127.0.0.1:1}\n"))
		began := time.Now()
		ask(p)
		if took := time.Since(began); took > 12*time.Second || p.Status() != 0 {
			t.Errorf("it took %v to end, with status %d", took, p.Status())
		}
	})
}

// Memory stays flat while much more than that streams by, each way.
func TestMemory(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 256 << 20
	}
	p := program.Start(t)
	reg, repo := wire.At(p.URL), wire.Repo(t)
	stored(t, p)
	before := memory(t, p, "VmRSS")
	for name, push := range map[string]func(d digest.Digest, content io.Reader){
		"whole": func(d digest.Digest, content io.Reader) {
			reg.Stream(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), content, "Content-Type", wire.Octets).Want(t, 201)
		},
		"in chunks": func(d digest.Digest, content io.Reader) {
			location := reg.Begin(t, repo)
			const chunk = 64 << 20
			for at := int64(0); at < size; at += chunk {
				reg.Stream(t, "PATCH", location, io.LimitReader(content, chunk), "Content-Type", wire.Octets).Want(t, 202)
			}
			reg.Close(t, location, d, nil).Want(t, 201)
		},
	} {
		content := func() io.Reader { return io.LimitReader(io.MultiReader(strings.NewReader(name), zeros{}), size) }
		d, err := digest.FromReader(content())
		if err != nil {
			t.Fatal(err)
		}
		push(d, content())
		res, err := http.Get(p.URL + wire.BlobPath(repo, d))
		if err != nil {
			t.Fatal(err)
		}
		verifier := d.Verifier()
		n, err := io.Copy(verifier, res.Body)
		res.Body.Close()
		if err != nil || n != size || !verifier.Verified() {
			t.Errorf("%s: read %d bytes, %v", name, n, err)
		}
		if grown := memory(t, p, "VmHWM") - before; grown > 64<<20 {
			t.Errorf("%s: memory grew by %d MiB", name, grown>>20)
		} else {
			t.Logf("%s: memory grew by %d MiB", name, grown>>20)
		}
	}
}

// memory returns one of the program's sizes (VmRSS, VmHWM) in bytes, as the kernel counts them.
func memory(t *testing.T, p *program.Program, field string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), field+":")
	if !found {
		t.Fatalf("/proc tells no %s", field)
	}
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
