package operations

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

const (
	stall   = "limits: {stall: 1s}\n"
	patient = "limits: {stall: 2s}\n" // ten pauses of a client that moves, so that a busy machine may stretch them
)

// A header that comes byte by byte is not waited for without end.
func TestSlow_Header(t *testing.T) {
	t.Parallel()
	p := program.Start(t, program.Config(stall))
	conn := dial(t, p)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, conn)
		close(ended)
	}()
	began := time.Now()
	for header := "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Endless: " + strings.Repeat("a", 200); header != ""; header = header[1:] {
		_, _ = io.WriteString(conn, header[:1])
		select {
		case <-ended:
			if took := time.Since(began); took < time.Second {
				t.Errorf("it was cut after %v already", took)
			}
			return
		case <-time.After(150 * time.Millisecond):
		}
	}
	t.Errorf("after %v the server still waits for the header", time.Since(began))
}

// A body that stands still is cut and what arrived of it is kept.
func TestSlow_UploadStandsStill(t *testing.T) {
	t.Parallel()
	p := program.Start(t, program.Config(stall))
	reg, repo := wire.At(p.URL), wire.Repo(t)
	for name, size := range map[string]int{"few bytes": 1000, "many bytes": 100_000} {
		location := reg.Begin(t, repo)
		conn := dial(t, p)
		began := time.Now()
		_, _ = io.WriteString(conn, "PATCH "+strings.TrimPrefix(location, p.URL)+" HTTP/1.1\r\nHost: x\r\nContent-Type: "+wire.Octets+"\r\nContent-Length: 10000000\r\n\r\n"+strings.Repeat("x", size))
		answer, err := io.ReadAll(conn)
		if took := time.Since(began); took < 700*time.Millisecond || took > 4*time.Second {
			t.Errorf("%s: it was cut after %v", name, took)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
			t.Errorf("%s: answered %.80q, %v; want 408", name, answer, err)
		}
		reg.Do(t, "GET", location, nil).Want(t, 204).Has(t, "Range", wire.Span(0, make([]byte, size)))
	}
	conn := dial(t, p)
	_, _ = io.WriteString(conn, "PUT "+wire.ManifestPath(repo, "x")+" HTTP/1.1\r\nHost: x\r\nContent-Type: "+image+"\r\nContent-Length: 1000\r\n\r\n{")
	began := time.Now()
	if answer, err := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") || time.Since(began) > 4*time.Second {
		t.Errorf("a manifest: answered %.80q, %v after %v", answer, err, time.Since(began))
	}
}

const image = ocispec.MediaTypeImageManifest

// A client that does not read on is let go of, whatever it has asked for: what does not fit into the kernel's buffers is cut.
func TestSlow_NobodyReads(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"a large blob": 20 << 20, "a blob of a megabyte": 1 << 20, "a long manifest": 0, "by TLS": 20 << 20, "by HTTP/2": 20 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, client := startFor(t, name, stall)
			repo, route := wire.Repo(t), "blob"
			var path string
			if size > 0 {
				path = pushBy(t, client, p, repo, wire.Random(size))
			} else {
				reg := wire.At(p.URL)
				manifest := reg.Image(t, repo)
				manifest.Annotations = map[string]string{"long": strings.Repeat("x", 3<<20)}
				reg.PushManifest(t, repo, "long", image, manifest)
				route, path = "manifest", wire.ManifestPath(repo, "long")
			}
			res := askBy(t, name, client, p, path)
			defer res.Body.Close()
			// The kernels still move a little for a while: a receiver's small buffer is filled by ever rarer probes.
			over := `entrepot_http_request_seconds_count{method="GET",route="` + route + `"} 1`
			for deadline := time.Now().Add(12 * time.Second); !strings.Contains(measured(t, client, p), over); time.Sleep(200 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("nobody read for 12 s, and the server has not let go of the request")
				}
			}
			if n, err := io.Copy(io.Discard, res.Body); err == nil && size > 10<<20 {
				t.Errorf("nobody read, and all %d bytes came nevertheless", n)
			}
		})
	}
}

