package artifacts

import (
	"context"
	"errors"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// State is what is known about a version: its documents, and whether it is good.
type State struct {
	Version
	Documents map[string]Attached `json:"documents"` // by docker, deb, generic (their manifest.yaml) and metadata
	Findings  []Finding           `json:"findings,omitempty"`
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
	s := State{Version: v, Documents: map[string]Attached{}}
	s.Good = true
	levels, err := k.levelsFor(ctx, view, v.Component)
	if err != nil {
		return s, err
	}
	lack := func(file, rule, says string) {
		if level := levels.of(rule); level != Off {
			s.Good = false
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
			for _, f := range row.Findings {
				if f.Level = levels.of(f.Rule); f.Level != Off {
					s.Findings = append(s.Findings, f)
				}
			}
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
	if level := levels.of(untraceable); level != Off && v.Commit == "" {
		if f, pushed := v.Formats[Docker]; pushed {
			s.Findings = append(s.Findings, Finding{level, f.Tag, document.Fault{Rule: untraceable, Problem: "does not say which commit it was built from",
				Fix: "build it with the label " + ocispec.AnnotationRevision}})
		}
	}
	for _, f := range s.Findings {
		s.Good = s.Good && f.Level != Deny && !strings.HasSuffix(f.Rule, ".missing")
	}
	return s, nil
}

// review looks again whether a version is good, after something about it has changed, and lets everything that follows from that follow.
func (k *Catalog) review(ctx context.Context, tx kv.Tx, v Version) error {
	s, err := k.stateOf(ctx, tx, v)
	if err != nil {
		return err
	}
	m := s.metadata()
	if err := k.need(ctx, tx, v, m); err != nil {
		return err
	}
	v.Good, v.Team, v.Needs = s.Good, "", servicesOf(m)
	if m != nil {
		v.Team = m.Team
	}
	if err := write(tx, keyVersion(v.Component, v.Version), v); err != nil {
		return err
	}
	s.Version = v
	entry := entryOf(s, m)
	if err := find.Put(ctx, tx, entry); err != nil {
		return err
	}
	c, err := k.follow(ctx, tx, v.Component, v)
	if err != nil || c.Latest != "" && c.Latest != v.Version {
		return err
	}
	return find.Put(ctx, tx, entryOfComponent(c, entry))
}

// follow keeps what is the latest of a component, after a version of it has changed or (without formats) gone: its row, and the tag latest, if that has an
// image. It returns the row.
func (k *Catalog) follow(ctx context.Context, tx kv.Tx, name string, changed Version) (c Component, err error) {
	if c, err = read[Component](ctx, tx, keyComponent(name)); err != nil {
		return c, err
	}
	latest := c.Latest
	switch good := changed.Good && len(changed.Formats) > 0; {
	case good && outranks(changed.Version, c.Latest):
		latest = changed.Version
	case !good && changed.Version == c.Latest:
		if latest, err = k.highest(ctx, tx, name, changed.Version); err != nil {
			return c, err
		}
	}
	if latest != c.Latest {
		c.Latest = latest
		tx.Put(keyPast(name, k.now()), []byte(latest))
		if err := write(tx, keyComponent(name), c); err != nil {
			return c, err
		}
	}
	if latest != "" && latest != changed.Version {
		if changed, err = read[Version](ctx, tx, keyVersion(name, latest)); err != nil {
			return c, err
		}
	}
	f, ok := changed.Formats[Docker]
	if latest == "" || !ok {
		return c, registry.DropTag(ctx, tx, name, "latest")
	}
	named, err := registry.TagIn(ctx, tx, name, f.Tag)
	if err != nil {
		return c, err
	}
	return c, registry.SetTag(ctx, tx, name, "latest", named)
}

// outranks tells whether a version comes behind another one, or there is no other one; pre-releases do not count.
func outranks(one, other string) bool {
	v, err := version.Parse(one)
	if err != nil || v.Prerelease() {
		return false
	}
	w, err := version.Parse(other)
	if err != nil {
		return true
	}
	latest, _ := version.Latest([]version.Version{v, w})
	return latest.String() == v.String() && v.String() != w.String()
}

// highest returns the highest good version of a component besides one; empty if there is none.
func (k *Catalog) highest(ctx context.Context, v kv.View, name, besides string) (string, error) {
	highest := ""
	for row, err := range list[Version](ctx, v, prefixVersion+name+"!", "") {
		if err != nil {
			return "", err
		}
		if row.Good && row.Version != besides && outranks(row.Version, highest) {
			highest = row.Version
		}
	}
	return highest, nil
}

// reviewGroup looks again at every version of a group.
func (k *Catalog) reviewGroup(ctx context.Context, tx kv.Tx, group string) error {
	var all []Version
	for v, err := range list[Version](ctx, tx, prefixVersion+group+"/", "") {
		if err != nil {
			return err
		}
		all = append(all, v)
	}
	for _, v := range all {
		if err := k.review(ctx, tx, v); err != nil {
			return err
		}
	}
	return nil
}

// metadata is the version's metadata.yaml, or nil.
func (s State) metadata() *document.Metadata {
	row, ok := s.Documents["metadata"]
	if !ok {
		return nil
	}
	doc, _ := document.Parse(document.KindMetadata, []byte(row.Text))
	m, _ := doc.(*document.Metadata)
	return m
}
