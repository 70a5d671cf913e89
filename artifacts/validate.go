package artifacts

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
)

// About is what a document is about that is to be validated: what it would be attached to, if that is there, or where it says what is to be deployed.
type About struct {
	Component string
	Version   string
	Format    Kind   // of a manifest.yaml
	Place     *Place // of a domain's file

	May func(component string) bool // which components whoever asks may know of; nil: all
}

// Validate judges a document as it would be judged if it were pushed, and proposed index files by what the catalog knows: the versions exist, are good, and
// may be deployed there. It returns all findings, and whether one of them is denied.
func (k *Catalog) Validate(ctx context.Context, kind document.Kind, text []byte, about About) (all []Finding, denied bool, err error) {
	d := &paper{kind: kind, text: text, content: digest.FromBytes(text)}
	d.parsed, d.faults = k.parser.Parse(kind, text)
	switch doc := d.parsed.(type) {
	case *document.Manifest, *document.Metadata:
		number, err := version.Parse(about.Version)
		if err != nil {
			break
		}
		v, err := k.Version(ctx, about.Component, number.String())
		if errors.Is(err, ErrUnknown) {
			break
		}
		if err != nil {
			return nil, false, err
		}
		if _, ok := v.Formats[about.Format]; !ok && kind == document.KindManifest {
			break
		}
		return k.judge(ctx, k.index, v, about.Format, d)
	case *document.Components:
		for i, c := range doc.Components {
			field := fmt.Sprintf("components[%d].latest_version", i)
			says, rule, fix, err := k.unfit(ctx, c.Name, c.Version)
			if err != nil {
				return nil, false, err
			}
			if says != "" {
				d.faults = append(d.faults, doc.Mismatch(field, "components.version."+rule, says, fix))
			}
		}
	case *document.Domain:
		more, err := k.unfitAll(ctx, doc, about)
		if err != nil {
			return nil, false, err
		}
		d.faults = append(d.faults, more...)
	}
	levels, err := k.levelsFor(ctx, k.index, about.Component)
	if err != nil {
		return nil, false, err
	}
	all, denied = levels.findings(d.file(), d.faults)
	return all, denied, nil
}

// unfit tells why a version cannot stand in an index file; says is empty if it can.
func (k *Catalog) unfit(ctx context.Context, name, number string) (says, rule, fix string, err error) {
	v, err := version.Parse(number)
	if err != nil || name == "" {
		return "", "", "", nil // that is a fault already
	}
	row, err := k.Version(ctx, name, v.String())
	switch {
	case errors.Is(err, ErrUnknown):
		fix = "push it first"
		if c, err := k.Component(ctx, name); err == nil && c.Latest != "" {
			fix = "push it first, or write " + c.Latest
		}
		return fmt.Sprintf("names %s, and there is no such version of %s", number, name), "unknown", fix, nil
	case err != nil:
		return "", "", "", err
	case !row.Good:
		s, err := k.stateOf(ctx, k.index, row)
		if err != nil {
			return "", "", "", err
		}
		var why []string
		for _, r := range s.against() {
			why = append(why, r.String())
		}
		return "names a version that is not known good", "bad", strings.Join(why, "; and "), nil
	}
	return "", "", "", nil
}

// unfitAll are the faults of a proposed domain file, judged as if all of it were deployed.
func (k *Catalog) unfitAll(ctx context.Context, doc *document.Domain, about About) (faults document.Faults, err error) {
	will := &plan{View: k.index, deployed: map[string]*Deployed{}}
	for _, c := range doc.Components {
		if v, err := version.Parse(c.Version); err == nil {
			will.deployed[c.Name] = &Deployed{Component: c.Name, Version: v.String()}
		}
	}
	for i, c := range doc.Components {
		field := fmt.Sprintf("components[%d].version", i)
		wrong := func(rule, problem, fix string) {
			faults = append(faults, doc.Mismatch(field, "domain.version."+rule, problem, fix))
		}
		says, rule, fix, err := k.unfit(ctx, c.Name, c.Version)
		if err != nil {
			return nil, err
		}
		if says != "" {
			wrong(rule, says, fix)
		}
		row := will.deployed[c.Name]
		if about.Place == nil || row == nil || rule == "unknown" {
			continue
		}
		s, err := k.State(ctx, c.Name, row.Version)
		if err != nil {
			return nil, err
		}
		for _, r := range s.misplaced(*about.Place) {
			wrong("place", r.Says, r.Fix)
		}
		if m := s.metadata(); m != nil {
			unmet, err := k.unmetBy(ctx, will, s.Version, m.Dependencies, *about.Place, about.May)
			if err != nil {
				return nil, err
			}
			for _, r := range unmet {
				wrong("dependency", r.Says, r.Fix)
			}
		}
	}
	return faults, nil
}

// DraftManifest returns a manifest.yaml for a format of a version, as far as the registry knows: a first draft for people, or ErrUnknown.
func (k *Catalog) DraftManifest(ctx context.Context, name, number string, format Kind) (*document.Manifest, error) {
	v, err := k.Version(ctx, name, number)
	if err != nil {
		return nil, err
	}
	f, ok := v.Formats[format]
	if !ok {
		return nil, ErrUnknown
	}
	m := &document.Manifest{Format: string(format), Version: v.Version, SHA256: f.expected(), BuiltAt: f.Built, Labels: f.Labels}
	m.BaseImage = f.Labels["org.opencontainers.image.base.name"]
	if m.BuiltAt.IsZero() {
		m.BuiltAt = f.Pushed.UTC()
	}
	return m, nil
}

// DraftMetadata returns a metadata.yaml for a version, as far as the registry knows. Where it may be deployed is for people to say: the draft has the
// component's own domain, and no environments.
func (k *Catalog) DraftMetadata(ctx context.Context, name, number string) (*document.Metadata, error) {
	v, err := k.Version(ctx, name, number)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(name, "/")
	m := &document.Metadata{Domains: parts[:1], Group: parts[1], ServiceName: parts[2], Ports: v.Formats[Docker].Ports}
	for _, a := range v.architectures() {
		m.Architecture = append(m.Architecture, document.Architecture(a))
	}
	many := len(m.Architecture) > 1
	m.MultiArch = &many
	if len(m.Architecture) == 0 {
		m.MultiArch = nil
	}
	owner, err := k.Owner(ctx, path.Dir(name))
	if errors.Is(err, ErrUnknown) {
		return m, nil
	}
	if doc, _ := document.Parse(document.KindOwnership, []byte(owner.Text)); doc != nil {
		m.Team = doc.(*document.Ownership).OwnerTeam
	}
	return m, err
}
