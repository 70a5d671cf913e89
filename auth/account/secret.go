package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// What secrets are for. Those of the first two kinds somebody asked for, keeps and takes back, and they may be without an end. The others come with logging
// in: they have an end, and the oldest goes when there is no room.
const (
	PurposeSecret  = "secret"  // a robot's
	PurposeToken   = "token"   // a user's own, for where no password shall be
	PurposeLogin   = "login"   // a refresh token, given to a client
	PurposeSession = "session" // a browser's
)

// MaxSecrets is how many secrets of the first two kinds an owner can have, and how many of the other two.
const MaxSecrets = 100

// Secret is what somebody logs in with instead of a password, without the secret itself.
type Secret struct {
	ID       string     `json:"id"`
	Of       string     `json:"of"` // whose: "user:alice", "robot:ci-dmp"
	Note     string     `json:"note,omitempty"`
	Purpose  string     `json:"purpose"`
	Scope    auth.Scope `json:"scope,omitzero"` // what it is cut down to; nil cuts nothing, an empty one everything
	Created  time.Time  `json:"created"`
	Expires  time.Time  `json:"expires,omitzero"`  // zero: never
	LastUsed time.Time  `json:"lastUsed,omitzero"` // some seconds late
	By       string     `json:"by"`                // who added it

	// Via is, for a login or a session, the credential it was given for (Identity.Via of who logged in): it ends when that is withdrawn, and is cut down
	// at least as much. Empty: it ends with the owner's other logins.
	Via string `json:"via,omitempty"`
}

// The form of a secret is ent_<id>_<32 random bytes in base64url>.
const (
	prefixPlain = "ent_"
	idLength    = 16
	plainLength = len(prefixPlain) + idLength + 1 + 43
)

// IsSecret tells whether s looks like one of our secrets, be it a whole one or not: then it is no password and nobody else's.
func IsSecret(s string) bool {
	const head = len(prefixPlain) + idLength
	return len(s) > head && strings.HasPrefix(s, prefixPlain) && s[head] == '_' && isID(s[len(prefixPlain):head])
}

func isID(s string) bool {
	return len(s) == idLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// idOf returns the id in a secret, or "" if it is not whole.
func idOf(plain string) string {
	if len(plain) != plainLength || !IsSecret(plain) {
		return ""
	}
	return plain[len(prefixPlain) : len(prefixPlain)+idLength]
}

// newPlain makes a secret.
func newPlain() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	return prefixPlain + strings.ToLower(rand.Text()[:idLength]) + "_" + base64.RawURLEncoding.EncodeToString(random[:])
}

// AddSecret gives an owner a secret with the Of, Note, Purpose, Scope, Expires and Via given, and returns it as it was stored and, this one time, plain.
func (s *Store) AddSecret(ctx context.Context, secret Secret) (Secret, string, error) {
	if err := s.checkSecret(secret); err != nil {
		return Secret{}, "", err
	}
	plain := newPlain()
	sum := sha256.Sum256([]byte(plain))
	var row secretRow
	err := s.change(ctx, "add secret of "+secret.Of, func(c *change) error {
		row = secretRow{secret, sum[:]}
		row.ID, row.By, row.Created, row.LastUsed = idOf(plain), by(ctx), c.now, time.Time{}
		row.Expires = row.Expires.UTC().Truncate(time.Millisecond)
		o, err := getOwner(ctx, c, row.Of)
		if errors.Is(err, kv.ErrNotFound) {
			return unknown("account", row.Of)
		}
		if err != nil {
			return err
		}
		if o.disabled {
			return isDisabled(row.Of)
		}
		if err := row.rest(ctx, c, o); err != nil {
			return err
		}
		if err := makeRoom(ctx, c, row.Of, row.held()); err != nil {
			return err
		}
		c.Put(keySecretOf(row.Of, row.ID), row.held().value())
		c.mention(ctx, journal.Event{Action: "secret.add", Object: "secret:" + row.ID, Note: row.Purpose + " of " + row.Of})
		return put(c, keySecret(row.ID), row)
	})
	if err != nil {
		return Secret{}, "", err
	}
	return row.Secret, plain, nil
}

// RevokeSecret ends a secret, and whatever was given to those who logged in with it.
func (s *Store) RevokeSecret(ctx context.Context, id string) error {
	if !isID(id) {
		return noID("secret")
	}
	return s.change(ctx, "revoke secret "+id, func(c *change) error {
		row, err := get[secretRow](ctx, c, keySecret(id))
		if errors.Is(err, kv.ErrNotFound) {
			return unknown("secret", id)
		}
		if err != nil {
			return err
		}
		revoke(ctx, c, row.Of, row.held())
		return revokeThose(ctx, c, row.Of, func(h held) bool { return h.via == viaSecret+id })
	})
}

// Secret returns what is known of a secret; one that has ended is still known for a while.
func (s *Store) Secret(ctx context.Context, id string) (Secret, error) {
	if !isID(id) {
		return Secret{}, noID("secret")
	}
	row, err := get[secretRow](ctx, s.index, keySecret(id))
	if errors.Is(err, kv.ErrNotFound) {
		return Secret{}, unknown("secret", id)
	}
	if err == nil {
		row.LastUsed, err = lastUsed(ctx, s.index, id)
	}
	return row.Secret, fault(err, "read secret %s", id)
}

// Secrets returns an owner's secrets, the oldest first; those that have ended are among them for a while.
func (s *Store) Secrets(ctx context.Context, of string) ([]Secret, error) {
	all, err := heldBy(ctx, s.index, of)
	if err != nil {
		return nil, fault(err, "list the secrets of %s", auth.Clip(of))
	}
	secrets := make([]Secret, 0, len(all))
	for _, h := range all {
		secret, err := s.Secret(ctx, h.id)
		switch {
		case err == nil:
			secrets = append(secrets, secret)
		case Code(err) != Unknown: // revoked in this moment
			return nil, err
		}
	}
	slices.SortFunc(secrets, func(a, b Secret) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return secrets, nil
}
