package door

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Of content that ends too early on its medium the log is told, and the door cuts the connection.
func TestServeContent_tells_of_what_is_not_whole(t *testing.T) {
	for method, want := range map[string]string{http.MethodGet: "send a file: 5000 of 70000 bytes", http.MethodHead: ""} {
		out := httptest.NewRecorder()
		out.Header().Set("Content-Type", "application/octet-stream") // else it is read for what it may be
		err := ServeContent(out, httptest.NewRequest(method, "/", http.NoBody), "a file", time.Time{}, &short{bytes.NewReader(make([]byte, 70_000)), 5000})
		if want == "" && err != nil || want != "" && (!errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", method, err, want)
		}
	}
}

// What http.ServeContent would say in words of its own is left to the door.
func TestServeContent_writes_nothing_of_errors(t *testing.T) {
	beyond := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	beyond.Header.Set("Range", "bytes=70-")
	for name, c := range map[string]struct {
		r       *http.Request
		content io.ReadSeeker
		status  int // of a refusal; 0: a fault
		says    string
	}{
		"a range beyond the content":  {beyond, strings.NewReader("short"), 416, "lies beyond"},
		"content that cannot be read": {httptest.NewRequest(http.MethodGet, "/", http.NoBody), stuck{}, 0, "send a file: seeker can't seek"},
	} {
		out := httptest.NewRecorder()
		out.Header().Set("Content-Type", "application/octet-stream")
		err := ServeContent(out, c.r, "a file", time.Time{}, c.content)
		var own *Refusal
		status := 0
		if errors.As(err, &own) {
			status = own.Status
		}
		if err == nil || status != c.status || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %d %q", name, err, c.status, c.says)
		}
		if out.Body.Len() > 0 || out.Result().StatusCode != 200 { // a recorder says 200 of what was not answered
			t.Errorf("%s: %d %q was answered, want nothing", name, out.Result().StatusCode, out.Body)
		}
		if got := out.Header().Get("Content-Range"); c.status == 416 && got != "bytes */5" {
			t.Errorf("%s: Content-Range %q, want bytes */5", name, got)
		}
	}
}

// short is content of which less is there than it says.
type short struct {
	*bytes.Reader
	left int
}

func (s *short) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.Reader.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// stuck is content on a medium that fails.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func (stuck) Seek(int64, int) (int64, error) { return 0, errors.New("input/output error") }
