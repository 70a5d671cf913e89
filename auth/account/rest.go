package account

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

const (
	maxScope  = 100                        // lines of a scope
	maxWord   = 300                        // bytes of a word in it
	maxExpiry = 100 * 365 * 24 * time.Hour // what is meant to last longer has no end
)

// checkSecret tells what is wrong with a secret that is asked for, as far as that can be seen without the index.
func (s *Store) checkSecret(secret Secret) error {
	kind, _, _ := strings.Cut(secret.Of, ":")
	switch fleeting := secret.held().fleeting(); {
	case kind != auth.User && kind != auth.Robot:
		return unknown("account", secret.Of)
	case secret.Purpose == PurposeSecret && kind != auth.Robot:
		return refuse(Invalid, "a user has no secret but a token: ask for one with the purpose %s", PurposeToken)
	case (secret.Purpose == PurposeToken || secret.Purpose == PurposeSession) && kind != auth.User:
		return refuse(Invalid, "a robot has no %s but a secret: ask for one with the purpose %s", secret.Purpose, PurposeSecret)
	case !fleeting && secret.Purpose != PurposeSecret && secret.Purpose != PurposeToken:
		return refuse(Invalid, "%q is no purpose; there are %s, %s, %s and %s", auth.Clip(secret.Purpose), PurposeSecret, PurposeToken, PurposeLogin, PurposeSession)
	case fleeting && secret.Expires.IsZero():
		return refuse(Invalid, "a %s needs an end: say when it expires", secret.Purpose)
	case !fleeting && secret.Via != "":
		return refuse(Invalid, "a %s rests on its owner alone: give it no other credential to rest on", secret.Purpose)
	}
	if now := s.now(); !secret.Expires.IsZero() && (!secret.Expires.After(now) || secret.Expires.After(now.Add(maxExpiry))) {
		return refuse(Invalid, "the secret would end at %s: take a time to come, within %d years", secret.Expires.UTC().Format(time.RFC3339), maxExpiry/(365*24*time.Hour))
	}
	if err := checkScope(secret.Scope); err != nil {
		return err
	}
	return checkNote(secret.Note)
}

func checkScope(s auth.Scope) error {
	long := func(word string) bool { return len(word) > maxWord || strings.ContainsFunc(word, hidden) }
	if len(s) > maxScope || slices.ContainsFunc(s, func(a auth.Access) bool {
		return long(a.Type) || long(a.Name) || len(a.Actions) > maxScope || slices.ContainsFunc(a.Actions, long)
	}) {
		return refuse(Invalid, "the scope is too long: ask for at most %d repositories, or for a path and all below it", maxScope)
	}
	return nil
}

// rest makes a login or session rest on the credential that it is given for: it must stand, and what rests on it lasts no longer and may no more. What
// rests on another login or session rests on what that does, so that a new one can take an old one's place.
func (row *secretRow) rest(ctx context.Context, c *change, o owner) error {
	gone := &Error{Code: Invalid, Text: "the login that this rests on has ended: log in again", Err: auth.ErrWrong}
	id, isSecret := strings.CutPrefix(row.Via, viaSecret)
	switch {
	case row.Via == "":
		return nil
	case !isSecret && row.Via == o.via():
		return nil
	case !isSecret || !isID(id):
		return gone
	}
	on, err := get[secretRow](ctx, c, keySecret(id))
	if errors.Is(err, kv.ErrNotFound) || err == nil && (on.Of != row.Of || on.held().ended(c.now)) {
		return gone
	}
	if err != nil {
		return err
	}
	if on.held().fleeting() {
		row.Via = on.Via
	}
	if !on.Expires.IsZero() && on.Expires.Before(row.Expires) {
		row.Expires = on.Expires
	}
	if row.Scope == nil {
		row.Scope = on.Scope
	}
	if on.Scope != nil && !within(row.Scope, on.Scope) {
		return refuse(Invalid, "the secret that this login rests on is cut down to less: ask for no more than that, or log in with another one")
	}
	return nil
}

// within tells whether whatever s covers the other scope covers, too.
func within(s, other auth.Scope) bool {
	return !slices.ContainsFunc(s, func(a auth.Access) bool {
		return !slices.ContainsFunc(other, func(o auth.Access) bool { return o.Type == a.Type && names(o, a.Name) && allows(o, a.Actions) })
	})
}

func names(o auth.Access, name string) bool {
	wide := o.Name == string(auth.Everywhere) || strings.HasSuffix(o.Name, "/**")
	return o.Name == name || o.Type == "repository" && name != "" && wide && auth.Path(name).Within(auth.Path(o.Name))
}

func allows(o auth.Access, actions []string) bool {
	return slices.Contains(o.Actions, "*") || !slices.ContainsFunc(actions, func(a string) bool { return !slices.Contains(o.Actions, a) })
}
