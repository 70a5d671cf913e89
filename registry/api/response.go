package api

import (
	"io"
	"net/http"
	"time"
)

// response watches an answer: its status and its size. It passes ReadFrom on, so that a file may go out by sendfile.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom hands src on as it is: only a limited file is sent by sendfile.
func (w *response) ReadFrom(src io.Reader) (n int64, err error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		n, err = to.ReadFrom(src)
	} else {
		n, err = io.Copy(struct{ io.Writer }{w.ResponseWriter}, src) // HTTP/2
	}
	w.bytes += n
	return n, err
}

// moving is a request's body that must not stand still.
type moving struct {
	body  io.Reader
	conn  *http.ResponseController
	stall time.Duration
	until time.Time // the deadline that is set
	bytes int64
}

func (m *moving) Read(p []byte) (int, error) {
	// Renewing the deadline costs more than a short read does, so it is renewed when a quarter of it has passed.
	if now := time.Now(); m.until.Sub(now) < m.stall*3/4 {
		m.until = now.Add(m.stall)
		if err := m.conn.SetReadDeadline(m.until); err != nil {
			return 0, err
		}
	}
	n, err := m.body.Read(p)
	m.bytes += int64(n)
	return n, err
}
