package tree

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// served is an answer of [http.ServeContent] that tells whether all that was announced was sent. What lies in a file is handed on as that very *os.File, so
// that it goes out by sendfile.
type served struct {
	http.ResponseWriter
	want, sent int64
	err        error
}

func (s *served) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *served) WriteHeader(status int) {
	if status < http.StatusMultipleChoices {
		s.want, _ = strconv.ParseInt(s.Header().Get("Content-Length"), 10, 64)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *served) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.note(int64(n), err)
	return n, err
}

func (s *served) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := s.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{s}, src)
	}
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{}
	}
	if tar, ok := limited.R.(*stream); ok {
		n, err = tar.sendTo(to, limited)
	} else {
		n, err = to.ReadFrom(src)
	}
	s.note(n, err)
	return n, err
}

func (s *served) note(n int64, err error) {
	s.sent += n
	if s.err == nil {
		s.err = err
	}
}

// outcome is nil when everything was sent, or when it is the client who left. Any other error makes the door cut the connection.
func (s *served) outcome(r *http.Request, what string) error {
	var gone *net.OpError
	if s.sent >= s.want || r.Method == http.MethodHead || r.Context().Err() != nil || errors.As(s.err, &gone) {
		return nil
	}
	if s.err == nil {
		s.err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("send %s: %d of %d bytes: %w", what, s.sent, s.want, s.err)
}
