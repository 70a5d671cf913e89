package account

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// owner is what a user and a robot have in common: whatever secrets and logins hang on.
type owner struct {
	kind, name string
	groups     []string
	disabled   bool
	generation uint64
}

func (o owner) String() string { return o.kind + ":" + o.name }

// via is the credential of who is vouched for by nothing but being there: it ends with the generation.
func (o owner) via() string { return o.String() + ":" + strconv.FormatUint(o.generation, 10) }

func (o owner) identity() auth.Identity {
	return auth.Identity{Kind: o.kind, Name: o.name, Groups: o.groups, Via: o.via()}
}

// getOwner reads "user:NAME" or "robot:NAME"; kv.ErrNotFound says that there is none.
func getOwner(ctx context.Context, v kv.View, of string) (owner, error) {
	kind, name, _ := strings.Cut(of, ":")
	if auth.CheckName(name) != nil {
		return owner{}, kv.ErrNotFound
	}
	switch kind {
	case auth.User:
		row, err := get[userRow](ctx, v, keyUser(name))
		return owner{kind, name, row.Groups, row.Disabled, row.Generation}, err
	case auth.Robot:
		row, err := get[robotRow](ctx, v, keyRobot(name))
		return owner{kind, name, nil, row.Disabled, row.Generation}, err
	}
	return owner{}, kv.ErrNotFound
}

// known reads an account's row, for whoever manages it.
func known[Row any](ctx context.Context, v kv.View, kind, name, key string) (Row, error) {
	var none Row
	if auth.CheckName(name) != nil {
		return none, unknown(kind, name)
	}
	row, err := get[Row](ctx, v, key)
	if errors.Is(err, kv.ErrNotFound) {
		return none, unknown(kind, name)
	}
	return row, fault(err, "read %s %s", kind, name)
}

// remove takes an account away with all that hangs on it.
func (s *Store) remove(ctx context.Context, kind, name, key string) error {
	if auth.CheckName(name) != nil {
		return unknown(kind, name)
	}
	of := kind + ":" + name
	return s.change(ctx, "remove "+of, func(c *change) error {
		switch _, err := c.Get(ctx, key); {
		case errors.Is(err, kv.ErrNotFound):
			return unknown(kind, name)
		case err != nil:
			return err
		}
		e := journal.Event{Action: kind + ".remove", Object: of}
		if kind == auth.Robot {
			row, _ := get[robotRow](ctx, c, key) // a damaged row is removed, too
			e.Repo = string(row.On)
		}
		c.Delete(key)
		c.Delete(keyUsed(of))
		c.note(ctx, e)
		if err := revokeThose(ctx, c, of, func(held) bool { return true }); err != nil {
			return err
		}
		return removeGrantsTo(ctx, c, of)
	})
}

// Identity returns who "user:NAME" or "robot:NAME" is, if there is such an account: for those who ask in its name without its secret. The error of one
// that is not there or disabled is an Error and auth.ErrWrong both.
func (s *Store) Identity(ctx context.Context, name string) (auth.Identity, error) {
	o, err := getOwner(ctx, s.index, name)
	if errors.Is(err, kv.ErrNotFound) {
		return auth.Identity{}, &Error{Code: Unknown, Err: auth.ErrWrong,
			Text: fmt.Sprintf("there is no account %q; write user:NAME or robot:NAME, and list those there are", auth.Clip(name))}
	}
	if err != nil {
		return auth.Identity{}, fault(err, "read account %q", auth.Clip(name))
	}
	if o.disabled {
		return auth.Identity{}, isDisabled(o.String())
	}
	return o.identity(), nil
}

func isDisabled(of string) *Error {
	return &Error{Code: Disabled, Text: of + " is disabled; enable it first", Err: auth.ErrWrong}
}
