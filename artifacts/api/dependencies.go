package api

import (
	"context"
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// getDependencies tells what a version needs: the named one, else the one that is deployed at the place, else the latest.
func (a *api) getDependencies(w http.ResponseWriter, r *http.Request, c door.Call) error {
	ctx := r.Context()
	place, err := placeOf(c, "place")
	if err != nil {
		return err
	}
	ref := c.Query.Get("version")
	switch {
	case ref != "":
		if ref, err = numberOf(ref); err != nil {
			return badQuery("version", c.Query.Get("version"), "write it as 1.0.2")
		}
	case place != nil:
		ref = place.Tag()
	default:
		ref = "latest"
	}
	found, err := a.Catalog.Resolve(ctx, c.On, ref)
	if err != nil {
		return lack(err, ref+" of "+c.On, "name a version with ?version=")
	}
	all, err := a.Catalog.Dependencies(ctx, c.On, found.Version, place)
	if err != nil {
		return lack(err, "version "+found.Version+" of "+c.On, "ask for /api/v1/components/"+c.On+"/versions")
	}
	for i := range all {
		all[i] = a.seen(ctx, c, all[i])
	}
	return list(w, r, c, all, "")
}

// seen leaves out what the caller may not know of a component that is needed: which it is and in which versions. Whether the need is met stays, since it
// is told of the version that has it.
func (a *api) seen(ctx context.Context, c door.Call, d artifacts.Dependency) artifacts.Dependency {
	if d.Needs != "" && !c.May(ctx, auth.Pull, d.Needs) {
		d.Needs, d.By = "", ""
	}
	return d
}

// getDependents tells which versions of others need a component, of those that the caller may see.
func (a *api) getDependents(w http.ResponseWriter, r *http.Request, c door.Call) error {
	n, err := limit(c)
	if err != nil {
		return err
	}
	if _, err := a.Catalog.Component(r.Context(), c.On); err != nil {
		return lack(err, "component "+c.On, "it begins with its first version: push one")
	}
	after := c.Query.Get("after")
	var items []artifacts.Dependency
	last, next := "", ""
	for d, err := range a.Catalog.Dependents(r.Context(), c.On) {
		if err != nil {
			return err
		}
		// They come in this order; what one version needs stays in one part.
		key := d.Component + "!" + d.Version
		if key <= after || !c.May(r.Context(), auth.Pull, d.Component) {
			continue
		}
		if len(items) >= n && key != last {
			next = last
			break
		}
		items, last = append(items, d), key
	}
	return list(w, r, c, items, next)
}
