package operations

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// dial opens a connection whose receive buffer is so small that the other side notices when nobody reads.
func dial(t *testing.T, p *program.Program) *net.TCPConn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) })
	}}
	conn, err := dialer.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn.(*net.TCPConn)
}

// get asks for a path and reads the header of the answer, whose body is then read at the test's own pace.
func get(t *testing.T, conn net.Conn, path string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		t.Fatalf("GET %s: %d", path, res.StatusCode)
	}
	return res
}

// slowly hands out content in pieces.
type slowly struct {
	content []byte
	piece   int
	pause   time.Duration
}

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.content) == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	n := copy(p, s.content[:min(s.piece, len(s.content))])
	s.content = s.content[n:]
	return n, nil
}

// Transfers that are under way when the program is told to stop come to their end; nobody new is let in.
func TestStop_LetsTransfersFinish(t *testing.T) {
	p := program.Start(t)
	reg, repo := wire.At(p.URL), wire.Repo(t)
	down, up := wire.Random(20<<20), wire.Random(2<<20)
	d, e := reg.PushBlob(t, repo, down), digest.FromBytes(up)
	location := reg.Begin(t, repo)

	res := get(t, dial(t, p), wire.BlobPath(repo, d))
	uploaded := make(chan wire.Reply, 1)
	go func() {
		reply, err := wire.At(p.URL).Try("PUT", wire.With(location, "digest", e.String()), &slowly{up, 64 << 10, 100 * time.Millisecond}, "Content-Type", wire.Octets)
		if err != nil {
			t.Errorf("the upload under way: %v", err)
		}
		uploaded <- reply
	}()
	// A balancer's question that was half asked when the signal came: it gets no answer any more, or that one.
	question := dial(t, p)
	_, _ = io.WriteString(question, "GET /readyz HTTP/1.1\r\nHost: x\r\n")
	time.Sleep(300 * time.Millisecond)
	p.Signal(syscall.SIGTERM)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", p.Addr, time.Second)
		if err != nil {
			break
		}
		if conn.Close(); time.Now().After(deadline) {
			t.Error("new connections are accepted 5 s after the signal")
			break
		}
	}
	_, _ = io.WriteString(question, "\r\n")
	if ready, err := http.ReadResponse(bufio.NewReader(question), nil); err == nil && (ready.StatusCode != 503 || ready.Header.Get("Retry-After") == "") {
		t.Errorf("/readyz: %v; want 503 with Retry-After", ready)
	}
	var got bytes.Buffer
	for {
		if _, err := io.CopyN(&got, res.Body, 1<<20); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the download under way was cut after %d bytes: %v", got.Len(), err)
		}
		time.Sleep(60 * time.Millisecond)
	}
	if !bytes.Equal(got.Bytes(), down) {
		t.Errorf("the download under way gave %d other bytes", got.Len())
	}
	(<-uploaded).Want(t, 201)
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.Log())
	}
	p.Restart()
	if back := wire.At(p.URL).Do(t, "GET", wire.BlobPath(repo, e), nil).Want(t, 200); !bytes.Equal(back.Body, up) {
		t.Error("what was uploaded meanwhile came back as other bytes")
	}
	sound(t, p)
}

// Transfers that do not finish in time are cut, so that the program ends when it was told to.
func TestStop_CutsWhatTakesTooLong(t *testing.T) {
	p := program.Start(t, program.Config("limits: {drain: 1s}\n"))
	reg, repo := wire.At(p.URL), wire.Repo(t)
	check := stored(t, p)
	d := reg.PushBlob(t, repo, wire.Random(20<<20))
	location := strings.TrimPrefix(reg.Begin(t, repo), p.URL)
	get(t, dial(t, p), wire.BlobPath(repo, d)) // and never reads on
	upload := dial(t, p)
	_, _ = io.WriteString(upload, "PATCH "+location+" HTTP/1.1\r\nHost: x\r\nContent-Type: "+wire.Octets+"\r\nContent-Length: 1000000\r\n\r\nbeginning")
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended():
	case <-time.After(10 * time.Second):
		t.Fatalf("it has not ended 10 s after the signal:\n%s", p.Log())
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("it ended after %v, drain is 1s", took)
	}
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.Log())
	}
	if !strings.Contains(p.Log(), "drain") {
		t.Errorf("the log does not say that transfers were cut:\n%s", p.Log())
	}
	p.Restart()
	check()
	sound(t, p)
}

// A second signal ends it at once.
func TestStop_SecondSignal(t *testing.T) {
	p := program.Start(t)
	reg, repo := wire.At(p.URL), wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(20<<20))
	get(t, dial(t, p), wire.BlobPath(repo, d))
	p.Signal(syscall.SIGTERM)
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(p.Log(), "msg=stopping") && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended():
	case <-time.After(5 * time.Second):
		t.Error("it has not ended 5 s after the second signal")
	}
	p.Restart()
	sound(t, p)
}

// An upload goes on after a restart in order, whether its bytes were few or many.
func TestRestart_UploadsGoOn(t *testing.T) {
	p := program.Start(t)
	repo := wire.Repo(t)
	small, large := wire.Random(900), wire.Random(3<<20)
	locations := map[string][]byte{}
	for _, content := range [][]byte{small, large} {
		reg := wire.At(p.URL)
		location := reg.Begin(t, repo)
		reg.Patch(t, location, 0, content[:len(content)/2]).Want(t, 202)
		locations[location] = content
	}
	p.Stop()
	p.Restart()
	reg := wire.At(p.URL)
	for location, content := range locations {
		half := len(content) / 2
		reg.Do(t, "GET", location, nil).Want(t, 204).Has(t, "Range", wire.Span(0, content[:half]))
		reg.Patch(t, location, half, content[half:half+10]).Want(t, 202)
		d := digest.FromBytes(content)
		reg.Close(t, location, d, content[half+10:]).Want(t, 201)
		if got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200); !bytes.Equal(got.Body, content) {
			t.Errorf("%s: other bytes", got.Asked)
		}
	}
	sound(t, p)
}
