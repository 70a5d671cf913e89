package api

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/blob/disk"
)

var _ io.ReaderFrom = (*response)(nil)

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

// TestSendfile: what lies in a file reaches the server as that very *os.File, bounded, which is what it sends by sendfile. Anything wrapped around the file, or written by hand, would cost half of the throughput.
func TestSendfile(t *testing.T) {
	store, err := disk.Open(t.TempDir() + "/blobs")
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, func(h *house) { h.blobs = store })
	var last *probe
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Errorf("the server's own writer is a %T", w)
		}
		last = &probe{ResponseWriter: w}
		h.handler.ServeHTTP(last, r)
	}))
	defer server.Close()
	for _, size := range []int{20_000, 3<<20 + 7} {
		content := octets(fmt.Sprint(size), size)
		d := h.pushBlob("send/a", content)
		for _, part := range [][2]int{{0, size}, {11, size}, {11, 12_000}} {
			req, err := http.NewRequest("GET", server.URL+"/v2/send/a/blobs/"+string(d), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			want := http.StatusOK
			if part[0] > 0 {
				want = http.StatusPartialContent
				req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", part[0], part[1]-1))
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != want || !bytes.Equal(got, content[part[0]:part[1]]) {
				t.Errorf("%v of %d bytes: %d, %d bytes, %v", part, size, res.StatusCode, len(got), err)
			}
			if want := fmt.Sprintf("bounded %T", (*os.File)(nil)); len(last.handed) != 1 || last.handed[0] != want {
				t.Errorf("%v of %d bytes: handed over %q, want once a %s", part, size, last.handed, want)
			}
		}
	}
}

// TestResponse_ReadFrom keeps the promises of a limited reader: what is left of it is told, and not more is taken.
func TestResponse_ReadFrom(t *testing.T) {
	for _, size := range []int{0, 1, 64 << 10, 1 << 20, 3<<20 + 3} {
		for _, limit := range []int64{0, 1, int64(size), int64(size) + 10, 1 << 20} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				out := &response{ResponseWriter: w}
				src := bytes.NewReader(make([]byte, size))
				limited := &io.LimitedReader{R: src, N: limit}
				want := min(int64(size), limit)
				n, err := out.ReadFrom(limited)
				if n != want || err != nil || limited.N != limit-want || out.bytes != want || int64(src.Len()) != int64(size)-want {
					t.Errorf("%d bytes, limit %d: sent %d, %v; left of the limit %d, of the source %d", size, limit, n, err, limited.N, src.Len())
				}
			}))
			res, err := http.Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, res.Body); n != min(int64(size), limit) || err != nil {
				t.Errorf("%d bytes, limit %d: received %d, %v", size, limit, n, err)
			}
			res.Body.Close()
			server.Close()
		}
	}
}

// TestSteady_sendfile: the connection beneath sends a file as it is too, and counts what it took of it.
func TestSteady_sendfile(t *testing.T) {
	path := t.TempDir() + "/f"
	content := octets("steady", 5<<20)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(&response{ResponseWriter: w}, r, path)
	}))
	server.Listener = Steady(server.Listener, DefaultStall)
	server.Start()
	defer server.Close()
	res, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	var _ io.ReaderFrom = (*steadyConn)(nil)
}

// TestSteady_deadline_passed_before: a deadline that passes between two mouthfuls makes the system's own way out read ahead in the file. Nothing is
// lost of it.
func TestSteady_deadline_passed_before(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	content := octets("deadline", 3*mouthful+5)
	path := t.TempDir() + "/f"
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		c, err := Steady(listener, time.Hour).Accept()
		if err != nil {
			sent <- err
			return
		}
		defer c.Close()
		steady := c.(*steadyConn)
		steady.begin()                                                  // from here on it believes that there is much time left,
		_ = steady.TCPConn.SetWriteDeadline(time.Now().Add(-time.Hour)) // and there is none
		f, err := os.Open(path)
		if err == nil {
			defer f.Close()
			_, err = steady.ReadFrom(&io.LimitedReader{R: f, N: int64(len(content))})
		}
		sent <- err
	}()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d of %d bytes, %v", len(got), len(content), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestHTTP2: there nothing is sent by sendfile, but everything works.
func TestHTTP2(t *testing.T) {
	h := build(t)
	h.server.Close()
	h.server = httptest.NewUnstartedServer(h.handler)
	h.server.EnableHTTP2 = true
	h.server.StartTLS()
	defer h.server.Close()
	content := octets("h2", 3<<20+1)
	d := h.pushBlob("send/a", content)
	res := h.do("GET", "/v2/send/a/blobs/"+string(d), nil).want(t, 200)
	if res.ProtoMajor != 2 || res.cut != nil || !bytes.Equal(res.body, content) {
		t.Errorf("%s: %d bytes, %v", res.Proto, len(res.body), res.cut)
	}
	h.pushImage("send/a", "x", "1")
	h.do("GET", "/v2/send/a/manifests/x", nil).want(t, 200)
}
