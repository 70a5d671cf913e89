package token

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// lookEvery is how often, at most, tokens of unknown keys make the issuer look for such keys: anybody can invent a key.
	lookEvery = time.Second
	// maxLook bounds the time of such a look.
	maxLook = 5 * time.Second
)

// ring is the keys that a process knows at one time. It does not change.
type ring struct {
	keys     []*key // as readKeys returns them
	byHeader map[string]*key
	epoch    uint64
}

// newRing returns the ring of keys that follows another.
func newRing(keys []*key, old *ring) *ring {
	r := &ring{keys: keys, byHeader: make(map[string]*key, len(keys)), epoch: old.epoch}
	for _, k := range keys {
		r.byHeader[k.header] = k
	}
	for header := range old.byHeader {
		if r.byHeader[header] == nil {
			r.epoch++
			break
		}
	}
	return r
}

// signer returns the key that signs now: the last one whose time has come. If none has yet, another process whose clock is ahead has just made the
// first one.
func (r *ring) signer(now time.Time) (*key, error) {
	for n := len(r.keys) - 1; n >= 0; n-- {
		if k := r.keys[n]; k.verifies(now) && (n == 0 || !k.signs.After(now)) {
			return k, nil
		}
	}
	return nil, errors.New("no key to sign with: the index could not be read for long, see the log")
}

// errNoKeys says that there are none; what was known before stays.
var errNoKeys = errors.New("there are no signing keys in the index")

// reload reads the ring from the index.
func (i *Issuer) reload(ctx context.Context) error {
	if err := i.enter(ctx); err != nil {
		return err
	}
	defer i.leave()
	return i.load(ctx)
}

func (i *Issuer) enter(ctx context.Context) error {
	select {
	case i.loading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (i *Issuer) leave() { <-i.loading }

// load reads the ring; the caller has entered.
func (i *Issuer) load(ctx context.Context) error {
	keys, err := readKeys(ctx, i.c.Index, i.c.Log)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	if len(keys) == 0 {
		return errNoKeys
	}
	i.ring.Store(newRing(keys, i.ring.Load()))
	return nil
}

// look looks for a key that is not in the ring: another process may just have made it. It returns nil if there is none, and an error if that
// cannot be told.
func (i *Issuer) look(ctx context.Context, header string) (*key, error) {
	if err := i.enter(ctx); err != nil {
		return nil, err
	}
	defer i.leave()
	if since := i.c.Now().Sub(i.looked); since < 0 || since >= lookEvery {
		i.looked = i.c.Now()
		// The look is everybody's: a caller who goes away must not be able to spoil it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxLook)
		defer cancel()
		i.found = i.load(ctx)
	}
	if k := i.ring.Load().byHeader[header]; k != nil {
		return k, nil
	}
	return nil, i.found
}

// Epoch returns a number that changes whenever a key has gone. Whoever keeps what Verify returned asks for it before the Verify, and forgets what
// was kept under another one: otherwise a token outlives the key that was withdrawn.
func (i *Issuer) Epoch() uint64 { return i.ring.Load().epoch }
