package remote

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What an [Error] can be, for errors.Is.
var (
	ErrNotFound = errors.New("not found upstream")                               // 404
	ErrDenied   = errors.New("denied by upstream")                               // 401, 403, or no way to log in
	ErrLimited  = errors.New("upstream wants fewer requests")                    // 429
	ErrDown     = errors.New("upstream does not answer")                         // no connection, no answer in time, 5xx, or left alone by the breaker
	ErrBad      = errors.New("upstream's answer is not what was to be expected") // too big, packed, another digest, a redirect to nowhere, …
)

// Error is what came of a request that did not succeed. All text of others in it is short, on one line and without credentials.
type Error struct {
	Upstream   string        // its name
	URL        string        // which of its URLs was asked last; empty if none was
	Doing      string        // as "get manifest 3.20 of library/alpine"
	Status     int           // of the upstream's answer; 0 if there was none, or none to be trusted
	Code       string        // upstream's, as MANIFEST_UNKNOWN; may be empty
	Message    string        // upstream's; may be empty
	RetryAfter time.Duration // when it wants to be asked again, or the breaker lets it be asked; 0 if that is not known
	Err        error         // the cause, if it is not in the answer; may be nil

	kind   error
	behind bool // it answers, and says that a registry behind it does not
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s", e.Upstream, e.Doing)
	if e.URL != "" {
		fmt.Fprintf(&s, " from %s", e.URL)
	}
	if e.Status != 0 {
		fmt.Fprintf(&s, ": it answered %d", e.Status)
	}
	for _, part := range []string{e.Code, e.Message} {
		if part != "" {
			s.WriteString(": " + part)
		}
	}
	if e.Err != nil {
		s.WriteString(": " + e.Err.Error())
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&s, "; try again in %v", e.RetryAfter.Round(time.Second))
	}
	return s.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is work with ErrNotFound, ErrDenied, ErrLimited, ErrDown and ErrBad.
func (e *Error) Is(target error) bool { return target == e.kind }

// kindOf tells what a status means for whoever asked.
func kindOf(status int) error {
	switch {
	case status == 404:
		return ErrNotFound
	case status == 401, status == 403:
		return ErrDenied
	case status == 429:
		return ErrLimited
	case status >= 500:
		return ErrDown
	}
	return ErrBad
}
