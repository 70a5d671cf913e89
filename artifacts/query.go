package artifacts

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/storage/kv"
)

// Query says which versions or components are wanted; what is not set is any. Of components it asks their latest good version, or, if there is none, the one
// that was changed last.
type Query struct {
	Group        string // cloud/dmp, or a domain alone
	Component    string
	Team         string
	Domain       string // where it may be deployed
	Environment  string
	Format       string // docker, deb, generic
	Architecture string
	Commit       string            // the whole revision
	Label        map[string]string // of the image
	Port         int
	Level        Level  // with findings of this level
	Rule         string // with findings of this rule
	Good         *bool
	Text         string    // part of the component's name
	At           time.Time // those that were there then; zero: now

	Newest bool                        // newest first, instead of by name and version
	After  string                      // Next of the page before
	Limit  int                         // 1 to 1000; 0 is 100
	May    func(component string) bool // which components may be seen; nil: all
}

// Page is a part of a list of versions.
type Page struct {
	Versions []Version
	Next     string // empty at the end
}

// ComponentPage is a part of a list of components.
type ComponentPage struct {
	Components []Component
	Next       string
}

var (
	// ErrCursor says that what was given as After is no Next of a page.
	ErrCursor = find.ErrCursor
	// ErrBroad says that a search has looked at much, and found nothing that may be seen: it must be narrowed.
	ErrBroad = find.ErrBroad
)

// Find returns versions, a page at a time.
func (k *Catalog) Find(ctx context.Context, q Query) (Page, error) {
	found, err := find.Search(ctx, k.index, q.search("version"))
	page := Page{Versions: []Version{}, Next: found.Next}
	for _, ref := range found.Refs {
		v, err := k.Version(ctx, ref.Component, ref.Version)
		if errors.Is(err, ErrUnknown) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return page, err
		}
		page.Versions = append(page.Versions, v)
	}
	return page, err
}

// FindComponents returns components, a page at a time.
func (k *Catalog) FindComponents(ctx context.Context, q Query) (ComponentPage, error) {
	found, err := find.Search(ctx, k.index, q.search("component"))
	page := ComponentPage{Components: []Component{}, Next: found.Next}
	for _, ref := range found.Refs {
		c, err := k.Component(ctx, ref.Component)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err == nil && !q.At.IsZero() {
			c.Latest, err = k.latestAt(ctx, c.Name, q.At)
		}
		if err != nil {
			return page, err
		}
		page.Components = append(page.Components, c)
	}
	return page, err
}

// search says it to package find, where components stand beside versions: their fields have names of their own.
func (q Query) search(kind string) find.Query {
	s := find.Query{Under: q.Group, Newest: q.Newest, After: q.After, Limit: q.Limit, Text: strings.ToLower(q.Text), May: q.May}
	if q.Component != "" {
		s.Under = q.Component
	}
	add := func(field, value string) {
		if value != "" {
			s.Where = append(s.Where, find.Term{Field: kind + "." + field, Value: value})
		}
	}
	add("team", q.Team)
	add("domain", q.Domain)
	add("env", q.Environment)
	add("format", q.Format)
	add("arch", q.Architecture)
	add("commit", q.Commit)
	for _, name := range sortedKeys(q.Label) {
		add("label", name+"="+q.Label[name])
	}
	if q.Port != 0 {
		add("port", strconv.Itoa(q.Port))
	}
	add("level", string(q.Level))
	add("rule", q.Rule)
	if q.Good != nil {
		add("good", strconv.FormatBool(*q.Good))
	}
	if len(s.Where) == 0 {
		add("is", kind)
	}
	if !q.At.IsZero() {
		s.Want = func(r find.Ref) (bool, error) { return !r.Created.After(q.At), nil }
	}
	return s
}

// itself stands in the place of a version for a component: no version is called so.
const itself = "-"

// maxIndexed is how many labels of a version can be searched for; images have a handful.
const maxIndexed = 50

