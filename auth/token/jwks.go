package token

import (
	"encoding/json"
	"fmt"
)

// jwk is a public key (RFC 7517; RFC 8037, section 2).
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// Keys returns the public halves of all keys that verify now or will soon sign, as a JWK Set in JSON (RFC 7517, section 5). Whoever keeps it asks
// again within 5 minutes, or when it meets a key that it does not know.
func (i *Issuer) Keys() []byte {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	now := i.c.Now()
	for _, k := range i.ring.Load().keys {
		if k.verifies(now) {
			set.Keys = append(set.Keys, jwk{Type: "OKP", Curve: "Ed25519", X: base64url.EncodeToString(k.public), ID: k.id, Use: "sig", Algorithm: "EdDSA"})
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic(fmt.Sprintf("token: keys that are no JSON: %v", err)) // strings alone
	}
	return text
}
