package document

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// text is one text of a form.
type text struct {
	into   *string
	form   form
	now    func() form // instead of form, if it depends on the fields before
	quoted bool        // whether it is written in quotes even where it needs none
	keep   func(string) string
}

func (v text) read(r *reader, at spot, n *yaml.Node) {
	f := v.form
	if v.now != nil {
		f = v.now()
	}
	if s, ok := r.text(at, f, n); ok {
		*v.into = s
		if v.keep != nil {
			*v.into = v.keep(s)
		}
	}
}

func (v text) schema() object { return v.form.schema() }

func (v text) rules() []rule {
	return []rule{{badType, "is text"}, {badForm, "is " + v.form.wanted()}}
}

func (v text) yaml() string {
	if *v.into == "" {
		return ""
	}
	return " " + scalar(*v.into, v.quoted)
}

// texts is a list of texts of a form, none of them twice.
type texts struct {
	into *[]string
	form form
	size bounds

	// check says what is wrong with an entry that has the form, by a rule of its own.
	check func(r *reader, s string) (rule, problem, fix string)
}

func (v texts) read(r *reader, at spot, n *yaml.Node) {
	nodes, _, ok := r.entries(at, v.size, false, "a list, each entry "+v.form.wanted(), n)
	if !ok {
		return
	}
	*v.into = []string{}
	once := onlyOnce{}
	for i, n := range nodes {
		at := r.entry(at, i, n)
		s, ok := r.text(at, v.form, n)
		if !ok || !once.first(r, at, n, s) {
			continue
		}
		if v.check != nil {
			if rule, problem, fix := v.check(r, s); problem != "" {
				r.refuse(at, rule, n, problem, fix)
				continue
			}
		}
		*v.into = append(*v.into, s)
	}
}

func (v texts) schema() object { return listOf(v.form.schema(), v.size) }

func (v texts) rules() []rule { return listRules("texts", v.form.wanted(), v.size) }

func (v texts) yaml() string {
	if *v.into == nil || len(*v.into) < v.size.least {
		return ""
	}
	entries := make([]string, len(*v.into))
	for i, s := range *v.into {
		entries[i] = scalar(s, true)
	}
	return " " + flow(entries)
}

// onlyOnce knows the entries of a list so far, with their lines.
type onlyOnce map[string]int

// first tells whether an entry is new, and says so if it is not.
func (o onlyOnce) first(r *reader, at spot, n *yaml.Node, s string) bool {
	line, twice := o[s]
	if twice {
		r.refuse(at, repeated, n, "is "+quote(s)+" again, as on line "+decimal(line), "keep one of them")
		return false
	}
	o[s] = n.Line
	return true
}

// listRules are the rules of a list.
func listRules(what, is string, size bounds) []rule {
	form := "each entry is " + is
	if size.least > 0 {
		form += "; there is at least one"
	}
	return []rule{{badType, "is a list of " + what}, {badForm, form}, {repeated, "no entry is there twice"}}
}

func listOf(entry object, size bounds) object {
	s := object{{"type", "array"}, {"items", entry}}
	if size.least > 0 {
		s = append(s, member{"minItems", size.least})
	}
	if size.most > 0 {
		s = append(s, member{"maxItems", size.most})
	}
	return append(s, member{"uniqueItems", true})
}

func flow(entries []string) string { return "[" + strings.Join(entries, ", ") + "]" }
