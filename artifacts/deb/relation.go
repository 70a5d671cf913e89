package deb

import (
	"fmt"
	"strings"
)

// relations are the fields that name other packages (policy 7), and whether they may offer alternatives.
var relations = map[string]bool{
	"depends": true, "pre-depends": true, "recommends": true, "suggests": true, "enhances": true,
	"breaks": false, "conflicts": false, "provides": false, "replaces": false,
}

// checkRelations checks the value of such a field: names with an architecture or without, versions in parentheses, commas between, and | between
// alternatives. One that apt cannot read would make `apt-get update` fail for everybody who uses the suite.
func checkRelations(field, value string) []*Error {
	if strings.HasPrefix(value, "\n") {
		return []*Error{{What: "has nothing behind the colon, where dpkg looks for the first package", Fix: "begin the list in the line of the field's name"}}
	}
	var faults []*Error
	value = strings.NewReplacer("\n", " ", "\t", " ").Replace(value)
	for group := range strings.SplitSeq(value, ",") {
		if len(faults) > maxFaults {
			break
		}
		if strings.Contains(group, "|") && !relations[field] {
			faults = append(faults, &Error{What: "offers alternatives in " + quote(strings.Trim(group, " ")), Fix: "this field takes commas only"})
		}
		for option := range strings.SplitSeq(group, "|") {
			if fault := checkRelation(field, strings.Trim(option, " ")); fault != nil {
				faults = append(faults, fault)
			}
		}
	}
	return faults
}

func checkRelation(field, option string) *Error {
	name, rest := option, ""
	if i := strings.IndexAny(option, " ("); i >= 0 {
		name, rest = option[:i], strings.Trim(option[i:], " ")
	}
	name, arch, qualified := strings.Cut(name, ":")
	if option == "" {
		return &Error{What: "names no package between two commas", Fix: "remove the comma that is too many"}
	}
	const fix = "write a package, with its version in parentheses if need be, as hello (>= 2.10)"
	if fault := spelt("", name, letters+decimal, "-+._", 1, maxName, fix); fault != nil {
		return &Error{What: "names a package " + quote(name) + " in " + quote(option), Fix: fix}
	}
	if qualified && spelt("", arch, letters+decimal, "-", 1, maxArch, fix) != nil {
		return &Error{What: "has the architecture " + quote(arch) + " in " + quote(option), Fix: "write :any, or nothing"}
	}
	if rest == "" {
		return nil
	}
	inside, opened := strings.CutPrefix(rest, "(")
	inside, closed := strings.CutSuffix(inside, ")")
	if !opened || !closed {
		return &Error{What: fmt.Sprintf("has %s behind the name in %s", quote(rest), quote(option)), Fix: fix}
	}
	inside = strings.Trim(inside, " ")
	version := strings.TrimLeft(inside, "<>=")
	operator := inside[:len(inside)-len(version)]
	switch operator {
	case "<<", "<=", "=", ">=", ">>", "<", ">": // dpkg still knows the last two, which mean <= and >=
	default:
		return &Error{What: fmt.Sprintf("has the operator %s in %s", quote(operator), quote(option)), Fix: "use one of <<, <=, =, >= and >>"}
	}
	if field == "provides" && operator != "=" {
		return &Error{What: fmt.Sprintf("has the operator %s in %s", quote(operator), quote(option)), Fix: "one provides an exact version, with ="}
	}
	if _, fault := parseVersion(strings.Trim(version, " ")); fault != nil {
		return &Error{What: fmt.Sprintf("has a version in %s that %s", quote(option), fault.What), Fix: fault.Fix}
	}
	return nil
}
