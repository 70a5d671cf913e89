package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// A page has defaultPage entries if nothing is said, and never more than maxPage. maxValue is the longest value of a parameter, in bytes.
const (
	defaultPage = 100
	maxPage     = 1000
	maxValue    = 1024
	maxLabels   = 16
)

// checkQuery refuses parameters that are not known, come twice or are too long. Only labels may come more than once.
func checkQuery(q url.Values, known []string) error {
	for name, values := range q {
		if !slices.Contains(known, name) {
			hint := "this path has no parameters"
			if len(known) > 0 {
				hint = "this path knows " + strings.Join(known, ", ")
			}
			if near := document.Nearest(name, known); near != "" {
				hint = "did you mean " + near + "? " + hint
			}
			return badQuery(name, "", hint)
		}
		if len(values) > 1 && (name != "label" || len(values) > maxLabels) {
			return badQuery(name, values[1], "give it once")
		}
		for _, v := range values {
			if len(v) > maxValue {
				return badQuery(name, v, "it is longer than any value that could be meant")
			}
		}
	}
	return nil
}

// limit is how many entries are asked for.
func limit(c door.Call) (int, error) {
	text := c.Query.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, badQuery("limit", text, "write a number from 1 to 1000")
	}
	return n, nil
}

// moment reads a time: RFC 3339, or a date, which is its first or its last moment in UTC. Zero: nothing was said.
func moment(c door.Call, name string, last bool) (time.Time, error) {
	text := c.Query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	// An unescaped + of a zone comes as a blank.
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		if t, err = time.Parse(time.DateOnly, text); err != nil {
			return t, badQuery(name, text, "write a time as 2026-05-10T22:15:00Z, or a date as 2026-05-10")
		}
		if last {
			t = t.AddDate(0, 0, 1).Add(-time.Nanosecond)
		}
	}
	if t.IsZero() {
		t = t.Add(1) // the zero time means that nothing was said
	}
	return t.UTC(), nil
}

// at is the time whose state is asked for; zero: now, or later.
func (a *api) at(c door.Call) (time.Time, error) {
	t, err := moment(c, "at", true)
	if t.After(a.Now()) {
		t = time.Time{}
	}
	return t, err
}

// boolean reads true or false; nil: nothing was said.
func boolean(c door.Call, name string) (*bool, error) {
	switch text := c.Query.Get(name); text {
	case "":
		return nil, nil
	case "true", "false":
		is := text == "true"
		return &is, nil
	default:
		return nil, badQuery(name, text, "write true or false")
	}
}

// oneOf reads a parameter that has few values.
func oneOf(c door.Call, name string, words ...string) (string, error) {
	text := c.Query.Get(name)
	if text == "" || slices.Contains(words, text) {
		return text, nil
	}
	hint := "write " + strings.Join(words, " or ")
	if near := document.Nearest(text, words); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return "", badQuery(name, text, hint)
}

// placeOf reads a parameter that names a place; nil: nothing was said.
func placeOf(c door.Call, name string) (*artifacts.Place, error) {
	text := c.Query.Get(name)
	if text == "" {
		return nil, nil
	}
	p, err := artifacts.ParsePlace(text)
	if err != nil {
		return nil, badQuery(name, text, err.Error())
	}
	return &p, nil
}

// componentOf reads a parameter that names a component; empty: nothing was said.
func componentOf(c door.Call) (string, error) {
	name := c.Query.Get("component")
	if name != "" && !isComponent(name) {
		return "", badQuery("component", name, "write a component of three parts, as cloud/dmp/ms-ingestion")
	}
	return name, nil
}

func isComponent(name string) bool { return artifacts.IsComponent(name) && registry.ValidName(name) }

// numberOf reads a version as it stands in a path: 1.0.2 or v1.0.2.
func numberOf(text string) (string, error) {
	v, err := version.Parse(text)
	if err != nil {
		return "", unknown("version "+quote(text), "write it as 1.0.2")
	}
	return v.String(), nil
}

// formats of a version that have files.
var formats = []string{string(artifacts.Docker), string(artifacts.Deb), string(artifacts.Generic)}

// formatOf reads a format as it stands in a path.
func formatOf(text string) (artifacts.Kind, error) {
	if !slices.Contains(formats, text) {
		return "", unknown("format "+quote(text), "there are "+strings.Join(formats, ", "))
	}
	return artifacts.Kind(text), nil
}

// numberAndFormat reads a version and one of its formats, the first two values of a path.
func numberAndFormat(c door.Call) (number string, format artifacts.Kind, err error) {
	if number, err = numberOf(args(c)[0]); err != nil {
		return "", "", err
	}
	format, err = formatOf(args(c)[1])
	return number, format, err
}
