package door

import (
	"io"
	"net/http"
	"time"
)

const (
	lingerTime  = 3 * time.Second
	lingerIdle  = time.Second // who sends nothing for so long has stopped
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
	if conn.Flush() != nil {
		return
	}
	end, piece := time.Now().Add(lingerTime), make([]byte, 32<<10)
	for left := lingerBytes; left > 0 && time.Now().Before(end); {
		if conn.SetReadDeadline(time.Now().Add(lingerIdle)) != nil {
			return
		}
		n, err := r.Body.Read(piece)
		if err == io.EOF {
			_ = conn.SetReadDeadline(time.Time{}) // the connection is as good as before
		}
		if err != nil {
			return
		}
		left -= n
	}
}
