package document

import (
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// boolean is true or false; nil is neither.
type boolean struct{ into **bool }

func (v boolean) read(r *reader, at spot, n *yaml.Node) {
	s := follow(n)
	switch {
	case tagged(s): // a fault already
	case isNull(s):
		r.none(at, n, "write true or false")
	case s.Kind != yaml.ScalarNode || s.Tag != "!!bool":
		r.refuse(at, badType, n, "is "+describe(s)+", but it takes true or false", "write true or false, without quotes")
	default:
		b := s.Value[0] == 't' || s.Value[0] == 'T' // YAML has True and TRUE, too
		*v.into = &b
	}
}

func (v boolean) schema() object { return object{{"type", "boolean"}} }

func (v boolean) rules() []rule { return []rule{{badType, "is true or false"}} }

func (v boolean) yaml() string {
	if *v.into == nil {
		return ""
	}
	return " " + strconv.FormatBool(**v.into)
}

// instant is a point in time (RFC 3339, section 5.6) with its zone, in upper case.
type instant struct{ into *time.Time }

var (
	instantPattern = regexp.MustCompile(`^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])` +
		`T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$`)
	zoneless = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?$`)
	dayOnly  = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
)

var instantForm = form{is: "a time with its zone", like: "2025-05-10T22:15:00Z", pattern: instantPattern, most: 40, why: whyInstant, check: func(s string) (string, string) {
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return "is " + quote(s) + ", a day that is in no calendar", "write the day on which it was built"
	}
	return "", ""
}}

func whyInstant(s string) (problem, fix string) {
	switch {
	case zoneless.MatchString(s):
		return "is " + quote(s) + ", which has no zone", "write " + s[:10] + "T" + s[11:] + "Z if that is UTC"
	case dayOnly.MatchString(s):
		return "is " + quote(s) + ", which has no time of the day", "write it like " + s + "T22:15:00Z"
	}
	return "", ""
}

// read takes a time with or without quotes: YAML knows times by itself.
func (v instant) read(r *reader, at spot, n *yaml.Node) {
	s, ok := "", false
	if t := follow(n); t.Kind == yaml.ScalarNode && t.Tag == "!!timestamp" && !tagged(t) {
		s, ok = r.formed(at, instantForm, n, t.Value)
	} else {
		s, ok = r.text(at, instantForm, n)
	}
	if ok {
		*v.into, _ = time.Parse(time.RFC3339, s) // checked by the form
	}
}

func (v instant) schema() object {
	return object{{"type", "string"}, {"format", "date-time"}, {"pattern", instantPattern.String()}}
}

func (v instant) rules() []rule {
	return []rule{{badType, "is a time"}, {badForm, "is " + instantForm.wanted()}}
}

func (v instant) yaml() string {
	if v.into.IsZero() {
		return ""
	}
	return " " + v.into.UTC().Format(time.RFC3339Nano)
}

func decimal(i int) string { return strconv.Itoa(i) }
