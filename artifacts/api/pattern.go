package api

import "strings"

// pattern is a path in the form of OpenAPI: /api/v1/components/{domain}/{group}/{service}/versions/{version}. A name in braces stands for what is between
// two slashes, or for a part of it.
type pattern struct {
	start string // what every path begins with; most paths of a registry begin otherwise
	parts []part
}

type part struct{ before, name, after string }

func newPattern(path string) pattern {
	p := pattern{}
	p.start, _, _ = strings.Cut(path, "{")
	for s := range strings.SplitSeq(path[1:], "/") {
		var q part
		if before, rest, ok := strings.Cut(s, "{"); ok {
			q.before = before
			q.name, q.after, _ = strings.Cut(rest, "}")
		} else {
			q.before = s
		}
		p.parts = append(p.parts, q)
	}
	return p
}

// match returns what a path names: on is <domain>/<group>/<service> or <domain>/<group>, if the pattern has these, and last has the other values with
// slashes between them. No value is empty or has a slash.
func (p pattern) match(path string) (on, last string, ok bool) {
	if !strings.HasPrefix(path, p.start) {
		return "", "", false
	}
	rest, more := path[1:], true
	var values []string
	from, to := 0, 0
	for _, q := range p.parts {
		if !more {
			return "", "", false
		}
		begin := len(path) - len(rest)
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		value, ok := strings.CutPrefix(segment, q.before)
		if !ok {
			return "", "", false
		}
		if value, ok = strings.CutSuffix(value, q.after); !ok || (value == "") != (q.name == "") {
			return "", "", false
		}
		switch q.name {
		case "":
		case "domain":
			from, to = begin, begin+len(segment)
		case "group", "service":
			to = begin + len(segment)
		default:
			values = append(values, value)
		}
	}
	if more {
		return "", "", false
	}
	return path[from:to], strings.Join(values, "/"), true
}
