package door

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// Answer is how a refusal goes out: status, the code on the wire (distribution-spec, "Error Codes") and what it says.
type Answer struct {
	Status  int
	Code    string
	Message string
}

// The answers that any route may give.
var (
	Unauthorized = Answer{401, "UNAUTHORIZED", "authentication required"}
	Denied       = Answer{403, "DENIED", "requested access to the resource is denied"}
	Unknown      = Answer{404, "NAME_UNKNOWN", "repository name not known to this registry"}
	BadQuery     = Answer{400, "UNSUPPORTED", "a query parameter is not of the form it must have"}
	Internal     = Answer{500, "UNKNOWN", "internal error"}

	badRequest   = Answer{400, "UNSUPPORTED", "the request is malformed"}
	unknownRoute = Answer{404, "UNSUPPORTED", "no such path"}
	tooMany      = Answer{429, "TOOMANYREQUESTS", "too many failed logins"}
	unavailable  = Answer{503, "UNAVAILABLE", "the registry cannot answer now"}
	busy         = Answer{503, "UNAVAILABLE", "logins are not looked at just now"}
)

// Refusal is an error that tells the client Answer and Detail, which encodes as JSON, and the log the Cause.
type Refusal struct {
	Answer
	Detail any
	Header http.Header
	Cause  error
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

func (r *Refusal) Unwrap() error { return r.Cause }

// outcome turns an error into what the client is told, and the cause that only the log is told (nil when the answer says it all).
func outcome(err error) (out Answer, detail any, cause error) {
	var own *Refusal
	var access *auth.Refusal
	var wait *auth.Wait
	switch {
	case errors.As(err, &own):
		return own.Answer, own.Detail, own.Cause
	case errors.As(err, &access):
		switch {
		case access.Login, access.Narrow:
			return Unauthorized, map[string]string{"hint": access.Reason}, nil
		case access.Hidden:
			return Unknown, map[string]string{"name": auth.Clip(access.On)}, nil
		}
		return Denied, map[string]string{"action": string(access.Do), "name": access.On, "hint": access.Reason}, nil
	case errors.As(err, &wait):
		if wait.Busy {
			return busy, map[string]string{"hint": wait.Reason}, wait
		}
		return tooMany, map[string]string{"hint": wait.Reason}, nil
	case errors.Is(err, auth.ErrWrong):
		// docker shows the message and nothing else.
		return Answer{Unauthorized.Status, Unauthorized.Code, "these credentials are wrong, have ended or were withdrawn"}, map[string]string{"hint": "these credentials are wrong, have ended or were withdrawn; log in again"}, err
	}
	if _, later := retryAfter(err); later {
		return unavailable, map[string]string{"hint": "what this registry stands on does not answer now; nothing was lost, try again"}, err
	}
	return Internal, nil, err
}

// retryAfter tells when something may be tried again that fails because a floor below does not answer just now.
func retryAfter(err error) (time.Duration, bool) {
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		return later.RetryAfter(), true
	}
	return 0, false
}

// Form is how errors are told to a client.
type Form int

// The forms.
const (
	Envelope Form = iota // the distribution-spec's {"errors": […]}
	Problem              // application/problem+json (RFC 9457), with the envelope's entry as members of it
	Plain                // a line of text, for people with curl, apt or a browser
)

// writeError answers in the route's form. The detail of an internal error is the request's id: the rest is in the log.
func writeError(w http.ResponseWriter, r *http.Request, form Form, id string, out Answer, detail any) {
	if detail == nil {
		detail = map[string]string{"request": id}
	}
	mediaType, body := form.encode(r, id, out, detail)
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", id)
	body = append(body, '\n')
	h.Del("Content-Length")
	if r.Method != http.MethodHead {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	h.Del("Docker-Content-Digest")
	h.Del("Etag")
	switch out.Status {
	case http.StatusInsufficientStorage, http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "10")
		}
	}
	w.WriteHeader(out.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// encode writes an error. What cannot be encoded is told as an internal error.
func (f Form) encode(r *http.Request, id string, out Answer, detail any) (mediaType string, body []byte) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	var err error
	switch f {
	case Plain:
		text := strconv.Itoa(out.Status) + " " + out.Message
		if hint := hintOf(detail); hint != "" {
			text += ": " + hint
		}
		return "text/plain; charset=utf-8", []byte(text)
	case Problem:
		mediaType = "application/problem+json"
		body, err = plainJSON(struct {
			Type     string  `json:"type"`
			Title    string  `json:"title"`
			Status   int     `json:"status"`
			Detail   string  `json:"detail,omitempty"`
			Instance string  `json:"instance"`
			Errors   []entry `json:"errors"`
		}{"about:blank", out.Message, out.Status, hintOf(detail), auth.Clip(auth.Redact(r.URL.Path)), []entry{{out.Code, out.Message, detail}}})
	default:
		mediaType = "application/json"
		body, err = plainJSON(map[string][]entry{"errors": {{out.Code, out.Message, detail}}})
	}
	if err != nil {
		body = []byte(`{"errors":[{"code":"UNKNOWN","message":"internal error"}]}`)
	}
	return mediaType, body
}

// hintOf returns what a detail tells a person to do, if it does.
func hintOf(detail any) string {
	switch d := detail.(type) {
	case map[string]string:
		return d["hint"]
	case map[string]any:
		hint, _ := d["hint"].(string)
		return hint
	}
	return ""
}

// RetryAfter is the header's value for a wait: whole seconds, at least one.
func RetryAfter(w *auth.Wait) string { return strconv.Itoa(max(1, int(math.Ceil(w.After.Seconds())))) }

// plainJSON is JSON that a person can read: >= stays as it is.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}
