package door

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var noSuchRange = Answer{416, "UNSUPPORTED", "the range lies beyond the content"}

// ServeContent answers with content, whole or in ranges, as [http.ServeContent] does (RFC 9110, sections 13 and 14), but leaves it to the door to say what is
// wrong. The endpoint sets the headers that describe the content before, and returns what ServeContent returns: nil when all was sent, or when it is the
// client who left. what names the content in errors. What lies in a file reaches the server as that very *os.File, bounded, and so goes out by sendfile.
func ServeContent(w http.ResponseWriter, r *http.Request, what string, modified time.Time, content io.ReadSeeker) error {
	out := &served{ResponseWriter: w}
	http.ServeContent(out, r, "", modified, content)
	return out.outcome(r, what)
}

// served is an answer of [http.ServeContent]. It keeps back what that says of errors in words of its own, and counts what is sent.
type served struct {
	http.ResponseWriter
	refused    int             // the status of an error, which is not sent
	says       strings.Builder // its words
	want, sent int64           // bytes
	err        error
}

func (s *served) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *served) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable || status >= 500 {
		s.refused = status
		return
	}
	s.want, _ = strconv.ParseInt(s.Header().Get("Content-Length"), 10, 64)
	s.ResponseWriter.WriteHeader(status)
}

func (s *served) Write(p []byte) (int, error) {
	if s.refused != 0 {
		return s.says.Write(p)
	}
	n, err := s.ResponseWriter.Write(p)
	s.note(int64(n), err)
	return n, err
}

// ReadFrom hands src on as it is, if what is below can take it.
func (s *served) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(s.ResponseWriter, src)
	s.note(n, err)
	return n, err
}

func (s *served) note(n int64, err error) {
	s.sent += n
	if s.err == nil {
		s.err = err
	}
}

// outcome is nil when everything was sent, or when it is the client who left. Of what was sent in part the door cuts the connection.
func (s *served) outcome(r *http.Request, what string) error {
	switch s.refused {
	case 0:
	case http.StatusRequestedRangeNotSatisfiable:
		return &Refusal{Answer: noSuchRange, Detail: map[string]string{"content": what, "hint": "Content-Range tells the size"}}
	default:
		return fmt.Errorf("send %s: %s", what, strings.TrimSpace(s.says.String()))
	}
	var gone *net.OpError
	if s.sent >= s.want || r.Method == http.MethodHead || r.Context().Err() != nil || errors.As(s.err, &gone) {
		return nil
	}
	if s.err == nil {
		s.err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("send %s: %d of %d bytes: %w", what, s.sent, s.want, s.err)
}
