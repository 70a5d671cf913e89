package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Rotate has a new key take over. It signs at once, and for Overlap the one before signs, too: hosts that fetch the keyring in that time notice nothing.
// While two keys sign already Rotate is an error. With revoke, for when a key has leaked, all older keys are gone at once and the new one signs alone: hosts
// refuse the suites until they have fetched the new keyring, which their administrators have to see to.
//
// All suites have to be published again after it, or after a revocation they stay signed by the key that leaked. The journal says key.add, key.retire and
// key.remove.
func (k *Keys) Rotate(ctx context.Context, revoke bool) error {
	change := k.follow
	if revoke {
		change = k.replace
	}
	if _, err := k.change(ctx, change); err != nil {
		return fmt.Errorf("rotate the keys that sign suites: %w", err)
	}
	return nil
}

// tended returns the keys after everything that is due was done: the first key made, what does not sign any more without its private half, and what
// nobody needs any more gone.
func (k *Keys) tended(ctx context.Context) ([]*key, error) {
	r, err := k.read(ctx, k.c.Index)
	if err != nil {
		return nil, err
	}
	if !k.isDue(r) {
		return r.keys, nil // no writer shall wait for a transaction that has nothing to do
	}
	return k.change(ctx, k.renew)
}

// isDue tells whether renew has anything to do.
func (k *Keys) isDue(r rows) bool {
	for _, key := range r.keys {
		if k.isOver(key) && key.private != nil || k.isForgotten(key) {
			return true
		}
	}
	return r.isOrphaned()
}

func (k *Keys) isOver(key *key) bool { return !key.retires.IsZero() && !k.c.Now().Before(key.retires) }

func (k *Keys) isForgotten(key *key) bool {
	return !key.retires.IsZero() && !k.c.Now().Before(key.retires.Add(lately))
}

// change changes the keys in one transaction, and returns them as they are then. The new key that a change may want is made before: one of RSA takes
// seconds, in which no writer shall wait.
func (k *Keys) change(ctx context.Context, change func(context.Context, kv.Tx, rows, *key) error) (keys []*key, err error) {
	fresh, err := newKey(k.c.Algorithm, userID(k.c.Service), k.c.Now())
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	err = k.c.Index.Update(ctx, func(tx kv.Tx) error {
		r, err := k.read(ctx, tx)
		if err != nil {
			return err
		}
		if err := change(ctx, tx, r, fresh); err != nil {
			return err
		}
		r, err = k.read(ctx, tx)
		keys = r.keys
		return err
	})
	return keys, err
}

// renew does what is due.
func (k *Keys) renew(ctx context.Context, tx kv.Tx, r rows, fresh *key) error {
	for _, key := range r.keys {
		switch {
		case k.isForgotten(key):
			remove(ctx, tx, key.fingerprint)
		case k.isOver(key) && key.private != nil:
			note(ctx, tx, "key.retire", key.fingerprint, "it signs no more, its private half is removed")
			if err := key.withoutPrivate().put(tx); err != nil {
				return err
			}
		}
	}
	if r.isOrphaned() {
		return add(ctx, tx, fresh)
	}
	return nil
}

// follow adds a key, beside which the one before signs for a while.
func (k *Keys) follow(ctx context.Context, tx kv.Tx, r rows, fresh *key) error {
	now := k.c.Now()
	for _, key := range r.keys {
		if !key.retires.IsZero() && key.signs(now) {
			return fmt.Errorf("two keys sign already: %s does until %s; wait, or revoke all older keys", key.fingerprint, key.retires.Format(time.RFC3339))
		}
	}
	for _, key := range r.keys {
		if key.retires.IsZero() {
			until := now.Add(k.c.Overlap).Truncate(time.Second)
			note(ctx, tx, "key.retire", key.fingerprint, "it signs until "+until.UTC().Format(time.RFC3339))
			if err := key.retired(until).put(tx); err != nil {
				return err
			}
		}
	}
	return add(ctx, tx, fresh)
}

// replace removes all keys, those that cannot be read too, and adds one.
func (k *Keys) replace(ctx context.Context, tx kv.Tx, _ rows, fresh *key) error {
	from, to := kv.Prefix(keyPrefix)
	for p, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		remove(ctx, tx, fingerprintOf(p.Key))
	}
	return add(ctx, tx, fresh)
}

func add(ctx context.Context, tx kv.Tx, k *key) error {
	note(ctx, tx, "key.add", k.fingerprint, string(k.algorithm))
	return k.put(tx)
}

func remove(ctx context.Context, tx kv.Tx, fingerprint string) {
	note(ctx, tx, "key.remove", fingerprint, "")
	tx.Delete(keyOf(fingerprint))
}

func note(ctx context.Context, tx kv.Tx, action, fingerprint, what string) {
	journal.Append(ctx, tx, journal.Event{Action: action, Object: "apt-key:" + fingerprint, Note: what, Result: "ok"})
}
