package document

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

// form is what a text looks like.
type form struct {
	is      string         // what a right one is: "an e-mail address"
	like    string         // an example or two
	names   []string       // the only ones, if they can be counted
	pattern *regexp.Regexp // all of them match; in the common part of the syntaxes of Go and ECMA-262, for the schema has it too
	most    int            // characters
	empty   bool           // whether no character at all is in order

	// why says what is wrong with a text that does not match, and what to write instead. Without an answer it is said in general.
	why func(s string) (problem, fix string)

	// check says what is wrong with one that matches, which the pattern cannot say.
	check func(s string) (problem, fix string)

	// ifNone says what to do if nothing was written, where people are likely to have written something.
	ifNone string
}

// judge says what is wrong with a text and what to write instead, or nothing.
func (f form) judge(s string) (problem, fix string) {
	fix = "write " + f.wanted()
	switch {
	case s == "" && !f.empty:
		return "is empty", fix
	case utf8.RuneCountInString(s) > f.most:
		return fmt.Sprintf("is %d characters long", utf8.RuneCountInString(s)), fmt.Sprintf("write at most %d", f.most)
	case f.matches(s):
		if f.check != nil {
			return f.check(s)
		}
		return "", ""
	}
	if f.why != nil {
		if problem, better := f.why(s); problem != "" {
			if better == "" {
				better = fix
			}
			return problem, better
		}
	}
	switch near := Nearest(s, f.names); {
	case near != "":
		fix = "did you mean " + near + "?"
	case f.like != "":
		fix = "write one like " + f.like
	}
	return f.not(s), fix
}

func (f form) fits(s string) bool {
	problem, _ := f.judge(s)
	return problem == ""
}

// not says that a text is not of the form.
func (f form) not(s string) string { return "is " + quote(s) + ", which is not " + f.is }

// wanted says what a text of the form is, with an example.
func (f form) wanted() string {
	if f.like == "" {
		return f.is
	}
	return f.is + ", like " + f.like
}

func (f form) matches(s string) bool {
	if f.names != nil {
		return slices.Contains(f.names, s)
	}
	return f.pattern.MatchString(s)
}

// schema describes a text of the form.
func (f form) schema() object {
	s := object{{"type", "string"}}
	if f.names != nil {
		return append(s, member{"enum", f.names})
	}
	if !f.empty {
		s = append(s, member{"minLength", 1})
	}
	return append(s, member{"maxLength", f.most}, member{"pattern", f.pattern.String()})
}

// line is a form of any text in one line.
func line(is string, most int) form {
	return form{is: is, most: most, pattern: oneLineText, why: func(string) (string, string) {
		return "has blanks around it or control characters", "write one line of text"
	}}
}

// free is a form of texts that may have several lines, or none.
func free(pattern *regexp.Regexp, most int) form {
	return form{is: "a text in quotes", most: most, pattern: pattern, empty: true, why: func(string) (string, string) {
		return "has control characters", "remove them"
	}}
}

var (
	oneLineText = regexp.MustCompile(`^[^\x00-\x20\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?$`)
	anyText     = regexp.MustCompile(`^[^\x00]*$`)
	plainText   = regexp.MustCompile(`^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$`)
)
