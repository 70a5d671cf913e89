package account

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
)

// User is a person.
type User struct {
	Name      string    `json:"name"`               // "alice"; of one whom a provider vouches for "alice@corp"
	Provider  string    `json:"provider,omitempty"` // who vouches for the person; empty for one with a password here
	Groups    []string  `json:"groups,omitempty"`   // in order, each once
	Disabled  bool      `json:"disabled,omitempty"`
	Created   time.Time `json:"created"`
	By        string    `json:"by"`                 // who added the user
	LastLogin time.Time `json:"lastLogin,omitzero"` // with a password or by the provider; some seconds late
}

// UserChange is what is to be different about a user. What is nil stays.
type UserChange struct {
	Password *string
	Groups   *[]string
	Disabled *bool
}

// AddUser adds a local user. With first, a grant, the user must be the first account of all and gets the grant in the same transaction (an
// empty Who means this user): of two who want to be the first admin, one is.
func (s *Store) AddUser(ctx context.Context, name, password string, groups []string, first *auth.Grant) (User, error) {
	if err := checkLocal(name); err != nil {
		return User{}, err
	}
	groups, err := checkGroups(groups)
	if err != nil {
		return User{}, err
	}
	if first != nil {
		g := *first
		if g.Who == "" {
			g.Who = auth.User + ":" + name
		}
		if err := checkGrant(g); err != nil {
			return User{}, err
		}
		first = &g
	}
	hash, err := s.hash(ctx, name, password)
	if err != nil {
		return User{}, err
	}
	var u User
	err = s.change(ctx, "add user "+name, func(c *change) error {
		if err := absent(ctx, c, keyUser(name), refuse(Exists, "there is a user %s already: change that one, or take another name", name)); err != nil {
			return err
		}
		if first != nil {
			if found, err := anybody(ctx, c); err != nil {
				return err
			} else if found {
				return refuse(Exists, "there is an account already, so that %s is not the first: let an admin add users and grants", name)
			}
		}
		u = User{Name: name, Groups: groups, Created: c.now, By: by(ctx)}
		if err := put(c, keyUser(name), userRow{User: u, Generation: c.epoch, Hash: hash}); err != nil {
			return err
		}
		c.note(ctx, journal.Event{Action: "user.add", Object: "user:" + name, Note: groupsNote(groups)})
		if first == nil {
			return nil
		}
		_, err := addGrant(ctx, c, *first)
		return err
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

func (s *Store) hash(ctx context.Context, name, password string) (string, error) {
	if err := checkPassword(name, password); err != nil {
		return "", err
	}
	hash, err := s.passwords.Hash(ctx, password)
	return hash, fault(err, "hash the password of user %s", name)
}

// ChangeUser changes a user. A new password, and disabling, ends all logins: sessions, refresh tokens and whatever was cached. Personal tokens outlive
// a new password. Of one whom a provider vouches for, only Disabled can be changed.
func (s *Store) ChangeUser(ctx context.Context, name string, do UserChange) (User, error) {
	hash, err := "", error(nil)
	if do.Password != nil {
		if hash, err = s.hash(ctx, name, *do.Password); err != nil {
			return User{}, err
		}
	}
	if do.Groups != nil {
		groups, err := checkGroups(*do.Groups)
		if err != nil {
			return User{}, err
		}
		do.Groups = &groups
	}
	var row userRow
	err = s.change(ctx, "change user "+name, func(c *change) (err error) {
		if row, err = known[userRow](ctx, c, auth.User, name, keyUser(name)); err != nil {
			return err
		}
		if row.Provider != "" && (do.Password != nil || do.Groups != nil) {
			return refuse(Invalid, "%s logs in with %s: change password and groups there, or disable the user here", name, row.Provider)
		}
		if err := row.change(ctx, c, do, hash); err != nil {
			return err
		}
		row.LastLogin, err = lastUsed(ctx, c, auth.User+":"+name)
		return err
	})
	if err != nil {
		return User{}, err
	}
	return row.User, nil
}

// change writes what is different, if anything is.
func (row *userRow) change(ctx context.Context, c *change, do UserChange, hash string) error {
	of := auth.User + ":" + row.Name
	var notes []string
	end := func(held) bool { return false }
	if do.Groups != nil && !slices.Equal(row.Groups, *do.Groups) {
		row.Groups = *do.Groups
		notes = append(notes, cmp.Or(groupsNote(row.Groups), "no groups"))
	}
	if do.Password != nil {
		row.Hash, row.Generation, end = hash, c.epoch, held.restsOnLogin
		notes = append(notes, "password")
	}
	if do.Disabled != nil && row.Disabled != *do.Disabled {
		if row.Disabled = *do.Disabled; row.Disabled {
			row.Generation, end = c.epoch, held.fleeting
		}
		notes = append(notes, switched(row.Disabled))
	}
	if len(notes) == 0 {
		return nil
	}
	c.note(ctx, journal.Event{Action: "user.change", Object: of, Note: strings.Join(notes, "; ")})
	if err := revokeThose(ctx, c, of, end); err != nil {
		return err
	}
	return put(c, keyUser(row.Name), *row)
}

// RemoveUser removes a user, its secrets and the grants made to it. One whom a provider vouches for comes back with the next login: disable it instead.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.remove(ctx, auth.User, name, keyUser(name))
}

// User returns a user.
func (s *Store) User(ctx context.Context, name string) (User, error) {
	row, err := known[userRow](ctx, s.index, auth.User, name, keyUser(name))
	if err != nil {
		return User{}, err
	}
	row.LastLogin, err = lastUsed(ctx, s.index, auth.User+":"+name)
	return row.User, fault(err, "read user %s", name)
}

// Users yields the users after a name ("" is from the first on), in order of their names. An error ends the sequence.
func (s *Store) Users(ctx context.Context, after string) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for row, err := range rows[userRow](ctx, s.index, prefixUser, after) {
			if err == nil {
				row.LastLogin, err = lastUsed(ctx, s.index, auth.User+":"+row.Name)
			}
			if !yield(row.User, fault(err, "list users")) || err != nil {
				return
			}
		}
	}
}

// groupsNote says for the journal which groups somebody is in.
func groupsNote(groups []string) string {
	if len(groups) == 0 {
		return ""
	}
	return "groups " + strings.Join(groups, ", ")
}

func switched(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}
