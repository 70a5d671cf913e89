package deb

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is one thing that is wrong with a package, in words for whoever built it.
type Error struct {
	Where string // the member of the archive, or the line and the field of control: "control.tar.xz", "control line 3 (Version)"
	What  string // what is there
	Fix   string // what would be right
}

// Error says all three: "control line 3 (Version): there is no number; write …".
func (e *Error) Error() string { return e.Where + ": " + e.What + "; " + e.Fix }

// at returns the same fault, found somewhere else.
func (e *Error) at(where string) *Error { return &Error{Where: where, What: e.What, Fix: e.Fix} }

// Errors are all the faults of a control paragraph: those of its lines in their order, then what is missing.
type Errors []*Error

// Error lists them, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, fault := range e {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.As and errors.Is look at each of them.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, fault := range e {
		all[i] = fault
	}
	return all
}

// quote shows a piece of a package in a message: what cannot be printed is escaped, and what is long is cut.
func quote(s string) string {
	const most = 60
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q…", s[:cut])
}

// size shows a number of bytes in the largest unit that needs no fraction.
func size(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
