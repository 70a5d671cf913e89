package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxTries is how many URLs are asked for one answer.
const maxTries = 2

// question is one thing to ask an upstream for.
type question struct {
	doing  string // for errors
	method string
	repo   string // the scope of the token; empty: none
	path   string // below /v2/
	query  url.Values
	header http.Header
}

// call is a question put to one URL.
type call struct {
	*Remote
	question
	base   *base
	probe  bool // for the breaker
	began  time.Time
	caller context.Context
	ctx    context.Context // ends with the caller's, or with cancel
	cancel context.CancelCauseFunc
}

// each puts the question to one URL after the other until one answers.
func (r *Remote) each(ctx context.Context, q question, try func(*call) error) error {
	var failed, soonest = error(nil), time.Duration(0)
	for tries, i := 0, 0; i < len(r.bases) && tries < maxTries; i++ {
		b := r.bases[i]
		ok, probe, wait := b.breaker.allow(r.now())
		if !ok {
			soonest = cmp.Or(min(soonest, wait), wait)
			continue
		}
		tries++
		inner, cancel := context.WithCancelCause(ctx)
		c := &call{Remote: r, question: q, base: b, probe: probe, began: time.Now(), caller: ctx, ctx: inner, cancel: cancel}
		failed = try(c)
		c.conclude(failed)
		if failed == nil || !errors.Is(failed, ErrDown) || ctx.Err() != nil {
			return failed
		}
	}
	if failed == nil {
		reason := cmp.Or(r.bases[0].breaker.health("", r.now()).Reason, "it failed")
		failed = &Error{Upstream: r.config.Name, Doing: q.doing, RetryAfter: soonest, kind: ErrDown,
			Err: fmt.Errorf("it is left alone for a while after failures, the last being: %s", reason)}
	}
	return failed
}

// conclude tells the breaker what came of the call. A caller that goes before anything is known teaches nothing, but one that has waited long does.
func (c *call) conclude(err error) {
	var e *Error
	behind := errors.As(err, &e) && e.behind
	impatient := c.caller.Err() != nil && time.Since(c.began) < c.config.Timeouts.Header/3
	switch {
	case err == nil:
		c.base.breaker.answers(c.now())
		return
	case impatient:
		c.base.breaker.abandons(c.probe)
	case c.caller.Err() != nil || errors.Is(err, ErrDown) && !behind:
		c.failed(err)
	default:
		c.base.breaker.answers(c.now())
		c.base.breaker.complete()
	}
	c.cancel(errClosed)
}

func (c *call) failed(err error) {
	reason := err.Error()
	var e *Error
	if errors.As(err, &e) && e.Err != nil {
		reason = e.Err.Error()
	} else if e != nil {
		reason = fmt.Sprintf("it answered %d", e.Status)
	}
	if pause := c.base.breaker.fails(c.now(), c.probe, reason); pause > 0 {
		c.log.Warn("upstream is left alone for a while", "url", c.base.url.String(), "for", pause, "reason", reason)
	}
}

// fail is an error of the call. What stops us is ErrDown, also if it is the caller's deadline; but not that the caller has gone.
func (c *call) fail(kind, err error) *Error {
	if errors.Is(err, context.Canceled) {
		kind = nil
	}
	return &Error{Upstream: c.config.Name, URL: c.base.url.String(), Doing: c.doing, Err: err, kind: kind}
}

// stopped is an error of a call that got no answer.
func (c *call) stopped(err error) *Error {
	if errors.Is(err, errGuarded) {
		return c.fail(ErrBad, err)
	}
	return c.fail(ErrDown, err)
}

func (c *call) bad(format string, args ...any) *Error {
	return c.fail(ErrBad, fmt.Errorf(format, args...))
}

// within ends the call after a while, unless the timer is stopped.
func (c *call) within(most time.Duration, what string) *time.Timer {
	return time.AfterFunc(most, func() { c.cancel(&ended{what, most}) })
}

// answer is one that was read to its end.
type answer struct {
	call   *call
	header http.Header
	length int64 // as announced; -1 if it was not
	body   []byte
}

// fetch asks for an answer of at most so many bytes.
func (r *Remote) fetch(ctx context.Context, q question, most int64) (*answer, error) {
	release, err := r.slots.take(ctx, false)
	if err != nil {
		return nil, r.queued(q, err)
	}
	defer release()
	var a *answer
	err = r.each(ctx, q, func(c *call) error {
		resp, err := c.exchange()
		if err != nil {
			return err
		}
		defer c.cancel(errClosed)
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return c.bad("it answered %d", resp.StatusCode)
		}
		a = &answer{call: c, header: resp.Header, length: resp.ContentLength}
		a.body, err = c.readAll(resp, most)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.call.base.breaker.complete()
	return a, nil
}

// queued is the error of who did not get as far as asking.
func (r *Remote) queued(q question, err error) error {
	e := &Error{Upstream: r.config.Name, Doing: q.doing, Err: fmt.Errorf("all %d connections are busy: %w", r.config.Connections, err)}
	if !errors.Is(err, context.Canceled) {
		e.kind = ErrDown
	}
	return e
}

// readAll reads a small body, in a bounded time. It is booked on the bandwidth, but waits for nobody.
func (c *call) readAll(resp *http.Response, most int64) ([]byte, error) {
	if resp.ContentLength > most && c.method != http.MethodHead {
		return nil, c.bad("it has %d bytes, more than the %d that are taken", resp.ContentLength, most)
	}
	timer := c.within(c.config.Timeouts.Stall, "the answer did not end")
	defer timer.Stop()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	c.pace.take(len(body), time.Now())
	switch {
	case err != nil:
		return nil, c.fail(ErrDown, fmt.Errorf("the answer broke off: %w", cause(c.ctx, err)))
	case int64(len(body)) > most:
		return nil, c.bad("it has more than the %d bytes that are taken", most)
	}
	return body, nil
}
