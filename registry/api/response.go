package api

import (
	"io"
	"net/http"
	"time"
)

// piece is how much of a large answer must get through within the time that a transfer may stand still.
const piece = 1 << 20

// unwatched is how much goes out without a deadline: so little fits into the buffers between here and the client.
const unwatched = 64 << 10

// response watches an answer: its status, its size, and that it moves. It passes ReadFrom on, so that a file may go out by sendfile.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
	stall  time.Duration
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
	if len(p) > unwatched {
		defer w.watch()()
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom sends src piece by piece, each with a deadline of its own: a client may be slow as long as it moves.
func (w *response) ReadFrom(src io.Reader) (total int64, err error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	left := int64(1<<63 - 1)
	if limited, ok := src.(*io.LimitedReader); ok {
		// Taken apart, so that what goes on is one limited file: only that is sent by sendfile.
		src, left = limited.R, limited.N
		defer func() { limited.N -= total }()
	}
	if left > unwatched {
		defer w.watch()()
	}
	for left > 0 {
		want := min(piece, left)
		n, err := w.send(&io.LimitedReader{R: src, N: want})
		total, left = total+n, left-n
		w.bytes += n
		if err != nil || n < want {
			return total, err
		}
		if left > 0 {
			w.watch()
		}
	}
	return total, nil
}

func (w *response) send(src *io.LimitedReader) (int64, error) {
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, src) // HTTP/2
}

// watch gives what is sent next a deadline, and returns what takes it away again.
func (w *response) watch() (done func()) {
	conn := http.NewResponseController(w.ResponseWriter)
	_ = conn.SetWriteDeadline(time.Now().Add(w.stall)) // a connection that knows no deadlines is not a network's
	return func() { _ = conn.SetWriteDeadline(time.Time{}) }
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
