package document

import (
	"go.yaml.in/yaml/v3"
)

// field is one key of a document. Tables of fields are all that reading, writing, the schema and the rules know of a document.
type field struct {
	name     string
	says     string // one sentence, for the schema and for drafts
	required bool
	value    value
}

// value is where the value of a field goes. There is one for each type: it reads, describes and writes it.
type value interface {
	// read takes what stands at a path, or says what is wrong with it.
	read(r *reader, at spot, n *yaml.Node)

	// schema describes it in JSON Schema.
	schema() object

	// rules are the rules that read knows, by the last part of their names.
	rules() []rule

	// yaml writes what follows the key and its colon, or nothing if there is no value.
	yaml() string
}

// spot is a place in a document: its path, the field that it belongs to, which is the same in all entries of a list, and whether something has
// to stand there.
type spot struct {
	path, field string
	required    bool
}

// rule is the last part of a rule's name and what it asks for.
type rule struct{ name, says string }

// The last parts of the names of rules, the same everywhere.
const (
	missing  = "missing"
	badType  = "type"
	badForm  = "form"
	repeated = "repeated"
)
