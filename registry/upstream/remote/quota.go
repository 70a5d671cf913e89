package remote

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// quota is how many manifests Docker Hub lets somebody pull.
type quota struct {
	limit, remaining int
	window           time.Duration
	known            bool
	at               time.Time // when it was told
}

// Limits returns the quota that the upstream told last: how many pulls in a window, and how many are left. Docker Hub does so in answers about
// manifests (ratelimit-limit, ratelimit-remaining); most others do not, and then it is not known. Each caller has a quota of its own.
func (r *Remote) Limits() (limit, remaining int, window time.Duration, known bool) {
	r.logins.mu.Lock()
	defer r.logins.mu.Unlock()
	q := r.logins.quota
	return q.limit, q.remaining, q.window, q.known
}

// scarceFor is for how long a quota that is nearly used up keeps background work away: then one more question tells how it is now.
const scarceFor = 10 * time.Minute

// Scarce tells whether less than a fifth was left of the quota when the upstream last told it, not long ago.
func (r *Remote) Scarce() bool {
	r.logins.mu.Lock()
	defer r.logins.mu.Unlock()
	q := r.logins.quota
	return q.known && q.remaining*5 < q.limit && r.now().Sub(q.at) < scarceFor
}

// parseQuota reads both headers, as 100;w=21600: so many in so many seconds.
func parseQuota(h http.Header) (quota, bool) {
	limit, window, ok := parseShare(h.Get("Ratelimit-Limit"))
	remaining, _, also := parseShare(h.Get("Ratelimit-Remaining"))
	return quota{limit: limit, remaining: remaining, window: window, known: true}, ok && also
}

func parseShare(s string) (count int, window time.Duration, ok bool) {
	number, params, _ := strings.Cut(s, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	if err != nil {
		return 0, 0, false
	}
	for param := range strings.SplitSeq(params, ";") {
		if seconds, found := strings.CutPrefix(strings.TrimSpace(param), "w="); found {
			w, _ := strconv.ParseUint(seconds, 10, 31)
			window = time.Duration(w) * time.Second
		}
	}
	return int(n), window, true
}
