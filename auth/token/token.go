// Package token signs the registry's own short-lived tokens, tells whose they are, and looks after the keys that they are signed with.
//
//	tokens, err := token.Open(ctx, token.Config{Index: db, Service: "registry.example.com"})
//	go tokens.Run(ctx) // rotates the keys
//
//	minted, err := tokens.Mint(who, scope)          // after somebody has logged in
//	who, until, err := tokens.Verify(ctx, raw)      // with each request
//
// A token is a JWT (RFC 7519) in the compact form of RFC 7515, section 3.1, signed with Ed25519 (RFC 8037). It holds all of an [auth.Identity], so
// that to verify one asks nobody: it needs a key, and the keys are in memory. What Verify returns is what was given to Mint.
//
// Verify takes what Mint makes and nothing else. There is one header for each key, and it must be that, to the letter: no other algorithm, no key
// or address of one that comes with the token, nothing critical. Each token has exactly one spelling, so that a cache may know it by its hash. A
// claim that is not known could be a restriction, and is refused.
//
// The keys are rows of the index, and all processes over one index share them. A key signs for Config.KeyTTL. The one after it is published
// some minutes before it signs, so that everybody knows it by then, and it itself still verifies until its last tokens have ended: a rotation
// refuses nobody. After a leak, [Issuer.Rotate] withdraws the old keys at once. Whoever reads the index can sign tokens; it must be guarded as
// what it is in any case, the whole registry.
//
// What a caller of an upstream shows there travels in the token, too, sealed: whoever holds the token cannot read it, and every process over the index
// can. It is sealed with a key that is made of the one that signs, so that it is worth nothing as soon as that one is gone.
//
// The package leaves to others who somebody is and what a token is cut down to (auth/login), whether the credential behind one still lives (see
// auth.Identity.Via), and all of HTTP (auth/api).
package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

const (
	// MaxToken is the length of the longest token, in bytes.
	MaxToken = 16 << 10

	defaultTTL    = 5 * time.Minute
	maxTTL        = 24 * time.Hour
	defaultKeyTTL = 30 * 24 * time.Hour
	minKeyTTL     = time.Hour
)

// Config says what an Issuer works with.
type Config struct {
	// Index keeps the keys. The caller opens and closes it.
	Index kv.DB
	// Service is the issuer and the audience of all tokens: the registry's name, such as registry.example.com. All processes over one index have
	// the same.
	Service string
	// TTL is how long a token is good for; 0 is 5 minutes. It is at least a second and at most a day.
	TTL time.Duration
	// KeyTTL is for how long a key signs before a new one takes over; 0 is 30 days. It is at least an hour.
	KeyTTL time.Duration
	// Log is told what became of keys; nil is slog.Default().
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (c Config) check() error {
	if c.Index == nil {
		return errors.New("no index to keep the signing keys in")
	}
	if err := auth.CheckName(c.Service); err != nil {
		return fmt.Errorf("service of the tokens: %w", err)
	}
	if c.TTL < time.Second || c.TTL > maxTTL {
		return fmt.Errorf("tokens that are good for %s: choose between 1s and %s", c.TTL, maxTTL)
	}
	if c.KeyTTL < minKeyTTL {
		return fmt.Errorf("keys that sign for %s: choose at least %s", c.KeyTTL, minKeyTTL)
	}
	return nil
}

// Issuer mints and verifies tokens. Its methods may be called from many goroutines at once.
type Issuer struct {
	c       Config
	ring    atomic.Pointer[ring]
	loading chan struct{} // holds one thing while the ring is read from the index, so that no older one replaces a newer one; guards what follows
	looked  time.Time     // when the ring was last read for the sake of a token of an unknown key
	found   error         // what came of that
}

// Open reads the keys from the index and makes the first one if there is none. However many processes do so at once, there is one first key.
func Open(ctx context.Context, c Config) (*Issuer, error) {
	c.TTL, c.KeyTTL = cmp.Or(c.TTL, defaultTTL), cmp.Or(c.KeyTTL, defaultKeyTTL)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	i := &Issuer{c: c, loading: make(chan struct{}, 1)}
	i.ring.Store(&ring{})
	if err := i.tend(ctx); err != nil {
		return nil, fmt.Errorf("open the signing keys: %w", err)
	}
	return i, nil
}
