package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/storage/kv"
)

// Dependency is what a version needs of another component.
type Dependency struct {
	Component string `json:"component"` // who depends
	Version   string `json:"version"`
	Text      string `json:"text"`            // as its metadata.yaml says: common-utils >=1.2.0
	Needs     string `json:"needs,omitempty"` // the component that it needs; empty if there is none of the name
	Met       bool   `json:"met"`
	By        string `json:"by,omitempty"` // the version that meets it; if it is not met, the one that is there
}

// Dependencies returns what a version needs, in the order of its metadata.yaml: met by what is deployed at a place, or, without one, by any good version.
func (k *Catalog) Dependencies(ctx context.Context, name, number string, at *Place) ([]Dependency, error) {
	s, err := k.State(ctx, name, number)
	if err != nil {
		return nil, err
	}
	all := []Dependency{}
	if m := s.metadata(); m != nil {
		for _, text := range m.Dependencies {
			d, err := k.resolve(ctx, k.index, s.Version, text, at)
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// Dependents yields the versions that need a component, each with whether a good version of it meets that.
func (k *Catalog) Dependents(ctx context.Context, name string) iter.Seq2[Dependency, error] {
	return k.dependents(ctx, k.index, name, nil)
}

// dependents yields who needs a component, among what is deployed at a place if there is one.
func (k *Catalog) dependents(ctx context.Context, v kv.View, name string, at *Place) iter.Seq2[Dependency, error] {
	return func(yield func(Dependency, error) bool) {
		prefix := prefixNeed + path.Base(name) + "!"
		from, to := kv.Prefix(prefix)
		for pair, err := range v.Scan(ctx, from, to) {
			if err != nil {
				yield(Dependency{}, err)
				return
			}
			who, number, _ := strings.Cut(strings.TrimPrefix(pair.Key, prefix), "!")
			if at != nil {
				d, err := read[Deployed](ctx, v, keyDeployed(*at, who))
				if errors.Is(err, ErrUnknown) || err == nil && d.Version != number {
					continue
				}
				if err != nil {
					yield(Dependency{}, err)
					return
				}
			}
			var texts []string
			if err := json.Unmarshal(pair.Value, &texts); err != nil {
				yield(Dependency{}, err)
				return
			}
			for _, text := range texts {
				d, err := k.resolve(ctx, v, Version{Component: who, Version: number}, text, at)
				if err == nil && d.Needs != name {
					continue
				}
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

// need keeps, by the name of the service that is needed, what a version needs; m is its metadata.yaml, or nil.
func (k *Catalog) need(ctx context.Context, tx kv.Tx, v Version, m *document.Metadata) error {
	by := map[string][]string{}
	if m != nil {
		for _, text := range m.Dependencies {
			if name, _, err := version.ParseDependency(text); err == nil {
				by[path.Base(name)] = append(by[path.Base(name)], text)
			}
		}
	}
	for _, service := range v.Needs {
		if by[service] == nil {
			tx.Delete(keyNeed(service, v.Component, v.Version))
		}
	}
	for service, texts := range by {
		if err := write(tx, keyNeed(service, v.Component, v.Version), texts); err != nil {
			return err
		}
	}
	return nil
}

// servicesOf are the names by which need keeps what a version needs.
func servicesOf(m *document.Metadata) (all []string) {
	if m == nil {
		return nil
	}
	for _, text := range m.Dependencies {
		if name, _, err := version.ParseDependency(text); err == nil {
			all = append(all, path.Base(name))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// resolve finds out which component a dependency names, and whether it is met.
func (k *Catalog) resolve(ctx context.Context, v kv.View, of Version, text string, at *Place) (Dependency, error) {
	d := Dependency{Component: of.Component, Version: of.Version, Text: text}
	name, demands, err := version.ParseDependency(text)
	if err != nil {
		return d, nil // its document is denied
	}
	if d.Needs, err = lookUp(ctx, v, of.Component, name); err != nil || d.Needs == "" {
		return d, err
	}
	if at != nil {
		there, err := read[Deployed](ctx, v, keyDeployed(*at, d.Needs))
		if errors.Is(err, ErrUnknown) {
			return d, nil
		}
		d.By = there.Version
		d.Met = err == nil && allows(demands, there.Version)
		return d, err
	}
	c, err := read[Component](ctx, v, keyComponent(d.Needs))
	if err != nil {
		return d, err
	}
	if d.By, d.Met = c.Latest, allows(demands, c.Latest); d.Met {
		return d, nil
	}
	best := ""
	for row, err := range list[Version](ctx, v, prefixVersion+d.Needs+"!", "") {
		if err != nil {
			return d, err
		}
		if row.Good && allows(demands, row.Version) && (best == "" || outranks(row.Version, best)) {
			best, d.By, d.Met = row.Version, row.Version, true
		}
	}
	return d, nil
}

func allows(c version.Constraint, number string) bool {
	v, err := version.Parse(number)
	return err == nil && c.Allows(v)
}

// lookUp finds the component that a dependency names: a service of the same group, else the only one of the same domain, else the only one at all; or a group
// and a service of the same domain; or a whole path. Empty: there is none, or it is not clear which.
func lookUp(ctx context.Context, v kv.View, from, name string) (string, error) {
	parts := strings.Split(from, "/")
	var candidates []string
	switch strings.Count(name, "/") {
	case 2:
		candidates = []string{name}
	case 1:
		candidates = []string{parts[0] + "/" + name}
	default:
		candidates = []string{parts[0] + "/" + parts[1] + "/" + name}
	}
	for _, c := range candidates {
		if _, err := read[Component](ctx, v, keyComponent(c)); err == nil {
			return c, nil
		} else if !errors.Is(err, ErrUnknown) {
			return "", err
		}
	}
	if strings.Count(name, "/") == 2 {
		return "", nil
	}
	for _, under := range []string{parts[0] + "/", ""} {
		found, err := called(ctx, v, under, name)
		if err != nil || len(found) > 1 {
			return "", err
		}
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return "", nil
}

// called returns up to two components below a path whose names end with name.
func called(ctx context.Context, v kv.View, under, name string) (found []string, err error) {
	from, to := kv.Prefix(keyComponent(under))
	for pair, err := range v.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		if c := strings.TrimPrefix(pair.Key, prefixComponent); strings.HasSuffix(c, "/"+name) {
			if found = append(found, c); len(found) == 2 {
				break
			}
		}
	}
	return found, nil
}

// named is a reason with the component that it names besides the one that is moved; empty: none.
type named struct {
	Reason
	name string
}

// unmetBy are the reasons against deploying a version at a place that lie in what it needs there. Components that may not be known of are as if there were none.
func (k *Catalog) unmetBy(ctx context.Context, v kv.View, of Version, needs []string, at Place, may func(string) bool) (all []named, err error) {
	for _, text := range needs {
		d, err := k.resolve(ctx, v, of, text, &at)
		if err != nil {
			return nil, err
		}
		if d.Met {
			continue
		}
		r := named{Reason{"promotion.dependency", "it needs " + text + ", and no component that you may see is called so", "push and promote that component first"}, ""}
		if may != nil && !may(d.Needs) {
			d.Needs = ""
		}
		r.name = d.Needs
		switch {
		case d.Needs != "" && d.By == "":
			r.Says, r.Fix = "it needs "+text+", and "+d.Needs+" is not deployed in "+at.Tag(), "promote "+d.Needs+" there first"
		case d.Needs != "":
			r.Says, r.Fix = "it needs "+text+", and "+d.Needs+" "+d.By+" is deployed in "+at.Tag(), "promote a version of "+d.Needs+" that will do there first"
		}
		all = append(all, r)
	}
	return all, nil
}

// broken are the reasons against a move that lie in what others at the place need of the component; to is the version that it moves to, empty for none.
// Those that may not be known of are told without their names.
func (k *Catalog) broken(ctx context.Context, v kv.View, name, to string, at Place, may func(string) bool) (all []named, err error) {
	for d, err := range k.dependents(ctx, v, name, &at) {
		if err != nil {
			return nil, err
		}
		if d.Component == name || !d.Met {
			continue // it is no worse than before
		}
		if _, demands, err := version.ParseDependency(d.Text); err != nil || to != "" && allows(demands, to) {
			continue
		}
		if may != nil && !may(d.Component) {
			all = append(all, named{Reason{"promotion.dependent", "a component that you may not see is deployed in " + at.Tag() + " and needs " + d.Text,
				"ask whoever leads the domain, or force it"}, ""})
			continue
		}
		all = append(all, named{Reason{"promotion.dependent", d.Component + " " + d.Version + " is deployed in " + at.Tag() + " and needs " + d.Text,
			"move " + d.Component + " first, or force it"}, d.Component})
	}
	return all, nil
}