func measured(t *testing.T, client *http.Client, p *program.Program) string {
	t.Helper()
	res, err := client.Get(p.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startFor starts a program for clients that come by TLS or otherwise, as the name says, and returns it with such a client.
func startFor(t *testing.T, name, limits string) (*program.Program, *http.Client) {
	t.Helper()
	if !strings.Contains(name, "TLS") {
		return program.Start(t, program.Config(limits)), http.DefaultClient
	}
	a, dir := newAuthority(t), t.TempDir()
	a.issue(dir, "server")
	client := a.client(false, nil)
	client.Timeout = time.Minute
	return program.Start(t, program.In(dir), program.Config(limits+"tls: {cert: tls.crt, key: tls.key}\n"), program.HTTPS(client)), client
}

// askBy asks for a path by the protocol that the name says; the body is read at the test's own pace.
func askBy(t *testing.T, name string, client *http.Client, p *program.Program, path string) *http.Response {
	t.Helper()
	switch {
	case strings.Contains(name, "HTTP/2"):
		res, err := plainHTTP2().Get(p.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		return res
	case strings.Contains(name, "TLS"):
		return get(t, tls.Client(dial(t, p), client.Transport.(*http.Transport).TLSClientConfig.Clone()), path)
	}
	return get(t, dial(t, p), path)
}

// pushBy pushes a blob and returns its path.
func pushBy(t *testing.T, client *http.Client, p *program.Program, repo string, content []byte) string {
	t.Helper()
	d := digest.FromBytes(content)
	res, err := client.Post(wire.With(p.URL+wire.UploadsPath(repo), "digest", d.String()), wire.Octets, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 201 {
		t.Fatal(res.Status)
	}
	return wire.BlobPath(repo, d)
}

// plainHTTP2 is a client that speaks HTTP/2 without TLS.
func plainHTTP2() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols, DisableCompression: true}, Timeout: time.Minute}
}

// Slow is not still: a client that moves a little all the time is let be, both ways.
func TestSlow_ButMoving(t *testing.T) {
	t.Parallel()
	p := program.Start(t, program.Config(patient))
	reg, repo := wire.At(p.URL), wire.Repo(t)
	content := wire.Random(24 << 20)
	t.Run("upload", func(t *testing.T) {
		t.Parallel()
		small := wire.Random(600)
		reg.Stream(t, "PUT", wire.With(reg.Begin(t, repo), "digest", digest.FromBytes(small).String()), &slowly{small, 30, 200 * time.Millisecond}, "Content-Type", wire.Octets).Want(t, 201)
	})
	t.Run("upload by HTTP/2", func(t *testing.T) {
		t.Parallel()
		small := wire.Random(600)
		req, err := http.NewRequest("PUT", wire.With(reg.Begin(t, repo), "digest", digest.FromBytes(small).String()), &slowly{small, 30, 200 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		res, err := plainHTTP2().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 201 || res.ProtoMajor != 2 {
			t.Errorf("%s %s", res.Proto, res.Status)
		}
	})
	for name, pace := range map[string]int64{ // bytes every 200 ms
		"download":           16 << 10,
		"download by HTTP/2": 16 << 10,
		// A TLS connection cannot be written to again once a write was given up, so that the client's moving shows only when it has made
		// room in the kernel for the rest of what is being written, and the kernel tells of room only when there is much.
		"download by TLS": 768 << 10,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, client := startFor(t, name, patient)
			res := askBy(t, name, client, p, pushBy(t, client, p, repo, content))
			defer res.Body.Close()
			body := bufio.NewReaderSize(res.Body, 4<<10)
			var got bytes.Buffer
			for range 20 { // for four seconds, then the rest
				if _, err := io.CopyN(&got, body, pace); err != nil {
					t.Fatalf("cut after %d bytes: %v", got.Len(), err)
				}
				time.Sleep(200 * time.Millisecond)
			}
			if _, err := io.Copy(&got, body); err != nil || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("cut after %d bytes: %v", got.Len(), err)
			}
		})
	}
}
