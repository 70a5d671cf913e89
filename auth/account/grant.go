package account

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"iter"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// AddGrant adds a grant of the Who, Role and On given, and returns it as it was stored. If the same one is there already, it returns that. Whom it is for
// need not be known here: there are other providers, and people who are yet to come.
func (s *Store) AddGrant(ctx context.Context, g auth.Grant) (auth.Grant, error) {
	if err := checkGrant(g); err != nil {
		return auth.Grant{}, err
	}
	var stored auth.Grant
	err := s.change(ctx, "add grant to "+g.Who, func(c *change) (err error) {
		stored, err = addGrant(ctx, c, g)
		return err
	})
	if err != nil {
		return auth.Grant{}, err
	}
	return stored, nil
}

func checkGrant(g auth.Grant) error {
	if err := g.Check(); err != nil {
		return &Error{Code: Invalid, Text: err.Error(), Err: err}
	}
	return nil
}

func addGrant(ctx context.Context, c *change, g auth.Grant) (auth.Grant, error) {
	g.ID = grantID(g)
	switch old, err := get[auth.Grant](ctx, c, keyGrant(g.ID)); {
	case err == nil && (old.Who != g.Who || old.Role != g.Role || grantID(old) != g.ID):
		return g, refuse(Exists, "another grant has the id %s: give it on a path a little different", g.ID) // takes 2^80 tries, or half as many digits on purpose
	case !errors.Is(err, kv.ErrNotFound):
		return old, err
	}
	g.By, g.Created = by(ctx), c.now
	c.note(ctx, journal.Event{Action: "grant.add", Object: g.Who, Repo: string(g.On), Note: string(g.Role)})
	return g, put(c, keyGrant(g.ID), g)
}

// grantID is made of what the grant says, so that there are no two of the same.
func grantID(g auth.Grant) string {
	sum := sha256.Sum256([]byte(g.Who + "\x00" + string(g.Role) + "\x00" + strings.TrimSuffix(string(g.On), "/**")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:idLength]
}

// RemoveGrant removes a grant.
func (s *Store) RemoveGrant(ctx context.Context, id string) error {
	if !isID(id) {
		return noID("grant")
	}
	return s.change(ctx, "remove grant "+id, func(c *change) error {
		g, err := get[auth.Grant](ctx, c, keyGrant(id))
		if errors.Is(err, kv.ErrNotFound) {
			return unknown("grant", id)
		}
		if err != nil {
			return err
		}
		removeGrant(ctx, c, g)
		return nil
	})
}

func removeGrant(ctx context.Context, c *change, g auth.Grant) {
	c.Delete(keyGrant(g.ID))
	c.note(ctx, journal.Event{Action: "grant.remove", Object: g.Who, Repo: string(g.On), Note: string(g.Role)})
}

func removeGrantsTo(ctx context.Context, c *change, who string) error {
	for g, err := range rows[auth.Grant](ctx, c, prefixGrant, "") {
		if err != nil {
			return err
		}
		if g.Who == who {
			removeGrant(ctx, c, g)
		}
	}
	return nil
}

// Grant returns a grant.
func (s *Store) Grant(ctx context.Context, id string) (auth.Grant, error) {
	if !isID(id) {
		return auth.Grant{}, noID("grant")
	}
	g, err := get[auth.Grant](ctx, s.index, keyGrant(id))
	if errors.Is(err, kv.ErrNotFound) {
		return g, unknown("grant", id)
	}
	return g, fault(err, "read grant %s", id)
}

// Grants yields all grants, in order of their ids. An error ends the sequence; what was yielded until then is not all.
func (s *Store) Grants(ctx context.Context) iter.Seq2[auth.Grant, error] {
	return func(yield func(auth.Grant, error) bool) {
		for g, err := range rows[auth.Grant](ctx, s.index, prefixGrant, "") {
			if !yield(g, fault(err, "list grants")) {
				return
			}
		}
	}
}
