package door

import (
	"net"
	"net/http"
	"strconv"
	"strings"
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

// aliasOfAll is what may stand in front of every repository's name: components/cloud/dmp/ms-ingestion is cloud/dmp/ms-ingestion.
const aliasOfAll = "components/"

// Repository returns the name under which a repository is known, for one that a client uses.
func Repository(name string) string {
	if rest, ok := strings.CutPrefix(name, aliasOfAll); ok && rest != "" {
		return rest
	}
	return name
}
