package gitlab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// maxBody is how much of an answer is read.
const maxBody = 1 << 20

// question is one request to GitLab.
type question struct {
	path    string
	query   url.Values
	show    func(*http.Request) // puts the token into a header
	missing string              // what to do if there is no such path (404)
}

// ask reads the answer to a question. GitLab's refusals are ErrWrong. No error repeats anything that GitLab said: it could be the token.
func (p *Provider) ask(ctx context.Context, q question, into any) error {
	address := *p.url
	address.Path += q.path
	address.RawQuery = q.query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return errors.New("the address cannot be asked")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "entrepot")
	q.show(req)
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", q.path, cause(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	p.log.DebugContext(ctx, "asked GitLab", "path", q.path, "status", resp.StatusCode)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", q.path, q.refusal(resp, body))
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: its answer broke off: %w", q.path, cause(err))
	case len(body) > maxBody:
		return fmt.Errorf("%s: its answer has more than %d MiB", q.path, maxBody>>20)
	case json.Unmarshal(body, into) != nil:
		return fmt.Errorf("%s: its answer is not the JSON that GitLab sends; is the URL that of a GitLab?", q.path)
	}
	return nil
}

// refusal says what an answer without content means.
func (q question) refusal(resp *http.Response, body []byte) error {
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		return wrong("it refuses the token (401): there is none such, or it has ended or was revoked")
	case code == http.StatusForbidden && json.Valid(body):
		return wrong("it refuses the token (403): its user is not active, or its scopes do not reach so far")
	case code == http.StatusForbidden:
		// GitLab's own refusals are JSON, but not this one.
		return errors.New("it forbids everything (403): has it banned this registry's address after too many wrong tokens (rack_attack), " +
			"or does something in front of it?")
	case code == http.StatusTooManyRequests:
		return &auth.Wait{After: retryAfter(resp), Busy: true, Reason: "GitLab wants no more requests from this registry for a while (429)"}
	case code == http.StatusNotFound:
		return errors.New("there is no such path (404): " + q.missing)
	case code >= 300 && code < 400:
		return fmt.Errorf("it points to another address (%d), which is not followed with a token: is the URL the one that browsers show?", code)
	default:
		return fmt.Errorf("it answers %d", code)
	}
}

// retryAfter is when GitLab wants to be asked again, within reason.
func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		seconds = 30
	}
	return time.Duration(min(seconds, 600)) * time.Second
}

// cause returns why a request failed, if that is told in words of our own or of the network's; what the other side sent can be among the rest.
func cause(err error) error {
	var dial *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("it did not answer in time: %w", context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &record):
		return errors.New("it does not speak TLS")
	case errors.As(err, &dial):
		return dial
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	return errors.New("it does not speak HTTP as it should")
}
