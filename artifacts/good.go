package artifacts

import (
	"context"
	"errors"
	"path"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// State is what is known about a version: its documents, and whether it is good.
type State struct {
	Version
	Documents map[string]Attached `json:"documents"` // by docker, deb, generic (their manifest.yaml) and metadata
	Findings  []Finding           `json:"findings,omitempty"`
	Good      bool                `json:"good"` // nothing is denied, and the required documents are there
}

// State returns a version with all that is known about it, or ErrUnknown.
func (k *Catalog) State(ctx context.Context, name, number string) (State, error) {
	v, err := k.Version(ctx, name, number)
	if err != nil {
		return State{}, err
	}
	return k.stateOf(ctx, k.index, v)
}

func (k *Catalog) stateOf(ctx context.Context, view kv.View, v Version) (State, error) {
	s := State{Version: v, Documents: map[string]Attached{}, Good: true}
	lack := func(file, rule, says string) {
		s.Good = false
		if level := k.levelOf(rule); level != Off {
			s.Findings = append(s.Findings, Finding{level, file, document.Fault{Rule: rule, Problem: "is missing", Fix: says}})
		}
	}
	take := func(what string) (bool, error) {
		row, err := read[Attached](ctx, view, keyDocument(v.Component, v.Version, what))
		if errors.Is(err, ErrUnknown) {
			return false, nil
		}
		if err == nil {
			s.Documents[what] = row
			s.Findings = append(s.Findings, row.Findings...)
		}
		return true, err
	}
	for _, format := range []Kind{Docker, Deb, Generic} {
		f, pushed := v.Formats[format]
		if !pushed {
			continue
		}
		if found, err := take(string(format)); err != nil {
			return s, err
		} else if !found {
			lack("manifest.yaml", "version.manifest.missing", "attach a manifest.yaml to "+f.Tag)
		}
	}
	if found, err := take("metadata"); err != nil {
		return s, err
	} else if !found {
		lack("metadata.yaml", "version.metadata.missing", "attach a metadata.yaml to one of the version's tags")
	}
	group := path.Dir(v.Component)
	if _, err := read[Attached](ctx, view, keyOwner(group)); errors.Is(err, ErrUnknown) {
		lack("ownership.yaml", "version.ownership.missing", "push an ownership.yaml to "+group+":ownership")
	} else if err != nil {
		return s, err
	}
	for _, f := range s.Findings {
		s.Good = s.Good && f.Level != Deny
	}
	return s, nil
}

// Latest returns the highest version of a component that is good and no pre-release, or ErrUnknown.
func (k *Catalog) Latest(ctx context.Context, name string) (Version, error) {
	return k.latest(ctx, k.index, name)
}

func (k *Catalog) latest(ctx context.Context, view kv.View, name string) (Version, error) {
	rows := map[string]Version{}
	var good []version.Version
	for v, err := range list[Version](ctx, view, prefixVersion+name+"!", "") {
		if err != nil {
			return Version{}, err
		}
		number, err := version.Parse(v.Version)
		if err != nil || number.Prerelease() {
			continue
		}
		s, err := k.stateOf(ctx, view, v)
		if err != nil {
			return Version{}, err
		}
		if s.Good {
			good, rows[number.String()] = append(good, number), v
		}
	}
	highest, ok := version.Latest(good)
	if !ok {
		return Version{}, ErrUnknown
	}
	return rows[highest.String()], nil
}

// review lets the tag latest of a component follow its latest good version, if that has an image.
func (k *Catalog) review(ctx context.Context, tx kv.Tx, name string) error {
	v, err := k.latest(ctx, tx, name)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	f, ok := v.Formats[Docker]
	if !ok {
		return nil
	}
	named, err := registry.TagIn(ctx, tx, name, f.Tag)
	if err != nil {
		return err
	}
	return registry.SetTag(ctx, tx, name, "latest", named)
}

// reviewGroup does so for every component of a group.
func (k *Catalog) reviewGroup(ctx context.Context, tx kv.Tx, group string) error {
	var names []string
	for c, err := range list[Component](ctx, tx, prefixComponent+group+"/", "") {
		if err != nil {
			return err
		}
		names = append(names, c.Name)
	}
	for _, name := range names {
		if err := k.review(ctx, tx, name); err != nil {
			return err
		}
	}
	return nil
}
