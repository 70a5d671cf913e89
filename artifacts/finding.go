package artifacts

import (
	"strings"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
)

// Level is how grave it is that a rule is broken.
type Level string

// The levels.
const (
	Deny Level = "deny" // what breaks the rule is refused, or is not known good if it was there before
	Warn Level = "warn" // it is taken, and the finding shown
	Off  Level = "off"  // nobody looks
)

// Finding is something that was found wrong with a version.
type Finding struct {
	Level Level  `json:"level"`
	File  string `json:"file"` // manifest.yaml, metadata.yaml, ownership.yaml
	document.Fault
}

// levelOf returns how grave a rule is: as configured, else what is false is denied and what is missing is warned about.
func (k *Catalog) levelOf(rule string) Level {
	if level, ok := k.rules[rule]; ok {
		return level
	}
	if strings.HasSuffix(rule, ".missing") {
		return Warn
	}
	return Deny
}

// findings returns the faults that anybody looks at, and whether one of them is denied.
func (k *Catalog) findings(file string, faults document.Faults) (all []Finding, denied bool) {
	for _, f := range faults {
		level := k.levelOf(f.Rule)
		if document.Fatal(f.Rule) {
			level = Deny
		}
		if level == Off {
			continue
		}
		denied = denied || level == Deny
		all = append(all, Finding{level, file, f})
	}
	return all, denied
}

// refused tells a client everything that is wrong with a document, one sentence each, since clients print it.
func refused(repo, file string, all []Finding) error {
	var lines []string
	for _, f := range all {
		lines = append(lines, string(f.Level)+": "+f.String())
	}
	return &registry.Error{Code: registry.ManifestInvalid, Detail: map[string]any{"name": repo, "file": file, "faults": lines, "findings": all,
		"hint": "mend " + file + " and push it again"}}
}
