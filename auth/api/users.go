package api

import (
	"net/http"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/door"
)

// listUsers lists the users whom the registry keeps itself, and those whom a provider vouched for.
func (a *api) listUsers(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var all []account.User
	for u, err := range a.Accounts.Users(r.Context(), c.Query.Get("last")) {
		if err != nil {
			return err
		}
		if all = append(all, u); len(all) == pageSize {
			break
		}
	}
	return reply(w, http.StatusOK, map[string]any{"users": orNone(all)})
}

// pageSize is how many entries one answer lists; ?last= goes on behind the last of them.
const pageSize = 1000

func (a *api) getUser(w http.ResponseWriter, r *http.Request, c door.Call) error {
	name, _ := named(c)
	u, err := a.Accounts.User(r.Context(), name)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, u)
}

// addUser adds a user. The first one of a registry that was open to everybody becomes its admin, and from then on it is open no more.
func (a *api) addUser(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Name     string   `json:"name"`
		Password string   `json:"password"`
		Groups   []string `json:"groups"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	var first *auth.Grant
	if a.Open() {
		first = &auth.Grant{Role: auth.Admin, On: auth.Everywhere}
	}
	u, err := a.Accounts.AddUser(c.By(r), asked.Name, asked.Password, asked.Groups, first)
	if err != nil {
		return err
	}
	out := struct {
		account.User
		First bool `json:"first,omitempty"` // it is admin now, and the registry is open no more
	}{u, first != nil}
	return reply(w, http.StatusCreated, out)
}

func (a *api) changeUser(w http.ResponseWriter, r *http.Request, c door.Call) error {
	name, _ := named(c)
	var asked struct {
		Password *string   `json:"password"`
		Groups   *[]string `json:"groups"`
		Disabled *bool     `json:"disabled"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	u, err := a.Accounts.ChangeUser(c.By(r), name, account.UserChange{Password: asked.Password, Groups: asked.Groups, Disabled: asked.Disabled})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, u)
}

func (a *api) removeUser(w http.ResponseWriter, r *http.Request, c door.Call) error {
	name, _ := named(c)
	if err := a.Accounts.RemoveUser(c.By(r), name); err != nil {
		return err
	}
	return none(w)
}

// changePassword lets a user change the own password, who proves to know the old one.
func (a *api) changePassword(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if err := uncut(c, "change a password"); err != nil {
		return err
	}
	if c.Who.Kind != auth.User || asked.Old == "" || account.IsSecret(asked.Old) {
		return invalid("only a user changes a password, and sends the old one")
	}
	who, err := a.Logins.Password(r.Context(), c.Who.Name, asked.Old, c.Remote(r))
	if err != nil {
		return err
	}
	if who.String() != c.Who.String() {
		return invalid("the old password is another user's")
	}
	if _, err := a.Accounts.ChangeUser(c.By(r), who.Name, account.UserChange{Password: &asked.New}); err != nil {
		return err
	}
	return none(w)
}

// uncut refuses what nobody does with a token that was cut down to less than its owner may.
func uncut(c door.Call, what string) error {
	if c.Who.Scope == nil {
		return nil
	}
	return &door.Refusal{Answer: door.Denied, Detail: map[string]string{"hint": "with a token that was cut down to a scope nobody can " + what + "; log in with the password"}}
}