// entryOf is what can be found of a version.
func entryOf(s State, m *document.Metadata) find.Entry {
	fields := map[string][]string{"is": {"version"}, "good": {strconv.FormatBool(s.Good)}, "arch": s.architectures()}
	if s.Commit != "" {
		fields["commit"] = []string{s.Commit}
	}
	if m != nil {
		fields["team"], fields["domain"], fields["env"] = []string{m.Team}, m.Domains, m.Environments
	}
	for format, f := range s.Formats {
		fields["format"] = append(fields["format"], string(format))
		for _, name := range sortedKeys(f.Labels)[:min(len(f.Labels), maxIndexed)] {
			fields["label"] = append(fields["label"], name+"="+f.Labels[name])
		}
		for _, p := range f.Ports[:min(len(f.Ports), maxIndexed)] {
			fields["port"] = append(fields["port"], strconv.Itoa(p))
		}
	}
	if m != nil {
		for _, p := range m.Ports[:min(len(m.Ports), maxIndexed)] {
			fields["port"] = append(fields["port"], strconv.Itoa(p))
		}
	}
	for _, f := range s.Findings {
		fields["level"] = append(fields["level"], string(f.Level))
		fields["rule"] = append(fields["rule"], f.Rule)
	}
	for name, values := range fields {
		slices.Sort(values)
		fields[name] = slices.Compact(values)
	}
	return find.Entry{Ref: find.Ref{Component: s.Component, Version: s.Version.Version, Created: s.Created}, Fields: prefixed("version", fields)}
}

// entryOfComponent is what can be found of a component: as its version.
func entryOfComponent(c Component, of find.Entry) find.Entry {
	fields := map[string][]string{}
	for name, values := range of.Fields {
		fields[strings.TrimPrefix(name, "version.")] = values
	}
	fields["is"] = []string{"component"}
	return find.Entry{Ref: find.Ref{Component: c.Name, Version: itself, Created: c.Created}, Fields: prefixed("component", fields)}
}

func prefixed(kind string, fields map[string][]string) map[string][]string {
	all := make(map[string][]string, len(fields))
	for name, values := range fields {
		all[kind+"."+name] = values
	}
	return all
}

// latestAt returns the latest good version that a component had at a time; empty: it had none.
func (k *Catalog) latestAt(ctx context.Context, name string, at time.Time) (latest string, err error) {
	from, _ := kv.Prefix(prefixPast + name + "!")
	for pair, err := range k.index.Scan(ctx, from, keyPast(name, at.Add(time.Microsecond))) {
		if err != nil {
			return "", err
		}
		latest = string(pair.Value)
	}
	return latest, nil
}

// Resolution is what a name of a version comes down to.
type Resolution struct {
	Component string                 `json:"component"`
	Version   string                 `json:"version"`
	Tag       string                 `json:"tag"`
	Digest    digest.Digest          `json:"digest"` // of its image, or, without one, of what a domain tag would name
	MediaType string                 `json:"mediaType"`
	Commit    string                 `json:"commit,omitempty"`
	Place     *Place                 `json:"place,omitempty"` // where it is deployed, if that was asked for
	Formats   map[Kind]digest.Digest `json:"formats"`
}

// Resolve returns what ref comes down to: a version, latest, a place (cloud.prod) or a commit (commit-0a1b2c3). ErrUnknown: nothing.
func (k *Catalog) Resolve(ctx context.Context, name, ref string) (Resolution, error) {
	number, place := "", (*Place)(nil)
	switch t, _ := version.ParseTag(ref); t.Kind {
	case version.TagLatest:
		c, err := k.Component(ctx, name)
		if err != nil || c.Latest == "" {
			return Resolution{}, cmp.Or(err, ErrUnknown)
		}
		number = c.Latest
	case version.TagDomain:
		place = &Place{t.Domain, t.Environment}
		d, err := k.Deployed(ctx, name, *place)
		if err != nil {
			return Resolution{}, err
		}
		number = d.Version
	case version.TagCommit:
		for v, err := range k.Commit(ctx, t.Commit) {
			if err != nil {
				return Resolution{}, err
			}
			if v.Component == name {
				number = v.Version
			}
		}
	case version.TagVersion, version.TagDeb, version.TagGeneric, version.TagRelease:
		number = t.Version.String()
	default:
		if v, err := version.Parse(ref); err == nil {
			number = v.String()
		}
	}
	if number == "" {
		return Resolution{}, ErrUnknown
	}
	v, err := k.Version(ctx, name, number)
	if err != nil {
		return Resolution{}, err
	}
	r := Resolution{Component: name, Version: v.Version, Commit: v.Commit, Place: place, Formats: map[Kind]digest.Digest{}}
	for _, format := range []Kind{Generic, Deb, Release, Docker} {
		if f, ok := v.Formats[format]; ok {
			r.Formats[format] = f.Digest
			r.Tag, r.Digest, r.MediaType = f.Tag, f.Digest, f.MediaType
		}
	}
	return r, nil
}

// Owner returns the ownership.yaml of a group, or ErrUnknown.
func (k *Catalog) Owner(ctx context.Context, group string) (Attached, error) {
	return read[Attached](ctx, k.index, keyOwner(group))
}

// Policy returns the policy.yaml of a group, or ErrUnknown.
func (k *Catalog) Policy(ctx context.Context, group string) (Attached, error) {
	return read[Attached](ctx, k.index, keyPolicy(group))
}
