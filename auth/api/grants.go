package api

import (
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/door"
)

// listGrants lists the grants, those of the configuration file first, on paths that the caller administers.
func (a *api) listGrants(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var all []auth.Grant
	add := func(g auth.Grant) {
		if c.May(r.Context(), auth.Administer, g.On.Base()) {
			all = append(all, g)
		}
	}
	for _, g := range a.Fixed() {
		add(g)
	}
	for g, err := range a.Accounts.Grants(r.Context()) {
		if err != nil {
			return err
		}
		add(g)
	}
	return reply(w, http.StatusOK, map[string]any{"grants": orNone(all)})
}

func (a *api) addGrant(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Who  string    `json:"who"`
		Role auth.Role `json:"role"`
		On   auth.Path `json:"on"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	g := auth.Grant{Who: asked.Who, Role: asked.Role, On: asked.On}
	if err := g.Check(); err != nil {
		return invalid("%v", err)
	}
	if err := a.mayAppoint(r, c, g); err != nil {
		return err
	}
	if err := a.closed("a grant"); err != nil {
		return err
	}
	g, err := a.Accounts.AddGrant(c.By(r), g)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, g)
}

func (a *api) mayAppoint(r *http.Request, c door.Call, g auth.Grant) error {
	if err := administers(r.Context(), c, g.On); err != nil {
		return err
	}
	return a.Rules().MayAppoint(c.Who, g)
}

func (a *api) removeGrant(w http.ResponseWriter, r *http.Request, c door.Call) error {
	id, _ := named(c)
	if strings.HasPrefix(id, configGrant) && c.May(r.Context(), auth.Administer, "") {
		return invalid("%s stands in the configuration file; remove it there, the registry reads the file again", id)
	}
	g, err := a.Accounts.Grant(r.Context(), id)
	if account.Code(err) == account.Unknown {
		return unknown("grant", id)
	}
	if err != nil {
		return err
	}
	if err := ask(r.Context(), c, auth.Administer, g.On); err != nil {
		return hides(err, "grant", id)
	}
	if err := a.mayAppoint(r, c, g); err != nil {
		return err
	}
	if err := a.Accounts.RemoveGrant(c.By(r), id); err != nil {
		return err
	}
	return none(w)
}

// configGrant is what the ids of the configuration file's grants begin with.
const configGrant = "config:"
