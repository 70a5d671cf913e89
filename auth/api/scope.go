package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// Bounds of what a client may ask for at once. docker asks for one or two scopes.
const (
	maxScopes    = 100
	maxScopeText = 16 << 10
	maxActions   = 20
)

func invalid(format string, args ...any) error {
	return &door.Refusal{Answer: door.Answer{Status: 400, Code: "INVALID", Message: "the request cannot be followed"},
		Detail: map[string]string{"hint": auth.Clip(fmt.Sprintf(format, args...))}}
}

// parseScopes reads scopes in the form of Docker's token protocol, type[(class)]:name:action,…, several in one parameter with spaces between them.
// A name may hold a port, so the type ends at the first colon and the actions begin behind the last.
func parseScopes(values []string) (auth.Scope, error) {
	asked := auth.Scope{}
	length := 0
	for _, value := range values {
		if length += len(value); length > maxScopeText {
			return nil, invalid("more than %d bytes of scopes", maxScopeText)
		}
		for text := range strings.FieldsSeq(value) {
			kind, rest, ok := strings.Cut(text, ":")
			end := strings.LastIndexByte(rest, ':')
			if !ok || end < 0 || kind == "" || end == 0 {
				return nil, invalid("scope %q: write it like repository:cloud/dmp/ms-ingestion:pull,push", text)
			}
			if class := strings.IndexByte(kind, '('); class > 0 && strings.HasSuffix(kind, ")") {
				kind = kind[:class]
			}
			actions := strings.Split(rest[end+1:], ",")
			if len(actions) > maxActions {
				return nil, invalid("scope %q: more than %d actions", auth.Clip(text), maxActions)
			}
			if asked = append(asked, auth.Access{Type: kind, Name: door.Repository(rest[:end]), Actions: actions}); len(asked) > maxScopes {
				return nil, invalid("more than %d scopes", maxScopes)
			}
		}
	}
	return asked, nil
}

// words are what a token may be asked for, each with an action that shows whether there is anything to it.
var words = []struct {
	word string
	do   auth.Action
}{{"pull", auth.Pull}, {"push", auth.Push}, {"delete", auth.DeleteOwn}, {"promote", auth.Promote}}

// cut leaves of what was asked for what the policy grants, as the protocol wants it: nothing is refused, there is just less in the token. What remains is
// the same whether there is such a repository or not. limit is what the credential is cut down to itself, nil if it is not.
func cut(asked, limit auth.Scope, may func(do auth.Action, on string) bool) auth.Scope {
	granted := auth.Scope{}
	for _, a := range asked {
		var actions []string
		switch {
		case a.Type == "repository" && !strings.Contains(a.Name, "*"):
			all := slices.Contains(a.Actions, "*")
			for _, w := range words {
				if (all || slices.Contains(a.Actions, w.word)) && may(w.do, a.Name) {
					actions = append(actions, w.word)
				}
			}
			if all && may(auth.Delete, a.Name) && may(auth.Administer, a.Name) {
				actions = []string{"*"}
			}
		case a.Type == "registry" && a.Name == "catalog" && slices.Contains(a.Actions, "*"):
			if may(auth.List, "") {
				if actions = []string{"*"}; limit != nil {
					actions = []string{"pull"} // what the credential may itself be cut down to
				}
			}
		}
		if actions == nil {
			continue
		}
		same := func(g auth.Access) bool { return g.Type == a.Type && g.Name == a.Name }
		if i := slices.IndexFunc(granted, same); i >= 0 {
			granted[i].Actions = merge(granted[i].Actions, actions)
		} else {
			granted = append(granted, auth.Access{Type: a.Type, Name: a.Name, Actions: actions})
		}
	}
	return granted
}

func merge(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// text writes a scope as clients do.
func text(s auth.Scope) string {
	var all []string
	for _, a := range s {
		all = append(all, a.Type+":"+a.Name+":"+strings.Join(a.Actions, ","))
	}
	return strings.Join(all, " ")
}

// checkScope tells what is wrong with the scope that somebody wants to cut a long-lived token down to.
func checkScope(s auth.Scope) error {
	if len(s) > maxScopes {
		return invalid("more than %d scopes", maxScopes)
	}
	for _, a := range s {
		switch {
		case a.Type == "registry" && a.Name == "catalog":
		case a.Type != "repository":
			return invalid("scope of type %q: there are repository and registry (catalog)", a.Type)
		case auth.Path(a.Name).Check() != nil:
			return invalid("scope: %v", auth.Path(a.Name).Check())
		}
		if len(a.Actions) == 0 {
			return invalid("scope %s:%s: name at least one of pull, push, delete, promote, *", a.Type, a.Name)
		}
		for _, word := range a.Actions {
			if !slices.Contains([]string{"pull", "push", "delete", "promote", "*"}, word) {
				return invalid("scope %s:%s: %q is none of pull, push, delete, promote, *", a.Type, a.Name, word)
			}
		}
	}
	return nil
}
