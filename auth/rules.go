package auth

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Rules decide by grants. The zero value refuses everything. They never change: new grants make new Rules (see [Live]).
type Rules struct {
	byWho  map[string][]Grant
	logins bool
}

// NewRules returns the policy of all grants given. logins says that there is somebody who could log in: then the anonymous are asked to do so as soon
// as they knock (docker sends its credentials only to a registry that refuses GET /v2/).
func NewRules(grants []Grant, logins bool) *Rules {
	r := &Rules{byWho: map[string][]Grant{}, logins: logins}
	for _, g := range grants {
		r.byWho[g.Who] = append(r.byWho[g.Who], g)
	}
	return r
}

// Everyone returns the grants by which everybody may do everything (full), pull (pull), or nothing (anything else).
func Everyone(level string) []Grant {
	switch level {
	case "full":
		return []Grant{{Who: Anyone, Role: Admin, On: Everywhere}}
	case "pull":
		return []Grant{{Who: Anyone, Role: Reader, On: Everywhere}}
	}
	return nil
}

// Open is the policy of a registry that trusts everybody who reaches it.
var Open = NewRules(Everyone("full"), false)

// Decision is what Rules found, and why.
type Decision struct {
	Allowed bool
	Grant   Grant // the one that decided, if Allowed; the zero Grant if no grant was needed
	Reason  string
}

// Decide tells whether who may do it on a repository or path ("" is the registry itself), and which grant says so. It does not look at the scope
// of a token.
func (r *Rules) Decide(who Identity, do Action, on string) Decision {
	if r == nil {
		r = &Rules{}
	}
	switch {
	case do == Knock:
		return Decision{Allowed: true, Reason: "everybody may ask how to log in"}
	case do == Enter:
		if !who.Anonymous() || who.Scope != nil || !r.logins && len(r.byWho[Anyone]) > 0 {
			return Decision{Allowed: true, Reason: "whoever has logged in may enter"}
		}
		return Decision{Reason: "log in first"}
	case do == List && !who.Anonymous():
		return Decision{Allowed: true, Reason: "whoever has logged in may list what they may pull"}
	}
	decided := func(g Grant) Decision {
		return Decision{Allowed: true, Grant: g, Reason: fmt.Sprintf("%s is %s on %s", g.Who, g.Role, g.On)}
	}
	for _, g := range who.Grants {
		if g.holds(do, on) {
			g.Who = who.String()
			return decided(g)
		}
	}
	for name := range who.names {
		for _, g := range r.byWho[name] {
			if g.holds(do, on) {
				return decided(g)
			}
		}
	}
	if on == "" {
		return Decision{Reason: fmt.Sprintf("no grant on %s gives %s the action %s", Everywhere, who, do)}
	}
	return Decision{Reason: fmt.Sprintf("no grant on %s gives %s the action %s", on, who, do)}
}

// holds tells whether the grant gives an action on a path. What there is to list is wherever one may pull; what one has done oneself is in the
// journal of the whole registry; whom to appoint where is asked again.
func (g Grant) holds(do Action, on string) bool {
	switch {
	case on == "" && do == List:
		return g.Role.Includes(Pull)
	case on == "" && (do == AuditOwn || do == Appoint):
		return g.Role.Includes(do)
	}
	return g.On.Covers(on) && g.Role.Includes(do)
}

// allowed is Decide without its reasons, for every request.
func (r *Rules) allowed(who Identity, do Action, on string) bool {
	if do == Knock || do == Enter || do == List && !who.Anonymous() {
		return r.Decide(who, do, on).Allowed
	}
	if r == nil {
		return false
	}
	for i := range who.Grants {
		if who.Grants[i].holds(do, on) {
			return true
		}
	}
	for name := range who.names {
		grants := r.byWho[name]
		for i := range grants {
			if grants[i].holds(do, on) {
				return true
			}
		}
	}
	return false
}

// Somewhere tells whether who may do it on the registry or at least on some path.
func (r *Rules) Somewhere(who Identity, do Action) bool {
	if r == nil {
		return false
	}
	for _, g := range who.Grants {
		if g.Role.Includes(do) {
			return true
		}
	}
	for name := range who.names {
		for _, g := range r.byWho[name] {
			if g.Role.Includes(do) {
				return true
			}
		}
	}
	return false
}

// Granted returns the grants that who holds, those of its groups and of everyone included.
func (r *Rules) Granted(who Identity) []Grant {
	all := append([]Grant(nil), who.Grants...)
	for name := range who.names {
		if r != nil {
			all = append(all, r.byWho[name]...)
		}
	}
	return all
}

// MayAppoint tells whether who may give or take a role on a path: it must hold Administer there by a role that appoints this one, and nobody
// but an admin gives anything to oneself.
func (r *Rules) MayAppoint(who Identity, g Grant) error {
	for _, own := range r.Granted(who) {
		if !g.On.Within(own.On) {
			continue
		}
		for _, role := range appoints[own.Role] {
			if role == g.Role && (own.Role == Admin || g.Who != who.String()) {
				return nil
			}
		}
	}
	reason := fmt.Sprintf("to give or take the role %s on %s takes an admin there, or whoever leads there and is no less than %s", g.Role, g.On, g.Role)
	if g.Who == who.String() {
		reason = "only an admin gives or takes roles of one's own"
	}
	return &Refusal{Who: who, Do: Administer, On: string(g.On), Login: who.Anonymous(), Reason: reason}
}

// Allow implements Policy.
func (r *Rules) Allow(_ context.Context, who Identity, do Action, on string) error {
	if r.allowed(who, do, on) {
		if who.Scope.Covers(do, on) {
			return nil
		}
		return &Refusal{Who: who, Do: do, On: on, Narrow: true, Login: who.Anonymous(), Reason: "the token was asked for with less; ask for one with this scope"}
	}
	return &Refusal{
		Who: who, Do: do, On: on,
		Login:  who.Anonymous(),
		Hidden: on != "" && !r.allowed(who, Pull, on),
		Reason: r.Decide(who, do, on).Reason,
	}
}

// Live is a policy whose rules are replaced while it is asked.
type Live struct{ rules atomic.Pointer[Rules] }

// Set replaces the rules.
func (l *Live) Set(r *Rules) { l.rules.Store(r) }

// Rules returns those that hold now.
func (l *Live) Rules() *Rules { return l.rules.Load() }

// Allow implements Policy.
func (l *Live) Allow(ctx context.Context, who Identity, do Action, on string) error {
	return l.rules.Load().Allow(ctx, who, do, on)
}
