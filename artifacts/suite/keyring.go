package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/entrepot/entrepot/storage/kv"
)

const (
	defaultOverlap = 90 * 24 * time.Hour
	minOverlap     = time.Hour
	// lately is for how long the keyring has a key that does not sign any more: old snapshots are still read.
	lately = 30 * 24 * time.Hour
	// maxService bounds the name of the registry.
	maxService = 255
)

// KeysConfig says what Keys work with.
type KeysConfig struct {
	// Index keeps the keys. The caller opens and closes it.
	Index kv.DB
	// Service is the registry's name, as registry.example.com. It stands in the user ids of new keys.
	Service string
	// Algorithm is that of new keys; "" is Ed25519.
	Algorithm Algorithm
	// Overlap is for how long a key still signs after another one has taken over; 0 is 90 days. Hosts must fetch the keyring anew in that time. It is at
	// least an hour.
	Overlap time.Duration
	// Log is told of keys that cannot be read; nil is slog.Default().
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (c KeysConfig) check() error {
	switch {
	case c.Index == nil:
		return errors.New("no index to keep them in")
	case c.Service == "" || len(c.Service) > maxService || userID(c.Service) == nil || checkLine(c.Service) != nil:
		return fmt.Errorf("the service %.100q: name the registry, as registry.example.com", c.Service)
	case c.Algorithm != Ed25519 && c.Algorithm != RSA4096:
		return fmt.Errorf("the algorithm %.100q: choose %s or %s", string(c.Algorithm), Ed25519, RSA4096)
	case c.Overlap < minOverlap:
		return fmt.Errorf("an overlap of %s: choose at least %s", c.Overlap, minOverlap)
	}
	return nil
}

// userID returns the user id of a registry's keys, or nil if its name does not fit into one.
func userID(service string) *packet.UserId {
	return packet.NewUserId("Entrepôt suite signing", service, "")
}

// Keys are the keys that sign suites. They are rows of the index, which all processes over it share, and are read with each call: whoever signs does it
// rarely. The methods may be called from many goroutines at once.
//
// The first key is made when one is first needed. Keys do not end by themselves, because the hosts that trust one do not hear of another by themselves
// (see Setup); [Keys.Rotate] is for people. Whoever reads the index can sign suites; it must be guarded as what it is in any case, the whole registry.
// Private halves are in no log, error or journal.
type Keys struct{ c KeysConfig }

// OpenKeys returns the keys of an index. It neither reads nor makes any yet.
func OpenKeys(c KeysConfig) (*Keys, error) {
	c.Overlap, c.Algorithm = cmp.Or(c.Overlap, defaultOverlap), cmp.Or(c.Algorithm, Ed25519)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("open the keys that sign suites: %w", err)
	}
	return &Keys{c: c}, nil
}

// Signers returns those who sign now, the oldest key first. There is at least one; during a rotation there are two, and snapshots have a signature of each.
func (k *Keys) Signers(ctx context.Context) ([]Signer, error) {
	keys, err := k.tended(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys that sign suites: %w", err)
	}
	var signers []Signer
	for _, key := range keys {
		if key.signs(k.c.Now()) {
			signers = append(signers, key.signer())
		}
	}
	if len(signers) == 0 {
		return nil, errors.New("keys that sign suites: none can be read any more, see the log: restore the index, or rotate the keys and revoke the old ones")
	}
	return signers, nil
}

// Public returns the keyring that hosts trust, in ASCII armor: the public halves of all keys that sign, or did so in the last 30 days.
func (k *Keys) Public(ctx context.Context) ([]byte, error) {
	keys, err := k.tended(ctx)
	if err == nil && len(keys) == 0 {
		err = errors.New("none can be read any more, see the log")
	}
	if err != nil {
		return nil, fmt.Errorf("keyring of the suites: %w", err)
	}
	return keyring(keys)
}

// KeyInfo tells of one key.
type KeyInfo struct {
	Fingerprint string    // in upper-case hex
	Algorithm   Algorithm // that it is for
	Created     time.Time
	Retires     time.Time // until when it signs; zero while no other one has taken over
}

// List returns the keys of the keyring, the oldest first.
func (k *Keys) List(ctx context.Context) ([]KeyInfo, error) {
	keys, err := k.tended(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys that sign suites: %w", err)
	}
	var all []KeyInfo
	for _, key := range keys {
		all = append(all, KeyInfo{Fingerprint: key.fingerprint, Algorithm: key.algorithm, Created: key.created, Retires: key.retires})
	}
	return all, nil
}

// rows are the keys of the index at one time.
type rows struct {
	keys       []*key // the oldest first
	unreadable int
}

// read reads the keys. A row that cannot be read is told and passed over, as long as others sign.
func (k *Keys) read(ctx context.Context, v kv.View) (r rows, err error) {
	from, to := kv.Prefix(keyPrefix)
	for p, err := range v.Scan(ctx, from, to) {
		if err != nil {
			return rows{}, err
		}
		key, err := parseKey(p)
		if err != nil {
			k.c.Log.WarnContext(ctx, "a key that signs suites cannot be read; to remove it, rotate the keys and revoke the old ones",
				"key", fingerprintOf(p.Key), "error", err)
			r.unreadable++
			continue
		}
		r.keys = append(r.keys, key)
	}
	slices.SortFunc(r.keys, order)
	return r, nil
}

// order puts the keys that others have taken over from before those that sign on, and older ones before younger ones.
func order(a, b *key) int {
	if last := a.retires.IsZero(); last != b.retires.IsZero() {
		if last {
			return 1
		}
		return -1
	}
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.fingerprint, b.fingerprint))
}

// isOrphaned tells whether there is no key to go on with, and none that this version merely cannot read: to make another one in the place of that would
// have every host refuse the suites.
func (r rows) isOrphaned() bool {
	return r.unreadable == 0 && !slices.ContainsFunc(r.keys, func(k *key) bool { return k.retires.IsZero() })
}
