package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/entrepot/entrepot/auth"
)

// The secret of a caller is sealed with AES-256-GCM (NIST SP 800-38D), each time with another key: HKDF (RFC 5869) makes it of the signing key and the token's id.
// Who the token is for, by whom, and when it ends are bound in: what is sealed for one token opens in no other.
const (
	sealKeyLength = 32
	sealInfo      = "entrepot token sealed claim 1"
	sealBlock     = 64 // lengths are rounded up to this, so that the token does not tell how long a password is
	maxSealed     = (auth.MaxSecret + 2*sealBlock) * 4 / 3
)

var errSealed = errors.New("what is sealed in it cannot be opened")

// seal returns the claim; it is empty without a secret.
func (k *key) seal(c *claims, secret auth.Secret) (string, error) {
	if secret.IsZero() {
		return "", nil
	}
	plain := []byte(secret.Reveal())
	if len(plain) == 0 || len(plain) > auth.MaxSecret {
		return "", fmt.Errorf("a secret to seal has 1 to %d bytes, not %d", auth.MaxSecret, len(plain))
	}
	if bytes.IndexByte(plain, 0) >= 0 {
		return "", errors.New("a secret to seal holds a NUL")
	}
	plain = append(plain, make([]byte, sealBlock-len(plain)%sealBlock)...)
	aead, err := k.sealer(c)
	if err != nil {
		return "", err
	}
	return base64url.EncodeToString(aead.Seal(nil, nil, plain, c.bound())), nil
}

// open returns what the claim holds. The signature was checked before; this is a second lock.
func (k *key) open(c *claims) (auth.Secret, error) {
	if c.Sealed == "" {
		return auth.Secret{}, nil
	}
	if len(c.Sealed) > maxSealed {
		return auth.Secret{}, errSealed
	}
	sealed, err := base64url.DecodeString(c.Sealed)
	if err != nil {
		return auth.Secret{}, errSealed
	}
	aead, err := k.sealer(c)
	if err != nil {
		return auth.Secret{}, err
	}
	plain, err := aead.Open(nil, nil, sealed, c.bound())
	if err != nil {
		return auth.Secret{}, errSealed
	}
	return auth.NewSecret(string(bytes.TrimRight(plain, "\x00"))), nil
}

// sealer makes the cipher for one token. It puts a random nonce in front of what it seals.
func (k *key) sealer(c *claims) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, k.private().Seed(), []byte(c.ID), sealInfo, sealKeyLength)
	if err != nil {
		return nil, fmt.Errorf("make the key that seals: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("make the cipher that seals: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is what the seal is bound to. No name holds a NUL.
func (c *claims) bound() []byte {
	return fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", c.Issuer, c.Audience, c.Subject, c.Expires)
}
