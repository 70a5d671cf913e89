package document

import (
	"math"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// ports are TCP or UDP ports: one, or a list.
type ports struct{ into *[]int }

const (
	portIs    = "a number from 1 to 65535"
	portsMost = 100
)

var (
	decimals = regexp.MustCompile(`^(?:0|[1-9][0-9]*)$`)
	leading  = regexp.MustCompile(`^[1-9][0-9]{0,4}`)
)

func (v ports) read(r *reader, at spot, n *yaml.Node) {
	nodes, isList, ok := r.entries(at, bounds{1, portsMost}, true, portIs, n)
	if !ok {
		return
	}
	once := onlyOnce{}
	for i, n := range nodes {
		at := at
		if isList {
			at = r.entry(at, i, n)
		}
		if port, ok := v.one(r, at, n); ok && once.first(r, at, n, decimal(port)) {
			*v.into = append(*v.into, port)
		}
	}
}

func (v ports) one(r *reader, at spot, n *yaml.Node) (int, bool) {
	s := follow(n)
	if tagged(s) {
		return 0, false // a fault already
	}
	if s.Kind != yaml.ScalarNode || s.Tag != "!!int" && s.Tag != "!!float" {
		fix := "write " + portIs + ", without quotes"
		if digits := leading.FindString(s.Value); s.Kind == yaml.ScalarNode && digits != "" {
			fix = "write " + digits
		}
		r.refuse(at, badType, n, "is "+describe(s)+", but it takes a number", fix)
		return 0, false
	}
	var value float64
	if s.Decode(&value) != nil || value != math.Trunc(value) || value < 1 || value > 65535 {
		r.refuse(at, badForm, n, "is "+clip(s.Value)+", which is no port", "write "+portIs)
		return 0, false
	}
	if !decimals.MatchString(s.Value) {
		// What 010 means is different in YAML 1.1 and 1.2.
		r.spelt(at, n, "is spelt "+clip(s.Value), "write "+strconv.FormatFloat(value, 'f', -1, 64))
		return 0, false
	}
	return int(value), true
}

func (v ports) schema() object {
	one := object{{"type", "integer"}, {"minimum", 1}, {"maximum", 65535}}
	return object{{"oneOf", []any{one, listOf(one, bounds{1, portsMost})}}}
}

func (v ports) rules() []rule {
	return listRules("numbers, or one", portIs, bounds{1, portsMost})
}

func (v ports) yaml() string {
	entries := make([]string, len(*v.into))
	for i, port := range *v.into {
		entries[i] = decimal(port)
	}
	return oneOrMore(entries)
}

// processors are architectures: one, or a list.
type processors struct{ into *[]Architecture }

const (
	same           = "same"
	processorsMost = 100
)

func (v processors) read(r *reader, at spot, n *yaml.Node) {
	nodes, isList, ok := r.entries(at, bounds{1, processorsMost}, true, architectureForm.wanted(), n)
	if !ok {
		return
	}
	once, lines := onlyOnce{}, map[Architecture]int{}
	for i, n := range nodes {
		at := at
		if isList {
			at = r.entry(at, i, n)
		}
		s, ok := r.text(at, architectureForm, n)
		if !ok || !once.first(r, at, n, s) {
			continue
		}
		a, _ := ParseArchitecture(s) // checked by the form
		if line, twice := lines[a]; twice {
			r.refuse(at, same, n, "is "+quote(s)+", another name of the architecture on line "+decimal(line), "keep one of them")
			continue
		}
		lines[a] = n.Line
		*v.into = append(*v.into, a)
	}
}

func (v processors) schema() object {
	one := architectureForm.schema()
	return object{{"oneOf", []any{one, listOf(one, bounds{1, processorsMost})}}}
}

func (v processors) rules() []rule {
	return append(listRules("texts, or one", architectureForm.wanted(), bounds{1, processorsMost}), rule{same, "no architecture is there by two names"})
}

func (v processors) yaml() string {
	entries := make([]string, len(*v.into))
	for i, a := range *v.into {
		entries[i] = scalar(string(a), false)
	}
	return oneOrMore(entries)
}

// oneOrMore writes one value plainly and several as a list.
func oneOrMore(entries []string) string {
	switch len(entries) {
	case 0:
		return ""
	case 1:
		return " " + entries[0]
	}
	return " " + flow(entries)
}
