package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// key is one of the issuer's keys.
type key struct {
	id      string
	private crypto.Signer
}

// family tells which keys an algorithm needs.
func family(alg string) string {
	switch {
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		return "RSA"
	case alg == "EdDSA":
		return "Ed25519"
	}
	return map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
}

func newKey(family string) (k *key, err error) {
	k = &key{id: rand.Text()[:10]}
	switch family {
	case "RSA":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "P-256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		k.private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "Ed25519":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = errors.New("there are no keys for such an algorithm")
	}
	return k, err
}

// Rotate replaces all keys. The old ones are not published any more.
func (i *Issuer) Rotate() {
	i.t.Helper()
	keys := map[string]*key{}
	for _, alg := range i.algorithms {
		f := family(alg)
		if keys[f] != nil {
			continue
		}
		var err error
		if keys[f], err = newKey(f); err != nil {
			i.t.Fatal(err)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// JWKS returns the published keys, as in a file (RFC 7517, section 5).
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := []any{}
	for _, k := range i.keys {
		all = append(all, merged(publicJWK(k.private.Public()), map[string]any{"kid": k.id, "use": "sig"}))
	}
	text, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		panic(err) // it is made of texts alone
	}
	return text
}

func publicJWK(public crypto.PublicKey) map[string]any {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		return map[string]any{"kty": "EC", "crv": k.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(k)}
	}
	panic(fmt.Sprintf("no key of the issuer: %T", public))
}

// Sign returns a token with the claims, and with iss, iat and exp in an hour unless they are among them; a claim that is nil is left out.
func (i *Issuer) Sign(claims map[string]any) string {
	i.t.Helper()
	return i.SignWith(nil, claims)
}

// SignWith is Sign with changes to the token's header. "alg" says how it is signed (one that Start was given, and its first one by default), "kid" is
// that key's unless it is changed, nil leaves a field out. What attackers do is possible, too: the alg none leaves the signature away, HS256 takes
// the published key, in PEM, for a secret.
func (i *Issuer) SignWith(header, claims map[string]any) string {
	i.t.Helper()
	token, err := i.sign(header, claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

func (i *Issuer) sign(header, claims map[string]any) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	alg, ok := header["alg"].(string)
	if !ok {
		alg = i.algorithms[0]
	}
	k := i.keys[family(alg)]
	if alg == "none" || alg == "HS256" {
		k = i.keys[family(i.algorithms[0])]
	}
	if k == nil {
		return "", fmt.Errorf("the issuer has no key for %s; start it with that algorithm", alg)
	}
	now := i.now()
	head, err := json.Marshal(merged(map[string]any{"alg": alg, "kid": k.id, "typ": "JWT"}, header))
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(merged(map[string]any{"iss": i.URL, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}, claims))
	if err != nil {
		return "", err
	}
	input := b64(head) + "." + b64(body)
	signature, err := k.sign(alg, []byte(input))
	return input + "." + b64(signature), err
}

func (k *key) sign(alg string, input []byte) ([]byte, error) {
	if alg == "none" {
		return nil, nil
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	if alg == "HS256" {
		der, err := x509.MarshalPKIXPublicKey(k.private.Public())
		mac := hmac.New(hash.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write(input)
		return mac.Sum(nil), err
	}
	if private, ok := k.private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, input), nil
	}
	h := hash.New()
	h.Write(input)
	sum := h.Sum(nil)
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return rsa.SignPSS(rand.Reader, private, hash, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, private, hash, sum)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum)
		if err != nil {
			return nil, err
		}
		size := (private.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	}
	return nil, fmt.Errorf("no key of the issuer: %T", k.private)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
