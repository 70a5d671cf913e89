package deb

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Control is the paragraph in which a package describes itself.
type Control struct {
	Fields   []Field  // in their order
	Text     string   // the paragraph as it stood in the file, with the newline of its last line and no empty line behind it
	Warnings []*Error // what should be better, and does not keep the package from being used: no Maintainer, empty fields

	version Version
}

// Field is one of its fields.
type Field struct {
	Name  string // as it is written; case does not matter
	Value string // as it is written, without the blanks at both ends; further lines follow newlines, each with the blank that it begins with
	Line  int    // where it begins, from 1
}

// Get returns the value of a field, or "" if there is none.
func (c Control) Get(name string) string {
	for _, f := range c.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Package returns the name of the package.
func (c Control) Package() string { return c.Get("Package") }

// Version returns its version.
func (c Control) Version() Version { return c.version }

// Architecture returns the one that it is for, or all.
func (c Control) Architecture() string { return c.Get("Architecture") }

// Maintainer returns who looks after it, or "" (and there is a warning).
func (c Control) Maintainer() string { return c.Get("Maintainer") }

// Description returns what it is: a line, and mostly further ones.
func (c Control) Description() string { return c.Get("Description") }

// Depends returns the packages that it needs, or "".
func (c Control) Depends() string { return c.Get("Depends") }

// Filename returns the name by which files of the package go: package_version_architecture.deb, the version without its epoch.
func (c Control) Filename() string {
	return c.Package() + "_" + c.version.WithoutEpoch() + "_" + c.Architecture() + ".deb"
}

const (
	maxFields = 256
	maxFaults = 20 // that are listed
)

// ParseControl reads the control file of a package (deb-control(5)): one paragraph in UTF-8. The error is Errors.
func ParseControl(text string) (Control, error) {
	p := paragraph{text: text, lines: map[string]int{}}
	p.read()
	if len(p.faults) == 0 {
		p.judge()
	}
	if len(p.faults) > maxFaults {
		p.faults[maxFaults] = &Error{"control", "has more faults", "mend these and look again"}
		p.faults = p.faults[:maxFaults+1]
	}
	if len(p.faults) > 0 {
		return Control{}, p.faults
	}
	p.control.Text = strings.TrimRight(text, "\n") + "\n"
	return p.control, nil
}

// paragraph is a control file being read.
type paragraph struct {
	text    string
	begun   int // where in the text the value of the last field begins
	control Control
	lines   map[string]int // in which line a field is, by its name in lower case
	faults  Errors
}

func (p *paragraph) fault(line int, field, what, fix string) {
	p.faults = append(p.faults, &Error{place(line, field), what, fix})
}

// place names a line, and the field in it if there is one.
func place(line int, field string) string {
	if field == "" {
		return fmt.Sprintf("control line %d", line)
	}
	return fmt.Sprintf("control line %d (%s)", line, field)
}

// read takes the text apart, and checks that it is one paragraph for every program that reads it.
func (p *paragraph) read() {
	text := strings.TrimRight(p.text, "\n")
	if text == "" {
		p.faults = append(p.faults, &Error{"control", "is empty", "write at least Package, Version, Architecture, Maintainer and Description"})
		return
	}
	for n, at := 1, 0; at <= len(text) && len(p.faults) <= maxFaults; n++ {
		line, _, _ := strings.Cut(text[at:], "\n")
		p.line(n, at, line)
		at += len(line) + 1
		if at > len(text) && len(text) == len(p.text) {
			p.fault(n, "", "has no newline at its end", "end the file with a newline")
		}
	}
}

// line takes the next line, which begins at a place in the text: a field, or more of the field before it.
func (p *paragraph) line(n, at int, line string) {
	if line == "" {
		p.fault(n, "", "is empty and ends the paragraph, though more follows", "a package has one paragraph; write an empty line of a description as \" .\"")
		return
	}
	if c, bad := unprintable(line); bad {
		fix := "remove it"
		if c == '\r' {
			fix = "end lines with a newline alone, as Unix does"
		}
		p.fault(n, "", fmt.Sprintf("has the character %U", c), fix)
		return
	}
	if !utf8.ValidString(line) {
		p.fault(n, "", "is not UTF-8: "+quote(line), "save the file as UTF-8")
		return
	}
	if line[0] != ' ' && line[0] != '\t' {
		p.field(n, at, line)
		return
	}
	fields := p.control.Fields
	switch {
	case strings.Trim(line, " \t") == "":
		p.fault(n, "", "has nothing but blanks", "write an empty line of a description as \" .\"")
	case len(fields) > 0:
		fields[len(fields)-1].Value = p.value(at + len(line))
	case len(p.faults) == 0:
		p.fault(n, "", "begins with a blank, and there is no field that it could go on with", "begin with Package")
	}
}

// value is that of the last field, as far as it is read. It takes time for its last line only, however many there are.
func (p *paragraph) value(end int) string { return strings.TrimRight(p.text[p.begun:end], " \t\n") }

// field takes a line that begins a field (policy 5.1).
func (p *paragraph) field(n, at int, line string) {
	name, value, ok := strings.Cut(line, ":")
	if line[0] == '#' {
		p.fault(n, "", "is a comment", "remove it: the control file of a package has none")
		return
	}
	if !ok {
		p.fault(n, "", quote(line)+" has no colon", "write a field as \"Name: value\", and begin a line that goes on with one with a blank")
		return
	}
	if len(name) < 2 || len(name) > maxName || name[0] == '-' || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		p.fault(n, "", "has the field name "+quote(name), "names are of two ASCII characters or more, without blanks and colons, and do not begin with -")
		return
	}
	key := strings.ToLower(name)
	if before := p.lines[key]; before > 0 {
		p.fault(n, name, fmt.Sprintf("is there already, in line %d", before), "keep one of them")
		return
	}
	if len(p.control.Fields) == maxFields {
		p.fault(n, name, fmt.Sprintf("comes behind %d others", maxFields), "remove some fields")
		return
	}
	end := at + len(line)
	p.lines[key], p.begun = n, end-len(strings.TrimLeft(value, " \t"))
	p.control.Fields = append(p.control.Fields, Field{Name: name, Value: p.value(end), Line: n})
}

// unprintable finds a character that some program takes for the end of a line or of a text, or that does something to a terminal.
func unprintable(line string) (rune, bool) {
	for _, c := range line {
		if c != '\t' && unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return c, true
		}
	}
	return 0, false
}
