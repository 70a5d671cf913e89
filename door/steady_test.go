package door

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

var _ io.ReaderFrom = (*response)(nil)

func octets(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
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
	content := octets(5 << 20)
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
	content := octets(3*mouthful + 5)
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
