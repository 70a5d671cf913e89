package tree

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// getInComponent serves what is below a component, which the caller may pull.
func (t *Tree) getInComponent(w http.ResponseWriter, r *http.Request, c door.Call) error {
	rest, ok := strings.CutPrefix(c.Last, "/versions/")
	if ok && rest != "" {
		return t.getInVersion(w, r, c, rest)
	}
	one, err := t.catalog.Component(r.Context(), c.On)
	if err != nil {
		return noComponent(err, c.On)
	}
	switch c.Last {
	case "", "/versions":
		return redirect(w, r)
	case "/":
		return t.show(w, r, c, Listing{Entries: []Entry{folderEntry("versions", time.Time{})}})
	case "/versions/":
		return t.getVersions(w, r, c, one)
	}
	return unknown("below a component is versions/")
}

// getVersions serves the versions of a component, the highest last.
func (t *Tree) getVersions(w http.ResponseWriter, r *http.Request, c door.Call, of artifacts.Component) error {
	l := Listing{Latest: of.Latest}
	after := c.Query.Get("after")
	for v, err := range t.catalog.Versions(r.Context(), c.On) {
		if err != nil {
			return err
		}
		if v.Version <= after {
			continue
		}
		if len(l.Entries) == t.page {
			l.Next = l.Entries[t.page-1].Name
			break
		}
		l.Entries = append(l.Entries, folderEntry(v.Version, v.Created))
	}
	slices.SortStableFunc(l.Entries, func(a, b Entry) int {
		v, _ := version.Parse(a.Name)
		w, _ := version.Parse(b.Name)
		return cmp.Or(v.Compare(w), cmp.Compare(a.Name, b.Name))
	})
	return t.show(w, r, c, l)
}

// getInVersion serves a version's folder and what is in it; rest begins with the version.
func (t *Tree) getInVersion(w http.ResponseWriter, r *http.Request, c door.Call, rest string) error {
	number, path, slash := strings.Cut(rest, "/")
	in, err := t.open(r.Context(), c.On, number)
	if err != nil {
		if _, unknown := t.catalog.Component(r.Context(), c.On); unknown != nil {
			return noComponent(unknown, c.On)
		}
		return err
	}
	if !slash {
		return redirect(w, r)
	}
	if path != "" && !strings.HasSuffix(path, "/") {
		if i, ok := in.find(path); ok {
			return t.serve(w, r, c, in, i)
		}
		if in.folder(path + "/") {
			return redirect(w, r)
		}
	}
	if !in.folder(path) {
		return noFile(in, path)
	}
	return t.show(w, r, c, t.listing(r, in, path))
}

// listing is what is in a folder of a version.
func (t *Tree) listing(r *http.Request, in content, folder string) Listing {
	l := Listing{}
	in.in(folder, func(name string, i *item, modified time.Time) {
		switch {
		case i == nil:
			l.Entries = append(l.Entries, folderEntry(name, modified))
		case i.image != nil:
			l.Entries = append(l.Entries, t.imageEntry(r, in, i))
		default:
			l.Entries = append(l.Entries, fileEntry(name, i))
		}
	})
	if folder == "" {
		i := in.sums()
		l.Entries = append(l.Entries, fileEntry(sums, &i))
	}
	return l
}

// File serves a file of a version to a route that has asked for the right to pull the component: rest is docker/manifest.yaml, docker/image.tar, deb/x.deb,
// generic/fw.bin, metadata.yaml, ownership.yaml or SHA256SUMS.
func (t *Tree) File(w http.ResponseWriter, r *http.Request, c door.Call, component, number, rest string) error {
	in, err := t.open(r.Context(), component, number)
	if err != nil {
		return err
	}
	i, ok := in.find(rest)
	if !ok {
		return noFile(in, rest)
	}
	return t.serve(w, r, c, in, i)
}

func noFile(in content, path string) error {
	return unknown("version %s of %s has no %s; look at %s%s/versions/%s/ for what it has", in.version, in.component, auth.Clip(path), components, in.component, in.version)
}
