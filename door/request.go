package door

import (
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// requestHeader carries a request's id inside the server. A client's own is not taken: it could be anything.
const requestHeader = "Entrepot-Request"

func requestID(r *http.Request) string {
	if v := r.Header[requestHeader]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// requestIDs makes ids that are unique within a run of the program and tell runs apart.
type requestIDs struct {
	run  string
	last *atomic.Uint64
}

func newRequestIDs() requestIDs {
	return requestIDs{strconv.FormatInt(time.Now().UnixMilli(), 36), new(atomic.Uint64)}
}

func (i requestIDs) next() string { return i.run + "-" + strconv.FormatUint(i.last.Add(1), 36) }

func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}
