package document

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Position is a place in the text of a document. Lines and columns count from 1, columns in characters.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

func position(n *yaml.Node) Position { return Position{n.Line, n.Column} }

// Places knows where the fields of a document stand. Every document has one; the zero value, of a document that was not read, knows nothing.
type Places struct{ at map[string]Position }

// Has tells whether a field was written, whether or not its value could be read.
func (p *Places) Has(field string) bool {
	_, ok := p.at[field]
	return ok
}

// At tells where the value of a field begins: labels.team, domains[0], components[2].version. If the field was not written it is the place of
// what it would be part of, and line 1, column 1 in the end.
func (p *Places) At(field string) Position {
	for {
		if at, ok := p.at[field]; ok {
			return at
		}
		if field == "" {
			return Position{1, 1}
		}
		// Keys of labels have dots themselves, but then nothing of that name is known and one step more is taken.
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
}

// Mismatch is a fault at the place of a field, for those who compare a document with something else. See [Fault] for how the texts read.
func (p *Places) Mismatch(field, rule, problem, fix string) Fault {
	at := p.At(field)
	return Fault{Rule: rule, Line: at.Line, Column: at.Column, Field: OneLine(field, shown), Problem: problem, Fix: fix}
}

func (p *Places) keep(places Places) { *p = places }
