package upstreamtest

import (
	"net/http"
	"net/http/httptest"
)

// Pause sends n bytes of the body, and the rest when the channel is closed.
func Pause(n int64, until <-chan struct{}) Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		answered(func(*httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
			return func(w http.ResponseWriter, body []byte) {
				n := min(n, int64(len(body)))
				_, _ = w.Write(body[:n])
				_ = http.NewResponseController(w).Flush()
				select {
				case <-until:
					_, _ = w.Write(body[n:])
				case <-u.ended:
				case <-r.Context().Done():
				}
			}
		})(u, w, r, q, honest)
	}
}

// After is an honest answer, when the channel is closed.
func After(until <-chan struct{}) Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, _ Request, honest http.Handler) {
		select {
		case <-until:
			honest.ServeHTTP(w, r)
		case <-u.ended:
		case <-r.Context().Done():
		}
	}
}
