package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
)

const stall = 300 * time.Millisecond

const part = 1 << 20

// line is a connection to a house whose sockets hold little, so that who does not read is soon felt.
type line struct {
	net.Conn
	*bufio.Reader
}

// narrow keeps sockets from holding more than so many bytes.
type narrow struct {
	net.Listener
	bytes int
}

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(n.bytes)
	}
	return c, err
}

// stalling is a house that cuts what stands still for stall, with the number of requests that it is serving.
func stalling(t *testing.T, buffer int, change ...func(*house)) (*house, *atomic.Int64) {
	t.Helper()
	h := build(t, append(change, func(h *house) { h.door.Stall = stall })...)
	h.server.Close()
	serving := new(atomic.Int64)
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Add(-1)
		h.handler.ServeHTTP(w, r)
	}))
	h.server.Listener = door.Steady(narrow{h.server.Listener, buffer}, stall)
	h.server.Start()
	t.Cleanup(h.server.Close)
	return h, serving
}

func (h *house) dial(buffer int) *line {
	h.t.Helper()
	c, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	_ = c.(*net.TCPConn).SetReadBuffer(buffer)
	h.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &line{c, bufio.NewReaderSize(c, buffer)}
}

func (l *line) ask(t testing.TB, format string, args ...any) {
	t.Helper()
	if _, err := io.WriteString(l, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
}

func TestStall_upload_that_moves_slowly(t *testing.T) {
	h, _ := stalling(t, 4<<10)
	content := octets("slow", 90_000)
	where := h.begin("stall/a")
	slow := func(content []byte) io.Reader {
		in, out := io.Pipe()
		go func() {
			for len(content) > 0 {
				n := min(len(content), 6000)
				if _, err := out.Write(content[:n]); err != nil {
					return
				}
				content = content[n:]
				time.Sleep(stall / 5)
			}
			out.Close()
		}()
		return in
	}
	began := time.Now()
	h.send("PATCH", where, slow(content)).want(t, 202)
	if took := time.Since(began); took < 2*stall {
		t.Fatalf("it took no more than %v", took)
	}
	h.do("PUT", where+"?digest="+string(digest.FromBytes(content)), nil).want(t, 201)
}

func TestStall_upload_that_stands_still(t *testing.T) {
	h, serving := stalling(t, 4<<10)
	where := h.begin("stall/a")
	for _, request := range []string{
		"PATCH " + where + " HTTP/1.1\nHost: h\nContent-Length: 100000\n\n",
		"PATCH " + where + " HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n5\nabcde\n",
		"PUT " + where + "?digest=" + string(digest.FromString("x")) + " HTTP/1.1\nHost: h\nContent-Length: 100000\n\n",
		"POST /v2/stall/a/blobs/uploads/?digest=" + string(digest.FromString("x")) + " HTTP/1.1\nHost: h\nContent-Length: 100000\n\n",
		"PUT /v2/stall/a/manifests/x HTTP/1.1\nHost: h\nContent-Length: 1000\n\n",
		"PUT /v2/stall/a/manifests/x HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n",
	} {
		l := h.dial(4 << 10)
		began := time.Now()
		l.ask(t, "%s", request)
		res, err := http.ReadResponse(l.Reader, nil)
		if err != nil {
			t.Errorf("%.40q: %v", request, err)
			continue
		}
		if took := time.Since(began); took < stall/2 || took > 10*stall {
			t.Errorf("%.40q: answered after %v", request, took)
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 408 && !(strings.Contains(request, "manifests") && res.StatusCode == 400) || !bytes.Contains(body, []byte(`"errors"`)) {
			t.Errorf("%.40q: %d %s", request, res.StatusCode, body)
		}
	}
	eventually(t, "nothing is served any more", func() bool { return serving.Load() == 0 })
	if res := h.do("GET", where, nil); res.StatusCode != 204 || res.Header.Get("Range") != "0-4" {
		t.Errorf("what arrived is not kept: %d %v", res.StatusCode, res.Header)
	}
}

// slowly is a store that takes its time to commit.
type slowly struct {
	blob.Store
	pause time.Duration
}

func (s slowly) Commit(ctx context.Context, upload string, d digest.Digest) error {
	select {
	case <-time.After(s.pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.Store.Commit(ctx, upload, d)
}

// TestStall_is_about_the_client_alone: once all has arrived the client has done its part. However long the store takes for its own, the request
// must not be given up.
func TestStall_is_about_the_client_alone(t *testing.T) {
	h, _ := stalling(t, 4<<10, func(h *house) { h.blobs = slowly{h.blobs, 3 * stall} })
	content := octets("committed slowly", 100_000)
	d := string(digest.FromBytes(content))
	if res := h.do("POST", "/v2/stall/a/blobs/uploads/?digest="+d, content); res.StatusCode != 201 {
		t.Errorf("in one request: %d %s\n%s", res.StatusCode, res.body, h.log.taken())
	}
	where := h.begin("stall/b")
	other := octets("also committed slowly", 100_000)
	h.do("PATCH", where, other[:50_000]).want(t, 202)
	if res := h.do("PUT", where+"?digest="+string(digest.FromBytes(other)), other[50_000:]); res.StatusCode != 201 {
		t.Errorf("in pieces: %d %s\n%s", res.StatusCode, res.body, h.log.taken())
	}
}

// TestStall_connection_lives_on: the deadlines of a transfer end with it.
func TestStall_connection_lives_on(t *testing.T) {
	h, _ := stalling(t, 4<<10)
	l := h.dial(4 << 10)
	for range 3 {
		l.ask(t, "POST /v2/stall/a/blobs/uploads/?digest=%s HTTP/1.1\nHost: h\nContent-Length: 1\n\nx", digest.FromString("x"))
		res, err := http.ReadResponse(l.Reader, nil)
		if err != nil || res.StatusCode != 201 {
			t.Fatal(res, err)
		}
		time.Sleep(2 * stall)
	}
}

func TestStall_download_that_moves_slowly(t *testing.T) {
	for place, use := range stores(t) {
		h, _ := stalling(t, 256<<10, use)
		content := octets("large", 8*part+5)
		d := h.pushBlob("stall/a", content)
		l := h.dial(256 << 10)
		l.ask(t, "GET /v2/stall/a/blobs/%s HTTP/1.1\nHost: h\n\n", d)
		res, err := http.ReadResponse(l.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		began, h2, n := time.Now(), digest.SHA256.Digester(), int64(0)
		for err == nil { // so slow that each piece takes more than half the time that it may take
			var m int64
			m, err = io.CopyN(h2.Hash(), res.Body, part/8)
			n += m
			time.Sleep(stall / 16)
		}
		if took := time.Since(began); err != io.EOF || h2.Digest() != d || took < 2*stall {
			t.Errorf("%s: %d bytes in %v, %v", place, n, took, err)
		}
	}
}

// TestStall_download_that_stands_still: a client that does not read is cut, whatever it asked for and wherever that lies.
func TestStall_download_that_stands_still(t *testing.T) {
	for place, use := range stores(t) {
		h, serving := stalling(t, 4<<10, use)
		for _, size := range []int{200_000, 900_000, 8 * part} {
			d := h.pushBlob("stall/a", octets(fmt.Sprint(size), size))
			l := h.dial(4 << 10)
			l.ask(t, "GET /v2/stall/a/blobs/%s HTTP/1.1\nHost: h\n\n", d)
			if _, err := l.ReadByte(); err != nil {
				t.Fatal(err)
			}
			if serving.Load() == 0 {
				t.Logf("%s: %d bytes fit into the sockets", place, size)
				continue
			}
			time.Sleep(4 * stall)
			if serving.Load() != 0 {
				t.Errorf("%s: a client that has stood still for %v is still served its %d bytes", place, 4*stall, size)
			}
			l.Close()
			eventually(t, "it is not served any more", func() bool { return serving.Load() == 0 })
		}
	}
}

// TestStall_of_a_manifest: what is written from memory is watched like a file.
func TestStall_of_a_manifest(t *testing.T) {
	h, serving := stalling(t, 4<<10)
	h.pushBlob("stall/a", []byte("{}"))
	h.do("PUT", "/v2/stall/a/manifests/long", imageOf([]byte("{}"), strings.Repeat("x", 3<<20))).want(t, 201)
	l := h.dial(4 << 10)
	l.ask(t, "GET /v2/stall/a/manifests/long HTTP/1.1\nHost: h\n\n")
	if _, err := l.ReadByte(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * stall)
	if serving.Load() != 0 {
		t.Error("a client that stands still is still served")
	}
}

// stores are the places in which content may lie.
func stores(t *testing.T) map[string]func(*house) {
	t.Helper()
	return map[string]func(*house){
		"memory": func(*house) {},
		"files": func(h *house) {
			store, err := disk.Open(t.TempDir() + "/blobs")
			if err != nil {
				t.Fatal(err)
			}
			h.blobs = store
		},
	}
}

// wrapped is a writer like those of people who measure or trace: whatever lies beneath, it has a ReadFrom.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) ReadFrom(src io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, src) }
func (w wrapped) Unwrap() http.ResponseWriter           { return w.ResponseWriter }

// TestStall_of_HTTP2: a stream that is given no room is cut, also beneath a writer that hides what it is.
func TestStall_of_HTTP2(t *testing.T) {
	h := build(t, func(h *house) { h.door.Stall = stall })
	d := h.pushBlob("stall/a", octets("h2", 24*part))
	served := make(chan time.Duration, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		defer func() { served <- time.Since(began) }()
		h.handler.ServeHTTP(wrapped{w}, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/v2/stall/a/blobs/" + string(d))
	if err != nil || res.ProtoMajor != 2 {
		t.Fatal(res, err)
	}
	defer res.Body.Close()
	select {
	case <-served:
	case <-time.After(20 * stall):
		t.Error("nobody read, and the stream is still served")
	}
}
