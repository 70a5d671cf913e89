package token

import (
	"bytes"
	"crypto"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/entrepot/entrepot/storage/kv"
)

// TestKeys_are_what_others_verify_with has go-jose verify a token by the published keys.
func TestKeys_are_what_others_verify_with(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	if err := i.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	text := i.Keys()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("%s: %v, want two keys", text, err)
	}
	for n, k := range i.ring.Load().keys {
		hidesPrivate(t, string(text), k)
		public := set.Keys[n]
		print, err := public.Thumbprint(crypto.SHA256)
		if err != nil || public.KeyID != k.id || base64url.EncodeToString(print) != k.id || !public.IsPublic() || public.Use != "sig" || public.Algorithm != "EdDSA" {
			t.Errorf("key %+v, %v, want %s", public, err, k.id)
		}
		payload := encode(t, goodClaims())
		signed, err := jose.ParseSignedCompact(k.jws(payload), []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := signed.Verify(set.Key(signed.Signatures[0].Header.KeyID)[0]); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%s, %v, want %s", got, err, payload)
		}
	}
	var members struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for _, k := range members.Keys {
		if len(k) != 6 || k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["d"] != "" {
			t.Errorf("members %v", k)
		}
	}
	text[0] = 'x'
	if i.Keys()[0] != '{' {
		t.Error("a caller has changed what others get")
	}
}
