package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

// believed is how long a login may be believed without asking again.
const believed = 10 * time.Minute

var _ auth.Provider = (*Store)(nil)

// viaSecret begins the name of a credential that is a secret (Identity.Via).
const viaSecret = "secret:"

// Login implements auth.Provider for our secrets and for the passwords of local users. With a secret, the name is its owner's, with or without the kind
// before it ("robot:ci-dmp" or "robot$ci-dmp"), or what programs send that have no name: nothing, "token", "oauth2accesstoken", "<token>".
//
// A name that no local user has is auth.ErrUnknown at once. Whoever then finds that nobody else knows it either spends the time that comparing a password
// takes (password.Hasher.Waste): how long an answer takes shall not tell which names there are.
//
// A browser's session is no secret to log in with: what got out of a browser is good in another browser at most. See Session.
func (s *Store) Login(ctx context.Context, name, secret string) (auth.Identity, time.Time, error) {
	if IsSecret(secret) {
		return s.loginSecret(ctx, name, secret, false)
	}
	who, err := s.loginPassword(ctx, name, secret)
	if err != nil {
		return auth.Identity{}, time.Time{}, err
	}
	return who, s.now().Add(believed), nil
}

// Session returns whose session a browser shows, and until when that may be believed. Nothing but a session is good for it: a secret that somebody put
// into a cookie is auth.ErrWrong.
func (s *Store) Session(ctx context.Context, shown string) (auth.Identity, time.Time, error) {
	return s.loginSecret(ctx, "", shown, true)
}

// loginSecret is Login for a secret, and for a session if that is what is asked for.
func (s *Store) loginSecret(ctx context.Context, name, plain string, session bool) (who auth.Identity, until time.Time, err error) {
	id, now := idOf(plain), s.now()
	if id == "" {
		return who, until, wrong("the secret is not whole")
	}
	row, o, err := s.standing(ctx, id, now)
	if err != nil {
		return who, until, err
	}
	sum := sha256.Sum256([]byte(plain))
	if subtle.ConstantTimeCompare(sum[:], row.Sum) != 1 {
		return who, until, wrong("the secret has the id %s of another", id)
	}
	if (row.Purpose == PurposeSession) != session {
		return who, until, wrong("the secret %s is a %s, which is not what it is shown as", id, row.Purpose)
	}
	if name != o.name && name != row.Of && (o.kind != auth.Robot || name != "robot$"+o.name) && !slices.Contains(stopgaps, name) {
		return who, until, wrong("the secret %s is one of %s and not of who shows it", id, row.Of)
	}
	s.used.mark(id, now)
	who = o.identity()
	who.Scope, who.Via = row.Scope, viaSecret+id
	until = now.Add(believed)
	if !row.Expires.IsZero() && row.Expires.Before(until) {
		until = row.Expires
	}
	return who, until, nil
}

// standing returns a secret and its owner if both are good now, else auth.ErrWrong.
func (s *Store) standing(ctx context.Context, id string, now time.Time) (row secretRow, o owner, err error) {
	row, err = get[secretRow](ctx, s.index, keySecret(id))
	if errors.Is(err, kv.ErrNotFound) {
		return row, o, wrong("there is no secret %s", id)
	}
	if err != nil {
		return row, o, fault(err, "read secret %s", id)
	}
	if row.held().ended(now) {
		return row, o, wrong("the secret %s has ended", id)
	}
	o, err = s.living(ctx, row.Of)
	return row, o, err
}

// living returns an owner that is there and not disabled, else auth.ErrWrong.
func (s *Store) living(ctx context.Context, of string) (owner, error) {
	o, err := getOwner(ctx, s.index, of)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return o, wrong("there is no %q", auth.Clip(of))
	case err != nil:
		return o, fault(err, "read %s", of)
	case o.disabled:
		return o, wrong("%s is disabled", of)
	}
	return o, nil
}

func (s *Store) loginPassword(ctx context.Context, name, password string) (auth.Identity, error) {
	if checkLocal(name) != nil {
		return auth.Identity{}, auth.ErrUnknown
	}
	row, err := get[userRow](ctx, s.index, keyUser(name))
	if errors.Is(err, kv.ErrNotFound) {
		return auth.Identity{}, auth.ErrUnknown
	}
	if err != nil {
		return auth.Identity{}, fault(err, "read user %s", name)
	}
	matches := false
	if len(password) <= MaxPassword {
		matches, err = s.passwords.Matches(ctx, row.Hash, password)
	}
	switch { // a disabled user's password is compared like any: it takes as long
	case err != nil:
		return auth.Identity{}, fault(err, "compare the password of user %s", name)
	case !matches:
		return auth.Identity{}, wrong("not the password of user %s", name)
	case row.Disabled:
		return auth.Identity{}, wrong("user:%s is disabled", name)
	}
	s.used.mark(auth.User+":"+name, s.now())
	return owner{auth.User, name, row.Groups, false, row.Generation}.identity(), nil
}

// wrong is auth.ErrWrong with a reason for the operator's log.
func wrong(reason string, args ...any) error {
	return fmt.Errorf("%w: %s", auth.ErrWrong, fmt.Sprintf(reason, args...))
}

// Alive tells whether the credential that who.Via names still stands: nil, or auth.ErrWrong, or a fault. An identity without one just ends with its time.
func (s *Store) Alive(ctx context.Context, who auth.Identity) error {
	_, err := s.Current(ctx, who)
	return err
}

// Current is Alive for whoever keeps an identity for longer: it returns it with the groups that the account has now.
func (s *Store) Current(ctx context.Context, who auth.Identity) (auth.Identity, error) {
	if who.Via == "" {
		return who, nil
	}
	o, err := s.behind(ctx, who.Via)
	if err != nil {
		return auth.Identity{}, err
	}
	if o.String() != who.String() {
		return auth.Identity{}, wrong("the credential of %s is one of %s", who, o)
	}
	who.Groups = o.groups
	return who, nil
}

// behind returns whom a credential belongs to, if it stands.
func (s *Store) behind(ctx context.Context, via string) (owner, error) {
	if id, found := strings.CutPrefix(via, viaSecret); found {
		if !isID(id) {
			return owner{}, wrong("there is no such secret")
		}
		_, o, err := s.standing(ctx, id, s.now())
		return o, err
	}
	of := via[:max(0, strings.LastIndexByte(via, ':'))]
	o, err := s.living(ctx, of)
	if err == nil && o.via() != via {
		err = wrong("%s has another password since, was disabled for a while, or is another one of that name", of)
	}
	return o, err
}
