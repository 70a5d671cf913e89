package api

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// place is one entry of the list of places.
type place struct {
	artifacts.Place
	Name  string `json:"place"` // cloud.prod
	Suite string `json:"suite"` // of apt
	Index string `json:"index"` // where its file is
	Last  bool   `json:"last"`  // whether promotions to it take more rights than to others
}

// listPlaces lists where anything is deployed that the caller may see.
func (a *api) listPlaces(w http.ResponseWriter, r *http.Request, c door.Call) error {
	all, err := a.places(r.Context(), c)
	if err != nil {
		return err
	}
	var items []place
	for _, p := range all {
		items = append(items, place{p, p.Tag(), p.Suite(), "/index/domain-" + p.Suite() + ".yaml", a.Catalog.IsLast(p)})
	}
	return list(w, r, c, items, "")
}

// places are those that the caller may know of.
func (a *api) places(ctx context.Context, c door.Call) ([]artifacts.Place, error) {
	all, err := a.Catalog.Places(ctx)
	if err != nil {
		return nil, err
	}
	var visible []artifacts.Place
	for _, p := range all {
		is, err := a.visible(ctx, p, a.may(ctx, c))
		if err != nil {
			return nil, err
		}
		if is {
			visible = append(visible, p)
		}
	}
	return visible, nil
}

// memory is how many moves a place remembers of what was withdrawn from it, for those who may see nothing that is deployed there.
const memory = 10_000

// visible tells whether anything is or was deployed at a place of the components that may be seen; may is nil for all.
func (a *api) visible(ctx context.Context, at artifacts.Place, may func(component string) bool) (bool, error) {
	for d, err := range a.Catalog.DeployedAt(ctx, at, "") {
		if err != nil {
			return false, err
		}
		if may == nil || may(d.Component) {
			return true, nil
		}
	}
	looked := 0
	for m, err := range a.Catalog.Moves(ctx, artifacts.MoveQuery{Place: &at}) {
		if err != nil {
			return false, err
		}
		if may == nil || may(m.Component) {
			return true, nil
		}
		if looked++; looked == memory {
			break
		}
	}
	return false, nil
}

// getPlace lists what is deployed at a place, or was at a time.
func (a *api) getPlace(w http.ResponseWriter, r *http.Request, c door.Call) error {
	ctx := r.Context()
	p, err := artifacts.ParsePlace(c.Last)
	if err != nil {
		return unknown("place "+quote(c.Last), "write it as cloud.prod")
	}
	at, err := a.at(c)
	if err != nil {
		return err
	}
	n, err := limit(c)
	if err != nil {
		return err
	}
	if is, err := a.visible(ctx, p, a.may(ctx, c)); err != nil {
		return err
	} else if !is {
		return noPlace("place " + p.Tag())
	}
	var items []artifacts.Deployed
	next := ""
	for d, err := range a.deployedAt(ctx, p, at, c.Query.Get("after")) {
		if err != nil {
			return err
		}
		if !c.May(ctx, auth.Pull, d.Component) {
			continue
		}
		if len(items) == n {
			next = items[n-1].Component
			break
		}
		items = append(items, d)
	}
	return list(w, r, c, items, next)
}

func noPlace(what string) error {
	return unknown(what, "a place begins with the first promotion to it; /api/v1/places lists those there are")
}

// getDeployed lists where a component is deployed, or was at a time.
func (a *api) getDeployed(w http.ResponseWriter, r *http.Request, c door.Call) error {
	at, err := a.at(c)
	if err != nil {
		return err
	}
	if _, err := a.Catalog.Component(r.Context(), c.On); err != nil {
		return lack(err, "component "+c.On, "it begins with its first version: push one")
	}
	items, err := a.deployedOf(r.Context(), c.On, at)
	if err != nil {
		return err
	}
	return list(w, r, c, items, "")
}

// deployedOf returns where a component is deployed (at zero) or was at a time, by place.
func (a *api) deployedOf(ctx context.Context, name string, at time.Time) (all []artifacts.Deployed, err error) {
	if !at.IsZero() {
		return a.then(ctx, artifacts.MoveQuery{Component: name, Until: at})
	}
	for d, err := range a.Catalog.DeployedOf(ctx, name) {
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// deployedAt yields what is deployed at a place (at zero) or was at a time, of the components after the given one.
func (a *api) deployedAt(ctx context.Context, p artifacts.Place, at time.Time, after string) iter.Seq2[artifacts.Deployed, error] {
	if at.IsZero() {
		return a.Catalog.DeployedAt(ctx, p, after)
	}
	return func(yield func(artifacts.Deployed, error) bool) {
		all, err := a.then(ctx, artifacts.MoveQuery{Place: &p, Until: at})
		if err != nil {
			yield(artifacts.Deployed{}, err)
			return
		}
		for _, d := range all {
			if d.Component > after && !yield(d, nil) {
				return
			}
		}
	}
}

// then follows from the moves what was deployed at the end of their time, by component and place.
func (a *api) then(ctx context.Context, q artifacts.MoveQuery) (all []artifacts.Deployed, err error) {
	known := map[string]bool{}
	for m, err := range a.Catalog.Moves(ctx, q) {
		if err != nil {
			return nil, err
		}
		key := m.Component + "!" + m.Tag()
		if known[key] {
			continue // it was moved again
		}
		known[key] = true
		if m.To != "" {
			all = append(all, artifacts.Deployed{
				Component: m.Component, Place: m.Place, Version: m.To, Digest: m.Digest, Move: m.ID, By: m.By, Since: m.When, Reason: m.Reason,
			})
		}
	}
	slices.SortFunc(all, func(x, y artifacts.Deployed) int {
		return cmp.Or(cmp.Compare(x.Component, y.Component), cmp.Compare(x.Tag(), y.Tag()))
	})
	return all, nil
}
