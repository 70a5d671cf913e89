package rights

import (
	"net/url"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

const base = "/api/v1/auth/"

// accountRows are the samples for the routes where one logs in and accounts are managed.
var accountRows = []row{
	{route: "auth-token", method: "GET", do: "knock", there: 200, make: plain("GET", "/auth/token?service=entrepot")},
	{route: "auth-token", method: "POST", do: "knock", there: 200,
		make: func(_ *testing.T, c *cell) request {
			name, secret := c.login()
			form := url.Values{"grant_type": {"password"}, "service": {"entrepot"}, "username": {name}, "password": {secret}}
			return request{"POST", "/auth/token", []byte(form.Encode()), []string{"Content-Type", "application/x-www-form-urlencoded"}}
		}},
	{route: "auth-keys", method: "GET", do: "knock", there: 200, make: plain("GET", "/auth/keys")},
	{route: "auth-login", method: "GET", do: "knock", there: 404, make: plain("GET", "/auth/login")}, // nobody is there to send people to
	{route: "auth-callback", method: "GET", do: "knock", there: 400, make: plain("GET", "/auth/callback?code=x&state=y")},
	{route: "auth-logout", method: "POST", do: "enter", make: plain("POST", "/auth/logout"), answer: func(c *cell) want { return c.uncut(want{204, ""}) }},

	{route: "auth-whoami", method: "GET", do: "enter", there: 200, make: plain("GET", ask.Accounts+"whoami")},
	{route: "auth-can-i", method: "GET", do: "enter", there: 200, make: plain("GET", ask.Accounts+"can-i?action=pull&on=somewhere")},
	{route: "auth-can-i", method: "GET", variant: "in another's name", do: "enter", in: everywhere, there: 200,
		make:   in("GET", ask.Accounts+"can-i?action=pull&as=user:root&on={repo}"),
		answer: func(c *cell) want { return c.administers(want{200, ""}, want{403, "DENIED"}) }},
	{route: "auth-roles", method: "GET", do: "enter", there: 200, make: plain("GET", ask.Accounts+"roles")},
	// A new password that is refused for being short shows that the request was looked at, and changes nobody's.
	{route: "auth-password", method: "POST", do: "enter",
		make: func(_ *testing.T, c *cell) request {
			_, secret := c.login()
			return c.json("POST", "password", map[string]any{"old": secret, "new": "short"})
		},
		answer: func(c *cell) want { return c.uncut(want{400, "INVALID"}) }},

	{route: "auth-tokens", method: "GET", do: "enter", make: plain("GET", ask.Accounts+"tokens"), answer: func(c *cell) want { return c.uncut(want{200, ""}) }},
	{route: "auth-tokens", method: "POST", do: "enter",
		make: func(_ *testing.T, c *cell) request { return c.json("POST", "tokens", map[string]any{"note": c.next()}) },
		answer: func(c *cell) want {
			switch c.origin {
			case fromHere:
				return c.uncut(want{201, ""})
			case fromRobot: // whose secrets others make
				return c.uncut(want{400, "INVALID"})
			case fromJob: // what ends soon makes nothing that lasts
				return c.uncut(want{403, "DENIED"})
			}
			return c.uncut(want{404, "UNKNOWN"}) // who is not kept here has nothing here
		}},
	{route: "auth-token-of", method: "DELETE", variant: "one's own", do: "enter",
		make: func(t *testing.T, c *cell) request {
			id := strings.Repeat("a", 16)
			if c.origin == fromHere {
				var made struct{ ID string }
				c.who.Call(t, "POST", "tokens", map[string]any{}).Want(t, 201).JSON(t, &made)
				id = made.ID
			}
			return request{method: "DELETE", target: base + "tokens/" + id}
		},
		answer: func(c *cell) want {
			if c.origin == fromHere {
				return c.uncut(want{204, ""})
			}
			return want{404, "UNKNOWN"}
		}},
	{route: "auth-token-of", method: "DELETE", variant: "a robot's", do: "enter",
		make: func(t *testing.T, c *cell) request {
			return request{method: "DELETE", target: base + "tokens/" + secretID(t, c.robot("own"))}
		},
		answer: func(*cell) want { return want{404, "UNKNOWN"} }},

	{route: "auth-users", method: "GET", do: "manage", there: 200, make: plain("GET", ask.Accounts+"users")},
	{route: "auth-users", method: "POST", do: "manage", there: 201,
		make: func(_ *testing.T, c *cell) request {
			return c.json("POST", "users", map[string]any{"name": "more-of-" + c.name() + "-" + c.next(), "password": password})
		}},
	{route: "auth-user", method: "GET", do: "manage", there: 200,
		make: func(t *testing.T, c *cell) request {
			return request{method: "GET", target: base + "users/" + c.somebody(t)}
		}},
	{route: "auth-user", method: "PATCH", do: "manage", there: 200,
		make: func(t *testing.T, c *cell) request {
			return c.json("PATCH", "users/"+c.somebody(t), map[string]any{"groups": []string{"group-" + c.next()}, "disabled": c.n%2 == 0})
		}},
	{route: "auth-user", method: "DELETE", do: "manage", there: 204,
		make: func(t *testing.T, c *cell) request {
			r := request{method: "DELETE", target: base + "users/" + c.somebody(t)}
			c.person = !c.inside() // whoever may deletes it
			return r
		}},

	{route: "auth-robots", method: "GET", do: "appoint", there: 200, make: plain("GET", ask.Accounts+"robots")},
	{route: "auth-robots", method: "POST", do: "appoint", in: everywhere, there: 201,
		make: func(_ *testing.T, c *cell) request {
			return c.json("POST", "robots", map[string]any{"name": "more-of-" + c.name() + "-" + c.next(), "on": c.place.repo})
		},
		answer: func(c *cell) want { return c.administers(want{201, ""}, want{403, "DENIED"}) }},
	{route: "auth-robot", method: "GET", do: "appoint", in: accounts, make: robots("GET", ""), answer: ofRobots(200)},
	{route: "auth-robot", method: "PATCH", do: "appoint", in: accounts, answer: ofRobots(200),
		make: func(_ *testing.T, c *cell) request {
			return c.json("PATCH", "robots/"+c.robot(short[c.place.name]), map[string]any{"note": c.next()})
		}},
	{route: "auth-robot", method: "DELETE", do: "appoint", in: accounts, answer: ofRobots(204),
		make: func(t *testing.T, c *cell) request {
			if c.place.there { // it may have been deleted before
				root.Call(t, "POST", "robots", map[string]any{"name": c.robot(short[c.place.name]), "on": strings.TrimSuffix(c.place.repo, "/here")}).Want(t, 201, 409)
			}
			return robots("DELETE", "")(t, c)
		}},
	{route: "auth-secrets", method: "GET", do: "appoint", in: accounts, make: robots("GET", "/secrets"), answer: ofRobots(200)},
	{route: "auth-secrets", method: "POST", do: "appoint", in: accounts, answer: ofRobots(201),
		make: func(_ *testing.T, c *cell) request {
			return c.json("POST", "robots/"+c.robot(short[c.place.name])+"/secrets", map[string]any{"note": c.next()})
		}},
	{route: "auth-secret", method: "DELETE", do: "appoint", in: accounts, answer: ofRobots(204),
		make: func(t *testing.T, c *cell) request {
			id := strings.Repeat("a", 16)
			if c.place.there {
				id = secretID(t, c.robot(short[c.place.name]))
			}
			return robots("DELETE", "/secrets/"+id)(t, c)
		}},

	{route: "auth-grants", method: "GET", do: "appoint", there: 200, make: plain("GET", ask.Accounts+"grants")},
	{route: "auth-grants", method: "POST", do: "appoint", in: everywhere, there: 201,
		make: func(_ *testing.T, c *cell) request {
			return c.json("POST", "grants", map[string]any{"who": "user:friend-" + c.next() + "-of-" + c.name(), "role": "reader", "on": c.place.repo})
		},
		answer: func(c *cell) want { return c.administers(want{201, ""}, want{403, "DENIED"}) }},
	{route: "auth-grant", method: "DELETE", do: "appoint", in: accounts,
		make: func(t *testing.T, c *cell) request {
			id := strings.Repeat("a", 16)
			if c.place.there {
				id = grant(t, ask.Caller{Name: "user:friend-" + c.next() + "-of-" + c.name()}, "reader", c.place.repo)
			}
			return request{method: "DELETE", target: base + "grants/" + id}
		},
		answer: ofRobots(204)},
	{route: "auth-rotate", method: "POST", do: "manage", there: 204,
		make: func(_ *testing.T, c *cell) request { return c.json("POST", "keys/rotate", map[string]any{}) }},
}

// short is what the robots of a place are called.
var short = map[string]string{"own": "own", "foreign": "for", "absent": "abs"}

// robots makes a request about the place's robot.
func robots(method, what string) func(*testing.T, *cell) request {
	return func(_ *testing.T, c *cell) request {
		return request{method: method, target: base + "robots/" + c.robot(short[c.place.name]) + what}
	}
}

// ofRobots is what is expected about something that has a home: outside of what one administers it is as if it were not there.
func ofRobots(status int) func(*cell) want {
	return func(c *cell) want {
		if !c.place.there {
			return want{404, "UNKNOWN"}
		}
		return c.administers(want{status, ""}, want{404, "UNKNOWN"})
	}
}

// administers is what is expected where the endpoint asks for the right to administer the place.
func (c *cell) administers(yes, hidden want) want {
	switch {
	case !c.place.inside || !table[c.role]["administer"] && !table[c.role]["pull"]:
		return hidden
	case !table[c.role]["administer"]:
		return want{403, "DENIED"}
	case c.way != "password":
		return want{401, "UNAUTHORIZED"} // no token is ever good for it
	}
	return yes
}

// uncut is what is expected of what nobody does with a token that is cut down to a scope.
func (c *cell) uncut(w want) want {
	if c.way != "password" {
		return want{403, "DENIED"}
	}
	return w
}

// inside tells whether the one who asks may do what the row needs.
func (c *cell) inside() bool { return c.place.inside && table[c.role][c.row.do] && c.way == "password" }

func (c *cell) json(method, path string, body any) request {
	return request{method, base + path, wire.JSON(body), []string{"Content-Type", "application/json"}}
}

// somebody is a user whom the team may meddle with if it may do so with anybody.
func (c *cell) somebody(t *testing.T) string {
	name := "somebody-" + c.name()
	if !c.person {
		root.Call(t, "POST", "users", map[string]any{"name": name, "password": password}).Want(t, 201, 409)
		c.person = true
	}
	return name
}

// secretID is the id of a new secret of a robot.
func secretID(t *testing.T, robot string) string {
	var made struct{ ID string }
	root.Call(t, "POST", "robots/"+robot+"/secrets", map[string]any{}).Want(t, 201).JSON(t, &made)
	return made.ID
}

// login is the name and the secret that a team logs in with.
func (w *world) login() (name, secret string) {
	return ask.Unbasic(w.who.Show[0])
}
