package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxRedirects = 5
	maxRefusal   = 64 << 10       // of the body of an error that is read
	maxRetry     = 24 * time.Hour // that is believed
)

// exchange asks, logs in if the upstream wants that, and asks again, once. The answer is a 2xx; whoever has read it calls cancel.
func (c *call) exchange() (*http.Response, error) {
	key := loginKey{c.base, c.repo}
	used := c.logins.have(key, c.now())
	resp, err := c.send(used.authorization)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized && sameOrigin(resp.Request.URL, c.base.url) {
		if challenges := parseChallenges(resp.Header.Values("WWW-Authenticate")); len(challenges) > 0 {
			c.drain(resp)
			if used, err = c.login(key, used, challenges); err != nil {
				return nil, err
			}
			if resp, err = c.send(used.authorization); err != nil {
				return nil, err
			}
		}
	}
	c.logins.note(resp.Header, c.now())
	if err := c.judge(resp, used); err != nil {
		c.drain(resp)
		return nil, err
	}
	return resp, nil
}

// judge makes errors of what is no success, or cannot be read.
func (c *call) judge(resp *http.Response, used login) error {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		e := c.refusal(resp, kindOf(resp.StatusCode), secretsOf(used.authorization)...)
		if used.note != "" && e.kind == ErrDenied {
			e.Err = errors.New(used.note)
		}
		return e
	}
	if packed := resp.Header.Get("Content-Encoding"); packed != "" && packed != "identity" {
		return c.bad("it is packed (Content-Encoding %q), which was not asked for", clean(packed, 40))
	}
	return nil
}

// send puts the question, and follows where it is sent. The answer's headers are there in time, or it is an error.
func (c *call) send(authorization string) (*http.Response, error) {
	timer := c.within(c.config.Timeouts.Header, "it did not answer")
	defer timer.Stop()
	address := *c.base.url
	address.Path += "/v2/" + c.path
	address.RawQuery = c.query.Encode()
	for to, redirects, ctx := &address, 0, c.ctx; ; redirects++ {
		began := time.Now()
		resp, err := c.client.Do(c.request(ctx, to, authorization))
		if err != nil {
			return nil, c.stopped(cause(c.ctx, err))
		}
		c.log.DebugContext(c.ctx, "asked upstream", "method", c.method, "host", to.Host, "path", "/v2/"+c.path, "redirects", redirects,
			"status", resp.StatusCode, "took", time.Since(began))
		switch resp.StatusCode {
		case 301, 302, 303, 307, 308:
		default:
			return resp, nil
		}
		c.drain(resp)
		next, err := c.follow(to, resp.Header.Get("Location"))
		if err == nil && redirects == maxRedirects {
			err = c.bad("it redirects more than %d times", maxRedirects)
		}
		if err != nil {
			return nil, err
		}
		if !sameOrigin(to, next) {
			authorization = "" // for good: also if it leads back
		}
		to, ctx = next, c.guard(next)
	}
}

func (c *call) request(ctx context.Context, to *url.URL, authorization string) *http.Request {
	req := (&http.Request{Method: c.method, URL: to, Host: to.Host, Header: c.header.Clone()}).WithContext(ctx)
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", "entrepot")
	req.Header.Set("Accept-Encoding", "identity")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return req
}

// follow judges a redirect.
func (c *call) follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	switch {
	case location == "" || err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "":
		return nil, c.bad("it redirects to nowhere")
	case from.Scheme == "https" && to.Scheme != "https":
		return nil, c.bad("it redirects from https to http at %s, which is not followed", clean(to.Host, 100))
	}
	to.User, to.Fragment = nil, ""
	return to, nil
}

// guard marks a request to a host that the upstream named; see dialer. An upstream on this machine may name what is on this machine.
func (c *call) guard(to *url.URL) context.Context {
	if c.trust[origin(to)] || loopback(c.base.url.Hostname()) {
		return c.ctx
	}
	return context.WithValue(c.ctx, sentTo{}, origin(to))
}

// drain lets a connection be used again after an answer that is short, and comes to its end in time.
func (c *call) drain(resp *http.Response) {
	timer := c.within(c.config.Timeouts.Header, "the answer did not end")
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10)
	resp.Body.Close()
}

// refusal makes an error of an answer that is no success, without the secrets that it might repeat.
func (c *call) refusal(resp *http.Response, kind error, secrets ...string) *Error {
	e := c.fail(kind, nil)
	e.Status = resp.StatusCode
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), c.now())
	timer := c.within(c.config.Timeouts.Header, "the answer did not end")
	defer timer.Stop()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	type fault struct {
		Code, Message string
		Detail        json.RawMessage
	}
	var said struct { // by the distribution-spec; by token services; by OAuth 2.0
		Errors           []fault
		Message, Details string
		Error            any
		Description      string `json:"error_description"`
	}
	if json.Unmarshal(text, &said) != nil {
		return e // a page for people, most likely
	}
	first := fault{Message: said.Message + " " + said.Details + " " + said.Description}
	if len(said.Errors) > 0 {
		first = said.Errors[0]
	} else if word, ok := said.Error.(string); ok {
		first.Code = word
	}
	var detail struct{ Upstream string }
	e.behind = json.Unmarshal(first.Detail, &detail) == nil && detail.Upstream != ""
	e.Code, e.Message = clean(hide(first.Code, secrets...), 64), clean(hide(first.Message, secrets...), 300)
	return e
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3): seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
	wait := time.Duration(seconds) * time.Second
	if err != nil {
		at, err := http.ParseTime(value)
		if err != nil {
			return 0
		}
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetry)
}
