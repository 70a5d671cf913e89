// Package door is the one way in: every request of every API passes it.
//
// An API is a table of [Route]s. Each names which paths it is for, and for each method the right that it needs and who serves it:
//
//	door.Route{Name: "tags", Match: tagsOf, Methods: map[string]door.Access{http.MethodGet: {Action: auth.Pull, Serve: getTags}}}
//
// [New] makes one handler of all tables. For each request the door finds out who asks ([Config].Identify), asks the policy, and only then lets
// the route's [Endpoint] serve it. An endpoint reads the request, calls one method of a room below and writes the answer; if it returns an error,
// the door tells the client what it may know, in the envelope of the OCI distribution spec, and the log the rest. It counts and logs every request,
// cuts bodies that stand still ([Call.Body]) and answers that nobody takes ([Steady]), and tells the journal who did what ([Call.By]).
//
// What the routes mean is left to the rooms that bring them: registry/api, auth/api.
package door

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
)

// Config is what the door stands on.
type Config struct {
	Policy auth.Policy

	// Identify tells who it is that showed these credentials: an Authorization header, or a browser's session. It returns an error that wraps
	// auth.ErrWrong, an *auth.Wait, or a fault. Nil: nobody can log in.
	Identify func(ctx context.Context, shown auth.Credentials) (auth.Identity, error)

	// Carry puts into a request's context what the rooms below need to know of a caller of an upstream ([auth.Caller]): whom to ask that one as. Nil: nothing.
	Carry func(ctx context.Context, who auth.Identity) context.Context

	// Local refuses a request for where it comes from, before anything else is looked at. Nil refuses none.
	Local func(*http.Request) error

	URL     string        // how clients reach the registry, for the address of the token service; empty: as the request did
	Service string        // what the token service calls the registry
	Stall   time.Duration // a body that is being received and stands still for so long is cut; default 2 minutes. For what is sent, see Steady
	Log     *slog.Logger  // default: none
	Metrics prometheus.Registerer
}

// DefaultStall is how long a transfer may stand still.
const DefaultStall = 2 * time.Minute

// Route is one kind of path with its methods.
type Route struct {
	Name    string                                            // in logs and metrics
	Match   func(path string) (on, last string, matches bool) // on is what the policy is asked about: a repository, or "" for the registry
	Methods map[string]Access
	NoHead  bool // a GET says nothing of what HEAD would
	Errors  Form // how errors are told; the zero value is Envelope
}

// Access is what a method of a route needs, and who serves it.
type Access struct {
	Action auth.Action
	Serve  Endpoint
}

// AsksItself is the action of a route whose path alone does not tell what is needed: who asks is found out, and the endpoint asks the policy (see [Call.Ask]).
const AsksItself auth.Action = "asks-itself"

// Endpoint serves a request. It either answers it and returns nil, or returns an error and has written nothing.
type Endpoint func(w http.ResponseWriter, r *http.Request, c Call) error

// Telling is the endpoint with its errors as tell makes them: such as the door knows how to tell.
func (e Endpoint) Telling(tell func(error) error) Endpoint {
	return func(w http.ResponseWriter, r *http.Request, c Call) error {
		err := e(w, r, c)
		if err != nil {
			err = tell(err)
		}
		return err
	}
}

// Call is what the door knows of a request.
type Call struct {
	On    string // repository
	Last  string // what Match returned: a tag, digest or upload id
	Query url.Values
	Who   auth.Identity
	door  *Door
}

// Door is the handler of all routes.
type Door struct {
	config    Config
	challenge challenger
	log       *slog.Logger
	flood     *flood
	metrics   *metrics
	ids       requestIDs
	router    *mux.Router
	origins   *http.CrossOriginProtection
	hidden    func() // says in the log, once, that bodies which stand still cannot be cut
}

// New returns the door to all routes; those that come first are found first.
func New(c Config, routes ...Route) *Door {
	d := &Door{
		config: c, challenge: challenger{url: c.URL, service: c.Service, tokens: c.Identify != nil},
		log: c.Log, metrics: newMetrics(c.Metrics), ids: newRequestIDs(), origins: http.NewCrossOriginProtection(),
	}
	if d.config.Stall == 0 {
		d.config.Stall = DefaultStall
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.flood = &flood{log: d.log}
	d.hidden = sync.OnceFunc(func() {
		d.log.Warn("bodies that stand still are not cut: a handler before the door hides the connection; give its ResponseWriter a method Unwrap")
	})
	d.router = mux.NewRouter().SkipClean(true) // a path is taken as it came: cleaning it would redirect pushes
	for _, r := range routes {
		d.router.MatcherFunc(r.matches).Handler(d.methods(r))
	}
	unknown := d.handler(Route{Name: "unknown", Match: anywhere}, Access{auth.Enter, notFound})
	ours := d.handler(Route{Name: "unknown", Match: anywhere, Errors: Problem}, Access{auth.Enter, notFound})
	d.router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2") {
			unknown.ServeHTTP(w, r)
		} else {
			ours.ServeHTTP(w, r)
		}
	})
	return d
}

