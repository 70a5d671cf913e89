package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/door"
)

// whoami tells the caller who it is to this registry, and what was granted to it.
func (a *api) whoami(w http.ResponseWriter, _ *http.Request, c door.Call) error {
	return reply(w, http.StatusOK, struct {
		Kind   string       `json:"kind"`
		Name   string       `json:"name"`
		Groups []string     `json:"groups,omitempty"`
		Scope  auth.Scope   `json:"scope,omitzero"`
		Grants []auth.Grant `json:"grants"`
	}{kindOf(c.Who), c.Who.Name, c.Who.Groups, c.Who.Scope, orNone(a.Rules().Granted(c.Who))})
}

func kindOf(who auth.Identity) string {
	if who.Anonymous() {
		return "anonymous"
	}
	return who.Kind
}

// canI explains a decision: whether somebody may do something somewhere, and which grant says so. Whoever asks for another must administer the place.
func (a *api) canI(w http.ResponseWriter, r *http.Request, c door.Call) error {
	do, on, as := auth.Action(c.Query.Get("action")), c.Query.Get("on"), c.Query.Get("as")
	if !do.Valid() {
		return invalid("action %q is none of %s", string(do), inWords(auth.Actions))
	}
	path := auth.Everywhere
	if on != "" {
		path = auth.Path(on)
	}
	if err := path.Check(); err != nil {
		return invalid("on: %v", err)
	}
	who := c.Who
	who.Scope = nil
	if as != "" && as != who.String() {
		if err := administers(r.Context(), c, path); err != nil {
			return err
		}
		var err error
		if who, err = a.identity(r, as); err != nil {
			return err
		}
	}
	d := a.Rules().Decide(who, do, path.Base())
	out := struct {
		Allowed bool        `json:"allowed"`
		Who     string      `json:"who"`
		Action  auth.Action `json:"action"`
		On      auth.Path   `json:"on"`
		Reason  string      `json:"reason"`
		Grant   *auth.Grant `json:"grant,omitempty"`
	}{d.Allowed, who.String(), do, path, d.Reason, nil}
	if d.Grant.Role != "" {
		out.Grant = &d.Grant
	}
	return reply(w, http.StatusOK, out)
}

// identity returns somebody by the name that grants use. Of those who are known elsewhere only the name is known here, and not their groups.
func (a *api) identity(r *http.Request, name string) (auth.Identity, error) {
	if name == "anonymous" || name == auth.Anyone {
		return auth.Identity{}, nil
	}
	if err := auth.CheckWho(name); err != nil {
		return auth.Identity{}, invalid("as: %v", err)
	}
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "group":
		return auth.Identity{Kind: auth.User, Name: "(anybody in " + rest + ")", Groups: []string{rest}}, nil
	case auth.User, auth.Robot:
		who, err := a.Accounts.Identity(r.Context(), name)
		if !errors.Is(err, auth.ErrWrong) && account.Code(err) == "" {
			return who, err
		}
		if kind == auth.Robot {
			return who, unknown("robot", rest)
		}
		if _, err := a.Accounts.User(r.Context(), rest); account.Code(err) != account.Unknown {
			return who, unknown("user who is not disabled, of the name", rest)
		}
	}
	return auth.Identity{Kind: kind, Name: rest}, nil
}

// listRoles serves the table of roles.
func (a *api) listRoles(w http.ResponseWriter, _ *http.Request, _ door.Call) error {
	type line struct {
		Role    auth.Role     `json:"role"`
		Actions []auth.Action `json:"actions"`
	}
	var all []line
	for _, role := range auth.Roles() {
		all = append(all, line{role, role.Actions()})
	}
	return reply(w, http.StatusOK, map[string]any{"roles": all})
}

// inWords lists actions in a sentence.
func inWords(actions []auth.Action) string {
	var all []string
	for _, a := range actions {
		all = append(all, string(a))
	}
	return strings.Join(all, ", ")
}

// orNone makes a list that JSON writes as [] when it is empty.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
