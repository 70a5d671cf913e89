package version

import (
	"fmt"
	"slices"
	"strings"
)

// The bounds of a dependency.
const (
	maxDependency = 1024 // characters
	maxTerms      = 16   // of a constraint
	maxName       = 255  // characters of a component's path, as in registries
)

// Constraint says which versions of a component will do. The zero value allows all releases.
type Constraint struct{ terms []term }

// term is one condition. Its version may be short, and then stands for all that begin with it: =1.2 allows 1.2.9, and >1.2 begins at 1.3.0.
type term struct {
	operator string
	version  Version
}

// operators are those that are understood. ~ and ^ mean what they mean to npm, Cargo and Helm.
var operators = []string{">=", "<=", "!=", ">", "<", "=", "~", "^"}

// foreign are those of other tools, with what to write instead.
var foreign = []struct{ operator, instead string }{
	{"==", "="}, {"=>", ">="}, {"=<", "<="}, {"~>", "~"}, {"~=", "~"}, {"<>", "!="}, {">>", ">"}, {"<<", "<"}, {"!==", "!="},
}

// ParseDependency reads "name", or a name and what is demanded of its version: "name >=1.2.0, <2". All conditions between commas have to be met. The name is
// that of a service, or the path of a component with or without its domain. The error is an *Error.
func ParseDependency(s string) (name string, c Constraint, err error) {
	if len(s) > maxDependency {
		return "", c, wrong(s, fmt.Sprintf("has %d characters; a dependency has up to %d", len(s), maxDependency))
	}
	text := strings.Trim(s, " \t")
	name, rest := text, ""
	if i := strings.IndexAny(text, " \t<>=!~^,"); i >= 0 {
		name, rest = text[:i], strings.Trim(text[i:], " \t")
	}
	var faults []string
	if name == "" {
		faults = append(faults, "names no component; write a name first, as common-utils >=1.2.0")
	} else if !isPath(name) {
		const form = "write a service, group/service or domain/group/service, in lower-case letters, digits and ., _ or - between them"
		faults = append(faults, fmt.Sprintf("names the component %q; %s", cut(name), form))
	}
	if rest != "" {
		var more []string
		c, more = parseConstraint(rest)
		faults = append(faults, more...)
	}
	if err := wrong(s, faults...); err != nil {
		return "", Constraint{}, err
	}
	return name, c, nil
}

// ParseConstraint reads conditions with commas between: ">=1.2.0, <2". The operators are >=, >, <=, <, =, !=, ~ (the same minor version, or the same major one
// if no minor is given) and ^ (the same first number that is not 0). The error is an *Error.
func ParseConstraint(s string) (Constraint, error) {
	c, faults := parseConstraint(s)
	if err := wrong(s, faults...); err != nil {
		return Constraint{}, err
	}
	return c, nil
}

func parseConstraint(s string) (c Constraint, faults []string) {
	if len(s) > maxDependency {
		return c, []string{fmt.Sprintf("has %d characters; conditions have up to %d", len(s), maxDependency)}
	}
	parts := strings.Split(s, ",")
	if len(parts) > maxTerms {
		return c, []string{fmt.Sprintf("has %d conditions; write up to %d", len(parts), maxTerms)}
	}
	for _, part := range parts {
		t, more := parseTerm(strings.Trim(part, " \t"))
		c.terms, faults = append(c.terms, t), append(faults, more...)
	}
	return c, faults
}

func parseTerm(s string) (term, []string) {
	if s == "" {
		return term{}, []string{"has no condition before or behind a comma; remove the comma, or write one, as >=1.2.0"}
	}
	if strings.Contains(s, "|") {
		return term{}, []string{fmt.Sprintf("has alternatives in %q; write conditions that all hold, with commas between", cut(s))}
	}
	version := strings.TrimLeft(s, "<>=!~^")
	operator := s[:len(s)-len(version)]
	version = strings.Trim(version, " \t")
	var faults []string
	if fault := checkOperator(operator, s); fault != "" {
		faults = append(faults, fault)
	}
	if strings.ContainsAny(version, " \t") {
		return term{}, append(faults, fmt.Sprintf("has more than one condition in %q; put a comma between conditions", cut(s)))
	}
	v, more := parse(version)
	for _, fault := range more {
		faults = append(faults, fmt.Sprintf("has the version %q, which %s", cut(version), fault))
	}
	if len(more) == 0 && v.build != "" {
		faults = append(faults, fmt.Sprintf("asks for a build in %q; leave it out, builds of a version are equal", cut(s)))
	}
	return term{operator, v}, faults
}

