package operations

import (
	"bufio"
	"bytes"
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

const stall = "limits: {stall: 1s}\n"

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

// A client that does not read on is cut, whatever it has asked for.
func TestSlow_NobodyReads(t *testing.T) {
	t.Parallel()
	p := program.Start(t, program.Config(stall))
	reg, repo := wire.At(p.URL), wire.Repo(t)
	large := wire.BlobPath(repo, reg.PushBlob(t, repo, wire.Random(20<<20)))
	medium := wire.BlobPath(repo, reg.PushBlob(t, repo, wire.Random(1<<20)))
	manifest := reg.Image(t, repo)
	manifest.Annotations = map[string]string{"long": strings.Repeat("x", 3<<20)}
	reg.PushManifest(t, repo, "long", image, manifest)
	for name, path := range map[string]string{"a large blob": large, "a blob of a megabyte": medium, "a long manifest": wire.ManifestPath(repo, "long")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := get(t, dial(t, p), path)
			time.Sleep(4 * time.Second)
			if n, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Errorf("nobody read for 4 s, and all %d bytes came nevertheless", n)
			}
		})
	}
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		res, err := plainHTTP2().Get(p.URL + large)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		time.Sleep(4 * time.Second)
		if n, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Errorf("nobody read for 4 s, and all %d bytes came nevertheless", n)
		}
	})
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
	p := program.Start(t, program.Config(stall))
	reg, repo := wire.At(p.URL), wire.Repo(t)
	content := wire.Random(8 << 20)
	d := reg.PushBlob(t, repo, content)
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
	for name, ask := range map[string]func(*testing.T) *http.Response{
		"download": func(t *testing.T) *http.Response { return get(t, dial(t, p), wire.BlobPath(repo, d)) },
		"download by HTTP/2": func(t *testing.T) *http.Response {
			res, err := plainHTTP2().Get(p.URL + wire.BlobPath(repo, d))
			if err != nil {
				t.Fatal(err)
			}
			return res
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := ask(t)
			defer res.Body.Close()
			body := bufio.NewReaderSize(res.Body, 4<<10)
			var got bytes.Buffer
			for range 20 { // four seconds at 80 KiB a second, then the rest
				if _, err := io.CopyN(&got, body, 16<<10); err != nil {
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
