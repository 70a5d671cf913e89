package deb

import (
	"slices"
	"strings"
)

// reserved are fields that a package must not bring along, with who writes them. They are refused and not dropped: the paragraph is kept as it is.
var reserved = map[string]string{
	"filename": repository, "size": repository, "md5sum": repository, "sha1": repository, "sha256": repository, "sha384": repository, "sha512": repository,
	"msdos-filename": repository, "description-md5": repository,
	"status": dpkg, "config-version": dpkg, "conffiles": dpkg, "triggers-pending": dpkg, "triggers-awaited": dpkg,
	"revision": old, "package-revision": old, "package_revision": old,
}

const (
	repository = "the repository writes it into its lists"
	dpkg       = "dpkg writes it into its own files"
	old        = "dpkg would put it behind the version, which apt does not"
)

// words are the values that fields with few values may have. Case matters to apt, but for yes and no.
var words = map[string][]string{
	"multi-arch": {"no", "same", "foreign", "allowed"}, "essential": {"yes", "no"}, "protected": {"yes", "no"}, "important": {"yes", "no"},
}

// judge checks the fields one by one, and then what is missing.
func (p *paragraph) judge() {
	for _, f := range p.control.Fields {
		for _, fault := range p.check(f, strings.ToLower(f.Name)) {
			p.fault(f.Line, f.Name, fault.What, fault.Fix)
		}
	}
	for _, must := range []struct{ name, fix string }{
		{"Package", `add it, as "Package: hello"`},
		{"Version", `add it, as "Version: 1.0-1"`},
		{"Architecture", `add it, as "Architecture: amd64", or all for a package without machine code`},
		{"Description", `add it, as "Description: says hello"`},
	} {
		if p.lines[strings.ToLower(must.name)] == 0 {
			p.faults = append(p.faults, &Error{"control", "has no field " + must.name, must.fix})
		}
	}
	if p.lines["maintainer"] == 0 {
		p.warn(&Error{"control", "has no field Maintainer", `add it, as "Maintainer: A Team <team@example.com>"`})
	}
}

func (p *paragraph) warn(w *Error) { p.control.Warnings = append(p.control.Warnings, w) }

// check looks at what a field says. The faults do not tell where they are.
func (p *paragraph) check(f Field, key string) []*Error {
	if who := reserved[key]; who != "" {
		return []*Error{{What: "does not belong here: " + who, Fix: "remove it"}}
	}
	if fault, checked := p.identity(key, f.Value); checked {
		return faults(fault)
	}
	if f.Value == "" {
		p.warn(&Error{place(f.Line, f.Name), "is empty", "leave the field out"})
		return nil
	}
	if known, few := words[key]; few && !slices.Contains(known, f.Value) && !(known[0] == "yes" && slices.Contains(known, strings.ToLower(f.Value))) {
		return []*Error{{What: "is " + quote(f.Value), Fix: "write " + strings.Join(known[:len(known)-1], ", ") + " or " + known[len(known)-1]}}
	}
	if key == "multi-arch" && f.Value == "same" && p.control.Architecture() == "all" {
		return []*Error{{What: "is same, though the architecture is all", Fix: "write foreign, or leave it out"}}
	}
	if key == "installed-size" && !digits(f.Value) {
		p.warn(&Error{place(f.Line, f.Name), "is " + quote(f.Value), "write the size in KiB, in digits alone"})
	}
	if _, related := relations[key]; related {
		return checkRelations(key, f.Value)
	}
	return nil
}

// identity checks the fields without which there is no package.
func (p *paragraph) identity(key, value string) (fault *Error, checked bool) {
	switch key {
	case "package":
		return checkName(value), true
	case "version":
		p.control.version, fault = parseVersion(value)
		return fault, true
	case "architecture":
		return checkArchitecture(value), true
	case "description":
		if value == "" {
			return &Error{What: "is empty", Fix: "say in a line what the package is"}, true
		}
		return nil, true
	}
	return nil, false
}

func faults(fault *Error) []*Error {
	if fault == nil {
		return nil
	}
	return []*Error{fault}
}
