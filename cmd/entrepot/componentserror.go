package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/entrepot/entrepot/artifacts"
)

// refusalDetail is what a refusal may say besides its message.
type refusalDetail struct {
	Hint      string              `json:"hint"`
	Parameter string              `json:"parameter"` // of the query, which is wrong
	Value     string              `json:"value"`
	Reasons   []artifacts.Reason  `json:"reasons"`
	Findings  []artifacts.Finding `json:"findings"`
	Faults    []string            `json:"faults"` // where there are no findings
}

// explainAll is explain for what has many reasons: each has a line of its own.
func explainAll(err error, doing string, args ...any) error {
	var answer *errcode.ErrorResponse
	if !errors.As(err, &answer) || len(answer.Errors) != 1 {
		return explain(err, doing, args...)
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return explain(err, doing, args...)
	}
	if answer.StatusCode >= 500 && answer.StatusCode != http.StatusInsufficientStorage {
		return explain(err, doing, args...)
	}
	d, _ := detailOf(err) // of another form: the message is all there is
	if m := new(missing); errors.As(err, m) && answer.StatusCode == http.StatusNotFound && len(d.lines()) == 0 {
		what, _, _ := strings.Cut(d.Hint, "; ")
		d.Hint = what + "; " + m.next
	}
	return &problem{doing: fmt.Sprintf(doing, args...), text: d.text(answer.Errors[0].Message), cause: err}
}

// missing is an error that, if it says that something does not exist, is followed by what to do in the words of the verbs, not in those of the API.
type missing struct {
	error
	next string
}

func (m missing) Unwrap() error { return m.error }

// noVersion is err for somebody who has named a version of a component.
func noVersion(err error, r componentRef) error {
	if err == nil {
		return nil
	}
	return missing{err, "list those there are with: entrepot versions " + r.name}
}

// explainDocument is explainAll for a document that was refused: its faults are told with the file's name as it was typed, in their order.
func explainDocument(err error, file, doing string, args ...any) error {
	d, ok := detailOf(err)
	if !ok || len(d.Findings) == 0 {
		return explainAll(err, doing, args...)
	}
	for i := range d.Findings {
		d.Findings[i].File = file
	}
	slices.SortStableFunc(d.Findings, func(x, y artifacts.Finding) int { return x.Line - y.Line })
	return &problem{doing: fmt.Sprintf(doing, args...), text: d.text("it is not valid, and was not kept"), cause: err}
}

// detailOf returns what a refusal says besides its message.
func detailOf(err error) (d refusalDetail, ok bool) {
	var answer *errcode.ErrorResponse
	if !errors.As(err, &answer) || len(answer.Errors) != 1 {
		return d, false
	}
	raw, err := json.Marshal(answer.Errors[0].Detail)
	return d, err == nil && json.Unmarshal(raw, &d) == nil
}

// text says it all: in one line what is one, otherwise each thing in its own below the message.
func (d refusalDetail) text(message string) string {
	lines := d.lines()
	switch {
	case len(lines) == 1:
		return lines[0]
	case len(lines) > 1:
		return oneLine(message) + ":\n  " + strings.Join(lines, "\n  ")
	case d.Parameter != "":
		return oneLine(fmt.Sprintf("%s is %q: %s", d.Parameter, d.Value, d.Hint))
	case d.Hint != "":
		return oneLine(d.Hint)
	}
	return oneLine(message)
}

func (d refusalDetail) lines() (lines []string) {
	for _, r := range d.Reasons {
		lines = append(lines, oneLine(r.String()))
	}
	for _, f := range d.Findings {
		lines = append(lines, oneLine(findingLine(f)))
	}
	if len(lines) == 0 {
		for _, text := range d.Faults {
			lines = append(lines, oneLine(text))
		}
	}
	return lines
}

// findingLine says a finding as compilers do, so that editors and build logs link it to its place. What is missing has no place.
func findingLine(f artifacts.Finding) string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", f.File, f.Line, max(f.Column, 1))
	}
	return at + ": " + string(f.Level) + ": " + findingText(f)
}

func findingText(f artifacts.Finding) string {
	text := f.Problem
	if f.Field != "" {
		text = f.Field + ": " + text
	}
	if f.Fix != "" {
		text += "; " + f.Fix
	}
	return text
}
