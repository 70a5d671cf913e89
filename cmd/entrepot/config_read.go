package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	// listLimit is how many entries a list can have, and how many texts can stand together.
	listLimit = 10_000

	// valueLimit is how many values are read in all. Without aliases a file has no room for so many; with them, a few lines could ask for
	// more than any memory holds.
	valueLimit = 200_000
)

// reader takes values from one piece of YAML, a file or a variable.
type reader struct {
	*loader
	name  string
	lines bool // name is a file's: its lines are worth naming
	base  key  // the whole, or the innermost entry of a list: a wrong key is compared with the keys that could stand there
	count int
}

func (r *reader) at(n *yaml.Node) string {
	if !r.lines {
		return r.name
	}
	return r.name + ":" + strconv.Itoa(n.Line)
}

// refuse says what is wrong with the value of a path; nothing more is said about that value then.
func (r *reader) refuse(path string, n *yaml.Node, format string, args ...any) {
	r.faults.add(r.at(n), "%s%s", orWhole(path), fmt.Sprintf(format, args...))
	r.origins.unread[path] = true
}

// spend tells whether one more value may be read. When there have been too many, or too many faults, nothing else is.
func (r *reader) spend(path string, n *yaml.Node) bool {
	if len(r.faults) >= faultsLimit {
		r.broken = true
		return false
	}
	r.count++
	if r.count == valueLimit+1 {
		r.broken = true
		r.faults.add(r.at(n), "more than %d values up to %s; an alias asks for all that its anchor holds", valueLimit, path)
	}
	return r.count <= valueLimit
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// parse returns what a text holds, nil for nothing, and whether it is YAML at all.
func (r *reader) parse(text []byte) (*yaml.Node, bool) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, true // an empty file asks for the defaults
	}
	if err == nil {
		if err = d.Decode(&second); err == nil {
			r.broken = true
			r.faults.add(r.at(&second), "a second document begins; there is room for one only")
			return nil, false
		}
		if errors.Is(err, io.EOF) {
			return doc.Content[0], true
		}
	}
	r.broken = true
	at, what := yaml.Node{Line: 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(what); r.lines && m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		what = strings.TrimPrefix(what, m[0])
	}
	if strings.HasSuffix(what, "alphabetic or numeric character") {
		what += `; a value that begins with * needs quotes, as in "**"`
	}
	r.faults.add(r.at(&at), "not YAML: %s", what)
	return nil, false
}

// read takes the value of a key from where it stands.
func (r *reader) read(k key, n *yaml.Node) {
	// Anchors and aliases are YAML's own shorthand. The configuration is only so many keys deep, so an alias cannot lead in circles.
	n = follow(n)
	switch {
	case k.section():
		r.section(k, n)
	case k.list():
		r.list(k, n)
	case k.texts():
		r.texts(k, n)
	default:
		r.value(k, n)
	}
}

// section reads the keys below k.
func (r *reader) section(k key, n *yaml.Node) {
	if isNull(n) {
		return // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(k.path, n, " is %s, but it has keys of its own: %s", describe(n), k.own())
		return
	}
	children := map[string]key{}
	for _, child := range k.keys() {
		children[child.name()] = child
	}
	r.pairs(k, n, func(path string, name, value *yaml.Node) {
		child, ok := children[name.Value]
		if !ok {
			seen := strings.TrimPrefix(strings.TrimPrefix(path, r.base.path), ".")
			r.faults.add(r.at(name), "unknown key %s%s", path, didYouMean(seen, r.base.names()))
			r.origins.unread[k.path] = true
			return
		}
		r.read(child, value)
	})
}

// pairs calls f for each name that stands below k, with its path; the second of the same name is refused.
func (r *reader) pairs(k key, n *yaml.Node, f func(path string, name, value *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := follow(n.Content[i]), n.Content[i+1]
		if !r.spend(k.path, name) {
			return
		}
		if name.Kind != yaml.ScalarNode {
			r.refuse(k.path, name, " has %s where a key should be", describe(name))
			continue
		}
		path := strings.TrimPrefix(k.path+"."+name.Value, ".")
		if line, twice := first[name.Value]; twice {
			r.faults.add(r.at(name), "%s is given twice, first on line %d", path, line)
			continue
		}
		first[name.Value] = name.Line
		f(path, name, value)
	}
}

