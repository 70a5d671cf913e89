package token

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// base64url is the one way in which tokens write bytes: no padding, no bits left over.
var base64url = base64.RawURLEncoding.Strict()

// lenKey is the length of a key's id.
const lenKey = 43

// key is one signing key. It does not change.
type key struct {
	id      string // its thumbprint (RFC 7638)
	created time.Time
	signs   time.Time // from when on it signs
	until   time.Time // until when it verifies; zero while no other one is to follow it
	public  ed25519.PublicKey
	private func() ed25519.PrivateKey // behind a function, so that whatever prints a key cannot print this
	header  string                    // the first part of every token that it signs
}

// newKey makes a key that signs from a time on.
func newKey(now, signs time.Time) *key {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(fmt.Sprintf("token: no random bytes: %v", err)) // crypto/rand ends the program before it would say so
	}
	return keyFrom(private, now, signs, time.Time{})
}

func keyFrom(private ed25519.PrivateKey, created, signs, until time.Time) *key {
	k := &key{created: created.UTC(), signs: signs.UTC(), until: until.UTC(), private: func() ed25519.PrivateKey { return private }}
	k.public = private.Public().(ed25519.PublicKey)
	k.id = thumbprint(k.public)
	k.header = base64url.EncodeToString(fmt.Appendf(nil, `{"alg":"EdDSA","kid":"%s","typ":"JWT"}`, k.id))
	return k
}

// thumbprint returns the SHA-256 thumbprint of a public key (RFC 7638; RFC 8037, section 2, says which members count).
func thumbprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`, base64url.EncodeToString(public)))
	return base64url.EncodeToString(sum[:])
}

// verifies tells whether tokens that the key signed are good at a time. One that does not sign yet may have done so by another's clock.
func (k *key) verifies(now time.Time) bool { return k.until.IsZero() || now.Before(k.until) }

// followed returns the key as it is once another one signs from a time on: it verifies until the last token has ended, even if some process
// heard so late of the other one that it went on with this.
func (k *key) followed(by *key, ttl time.Duration) *key {
	old := *k
	old.until = by.signs.Add(ttl + lead)
	return &old
}

// row is a key in the index.
type row struct {
	Private []byte    `json:"private"`
	Created time.Time `json:"created"`
	Signs   time.Time `json:"signs"`
	Until   time.Time `json:"until,omitzero"`
}

func (k *key) put(tx kv.Tx) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.private())
	if err != nil {
		return err
	}
	text, err := json.Marshal(row{Private: der, Created: k.created, Signs: k.signs, Until: k.until})
	if err != nil {
		return err
	}
	tx.Put(keyOf(k.id), text)
	return nil
}

// errRow says that a row holds no key. The reason of a decoder is not told: it might quote what it could not read.
var errRow = errors.New("it holds no signing key that this version knows")

func parseKey(p kv.Pair) (*key, error) {
	var r row
	if err := json.Unmarshal(p.Value, &r); err != nil {
		return nil, errRow
	}
	parsed, err := x509.ParsePKCS8PrivateKey(r.Private)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok || r.Signs.IsZero() {
		return nil, errRow
	}
	k := keyFrom(private, r.Created, r.Signs, r.Until)
	if p.Key != keyOf(k.id) {
		return nil, fmt.Errorf("it holds the key %s", k.id)
	}
	return k, nil
}

// readKeys returns the keys of the index: those that sign first in front, and behind all others the one that none is to follow. A row that cannot
// be read is told and passed over: it is no reason to lock everybody out.
func readKeys(ctx context.Context, v kv.View, log *slog.Logger) ([]*key, error) {
	var keys []*key
	from, to := kv.Prefix(keyPrefix)
	for p, err := range v.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		k, err := parseKey(p)
		if err != nil {
			log.WarnContext(ctx, "a signing key in the index cannot be read; to remove it, rotate the keys and revoke the old ones",
				"key", strings.TrimPrefix(p.Key, keyPrefix), "error", err)
			continue
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, order)
	return keys, nil
}

func order(a, b *key) int {
	if last := a.until.IsZero(); last != b.until.IsZero() {
		if last {
			return 1
		}
		return -1
	}
	return cmp.Or(a.signs.Compare(b.signs), cmp.Compare(a.id, b.id))
}
