package suite

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts/deb"
)

// all is the architecture of packages that are for every one.
const all = "all"

// Conflict is the error when two packages cannot both be in a suite: they are the same package, version and architecture, or the same file, with
// different bytes. Hosts would get the one and be told the hash of the other.
type Conflict struct{ One, Other Package }

func (c *Conflict) Error() string {
	return fmt.Sprintf("%s and %s have different bytes: give the changed one a new version", c.One.describe(), c.Other.describe())
}

// describe names a package with all that may tell it from another.
func (p *Package) describe() string {
	return fmt.Sprintf("%.128s %.128s %.32s (%.1024s in %.128s, sha256:%.64s)", p.Name, p.Version, p.Architecture, p.Filename, p.Component, p.SHA256)
}

// entry is a package in its place.
type entry struct {
	Package
	version deb.Version
	stanza  string
}

// arrange checks packages and puts them in the order of lists: by name, version and architecture, and, so that there is one order only, by all else.
func arrange(packages []Package) ([]*entry, error) {
	entries := make([]*entry, len(packages))
	for i, p := range packages {
		version, err := p.check()
		if err != nil {
			return nil, p.fault(err)
		}
		entries[i] = &entry{Package: p, version: version}
	}
	slices.SortFunc(entries, (*entry).order)
	if err := distinct(entries); err != nil {
		return nil, err
	}
	entries = slices.CompactFunc(entries, (*entry).repeats)
	for _, e := range entries {
		var err error
		if e.stanza, err = e.Package.stanza(); err != nil {
			return nil, e.fault(err)
		}
	}
	return entries, nil
}

func (e *entry) order(o *entry) int {
	return cmp.Or(strings.Compare(e.Name, o.Name), e.version.Compare(o.version), strings.Compare(e.Architecture, o.Architecture),
		strings.Compare(e.Component, o.Component), strings.Compare(e.Version, o.Version), strings.Compare(e.Filename, o.Filename),
		strings.Compare(e.SHA256, o.SHA256), cmp.Compare(e.Size, o.Size), strings.Compare(e.Control, o.Control))
}

// same tells whether two are the same package, version and architecture. 1.0 and 1.00 are the same version, however they are written.
func (e *entry) same(o *entry) bool {
	return e.Name == o.Name && e.Architecture == o.Architecture && e.version.Compare(o.version) == 0
}

// repeats tells whether an entry says again what the one before it says: the same file was pushed to two places of one component.
func (e *entry) repeats(before *entry) bool { return e.same(before) && e.Component == before.Component }

// distinct makes sure that nothing is there twice with different bytes. The entries are in order.
func distinct(entries []*entry) error {
	files := make(map[string]*entry, len(entries))
	for i, e := range entries {
		if i > 0 && e.same(entries[i-1]) && !e.equals(entries[i-1]) {
			return &Conflict{One: entries[i-1].Package, Other: e.Package}
		}
		if o := files[e.Filename]; o != nil && !e.equals(o) {
			return &Conflict{One: o.Package, Other: e.Package}
		}
		files[e.Filename] = e
	}
	return nil
}

func (e *entry) equals(o *entry) bool { return e.SHA256 == o.SHA256 && e.Size == o.Size }

// axes returns the components and the architectures of the next snapshot, sorted: those of the suite, those of the packages, and those that were there
// before. If a component vanished, apt-get update would fail on every host that names it.
func (s Suite) axes(entries []*entry, before *Snapshot) (components, architectures []string, err error) {
	c, a := map[string]bool{}, map[string]bool{}
	add := func(component, architecture string) {
		c[component], a[architecture] = true, true
	}
	for _, component := range s.Components {
		c[component] = true
	}
	for _, architecture := range s.Architectures {
		a[architecture] = true
	}
	for _, e := range entries {
		add(e.Component, e.Architecture)
	}
	for name := range before.Files {
		if component, architecture, ok := listOf(name); ok {
			add(component, architecture)
		}
	}
	delete(a, all)
	switch {
	case len(a) == 0:
		return nil, nil, errors.New("it has no architecture: name those of the hosts, as amd64")
	case len(c) > maxComponents || len(a) > maxArchitectures:
		return nil, nil, fmt.Errorf("it has %d components and %d architectures, more than %d and %d: make several suites of it",
			len(c), len(a), maxComponents, maxArchitectures)
	}
	return slices.Sorted(maps.Keys(c)), slices.Sorted(maps.Keys(a)), nil
}
