package ldap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

// lostError says that a server could not be asked, so that another one may be.
type lostError struct{ err error }

func (l *lostError) Error() string { return l.err.Error() }
func (l *lostError) Unwrap() error { return l.err }

// lost says what could not be done at the server; that the login's time is over is the better reason if it is.
func (c *connection) lost(what string, err error) error {
	if c.ctx.Err() != nil {
		err = context.Cause(c.ctx)
	}
	return &lostError{fmt.Errorf("%s at %s: %w", what, c.server.url, err)}
}

// answered returns what a server answered instead of success, or nil if it did not answer: the library has codes of its own, from
// ErrorNetwork on, for what happens on the way.
func answered(err error) *goldap.Error {
	var answer *goldap.Error
	if errors.As(err, &answer) && answer.ResultCode < goldap.ErrorNetwork && answer.Err != nil {
		return answer
	}
	return nil
}

// hints say what may help against some answers.
var hints = map[uint16]string{
	goldap.LDAPResultOperationsError:          "it may want somebody to bind first: set a bind DN",
	goldap.LDAPResultStrongAuthRequired:       "use ldaps:// or StartTLS",
	goldap.LDAPResultConfidentialityRequired:  "use ldaps:// or StartTLS",
	goldap.LDAPResultReferral:                 "another server has the entries, and referrals are not followed: name that one in the URL",
	goldap.LDAPResultNoSuchObject:             "the base does not exist, or whoever searches may not see it",
	goldap.LDAPResultInsufficientAccessRights: "whoever searches needs the right to read there",
}

// fault says what the server answered when something was tried, and what may help. Nil stays nil.
func (c *connection) fault(what string, err error) error {
	if err == nil {
		return nil
	}
	answer := answered(err)
	if answer == nil {
		return c.lost(what, errors.New(legible(err.Error())))
	}
	code := answer.ResultCode
	text := fmt.Sprintf("the directory answers %d (%s)", code, strings.ToLower(goldap.LDAPResultCodeMap[code]))
	if words := answer.Err.Error(); words != "" {
		text += fmt.Sprintf(", %q", legible(words))
	}
	if hint := hints[code]; hint != "" {
		text += ": " + hint
	}
	if code == goldap.LDAPResultBusy || code == goldap.LDAPResultUnavailable {
		return c.lost(what, errors.New(text))
	}
	return fmt.Errorf("%s at %s: %s", what, c.server.url, text)
}

// legible is what a server sent, short and as valid text.
func legible(s string) string { return strings.ToValidUTF8(auth.Clip(s), "?") }