func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.router.ServeHTTP(w, r) }

func (r Route) matches(req *http.Request, _ *mux.RouteMatch) bool {
	_, _, ok := r.Match(req.URL.Path)
	return ok
}

func anywhere(string) (on, last string, ok bool) { return "", "", true }

// methods returns the handler of a route: one for each method, and an answer for those it does not have.
func (d *Door) methods(r Route) http.Handler {
	handlers := map[string]http.Handler{}
	var allow []string
	for method, access := range r.Methods {
		handlers[method] = d.handler(r, access)
		allow = append(allow, method)
	}
	if get := handlers[http.MethodGet]; get != nil && handlers[http.MethodHead] == nil && !r.NoHead {
		handlers[http.MethodHead] = get // the server sends no body
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	other := d.handler(r, Access{auth.Enter, methodNotAllowed(strings.Join(allow, ", "))})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		handler, ok := handlers[req.Method]
		if !ok {
			handler = other
		}
		handler.ServeHTTP(w, req)
	})
}

// handler finds out who asks, asks the policy, serves, answers errors, counts and logs.
func (d *Door) handler(route Route, access Access) http.Handler {
	counted := d.metrics.of(route.Name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		out := &response{ResponseWriter: w, http2: r.ProtoMajor == 2, stall: d.config.Stall}
		defer func() { counted.observe(r.Method, out, began) }() // also when an answer is cut
		delete(r.Header, requestHeader)
		c := Call{door: d}
		c.On, c.Last, _ = route.Match(r.URL.Path)
		err := d.admit(r, &c, access.Action)
		if err == nil && c.Who.Kind == auth.Caller && d.config.Carry != nil {
			r = r.WithContext(d.config.Carry(r.Context(), c.Who))
		}
		if err == nil && r.URL.RawQuery != "" {
			// What does not parse is refused: dropping it would do something else than what was asked for.
			if c.Query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
				err = &Refusal{Answer: BadQuery, Detail: map[string]string{"hint": "the query is malformed; escape what is not a letter or digit"}}
			}
		}
		if err == nil {
			err = access.Serve(out, r, c)
		}
		if err != nil || !quick(r, out) {
			d.conclude(out, r, c, route, access.Action, err, began)
		}
		if err != nil && out.status != http.StatusRequestTimeout { // from whom nothing came any more
			linger(w, r)
		}
	})
}

// admit finds out who asks and whether they may. Where everybody may go nobody is asked for a name: the endpoint reads the credentials itself.
func (d *Door) admit(r *http.Request, c *Call, action auth.Action) (err error) {
	if d.config.Local != nil {
		if err := d.config.Local(r); err != nil {
			return err
		}
	}
	if action != auth.Knock && d.config.Identify != nil {
		if c.Who, err = d.identify(r); err != nil {
			return err
		}
	}
	if action == AsksItself {
		return nil
	}
	return d.config.Policy.Allow(r.Context(), c.Who, action, c.On)
}

// SessionCookie keeps a browser logged in; see CookieName.
const SessionCookie = "entrepot_session"

// identify returns who showed what. Nothing shown is nobody in particular; what is shown and is no good is refused even where nothing is needed.
func (d *Door) identify(r *http.Request) (auth.Identity, error) {
	shown := r.Header["Authorization"]
	switch len(shown) {
	case 0:
		// A browser sends cookies on its own, and reaches a registry that only listens on its own machine, also for a stranger's page.
		if d.origins.Check(r) != nil {
			return auth.Identity{}, &Refusal{Answer: Denied, Detail: map[string]string{"hint": "this was sent by a page of another site"}}
		}
		cookie, err := r.Cookie(CookieName(d.config.URL, r, SessionCookie))
		if err != nil {
			return auth.Identity{}, nil
		}
		who, err := d.config.Identify(r.Context(), auth.Credentials{Session: cookie.Value, Remote: remote(r)})
		if errors.Is(err, auth.ErrWrong) {
			return auth.Identity{}, nil // a session that has ended is like none
		}
		return who, err
	case 1:
		return d.config.Identify(r.Context(), auth.Credentials{Authorization: shown[0], Remote: remote(r)})
	}
	return auth.Identity{}, &Refusal{Answer: badRequest, Detail: map[string]string{"hint": "send one Authorization header, not several"}}
}

