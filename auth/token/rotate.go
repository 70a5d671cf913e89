package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const (
	// lead is how long before it signs a key is published, so that every process and whoever reads Keys has it by then.
	lead = 5 * time.Minute
	// tendEvery is how often Run looks after the keys: a few times within lead.
	tendEvery = time.Minute
	// maxTend bounds the time of one such look.
	maxTend = 30 * time.Second
)

// Rotate makes a new key. It is published at once and signs 5 minutes later, when everybody knows it, so that nobody is refused; while such a
// key waits already, Rotate does nothing. With revoke, for when a key has leaked, it signs at once and all older keys are gone: their tokens are
// refused by this process from now on, and by others as soon as their Run has read the keys again: at once if the index can tell them, else within a minute. The journal says key.add and
// key.remove.
func (i *Issuer) Rotate(ctx context.Context, revoke bool) error {
	change := i.follow
	if revoke {
		change = i.replace
	}
	if err := i.change(ctx, change); err != nil {
		return fmt.Errorf("rotate the signing keys: %w", err)
	}
	return nil
}

// Run looks after the keys until ctx ends: each minute it reads them from the index, has a new one follow when its time has come, and removes
// those that nobody needs any more. Errors are logged and tried again. Every process that verifies tokens runs it.
func (i *Issuer) Run(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { i.listen(ctx) })
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bounded, cancel := context.WithTimeout(ctx, maxTend)
		if err := i.tend(bounded); err != nil && ctx.Err() == nil {
			i.c.Log.WarnContext(ctx, "signing keys cannot be looked after; those that are known stay in use", "error", err, "again", tendEvery)
		}
		cancel()
	}
}

// tend reads the keys and, if there is anything to change, changes it.
func (i *Issuer) tend(ctx context.Context) error {
	err := i.reload(ctx)
	if err == nil && !i.isDue(i.ring.Load().keys) {
		return nil // no writer shall wait for a transaction that has nothing to do
	}
	if err != nil && !errors.Is(err, errNoKeys) {
		return err
	}
	return i.change(ctx, i.renew)
}

// isDue tells whether renew has anything to do.
func (i *Issuer) isDue(keys []*key) bool {
	now := i.c.Now()
	for _, k := range keys {
		if !k.verifies(now) {
			return true
		}
	}
	return isOrphaned(keys) || i.isOld(keys[len(keys)-1])
}

// isOrphaned tells whether there is no key to go on with: none at all, or the one that was to follow the last is lost.
func isOrphaned(keys []*key) bool { return len(keys) == 0 || !keys[len(keys)-1].until.IsZero() }

// isOld tells whether the key that follows the newest must be published now.
func (i *Issuer) isOld(newest *key) bool {
	return !i.c.Now().Before(newest.signs.Add(i.c.KeyTTL - lead))
}

// change changes the keys in one transaction, and reads them.
func (i *Issuer) change(ctx context.Context, change func(context.Context, kv.Tx, []*key) error) error {
	if err := i.c.Index.Update(ctx, func(tx kv.Tx) error {
		keys, err := readKeys(ctx, tx, i.c.Log)
		if err != nil {
			return err
		}
		return change(ctx, tx, keys)
	}); err != nil {
		return err
	}
	defer i.tell(ctx)
	if err := i.reload(ctx); err != nil {
		return fmt.Errorf("the index is changed, but this process does not know it yet: %w", err)
	}
	return nil
}

// renew removes the keys that have ended and adds the one that is due.
func (i *Issuer) renew(ctx context.Context, tx kv.Tx, keys []*key) error {
	var left []*key
	for _, k := range keys {
		if k.verifies(i.c.Now()) {
			left = append(left, k)
		} else {
			i.remove(ctx, tx, k.id)
		}
	}
	if isOrphaned(left) || i.isOld(left[len(left)-1]) {
		return i.follow(ctx, tx, left)
	}
	return nil
}

// follow adds a key that follows the newest, unless one waits already.
func (i *Issuer) follow(ctx context.Context, tx kv.Tx, keys []*key) error {
	now := i.c.Now()
	if isOrphaned(keys) {
		return i.add(ctx, tx, newKey(now, now))
	}
	newest := keys[len(keys)-1]
	if newest.signs.After(now) {
		return nil
	}
	next := newKey(now, now.Add(lead))
	if err := newest.followed(next, i.c.TTL).put(tx); err != nil {
		return err
	}
	return i.add(ctx, tx, next)
}

// replace removes all keys, those that cannot be read too, and adds one that signs at once.
func (i *Issuer) replace(ctx context.Context, tx kv.Tx, _ []*key) error {
	from, to := kv.Prefix(keyPrefix)
	for p, err := range tx.Scan(ctx, from, to) {
		if err != nil {
			return err
		}
		i.remove(ctx, tx, strings.TrimPrefix(p.Key, keyPrefix))
	}
	return i.add(ctx, tx, newKey(i.c.Now(), i.c.Now()))
}

func (i *Issuer) add(ctx context.Context, tx kv.Tx, k *key) error {
	journal.Append(ctx, tx, journal.Event{Action: "key.add", Object: "key:" + k.id, Result: "ok"})
	return k.put(tx)
}

func (i *Issuer) remove(ctx context.Context, tx kv.Tx, kid string) {
	journal.Append(ctx, tx, journal.Event{Action: "key.remove", Object: "key:" + kid, Result: "ok"})
	tx.Delete(keyOf(kid))
}
