package artifacts

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
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

// ownRules are the rules that compare documents with what they are about. Those of documents by themselves are document.Rules.
var ownRules = []string{
	"manifest.format.mismatch", "manifest.version.mismatch", "manifest.sha256.mismatch", "manifest.built_at.future", "manifest.built_at.stale",
	"manifest.built_at.order", "manifest.base_image.denied", "manifest.labels.mismatch", "manifest.labels.required.missing",
	"metadata.group.mismatch", "metadata.service_name.mismatch", "metadata.architecture.mismatch", "metadata.multi_arch.mismatch",
	"metadata.port_exposed.mismatch", "metadata.conflict",
	untraceable, "version.manifest.missing", "version.metadata.missing", "version.ownership.missing",
	"components.version.unknown", "components.version.bad", "domain.version.unknown", "domain.version.bad", "domain.version.place", "domain.version.dependency",
}

// untraceable is the rule that an image says which commit it was built from.
const untraceable = "version.untraceable"

// OwnRules returns them.
func OwnRules() []string { return slices.Clone(ownRules) }

// KnownRule tells whether there is a rule that may be given a level.
func KnownRule(id string) bool {
	if slices.Contains(ownRules, id) {
		return true
	}
	kind, _, _ := strings.Cut(id, ".")
	return slices.ContainsFunc(document.Rules(document.Kind(kind)), func(r document.Rule) bool { return r.ID == id && !r.Fatal })
}

// levels say how grave each rule is for a component: as the configuration says, else its group's policy.yaml, else DefaultLevel.
type levels struct{ fixed, group map[string]Level }

// levelsFor returns those of a component or a group.
func (k *Catalog) levelsFor(ctx context.Context, v kv.View, repo string) (levels, error) {
	l := levels{fixed: k.rules}
	if IsComponent(repo) {
		repo = path.Dir(repo)
	}
	row, err := read[Attached](ctx, v, keyPolicy(repo))
	if errors.Is(err, ErrUnknown) {
		return l, nil
	}
	if doc, _ := k.parser.Parse(document.KindPolicy, []byte(row.Text)); doc != nil {
		l.group = map[string]Level{}
		for rule, level := range doc.(*document.Policy).Rules {
			l.group[rule] = Level(level)
		}
	}
	return l, err
}

func (l levels) of(rule string) Level {
	if document.Fatal(rule) {
		return Deny
	}
	for _, said := range []map[string]Level{l.fixed, l.group} {
		if level, ok := said[rule]; ok {
			return level
		}
	}
	return DefaultLevel(rule)
}

// DefaultLevel is how grave a rule is where nobody has said so: what is false is denied, and what is missing is warned about.
func DefaultLevel(rule string) Level {
	if (strings.HasSuffix(rule, ".missing") || rule == untraceable) && !document.Fatal(rule) {
		return Warn
	}
	return Deny
}

// findings returns the faults that anybody looks at, in the order of their places, and whether one of them is denied.
func (l levels) findings(file string, faults document.Faults) (all []Finding, denied bool) {
	slices.SortStableFunc(faults, func(a, b document.Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	for _, f := range faults {
		level := l.of(f.Rule)
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
