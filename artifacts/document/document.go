// Package document reads and writes the YAML documents that people attach to artifacts or propose for the index: manifest.yaml, metadata.yaml,
// ownership.yaml, policy.yaml, components.yaml and domain-<d>[-<env>].yaml.
//
//	doc, faults := document.Parse(document.KindManifest, text)
//	for _, f := range faults {
//		fmt.Println(f) // line 4, column 9: sha256: is cut short: 10 of 64 digits; write all 64, …
//	}
//	if m, ok := doc.(*document.Manifest); ok && m.SHA256 != "" && m.SHA256 != subject.String() {
//		faults = append(faults, m.Mismatch("sha256", "manifest.sha256.mismatch", "is not the digest of the image", "write "+subject.String()))
//	}
//
// A document is one piece of plain YAML: UTF-8, a single document, at most [Kind.MaxSize] long and 100 levels deep, with few aliases, and without
// tags, directives, merge keys or keys given twice. Unknown keys are faults. All faults are found at once, and each says where it is and what to
// write instead. Each has a rule, a name that never changes, by which a configuration may say how grave it is (see [Rules]): what breaks one
// may still be used, so a document comes back beside its faults, without the values that could not be read.
//
// [Kind.Schema] says the same as JSON Schema for editors and other programs; [Render] writes documents, the same bytes for the same values.
//
// Nothing here knows an image, a version that exists, a policy or the index: whoever does compares, and says what differs with [Places.Mismatch].
// Versions and dependencies are taken as text in the right form; ordering and resolving them is for others.
//
// What is read may be hostile: reading takes about half a second and 200 MiB at most, for the longest documents, and never panics.
// The faults quote what was written, shortened, except where it may be a password.
package document

import (
	"path"
	"strings"
)

// Kind is what a document is for, as it stands in the name of its schema.
type Kind string

// The kinds.
const (
	KindManifest   Kind = "manifest"   // how an artifact was built; one for each format of a version
	KindMetadata   Kind = "metadata"   // what a version needs and where it may be deployed
	KindOwnership  Kind = "ownership"  // who answers for a group
	KindComponents Kind = "components" // the latest version of each component
	KindDomain     Kind = "domain"     // the versions that are deployed in a domain and environment
	KindPolicy     Kind = "policy"     // how grave a group takes each rule
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{KindManifest, KindMetadata, KindOwnership, KindComponents, KindDomain, KindPolicy}
}

// KindOf tells the kind of a document by the name of its file, with or without folders before it. It does not take domain-a-b.yaml apart: whether
// that is environment b of domain a or domain a-b, only somebody knows who knows the domains.
func KindOf(file string) (Kind, bool) {
	name, ok := strings.CutSuffix(path.Base(file), ".yaml")
	if domain, found := strings.CutPrefix(name, "domain-"); ok && found && domainName.matches(domain) {
		return KindDomain, true
	}
	kind := Kind(name)
	return kind, ok && kind != KindDomain && kind.blank() != nil
}

// MaxSize is the longest document of the kind, in bytes. What is attached to one version or group is short; the lists of all components are not.
func (k Kind) MaxSize() int {
	if k == KindComponents || k == KindDomain {
		return 1 << 20
	}
	return 256 << 10
}

// blank returns an empty document of the kind, or nil if there is no such kind.
func (k Kind) blank() Document {
	switch k {
	case KindManifest:
		return &Manifest{}
	case KindMetadata:
		return &Metadata{}
	case KindOwnership:
		return &Ownership{}
	case KindComponents:
		return &Components{}
	case KindDomain:
		return &Domain{}
	case KindPolicy:
		return &Policy{}
	}
	return nil
}

// Document is one of *[Manifest], *[Metadata], *[Ownership], *[Components], *[Domain] and *[Policy].
type Document interface {
	Kind() Kind
	Has(field string) bool
	At(field string) Position
	Mismatch(field, rule, problem, fix string) Fault

	fields() []field    // in the order in which they are read and written
	relations(*reader)  // finds the faults that lie between fields
	conditions() []any  // says in JSON Schema what it can of the relations
	ownRules() []Rule   // the rules of relations
	keep(places Places) // remembers where the fields stand
}

// Parser reads documents and asks others about what this package does not know. The zero value asks nobody.
type Parser struct {
	// Dependency tells what is wrong with an entry of metadata.dependencies whose name is in order ("common-utils >=1.2.0"); nil takes it. The
	// error's text becomes the fault's problem: "has no version after >=".
	Dependency func(text string) error

	// Rule tells whether a rule that policy.yaml names exists.
	Rule func(id string) bool
}

// Parse is [Parser.Parse] of a Parser that asks nobody.
func Parse(kind Kind, text []byte) (Document, Faults) { return Parser{}.Parse(kind, text) }

// Parse reads a document and returns it with all its faults, in the order of their places. The document is nil only if the text is not plain YAML,
// has more than 100 faults, or is of no known kind: then there is a fault whose rule is [Fatal]. A field with a fault keeps its zero value, and a
// list lacks the entries that have one.
func (p Parser) Parse(kind Kind, text []byte) (Document, Faults) {
	doc := kind.blank()
	if doc == nil {
		return nil, Faults{{Rule: "kind", Line: 1, Column: 1, Problem: "there is no document of kind " + quote(string(kind)), Fix: "name one of " + list(Kinds())}}
	}
	r := &reader{Parser: p, kind: kind, places: Places{at: map[string]Position{}}}
	if n := r.open(text); n != nil {
		r.section("", n, doc.fields())
		doc.relations(r)
		doc.keep(r.places)
	}
	faults := r.sorted()
	for _, f := range faults {
		if Fatal(f.Rule) {
			return nil, faults
		}
	}
	return doc, faults
}
