package account

import (
	"errors"
	"fmt"

	"github.com/entrepot/entrepot/auth"
)

// The codes of Error.
const (
	Exists   = "exists"   // there is one of that name already
	Unknown  = "unknown"  // there is none of that name
	Invalid  = "invalid"  // what was asked for cannot be
	Full     = "full"     // there are as many as there may be
	Disabled = "disabled" // the account is
)

// Error is a refusal that whoever manages accounts is meant to read.
type Error struct {
	Code string
	Text string // what is wrong with what, and what to do; never a secret
	Err  error  // what else it is, for errors.Is: auth.ErrWrong for a login that has ended
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Err }

// Code returns the code of err, or "" if it is no refusal but a fault.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func refuse(code, text string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(text, args...)}
}

func unknown(kind, name string) *Error {
	return refuse(Unknown, "there is no %s %s; list those there are, or add it first", kind, auth.Clip(name))
}

// noID refuses what is no id. It does not repeat it: somebody may have given the secret itself.
func noID(kind string) *Error {
	return refuse(Unknown, "that is no id of a %s: an id has %d letters and digits; take one from the list", kind, idLength)
}

// fault says what was being done when a floor below failed. Refusals say so themselves.
func fault(err error, doing string, args ...any) error {
	if err == nil || Code(err) != "" {
		return err
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(doing, args...), err)
}
