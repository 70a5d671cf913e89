package document

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rows is a list of maps, each with a name that no other has. It is the only field of its document, so the rules of its fields stand beside its own.
type rows[T any] struct {
	into   *[]T
	fields func(*T) []field
	name   func(*T) string
}

func (v rows[T]) read(r *reader, at spot, n *yaml.Node) {
	nodes, _, ok := r.entries(at, bounds{}, false, "a list, each entry with "+v.keys()+", or [] for none", n)
	if !ok {
		return
	}
	*v.into = []T{}
	lines := map[string]int{}
	for i, n := range nodes {
		if r.more {
			return
		}
		at := r.entry(at, i, n)
		if m := follow(n); tagged(m) {
			continue // a fault already
		} else if m.Kind != yaml.MappingNode {
			r.refuse(at, badType, n, "is "+describe(m)+", but it takes a map", "write "+v.keys())
			continue
		}
		var row T
		before := len(r.faults)
		r.section(at.path, n, v.fields(&row))
		name := v.name(&row)
		if line, twice := lines[name]; twice && name != "" {
			r.fault("name."+repeated, r.places.At(at.path+".name"), at.path+".name", "is "+quote(name)+" again, as on line "+decimal(line), "keep one of them")
		}
		lines[name] = n.Line
		if len(r.faults) == before {
			*v.into = append(*v.into, row)
		}
	}
}

// keys names what an entry has.
func (v rows[T]) keys() string {
	var names []string
	for _, f := range v.fields(new(T)) {
		names = append(names, f.name+": …")
	}
	return list(names)
}

func (v rows[T]) schema() object {
	return object{{"type", "array"}, {"items", mapOf(v.fields(new(T)))}}
}

func (v rows[T]) rules() []rule { return []rule{{badType, "is a list of maps"}} }

// yaml writes the rows in the order of their names, whatever order they came in.
func (v rows[T]) yaml() string {
	if len(*v.into) == 0 {
		return " []"
	}
	sorted := slices.Clone(*v.into)
	slices.SortStableFunc(sorted, func(a, b T) int { return cmp.Compare(v.name(&a), v.name(&b)) })
	var b strings.Builder
	for i := range sorted {
		indent := "\n  - "
		for _, f := range v.fields(&sorted[i]) {
			b.WriteString(indent + f.name + ":" + f.value.yaml())
			indent = "\n    "
		}
	}
	return b.String()
}
