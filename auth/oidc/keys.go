package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// maxKeys is how many keys an issuer may have.
const maxKeys = 100

// keySource is where an issuer's keys come from.
type keySource interface {
	// find shows content the keys that are known, and newer ones if it does not say that it is content and there can be newer ones. It fails
	// if it cannot be told which keys there are.
	find(ctx context.Context, content func([]jose.JSONWebKey) bool) error
}

// parseKeys reads a set of keys (RFC 7517, section 5) and returns those that signatures can be checked with. Others may be among them.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("that is no set of keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("there are %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) == nil && checks(k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no public key for signatures among them (RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, Ed25519)")
	}
	return keys, nil
}

// checks tells whether signatures may be checked with a key.
func checks(k jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048 && key.N.BitLen() <= 8192
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return k.Valid()
	}
	return false
}

// keyFile is a set of keys in a file.
type keyFile struct {
	path string
	mu   sync.Mutex
	read os.FileInfo // of what the keys were read from
	keys []jose.JSONWebKey
}

func openKeyFile(path string) (*keyFile, error) {
	f := &keyFile{path: path}
	_, err := f.current()
	return f, err
}

// current returns the keys in the file now.
func (f *keyFile) current() ([]jose.JSONWebKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	is, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("read the issuer's keys: %w", err)
	}
	if f.read != nil && os.SameFile(is, f.read) && is.Size() == f.read.Size() && is.ModTime().Equal(f.read.ModTime()) {
		return f.keys, nil
	}
	f.read = nil
	text, err := readFile(f.path, maxBody)
	if err != nil {
		return nil, fmt.Errorf("read the issuer's keys: %w", err)
	}
	if f.keys, err = parseKeys(text); err != nil {
		return nil, fmt.Errorf("read the issuer's keys in %s: %w", f.path, err)
	}
	f.read = is
	return f.keys, nil
}

// find implements keySource.
func (f *keyFile) find(_ context.Context, content func([]jose.JSONWebKey) bool) error {
	keys, err := f.current()
	if err != nil {
		return err
	}
	content(keys)
	return nil
}
