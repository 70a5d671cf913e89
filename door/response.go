package door

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// response watches an answer: its status and its size. It passes ReadFrom on, so that a file may go out by sendfile.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
	http2  bool
	stall  time.Duration // for HTTP/2
	until  time.Time     // the deadline that is set
}

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (n int, err error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.http2 {
		n, err = w.inMorsels(p)
	} else {
		n, err = w.ResponseWriter.Write(p)
	}
	w.bytes += int64(n)
	return n, err
}

// ReadFrom hands src on as it is: only a limited file is sent by sendfile.
func (w *response) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok || w.http2 {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err = to.ReadFrom(src)
	w.bytes += n
	return n, err
}

// morsel is what a client of HTTP/2 must take within the time that it may stand still.
const morsel = 16 << 10

// inMorsels writes to a stream of HTTP/2. There a client that reads nothing is not felt by the
// connection (see Steady): it just gives the stream no room.
func (w *response) inMorsels(p []byte) (total int, err error) {
	for len(p) > 0 && err == nil {
		if now := time.Now(); w.until.Sub(now) < w.stall*3/4 {
			w.until = now.Add(w.stall)
			_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(w.until) // what knows no deadlines is not a network's
		}
		var n int
		n, err = w.ResponseWriter.Write(p[:min(morsel, len(p))])
		total, p = total+n, p[n:]
	}
	return total, err
}

// Body is a request's body that must not stand still.
type Body struct {
	body   io.Reader
	conn   *http.ResponseController // nil if it is known to be hidden
	hidden func()                   // tells the operator of that
	stall  time.Duration
	until  time.Time // the deadline that is set
	bytes  int64
}

func (m *Body) Read(p []byte) (int, error) {
	// Renewing the deadline costs more than a short read does, so it is renewed when a quarter of it has passed.
	if now := time.Now(); m.conn != nil && m.until.Sub(now) < m.stall*3/4 {
		m.until = now.Add(m.stall)
		err := m.conn.SetReadDeadline(m.until)
		if errors.Is(err, http.ErrNotSupported) {
			// It is no fault of the client that somebody put a handler before the door whose ResponseWriter has no Unwrap.
			m.conn = nil
			m.hidden()
		} else if err != nil {
			return 0, err
		}
	}
	n, err := m.body.Read(p)
	m.bytes += int64(n)
	return n, err
}
