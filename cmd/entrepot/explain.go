package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// problem is an error in the words of the person who typed the command: what was being done, why it failed, what to do next.
type problem struct {
	doing string
	text  string
	cause error
}

func (p *problem) Error() string { return p.doing + ": " + p.text }
func (p *problem) Unwrap() error { return p.cause }

// explain says what was being done when err happened, and what to do about it when that is known.
func explain(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	doing = fmt.Sprintf(doing, args...)
	if p := (*problem)(nil); errors.As(err, &p) {
		// Somebody nearer has found the words; only the outer purpose is missing.
		return &problem{doing: doing, text: oneLine(err.Error()), cause: err}
	}
	text, next := inWords(err)
	if next != "" {
		text += "; " + next
	}
	return &problem{doing: doing, text: oneLine(text), cause: err}
}

func oneLine(s string) string { return printable(strings.Join(strings.Fields(s), " ")) }

// inWords returns the cause and the next step.
func inWords(err error) (cause, next string) {
	var answer *errcode.ErrorResponse
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &answer):
		return answered(answer, err)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return "not allowed without a login", logInWith(hostOf(err))
	case errors.Is(err, errdef.ErrNotFound):
		return "not found", "look for its name with entrepot ls and entrepot tags"
	case errors.Is(err, errdef.ErrSizeExceedsLimit):
		return "the answer is larger than any that is expected (" + err.Error() + ")", ""
	case errors.Is(err, context.Canceled):
		return "interrupted", ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + hostOf(err), "start a registry with entrepot serve, or name another with --server"
	case errors.As(err, &dns):
		return "no host is called " + dns.Name, "a first part with a dot or a colon in it is read as a host"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return hostOf(err) + " speaks HTTP only", "add --plain-http if its network is trusted"
	case errors.As(err, &authority):
		return "the certificate of " + hostOf(err) + " is signed by an unknown authority", "name that authority's file with --ca"
	case errors.As(err, &certificate):
		return "the certificate of " + hostOf(err) + " does not hold: " + certificate.Err.Error(), ""
	}
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err.Error() + " (" + hostOf(err) + ")", ""
	}
	return err.Error(), ""
}

// generic are the codes whose message says less than the hint beside it.
var generic = []string{"INVALID", "EXISTS", "UNKNOWN", "UNAUTHORIZED", "DENIED", "TOOMANYREQUESTS", "UNAVAILABLE"}

func logInWith(host string) string { return "log in with: entrepot login " + host }

// answered puts a registry's refusal, which is somewhere in err, in words.
func answered(e *errcode.ErrorResponse, err error) (cause, next string) {
	host := noHost
	if e.URL != nil {
		host = e.URL.Host
	}
	var said []string
	sentence := false // the cause says it all
	for _, one := range e.Errors {
		text := one.Message
		if text == "" {
			text = strings.ToLower(strings.ReplaceAll(one.Code, "_", " "))
		}
		// The detail is where a registry lists everything that it found wrong.
		switch d := one.Detail.(type) {
		case string:
			text += " (" + d + ")"
		case []any:
			for _, part := range d {
				text += fmt.Sprintf(" (%v)", part)
			}
		case map[string]any:
			hint, _ := d["hint"].(string)
			switch {
			case hint == "":
			case slices.Contains(generic, one.Code):
				text, sentence = hint, true
			default:
				text += " (" + hint + ")"
			}
		}
		said = append(said, text)
	}
	cause = strings.Join(said, ", ")
	if cause == "" {
		cause = strings.ToLower(http.StatusText(e.StatusCode))
	}
	switch e.StatusCode {
	case http.StatusBadRequest, http.StatusConflict:
		if sentence {
			return cause, ""
		}
	case http.StatusUnauthorized:
		// The refusal may be the token service's, which is not what one logs in to.
		if at := hostOf(err); at != noHost {
			host = at
		}
		return "not allowed without a login: " + strings.TrimSuffix(cause, "; log in again"), logInWith(host)
	case http.StatusForbidden:
		return "refused: " + cause, ""
	case http.StatusNotFound:
		return "not found: " + cause, ""
	case http.StatusMethodNotAllowed:
		return host + " does not allow this: " + cause, ""
	case http.StatusTooManyRequests:
		return host + " asks to slow down: " + cause, "try again later"
	}
	return fmt.Sprintf("%s answered %d: %s", host, e.StatusCode, cause), ""
}

func hostOf(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		if u, err := url.Parse(request.URL); err == nil && u.Host != "" {
			return u.Host
		}
	}
	// oras writes the address into the text only.
	if m := quotedAddress.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return noHost
}

// noHost stands for a host that is not known.
const noHost = "the registry"

var quotedAddress = regexp.MustCompile(`"https?://([^/"]+)`)

// refusal turns an answer that is not a success into an error that explain can read. It reads the body but does not close it.
func refusal(res *http.Response) error {
	e := &errcode.ErrorResponse{Method: res.Request.Method, URL: res.Request.URL, StatusCode: res.StatusCode}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	if err := readJSON(io.LimitReader(res.Body, 64<<10), &body); err == nil {
		e.Errors = body.Errors
	}
	return e
}

// passing says whether the same request may well succeed a moment later.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout
	}
	var request *url.Error
	if errors.As(err, &request) && errors.Is(request.Err, io.EOF) {
		return true // the server closed the connection instead of answering
	}
	var network net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &network) && network.Timeout()
}
