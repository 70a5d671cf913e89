// Package api is the side of the door where one logs in: the token service, and the management of accounts and grants.
//
//	handler := door.New(at, slices.Concat(registryapi.Routes(…), api.Routes(api.Config{Logins: logins, …}))...)
//
// /auth/token speaks Docker's token protocol (https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/), OAuth 2.0's password and
// refresh_token grants (RFC 6749) and token exchange (RFC 8693); /auth/keys publishes the keys that the tokens are signed with (RFC 7517). /auth/login
// and /auth/callback log people in who are known to an OpenID provider, in a browser. /api/v1/auth/… manages users, robots, secrets, tokens and grants, and
// explains decisions.
//
// Everything is decided by [auth.Policy]: the door asks for what a route needs at least, and an endpoint that then learns which path is concerned asks
// again for that. Who may give which role is [auth.Rules.MayAppoint].
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/login"
	"github.com/entrepot/entrepot/auth/oidc"
	"github.com/entrepot/entrepot/auth/token"
	"github.com/entrepot/entrepot/door"
)

// Config is what the routes stand on.
type Config struct {
	Accounts *account.Store
	Logins   *login.Logins
	Tokens   *token.Issuer
	Rules    func() *auth.Rules                   // those that hold now
	Fixed    func() []auth.Grant                  // the grants of the configuration file
	Open     func() bool                          // whether nobody is configured and everybody may do everything
	People   func(provider string) *oidc.Provider // where people log in; "" is the only one there is, or nil

	URL      string        // how clients reach the registry; empty: as the request did
	Service  string        // what the token service is called
	LoginTTL time.Duration // how long a client's or a browser's login lasts
	Log      *slog.Logger
	Now      func() time.Time
}

type api struct {
	Config
}

// Routes returns the table.
func Routes(c Config) []door.Route {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{c}
	const base = "/api/v1/auth"
	return []door.Route{
		route("auth-token", "/auth/token", methods{
			"GET": {Action: auth.Knock, Serve: a.getToken}, "POST": {Action: auth.Knock, Serve: a.postToken},
		}),
		route("auth-keys", "/auth/keys", methods{"GET": {Action: auth.Knock, Serve: a.getKeys}}),
		route("auth-login", "/auth/login", methods{"GET": {Action: auth.Knock, Serve: a.beginLogin}}),
		route("auth-callback", "/auth/callback", methods{"GET": {Action: auth.Knock, Serve: a.finishLogin}}),
		route("auth-logout", "/auth/logout", methods{"POST": {Action: auth.Enter, Serve: a.logout}}),

		route("auth-whoami", base+"/whoami", methods{"GET": {Action: auth.Enter, Serve: a.whoami}}),
		route("auth-can-i", base+"/can-i", methods{"GET": {Action: auth.Enter, Serve: a.canI}}),
		route("auth-roles", base+"/roles", methods{"GET": {Action: auth.Enter, Serve: a.listRoles}}),
		route("auth-password", base+"/password", methods{"POST": {Action: auth.Enter, Serve: a.changePassword}}),
		route("auth-tokens", base+"/tokens", methods{
			"GET": {Action: auth.Enter, Serve: a.listTokens}, "POST": {Action: auth.Enter, Serve: a.addToken},
		}),
		route("auth-token-of", base+"/tokens/*", methods{"DELETE": {Action: auth.Enter, Serve: a.revokeToken}}),

		route("auth-users", base+"/users", methods{
			"GET": {Action: auth.Manage, Serve: a.listUsers}, "POST": {Action: auth.Manage, Serve: a.addUser},
		}),
		route("auth-user", base+"/users/*", methods{
			"GET": {Action: auth.Manage, Serve: a.getUser}, "PATCH": {Action: auth.Manage, Serve: a.changeUser}, "DELETE": {Action: auth.Manage, Serve: a.removeUser},
		}),
		route("auth-robots", base+"/robots", methods{
			"GET": {Action: auth.Appoint, Serve: a.listRobots}, "POST": {Action: auth.Appoint, Serve: a.addRobot},
		}),
		route("auth-secrets", base+"/robots/*/secrets", methods{
			"GET": {Action: auth.Appoint, Serve: a.listSecrets}, "POST": {Action: auth.Appoint, Serve: a.addSecret},
		}),
		route("auth-secret", base+"/robots/*/secrets/*", methods{"DELETE": {Action: auth.Appoint, Serve: a.revokeSecret}}),
		route("auth-robot", base+"/robots/*", methods{
			"GET": {Action: auth.Appoint, Serve: a.getRobot}, "PATCH": {Action: auth.Appoint, Serve: a.changeRobot}, "DELETE": {Action: auth.Appoint, Serve: a.removeRobot},
		}),
		route("auth-grants", base+"/grants", methods{
			"GET": {Action: auth.Appoint, Serve: a.listGrants}, "POST": {Action: auth.Appoint, Serve: a.addGrant},
		}),
		route("auth-grant", base+"/grants/*", methods{"DELETE": {Action: auth.Appoint, Serve: a.removeGrant}}),
		route("auth-rotate", base+"/keys/rotate", methods{"POST": {Action: auth.Manage, Serve: a.rotate}}),
	}
}

