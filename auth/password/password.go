// Package password turns passwords into hashes and checks them, few at a time.
//
//	h := password.New(0)
//	hash, err := h.Hash(ctx, secret)          // "$argon2id$v=19$m=19456,t=2,p=1$…"
//	ok, err := h.Matches(ctx, hash, secret)
//	if errors.Is(err, password.ErrBusy) { /* 503 with Retry-After */ }
//
// Hashes are made to be slow, so whoever sends many passwords would have all processors to himself. A [Hasher] therefore works on a bounded number
// at once and lets a bounded number wait for a bounded time; the rest gets [ErrBusy].
//
// New hashes are argon2id (RFC 9106) in PHC form, with the parameters that OWASP advises: 19 MiB, two passes, one lane. Checked are these, with
// any bearable parameters, and bcrypt as htpasswd -B writes it ($2a$, $2b$ and $2y$). Nothing else is: what is faster to compute is faster to guess.
//
// How long a check takes tells which kind of hash it was made with. Whoever does not want to tell whether a name exists calls [Hasher.Waste] for
// those that do not; it takes as long as checking a hash that Hash made, so the two are alike only for such hashes.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// MaxLength is the longest password, in bytes. Longer ones cannot be hashed and match nothing.
const MaxLength = 1024

// bcryptLength is how much of a password bcrypt looks at.
const bcryptLength = 72

// ours are the parameters of new hashes.
var ours = argon{memory: 19 << 10, passes: 2, lanes: 1}

const (
	saltLength = 16
	keyLength  = 32
)

// Hash returns a new hash of password, each time another.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if len(password) > MaxLength {
		return "", fmt.Errorf("the password is too long: it may have %d bytes", MaxLength)
	}
	hash := ours
	hash.salt = make([]byte, saltLength)
	rand.Read(hash.salt) // never fails
	if err := h.run(ctx, func() { hash.key = hash.derive(password, keyLength) }); err != nil {
		return "", err
	}
	return hash.String(), nil
}

// Matches tells whether hash was made from password. A hash that Check does not take is an error. A password that is longer than bcrypt looks
// at matches no bcrypt hash, not even one that was made from its beginning.
func (h *Hasher) Matches(ctx context.Context, hash, password string) (bool, error) {
	if err := Check(hash); err != nil {
		return false, err
	}
	if len(password) > MaxLength {
		return false, nil
	}
	matches := matchesBcrypt
	if kindOf(hash) == kindArgon2id {
		matches = matchesArgon2id
	}
	var ok bool
	var err error
	if busy := h.run(ctx, func() { ok, err = matches(hash, password) }); busy != nil {
		return false, busy
	}
	return ok, err
}

// Waste takes as long as Matches would, with a hash that Hash made, and has the same errors for whoever has to wait.
func (h *Hasher) Waste(ctx context.Context, password string) error {
	if len(password) > MaxLength {
		return nil
	}
	nobody := ours
	nobody.salt = make([]byte, saltLength)
	return h.run(ctx, func() { nobody.derive(password, keyLength) })
}

func matchesArgon2id(hash, password string) (bool, error) {
	want, err := parseArgon(hash)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(want.derive(password, len(want.key)), want.key) == 1, nil
}

func matchesBcrypt(hash, password string) (bool, error) {
	whole := len(password) <= bcryptLength
	if !whole {
		password = password[:bcryptLength] // for the time that it takes
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	switch {
	case err == nil:
		return whole, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	}
	return false, errors.New("check a password against bcrypt: the hash is damaged")
}

func (a argon) derive(password string, length int) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.lanes, uint32(length))
}
