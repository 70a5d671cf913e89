package door

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// refusalLines is how many refusals are logged in a second, each in a line of its own.
const refusalLines = 20

// flood keeps whoever is refused again and again from filling the log. Metrics count every refusal all the same.
type flood struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen int // refusals in this second, which begins with the first after the one before
}

// refuses tells whether a status is one that strangers get as often as they like.
func refuses(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests
}

// passes tells whether one more refusal is to be logged.
func (f *flood) passes() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen++; f.seen == 1 {
		time.AfterFunc(time.Second, f.end)
	}
	return f.seen <= refusalLines
}

// end ends the second, and says how much of it is missing in the log.
func (f *flood) end() {
	f.mu.Lock()
	missing := f.seen - refusalLines
	f.seen = 0
	f.mu.Unlock()
	if missing > 0 {
		f.log.Warn("more refusals were not logged", "refusals", missing)
	}
}