type methods map[string]door.Access

// route makes a route of a pattern in which * stands for one part of the path, and at its end for all that is left.
func route(name, pattern string, m methods) door.Route {
	for method, access := range m {
		access.Serve = access.Serve.Telling(told)
		m[method] = access
	}
	parts := strings.Split(pattern, "*")
	match := func(path string) (on, last string, ok bool) {
		var values []string
		rest, ok := strings.CutPrefix(path, parts[0])
		for i, fixed := range parts[1:] {
			value := rest
			if fixed != "" {
				if value, rest, ok = strings.Cut(rest, fixed); !ok || i == len(parts)-2 && rest != "" {
					return "", "", false
				}
			} else {
				rest = ""
			}
			if value == "" || fixed != "" && strings.Contains(value, "/") {
				return "", "", false
			}
			values = append(values, value)
		}
		return "", strings.Join(values, separator), ok && rest == ""
	}
	form := door.Envelope // what docker and its like read
	if strings.HasPrefix(pattern, "/api/") {
		form = door.Problem
	}
	return door.Route{Name: name, Match: match, Methods: m, Errors: form}
}

// separator cannot be part of what a path names.
const separator = "\x00"

// named returns what the stars of the route's pattern stand for.
func named(c door.Call) (first, second string) {
	first, second, _ = strings.Cut(c.Last, separator)
	return first, second
}

// getKeys publishes the keys that tokens are signed with.
func (a *api) getKeys(w http.ResponseWriter, _ *http.Request, _ door.Call) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	return write(w, http.StatusOK, "application/jwk-set+json", a.Tokens.Keys())
}

// rotate lets a new key sign; with {"revoke": true} no token signed before is good any more.
func (a *api) rotate(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Revoke bool `json:"revoke"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if err := a.Tokens.Rotate(c.By(r), asked.Revoke); err != nil {
		return err
	}
	return none(w)
}

// administers refuses who may not administer a path that the request itself names: nothing is given away by saying so.
func administers(ctx context.Context, c door.Call, on auth.Path) error {
	err := ask(ctx, c, auth.Administer, on)
	var refusal *auth.Refusal
	if errors.As(err, &refusal) && refusal.Hidden && !refusal.Login {
		return &door.Refusal{Answer: door.Denied, Detail: map[string]string{"action": string(auth.Administer), "name": string(on), "hint": "you do not administer " + string(on)}}
	}
	return err
}

// ask asks the policy about a grant's path.
func ask(ctx context.Context, c door.Call, do auth.Action, on auth.Path) error {
	return c.Ask(ctx, do, on.Base())
}