func checkOperator(operator, s string) string {
	if slices.Contains(operators, operator) {
		return ""
	}
	for _, f := range foreign {
		if operator == f.operator {
			return fmt.Sprintf("has the operator %s; write %s", operator, f.instead)
		}
	}
	if operator == "" {
		return fmt.Sprintf("has %q without an operator; write >=, for that version and later ones, or = for it alone", cut(s))
	}
	return fmt.Sprintf("has the operator %q; write one of >=, >, <=, <, =, !=, ~ and ^", cut(operator))
}

// cut shortens what is shown in a message.
func cut(s string) string { return cutTo(s, 40) }

// cutTo leaves so many bytes, and cuts no character in two.
func cutTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// isPath tells whether a name is one to three parts of a repository's name (distribution-spec, "Pulling manifests").
func isPath(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) > 3 || len(name) > maxName {
		return false
	}
	for _, part := range parts {
		if !isPart(part) {
			return false
		}
	}
	return true
}

// isPart tells whether words of lower-case letters and digits are parted by one full stop, one or two underscores, or hyphens.
func isPart(part string) bool {
	const word = "abcdefghijklmnopqrstuvwxyz0123456789"
	for {
		rest := strings.TrimLeft(part, word)
		if len(rest) == len(part) {
			return false
		}
		if rest == "" {
			return true
		}
		part = strings.TrimLeft(rest, "._-")
		if parting := rest[:len(rest)-len(part)]; parting != "." && parting != "_" && parting != "__" && (parting == "" || !only(parting, "-")) {
			return false
		}
	}
}

// String writes the constraint as ParseConstraint reads it.
func (c Constraint) String() string {
	terms := make([]string, len(c.terms))
	for i, t := range c.terms {
		terms[i] = t.operator + t.version.String()
	}
	return strings.Join(terms, ", ")
}

// Allows tells whether a version meets all conditions, by its numbers and its pre-release alone, be it a date or not. A pre-release does so only if a
// condition names a pre-release of the same three numbers: who asks for <2 does not mean 2.0.0-rc.1, nor 1.9.0-rc.1.
func (c Constraint) Allows(v Version) bool {
	named := v.precision > 0 && !v.Prerelease()
	for _, t := range c.terms {
		if !t.allows(v) {
			return false
		}
		named = named || t.version.Prerelease() && t.version.filled() == v.filled()
	}
	return named
}

func (t term) allows(v Version) bool {
	switch c := v.precedence(t.version); t.operator {
	case "=":
		return t.stands(v)
	case "!=":
		return !t.stands(v)
	case ">=":
		return c >= 0
	case "<":
		return c < 0
	case ">":
		return c > 0 && !t.stands(v)
	case "<=":
		return c < 0 || t.stands(v)
	case "~":
		return c >= 0 && t.same(v, min(2, t.version.precision))
	case "^":
		return c >= 0 && t.same(v, t.version.leading()+1)
	}
	return false
}

// stands tells whether the term's version stands for v: as its equal, or as its beginning if it is a short one.
func (t term) stands(v Version) bool {
	if t.version.precision < 3 {
		return t.same(v, t.version.precision)
	}
	return v.precedence(t.version) == 0
}

// same tells whether the first n numbers are the same.
func (t term) same(v Version, n int) bool {
	a, b := t.version.filled(), v.filled()
	return slices.Equal(a[:n], b[:n])
}

// leading is the place of the first number that is not 0, or of the last one written.
func (v Version) leading() int {
	for i := range v.precision {
		if v.numbers[i] != "0" {
			return i
		}
	}
	return v.precision - 1
}