// list reads the entries of k.
func (r *reader) list(k key, n *yaml.Node) {
	if isNull(n) {
		return // a list whose entries are all commented out
	}
	if n.Kind != yaml.SequenceNode {
		r.refuse(k.path, n, " is %s, but it takes %s", describe(n), k.wants())
		return
	}
	if len(n.Content) > listLimit {
		r.refuse(k.path, n, " has %d entries, but at most %d are taken", len(n.Content), listLimit)
		return
	}
	r.take(k, n)
	if len(n.Content) == 0 {
		k.value.SetZero()
		return
	}
	k.value.Set(reflect.MakeSlice(k.value.Type(), len(n.Content), len(n.Content)))
	outer := r.base
	for i, value := range n.Content {
		e := k.entry(i)
		e.value.Set(unread(e.value.Type()))
		if !r.spend(e.path, value) {
			return
		}
		r.origins.take(e.path, r.at(value))
		if e.section() {
			r.base = e
			if isNull(follow(value)) {
				r.refuse(e.path, value, " has no value; give %s or remove the line", e.own())
				continue
			}
		}
		r.read(e, value)
	}
	r.base = outer
}

// texts reads what stands below k as texts by their names. Any plain value is taken for the text that it is written as, since nobody thinks of
// quotes around true and 17 there.
func (r *reader) texts(k key, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(k.path, n, " is %s, but it takes %s", describe(n), k.wants())
		return
	}
	if count := len(n.Content) / 2; count > listLimit {
		r.refuse(k.path, n, " has %d entries, but at most %d are taken", count, listLimit)
		return
	}
	r.take(k, n)
	all := reflect.MakeMap(k.value.Type())
	r.pairs(k, n, func(path string, name, value *yaml.Node) {
		value = follow(value)
		switch {
		case isNull(value):
			r.refuse(path, value, " has no value; give text or remove the line")
			r.origins.unread[k.path] = true
		case value.Kind != yaml.ScalarNode || value.Tag == "!!binary":
			r.refuse(path, value, " is %s, but it takes text", describe(value))
			r.origins.unread[k.path] = true
		default:
			all.SetMapIndex(reflect.ValueOf(name.Value), reflect.ValueOf(spelling(value)))
			r.origins.take(path, r.at(value))
		}
	})
	k.value.Set(all)
}

// value reads a single value.
func (r *reader) value(k key, n *yaml.Node) {
	if isNull(n) {
		r.refuse(k.path, n, " has no value; give %s or remove the line", k.wants())
		return
	}
	// A quoted "true" is text, and 5000 where text is wanted is a number: neither is what was meant.
	_, isBytes := k.value.Interface().(Bytes)
	_, isInt := k.value.Interface().(int)
	_, isDuration := k.value.Interface().(time.Duration)
	fits := n.Kind == yaml.ScalarNode && (n.Tag == "!!str" && k.wants() != "true or false" ||
		n.Tag == "!!bool" && k.wants() == "true or false" ||
		n.Tag == "!!int" && (isBytes || isInt || isDuration && n.Value == "0"))
	if !fits {
		r.refuse(k.path, n, " is %s, but it takes %s", describe(n), k.wants())
		return
	}
	if err := k.setText(spelling(n)); err != nil {
		r.refuse(k.path, n, ": %v", err)
		return
	}
	r.take(k, n)
}

func (r *reader) take(k key, n *yaml.Node) { r.origins.take(k.path, r.at(n)) }

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// spelling returns a plain value as it is written. YAML has True and TRUE, too, which are no more than true.
func spelling(n *yaml.Node) string {
	if n.Tag == "!!bool" {
		return strings.ToLower(n.Value)
	}
	return n.Value
}

func orWhole(path string) string {
	if path == "" {
		return "the configuration"
	}
	return path
}

// describe names what stands in the file in the words of its reader.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return n.Value
	case n.Tag == "!!str":
		return "the text " + strconv.Quote(n.Value)
	default:
		return strconv.Quote(n.Value)
	}
}
