package ask

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/spec/wire"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// Mint asks for a token with scopes.
func (c Caller) Mint(scopes ...string) (string, error) {
	got, err := c.Send("GET", "/auth/token?"+url.Values{"scope": scopes}.Encode(), nil)
	if err != nil {
		return "", err
	}
	var minted struct{ Token string }
	if got.Status != 200 || json.Unmarshal(got.Body, &minted) != nil || minted.Token == "" {
		return "", fmt.Errorf("%s: %d %s", got.Asked, got.Status, got.Excerpt())
	}
	return minted.Token, nil
}

// Token is the caller who shows a token with scopes.
func (c Caller) Token(t testing.TB, scopes ...string) Caller {
	t.Helper()
	token, err := c.Mint(scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return c.With(Bearer(token))
}

// Form asks the token service with OAuth's form, given as key, value, key, value…
func (c Caller) Form(t testing.TB, pairs ...string) wire.Reply {
	t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return c.Do(t, "POST", "/auth/token", []byte(values.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

var quoted = regexp.MustCompile(`(\w+)="([^"]*)"`)

// Docker asks as docker does: first without anything, then, if that is refused, it follows the challenge to the token service and asks again with the token.
func (c Caller) Docker(t testing.TB, method, target string, body []byte, headers ...string) wire.Reply {
	t.Helper()
	first := c.With().Do(t, method, target, body, headers...)
	if first.Status != 401 {
		return first
	}
	challenge, said := first.Header.Get("WWW-Authenticate"), map[string]string{}
	for _, m := range quoted.FindAllStringSubmatch(challenge, -1) {
		said[m[1]] = m[2]
	}
	if !strings.HasPrefix(challenge, "Bearer ") || said["realm"] == "" {
		t.Fatalf("%s: the challenge is %q", first.Asked, challenge)
	}
	query := url.Values{"service": {said["service"]}}
	if said["scope"] != "" {
		query.Set("scope", said["scope"])
	}
	got := c.Get(t, said["realm"]+"?"+query.Encode())
	if got.Status != 200 {
		return got
	}
	var minted struct{ Token string }
	got.JSON(t, &minted)
	return c.With(Bearer(minted.Token)).Do(t, method, target, body, headers...)
}

// Claims are those of the program's tokens, in the order in which it writes them.
type Claims struct {
	Issuer    string          `json:"iss"`
	Audience  string          `json:"aud"`
	Subject   string          `json:"sub"`
	Expires   int64           `json:"exp"`
	NotBefore int64           `json:"nbf"`
	Issued    int64           `json:"iat"`
	ID        string          `json:"jti"`
	Kind      string          `json:"kind,omitempty"`
	Groups    json.RawMessage `json:"groups,omitempty"`
	Grants    json.RawMessage `json:"grants,omitempty"`
	Access    json.RawMessage `json:"access,omitempty"` // left out, the token is good for all that its owner may do
	Via       string          `json:"via,omitempty"`
}

// ClaimsOf returns what a token of the program says. Claims that are not known here end the test: they would be missing in what it makes of them.
func ClaimsOf(t testing.TB, token string) (c Claims) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if c.JSON() != string(text) {
		t.Fatalf("the program's tokens have other claims than are known here: %s", text)
	}
	return c
}

// JSON is how the program writes the claims.
func (c Claims) JSON() string { return string(wire.JSON(c)) }

// Key is a key that signs tokens, and what it is called.
type Key struct {
	ID      string
	Private ed25519.PrivateKey
}

// NewKey makes a key for an issuer of tokens, or for a forger.
func NewKey() Key {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // there are always random bytes
	}
	return Key{"key-1", private}
}

// KeyOf reads the program's one signing key from its index, which nobody may have open.
func KeyOf(index string) (k Key, err error) {
	db, err := bolt.Open(index, bolt.Options{})
	if err != nil {
		return k, err
	}
	defer db.Close()
	const prefix = "auth/key/"
	from, to := kv.Prefix(prefix)
	for row, err := range db.Scan(context.Background(), from, to) {
		if err != nil {
			return k, err
		}
		var stored struct{ Private []byte }
		if err := json.Unmarshal(row.Value, &stored); err != nil {
			return k, err
		}
		parsed, err := x509.ParsePKCS8PrivateKey(stored.Private)
		if err != nil {
			return k, err
		}
		private, ok := parsed.(ed25519.PrivateKey)
		if !ok || k.ID != "" {
			return k, fmt.Errorf("row %s holds no key of the kind that is known here, or is one of several", row.Key)
		}
		k = Key{strings.TrimPrefix(row.Key, prefix), private}
	}
	if k.ID == "" {
		return k, fmt.Errorf("no signing key in %s", index)
	}
	return k, nil
}

// Public is the public half.
func (k Key) Public() ed25519.PublicKey { return k.Private.Public().(ed25519.PublicKey) }

// JWK is the public half as RFC 8037 writes it.
func (k Key) JWK() map[string]string {
	return map[string]string{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": k.ID, "x": B64(k.Public())}
}

// Set is a set of that one key (RFC 7517, section 5).
func (k Key) Set() []byte { return wire.JSON(map[string]any{"keys": []any{k.JWK()}}) }

// Header is that of the tokens that the key signs.
func (k Key) Header() string { return `{"alg":"EdDSA","kid":"` + k.ID + `","typ":"JWT"}` }

// Sign returns a token of a header and claims as they are written.
func (k Key) Sign(header, payload string) string {
	signed := B64([]byte(header)) + "." + B64([]byte(payload))
	return signed + "." + B64(ed25519.Sign(k.Private, []byte(signed)))
}

// MAC is Sign with HS256.
func MAC(header, payload string, secret []byte) string {
	signed := B64([]byte(header)) + "." + B64([]byte(payload))
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(signed))
	return signed + "." + B64(sum.Sum(nil))
}

// B64 is how tokens write bytes.
func B64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
