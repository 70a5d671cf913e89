package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
)

// call is what the door knows of a request.
type call struct {
	name  string // repository
	last  string // tag, digest or upload id
	query url.Values
	who   auth.Identity
}

// endpoint serves a request. It either answers it and returns nil, or returns an error and has written nothing.
type endpoint func(w http.ResponseWriter, r *http.Request, c call) error

// door is the one way in: it finds out who asks, asks the policy, serves, answers errors, counts and logs.
func (a *API) door(name string, action auth.Action, serve endpoint) http.Handler {
	counted := a.metrics.of(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		out := &response{ResponseWriter: w, http2: r.ProtoMajor == 2, stall: a.stall}
		defer func() { counted.observe(r.Method, out, began) }() // also when an answer is cut
		delete(r.Header, requestHeader)
		c := call{}
		_, c.name, c.last = split(r.URL.Path)
		err := a.policy.Allow(r.Context(), c.who, action, c.name)
		if err == nil && r.URL.RawQuery != "" {
			// What does not parse is refused: dropping it would do something else than what was asked for.
			if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
				err = &refusal{answer: badQuery, detail: map[string]string{"hint": "the query is malformed; escape what is not a letter or digit"}}
			}
		}
		if err == nil {
			err = serve(out, r, c)
		}
		if err != nil || !quick(r, out) {
			a.conclude(out, r, c, err, began)
		}
	})
}

// quick tells whether nothing is to be said of a request in the log: a read that went well.
func quick(r *http.Request, out *response) bool {
	return out.status < 400 && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// conclude answers an error, if there is one, and writes the request's line of the log.
func (a *API) conclude(out *response, r *http.Request, c call, err error, began time.Time) {
	id := requestID(r)
	if id == "" {
		id = a.ids.next()
	}
	var cause error
	if err != nil {
		var ans answer
		var detail any
		ans, detail, cause = outcome(err)
		if registry.Interrupted(err) && errors.Is(err, os.ErrDeadlineExceeded) {
			ans = tooSlow
		}
		if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			ans.status = 499 // the client left; nobody reads this answer, but the count and the log should not blame the registry
		}
		var own *refusal
		if errors.As(err, &own) {
			for k, v := range own.header {
				out.Header()[k] = v
			}
		}
		if out.status == 0 {
			writeError(out, r, id, ans, detail)
		} else {
			// The answer is on its way and cannot be taken back: cutting the connection tells the client that it is not whole.
			defer panic(http.ErrAbortHandler)
		}
	}
	level := slog.LevelInfo
	switch {
	case out.status >= 500:
		level = slog.LevelError
	case out.status == http.StatusNotFound && (r.Method == http.MethodHead || r.Method == http.MethodGet):
		level = slog.LevelDebug // how clients find out what is missing
	}
	if !a.log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", id), slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)),
		slog.Int("status", out.status), slog.String("who", c.who.String()), slog.String("from", remote(r)),
		slog.Int64("bytes", out.bytes), slog.Duration("took", time.Since(began).Round(time.Microsecond)),
		slog.String("agent", clip(r.UserAgent())),
	}
	if cause != nil {
		attrs = append(attrs, slog.String("err", cause.Error()))
	}
	a.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// by returns the request's context with its actor, for the journal, and gives the request its id.
func (a *API) by(r *http.Request, c call) context.Context {
	id := requestID(r)
	if id == "" {
		id = a.ids.next()
		r.Header.Set(requestHeader, id)
	}
	return journal.By(r.Context(), journal.Actor{Name: c.who.String(), Remote: remote(r), Request: id})
}

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

func notFound(http.ResponseWriter, *http.Request, call) error {
	return &refusal{answer: unknownRoute, detail: map[string]string{"hint": "the registry's API is below /v2/"}}
}

func methodNotAllowed(allow string) endpoint {
	return func(http.ResponseWriter, *http.Request, call) error {
		return &refusal{answer: answers[registry.Unsupported], detail: map[string]string{"allowed": allow}, header: http.Header{"Allow": {allow}}}
	}
}
