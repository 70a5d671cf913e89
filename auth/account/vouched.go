package account

import (
	"context"
	"errors"
	"slices"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// SignedIn takes notice of a person whom a provider has just vouched for, and returns the user, whose name is name@provider. It is added at the
// first login; its groups are always those given now, never any from before. It returns auth.ErrWrong for a user who was disabled here. Nothing is
// written unless something changed.
func (s *Store) SignedIn(ctx context.Context, provider, name string, groups []string) (User, error) {
	if err := checkVouched(name, provider); err != nil {
		return User{}, err
	}
	name += "@" + provider
	groups = s.usable(ctx, name, groups)
	row, err := get[userRow](ctx, s.index, keyUser(name))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return User{}, fault(err, "read user %s", name)
	}
	if err != nil || !slices.Equal(row.Groups, groups) {
		if row, err = s.vouched(ctx, provider, name, groups); err != nil {
			return User{}, err
		}
	}
	if row.Disabled {
		return User{}, isDisabled(auth.User + ":" + name)
	}
	row.LastLogin = s.moment()
	s.used.mark(auth.User+":"+name, row.LastLogin)
	return row.User, nil
}

// vouched adds the user, or gives it the groups.
func (s *Store) vouched(ctx context.Context, provider, name string, groups []string) (row userRow, err error) {
	of := auth.User + ":" + name
	err = s.change(ctx, "sign in user "+name, func(c *change) (err error) {
		e := journal.Event{Action: "user.change", Actor: of, Object: of, Note: groupsNote(groups)}
		switch row, err = get[userRow](ctx, c, keyUser(name)); {
		case errors.Is(err, kv.ErrNotFound):
			e.Action = "user.login"
			row = userRow{User: User{Name: name, Provider: provider, Created: c.now, By: of}, Generation: c.epoch}
		case err != nil || row.Disabled || slices.Equal(row.Groups, groups):
			return err
		}
		row.Groups = groups
		c.note(ctx, e)
		return put(c, keyUser(name), row)
	})
	return row, err
}

// usable returns the groups that can be kept: those that have no name, and those beyond MaxGroups, give nothing to anybody.
func (s *Store) usable(ctx context.Context, name string, groups []string) []string {
	good := inOrder(slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return auth.CheckName(g) != nil }))
	good = good[:min(len(good), MaxGroups)]
	if len(good) < len(inOrder(groups)) {
		s.log.WarnContext(ctx, "not all groups of a user can be kept", "user", name, "given", len(groups), "kept", len(good))
	}
	return good
}
