package document

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// faultsLimit is how many faults are listed. Nobody reads more, and there could be one for every few bytes.
const faultsLimit = 100

// reader takes the values of one document.
type reader struct {
	Parser
	kind   Kind
	faults Faults
	more   bool // there were more faults than are listed
	places Places
}

// fault notes what is wrong with a value; rule is what follows the kind in the rule's name.
func (r *reader) fault(rule string, at Position, field, problem, fix string) {
	if len(r.faults) == faultsLimit {
		r.more = true
		return
	}
	r.faults = append(r.faults, Fault{Rule: string(r.kind) + "." + rule, Line: at.Line, Column: at.Column, Field: OneLine(field, shown), Problem: problem, Fix: fix})
}

// refuse is fault for a spot that is a field's.
func (r *reader) refuse(at spot, rule string, n *yaml.Node, problem, fix string) {
	r.fault(at.field+"."+rule, position(n), at.path, problem, fix)
}

// spelt is fault for what is in order here, but something else to other readers of YAML.
func (r *reader) spelt(at spot, n *yaml.Node, problem, fix string) {
	r.fault(spelling, position(n), at.path, problem, fix)
}

// sorted returns the faults in the order of their places, and says so if there were more.
func (r *reader) sorted() Faults {
	slices.SortStableFunc(r.faults, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	if r.more {
		last := r.faults[len(r.faults)-1]
		r.faults = append(r.faults, Fault{Rule: string(r.kind) + fatal, Line: last.Line, Column: last.Column,
			Problem: fmt.Sprintf("there are more than %d faults; the others are not listed", faultsLimit), Fix: "mend these first"})
	}
	return r.faults
}

// sound tells whether a field has no fault so far.
func (r *reader) sound(name string) bool {
	return !slices.ContainsFunc(r.faults, func(f Fault) bool { return strings.HasPrefix(f.Rule, string(r.kind)+"."+name+".") })
}

// section reads the keys of a map.
func (r *reader) section(path string, n *yaml.Node, fields []field) {
	r.places.at[path] = position(n)
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
	}
	values := map[string]*yaml.Node{}
	r.pairs(path, n, func(at string, name, value *yaml.Node) {
		if !slices.Contains(known, name.Value) {
			fix := "write one of " + list(known) + ", or remove it"
			if near := Nearest(name.Value, known); near != "" {
				fix = "did you mean " + near + "?"
			}
			r.fault("key.unknown", position(name), at, "is no key of this document", fix)
			return
		}
		r.places.at[at] = position(value)
		values[name.Value] = value
	})
	// In the order of the table: a version looks different in each format.
	for _, f := range fields {
		at := spot{path: below(path, f.name), field: f.name, required: f.required}
		switch value, ok := values[f.name]; {
		case ok:
			f.value.read(r, at, value)
		case f.required:
			r.refuse(at, missing, n, "is missing", "write "+f.says)
		}
	}
}

// pairs calls f for each key of a map with its path. What cannot be a key and what is there already is a fault.
func (r *reader) pairs(path string, n *yaml.Node, f func(at string, name, value *yaml.Node)) {
	n = follow(n)
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !r.more; i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := follow(name)
		switch line, twice := first[key.Value]; {
		case tagged(key) || key.Tag == mergeTag:
			// A fault already.
		case key.Kind != yaml.ScalarNode:
			r.fault("key.unknown", position(name), path, "has "+describe(key)+" where a key should be", "write a name")
		case twice:
			r.fault("key.repeated", position(name), below(path, key.Value), fmt.Sprintf("is given twice, first on line %d", line), "keep one of them")
		default:
			first[key.Value] = name.Line
			f(below(path, key.Value), key, value)
		}
	}
}

// text takes a text of a form. Other plain values are not taken for the text as which they are written: other readers of YAML would make 1.1 of
// a version 1.10, and a number of a commit.
func (r *reader) text(at spot, form form, n *yaml.Node) (string, bool) {
	v := follow(n)
	switch {
	case tagged(v):
		return "", false // a fault already
	case v.Kind == yaml.ScalarNode && v.Tag == "!!str":
		return r.formed(at, form, n, v.Value)
	case isNull(v):
		r.none(at, n, cmp.Or(form.ifNone, "write "+form.wanted()))
	case v.Kind == yaml.ScalarNode:
		fix := "write it in quotes: " + strconv.Quote(clip(v.Value))
		if _, better := form.judge(v.Value); better != "" {
			fix = better
		}
		if v.Tag == "!!timestamp" && form.fits(v.Value) {
			r.spelt(at, n, "is "+describe(v)+", but it takes text", fix) // YAML 1.2 has no times
			break
		}
		r.refuse(at, badType, n, "is "+describe(v)+", but it takes text", fix)
	default:
		r.refuse(at, badType, n, "is "+describe(v)+", but it takes one text", "write "+form.wanted())
	}
	return "", false
}

// none refuses a key without a value.
func (r *reader) none(at spot, n *yaml.Node, fix string) {
	if !at.required {
		fix += ", or remove the line"
	}
	r.refuse(at, badType, n, "has no value", fix)
}

func (r *reader) formed(at spot, form form, n *yaml.Node, s string) (string, bool) {
	problem, fix := form.judge(s)
	if problem != "" {
		r.refuse(at, badForm, n, problem, fix)
	}
	return s, problem == ""
}

// entries returns what stands in a list, or the value itself where one value may stand for a list of one.
func (r *reader) entries(at spot, size bounds, single bool, wants string, n *yaml.Node) (nodes []*yaml.Node, isList, ok bool) {
	v := follow(n)
	switch {
	case tagged(v):
		return nil, false, false // a fault already
	case v.Kind == yaml.SequenceNode:
		return v.Content, true, r.fits(at, size, n, len(v.Content))
	case isNull(v):
		r.none(at, n, "write "+wants)
		return nil, false, false
	case single:
		return []*yaml.Node{n}, false, true
	}
	fix := "write " + wants
	if v.Kind == yaml.ScalarNode {
		fix = "write a list: [" + strconv.Quote(clip(v.Value)) + "]"
	}
	r.refuse(at, badType, n, "is "+describe(v)+", but it takes a list", fix)
	return nil, false, false
}

// bounds say how many entries a list or a map may have. No upper bound is left to the size of the document.
type bounds struct{ least, most int }

func (r *reader) fits(at spot, size bounds, n *yaml.Node, count int) bool {
	switch {
	case count < size.least:
		r.refuse(at, badForm, n, "is empty", "write at least one")
	case size.most > 0 && count > size.most:
		r.refuse(at, badForm, n, fmt.Sprintf("has %d entries", count), fmt.Sprintf("write at most %d", size.most))
	default:
		return true
	}
	return false
}

// entry is the spot of one entry of a list, and keeps its place.
func (r *reader) entry(at spot, i int, n *yaml.Node) spot {
	at.path += "[" + strconv.Itoa(i) + "]"
	at.required = true
	r.places.at[at.path] = position(n)
	return at
}

// below joins a path and a key.
func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func tagged(n *yaml.Node) bool { return n.Style&yaml.TaggedStyle != 0 }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// describe names what was written in the words of its writer.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + clip(n.Value)
	case n.Tag == "!!bool":
		return n.Value
	case n.Tag == "!!timestamp":
		return "the time " + clip(n.Value)
	case isNull(n):
		return "nothing"
	}
	return "the text " + quote(n.Value)
}
