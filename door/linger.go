package door

import (
	"io"
	"net/http"
	"time"
)

const (
	lingerTime  = 3 * time.Second
	lingerBytes = 64 << 20
	lingerLeast = 256 << 10 // net/http itself reads what is shorter
)

// linger reads on for a while when a request was refused whose body has not all come, so that its client can read why: if the connection were closed at once, what
// the client still sends would be answered with a reset, which takes the refusal from it unread.
func linger(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.ContentLength >= 0 && r.ContentLength <= lingerLeast {
		return
	}
	conn := http.NewResponseController(w)
	if conn.Flush() != nil || conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	n, err := io.CopyN(io.Discard, r.Body, lingerBytes)
	if err == io.EOF && n < lingerBytes {
		_ = conn.SetReadDeadline(time.Time{}) // it came to its end, and the connection is as good as before
	}
}
