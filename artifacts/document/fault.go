package document

import (
	"fmt"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a document. Where the text is not YAML the column is 1, for the parser knows the line alone.
type Fault struct {
	Rule    string `json:"rule"`            // the rule that it breaks, which never changes its name: manifest.sha256.form
	Line    int    `json:"line"`            // from 1; 0 where there is no text
	Column  int    `json:"column"`          // from 1, in characters
	Field   string `json:"field,omitempty"` // labels.team or components[2].version; empty for the whole document
	Problem string `json:"problem"`         // goes on from the field's name: "is cut short: 10 of 64 digits"
	Fix     string `json:"fix"`             // what to do: "write 1.0.2"
}

// String says it all in one line.
func (f Fault) String() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", f.Line, f.Column)
	}
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Problem)
	if f.Fix != "" {
		b.WriteString("; " + f.Fix)
	}
	return b.String()
}

// Faults are all that is wrong with a document, in the order of their places.
type Faults []Fault

// Error says one fault in each line. No faults are no error: use [Faults.Err] to return them as one.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the faults as an error, or nil if there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// shown is how much of what was written a fault repeats, in characters.
const shown = 80

// quote repeats what was written, so that it stays in one line.
func quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string { return clipTo(s, shown) }

func clipTo(s string, most int) string {
	for at := range s {
		if most--; most < 0 {
			return s[:at] + "…"
		}
	}
	return s
}

// OneLine returns what somebody wrote as it may be told back: up to most characters of it, and what cannot be printed escaped.
func OneLine(s string, most int) string {
	quoted := strconv.Quote(clipTo(s, most))
	return quoted[1 : len(quoted)-1]
}

// list joins names for a sentence.
func list[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}
