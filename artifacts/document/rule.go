package document

import "strings"

// Rule is something that Parse asks of a document. Its ID never changes.
type Rule struct {
	ID    string // manifest.sha256.form
	Says  string // sha256 is 64 hex digits, …
	Fatal bool   // whether nothing can be read where it is broken, so that it can be neither a warning nor off
}

// spelling is the rule by which all readers of YAML take a value for the same: numbers have plain decimal digits, and what could be a number or a
// time and is text has quotes.
const spelling = "spelling"

var spellingRule = Rule{ID: spelling, Says: "all readers of YAML take every value for the same"}

// Fatal tells whether a rule is the one of its kind that asks for plain YAML. Without it there is no document.
func Fatal(id string) bool {
	kind, is := strings.CutSuffix(id, fatal)
	return id == "kind" || is && !strings.Contains(kind, ".")
}

// Rules returns the rules that Parse knows for a kind, in the order of the fields. Those who compare a document with other things have rules of
// their own.
func Rules(kind Kind) []Rule {
	doc := kind.blank()
	if doc == nil {
		return nil
	}
	k := string(kind)
	all := []Rule{
		{k + fatal, "the text is one document of plain YAML", true},
		{k + ".key.unknown", "every key is one that is known", false},
		{k + ".key.repeated", "no key is given twice", false},
	}
	all = append(all, rulesOf(k, doc.fields())...)
	for _, r := range doc.ownRules() {
		r.ID = k + "." + r.ID
		all = append(all, r)
	}
	return all
}

func rulesOf(kind string, fields []field) []Rule {
	var all []Rule
	for _, f := range fields {
		name := kind + "." + f.name + "."
		if f.required {
			all = append(all, Rule{ID: name + missing, Says: f.name + " is there"})
		}
		for _, r := range f.value.rules() {
			all = append(all, Rule{ID: name + r.name, Says: f.name + " " + r.says})
		}
	}
	return all
}
