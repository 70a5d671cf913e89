package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/oidc/oidctest"
)

func TestParseKeys_takes_public_keys_for_signatures(t *testing.T) {
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := func(key any, use string) string {
		text, err := json.Marshal(jose.JSONWebKey{Key: key, Use: use, KeyID: "k"})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct {
		name, key string
		taken     bool
	}{
		{"RSA", jwk(&big.PublicKey, "sig"), true},
		{"ECDSA", jwk(&curve.PublicKey, ""), true},
		{"Ed25519", jwk(edwards, "sig"), true},
		{"small RSA", jwk(&small.PublicKey, "sig"), false},
		{"for encryption", jwk(&big.PublicKey, "enc"), false},
		{"symmetric", jwk([]byte(strings.Repeat("k", 64)), "sig"), false},
		{"private RSA", jwk(big, "sig"), false},
		{"private ECDSA", jwk(curve, "sig"), false},
		{"private Ed25519", jwk(private, "sig"), false},
		{"of a kind to come", `{"kty":"XYZ","kid":"k"}`, false},
		{"of a curve that is not known", `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`, false},
		{"a point that is not on its curve", `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, false},
		{"nothing", `null`, false},
		{"a text", `"key"`, false},
	} {
		keys, err := parseKeys([]byte(`{"keys":[` + c.key + `]}`))
		if (err == nil) != c.taken || len(keys) > 0 != c.taken {
			t.Errorf("%s: %d keys, %v, want taken: %v", c.name, len(keys), err, c.taken)
		}
		if keys, err := parseKeys(fmt.Appendf(nil, `{"keys":[%s,%s]}`, c.key, jwk(&curve.PublicKey, "sig"))); err != nil || len(keys) == 0 {
			t.Errorf("%s: a good key beside it is not taken: %v", c.name, err)
		}
	}
	many := strings.Repeat(jwk(edwards, "")+",", maxKeys) + jwk(edwards, "")
	for _, bad := range []string{"", "[]", `{}`, `{"keys":{}}`, `{"keys":[` + many + `]}`} {
		if _, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("%s is taken for a set of keys", auth.Clip(bad))
		}
	}
}

func TestVerify_heeds_what_a_key_is_for(t *testing.T) {
	issuer := oidctest.Start(t, "RS256")
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(issuer.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	set.Keys[0]["alg"] = "RS256"
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	path := jwksFile(t, issuer)
	replace(t, path, text)
	p := provider(t, issuer, func(c *Config) { c.JWKSFile = path })
	verify(t, p, issuer.Sign(job()), "ok", "")
	verify(t, p, issuer.SignWith(map[string]any{"alg": "PS256"}, job()), "wrong", "does not publish")
}
