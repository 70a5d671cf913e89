package document

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pairs are texts by their names.
type pairs struct {
	into *map[string]string
	key  form
	form form
	size bounds

	// check says what is wrong with a key that has the form, by a rule of its own.
	check func(r *reader, key string) (rule, problem, fix string)
}

func (v pairs) read(r *reader, at spot, n *yaml.Node) {
	m := follow(n)
	switch {
	case tagged(m):
		return // a fault already
	case isNull(m):
		r.none(at, n, "write names and texts, or {} for none")
		return
	case m.Kind != yaml.MappingNode:
		r.refuse(at, badType, n, "is "+describe(m)+", but it takes names and texts", "write each in a line of its own: name: \"text\"")
		return
	case !r.fits(at, v.size, n, len(m.Content)/2):
		return
	}
	*v.into = map[string]string{}
	r.pairs(at.path, n, func(path string, key, value *yaml.Node) {
		at := spot{path: path, field: at.field}
		r.places.at[path] = position(value)
		fine := key.Tag == "!!str"
		if fine {
			_, fine = r.formed(at, v.key, key, key.Value)
		} else {
			r.spelt(at, key, "is "+describe(key)+", but a name is text", "write it in quotes: "+strconv.Quote(clip(key.Value)))
		}
		if fine && v.check != nil {
			if rule, problem, fix := v.check(r, key.Value); problem != "" {
				r.refuse(at, rule, key, problem, fix)
				fine = false
			}
		}
		if s, ok := r.text(at, v.form, value); ok && fine {
			(*v.into)[key.Value] = s
		}
	})
}

func (v pairs) schema() object {
	return object{{"type", "object"}, {"propertyNames", v.key.schema()}, {"additionalProperties", v.form.schema()}, {"maxProperties", v.size.most}}
}

func (v pairs) rules() []rule {
	return []rule{
		{badType, "is a map of texts"},
		{badForm, "each name is " + v.key.wanted() + ", each value " + v.form.wanted()},
	}
}

func (v pairs) yaml() string {
	switch {
	case *v.into == nil:
		return ""
	case len(*v.into) == 0:
		return " {}"
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(*v.into)) {
		b.WriteString("\n  " + scalar(key, false) + ": " + scalar((*v.into)[key], true))
	}
	return b.String()
}
