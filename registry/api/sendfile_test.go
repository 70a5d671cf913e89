package api

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/entrepot/entrepot/storage/blob/disk"
)

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
