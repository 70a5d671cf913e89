package door

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

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
			return Unknown, map[string]string{"name": clip(access.On)}, nil
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
	return Internal, nil, err
}

// writeError answers in the specification's envelope. The detail of an internal error is the request's id: the rest is in the log.
func writeError(w http.ResponseWriter, r *http.Request, id string, out Answer, detail any) {
	if detail == nil {
		detail = map[string]string{"request": id}
	}
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	body, err := json.Marshal(map[string][]entry{"errors": {{out.Code, out.Message, detail}}})
	if err != nil {
		body = []byte(`{"errors":[{"code":"UNKNOWN","message":"internal error"}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", id)
	h.Del("Content-Length")
	h.Del("Docker-Content-Digest")
	h.Del("Etag")
	switch out.Status {
	case http.StatusInsufficientStorage, http.StatusServiceUnavailable, http.StatusConflict:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "10")
		}
	}
	w.WriteHeader(out.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n'))
	}
}

// RetryAfter is the header's value for a wait: whole seconds, at least one.
func RetryAfter(w *auth.Wait) string { return strconv.Itoa(max(1, int(math.Ceil(w.After.Seconds())))) }