// quick tells whether nothing is to be said of a request in the log: a read that went well.
func quick(r *http.Request, out *response) bool {
	return out.status < 400 && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// Body returns a request's body, watched: counted, and cut when it stands still.
func (c Call) Body(w http.ResponseWriter, r *http.Request) *Body {
	return &Body{body: r.Body, conn: http.NewResponseController(w), hidden: c.door.hidden, stall: c.door.config.Stall}
}

// Receive reads a body of content with take, and counts it.
func (c Call) Receive(w http.ResponseWriter, r *http.Request, take func(*Body) error) error {
	m := c.door.metrics
	m.inFlight.Inc()
	defer m.inFlight.Dec()
	body := c.Body(w, r)
	err := take(body)
	m.received.Add(float64(body.bytes))
	return err
}

// By returns the request's context with its actor, for the journal, and gives the request its id.
func (c Call) By(r *http.Request) context.Context {
	id := requestID(r)
	if id == "" {
		id = c.door.ids.next()
		r.Header.Set(requestHeader, id)
	}
	return journal.By(r.Context(), journal.Actor{Name: c.Who.String(), Remote: remote(r), Request: id})
}

// May tells whether the caller may do something besides what the route needs.
func (c Call) May(ctx context.Context, do auth.Action, on string) bool {
	return c.Ask(ctx, do, on) == nil
}

// Owner is May for the owner of a token, whatever the token was cut down to.
func (c Call) Owner(ctx context.Context, do auth.Action, on string) bool {
	c.Who.Scope = nil
	return c.May(ctx, do, on)
}

// Ask is May with the policy's own answer.
func (c Call) Ask(ctx context.Context, do auth.Action, on string) error {
	return c.door.config.Policy.Allow(ctx, c.Who, do, on)
}

// Remote returns the client's address, without its port.
func (c Call) Remote(r *http.Request) string { return remote(r) }

// Warn logs what went wrong in a request that is served all the same.
func (c Call) Warn(message string, args ...any) { c.door.log.Warn(message, args...) }

// conclude answers an error, if there is one, and writes the request's line of the log.
func (d *Door) conclude(out *response, r *http.Request, c Call, route Route, action auth.Action, err error, began time.Time) {
	id := requestID(r)
	if id == "" {
		id = d.ids.next()
	}
	var cause error
	if err != nil {
		ans, detail, because := outcome(err)
		cause = because
		if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			ans.Status = 499 // the client left; nobody reads this answer, but the count and the log should not blame the registry
		}
		var own *Refusal
		if errors.As(err, &own) {
			for k, v := range own.Header {
				out.Header()[k] = v
			}
		}
		if after, later := retryAfter(err); later && own == nil {
			out.Header()["Retry-After"] = []string{strconv.Itoa(int(after.Seconds()))}
		}
		if out.status == 0 {
			d.challenge.header(out.Header(), r, c.On, action, ans, err)
			writeError(out, r, route.Errors, id, ans, detail)
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
	if !d.log.Enabled(r.Context(), level) || refuses(out.status) && !d.flood.passes() {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", id), slog.String("method", r.Method), slog.String("path", auth.Clip(auth.Redact(r.URL.Path))),
		slog.Int("status", out.status), slog.String("who", c.Who.String()), slog.String("from", remote(r)),
		slog.Int64("bytes", out.bytes), slog.Duration("took", time.Since(began).Round(time.Microsecond)),
		slog.String("agent", auth.Clip(auth.Redact(r.UserAgent()))),
	}
	if cause != nil {
		attrs = append(attrs, slog.String("err", cause.Error()))
	}
	d.log.LogAttrs(r.Context(), level, "request", attrs...)
}

func notFound(http.ResponseWriter, *http.Request, Call) error {
	return &Refusal{Answer: unknownRoute, Detail: map[string]string{"hint": "the distribution API is below /v2/, the others are described by /api/v1/openapi.json"}}
}

func methodNotAllowed(allow string) Endpoint {
	return func(http.ResponseWriter, *http.Request, Call) error {
		return &Refusal{Answer: Answer{http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported"},
			Detail: map[string]string{"allowed": allow}, Header: http.Header{"Allow": {allow}}}
	}
}
