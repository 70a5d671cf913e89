package rights

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// good is a token that is good for everything: root's, not cut down to any scope, and signed with the program's own key. Whatever is made of it by one mistake
// is refused for that mistake alone.
func good(t testing.TB) ask.Claims {
	t.Helper()
	token, err := root.Mint()
	if err != nil {
		t.Fatal(err)
	}
	c := ask.ClaimsOf(t, token)
	c.Access = nil
	return c
}

// signed is the token of claims, as the program would sign them.
func signed(c ask.Claims) string { return keys.Sign(keys.Header(), c.JSON()) }

// forged are tokens that are no good, by what is wrong with them. elsewhere is an address where keys could be fetched.
func forged(t testing.TB, elsewhere string) map[string]string {
	t.Helper()
	real, forger, now := good(t), ask.NewKey(), time.Now().Unix()
	payload := real.JSON()
	token := signed(real)
	parts := strings.Split(token, ".")
	with := func(change func(c *ask.Claims)) string { c := real; change(&c); return signed(c) }
	part := func(s string) string { return ask.B64([]byte(s)) }
	hs256 := func(header string, secret []byte) string { return ask.MAC(header, payload, secret) }
	der, err := x509.MarshalPKIXPublicKey(keys.Public())
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	signature[10] ^= 1
	hs := `{"alg":"HS256","kid":"` + keys.ID + `","typ":"JWT"}`
	jwk := string(wire.JSON(forger.JWK()))
	return map[string]string{
		"it has expired":        with(func(c *ask.Claims) { c.Expires, c.Issued, c.NotBefore = now, now-300, now-300 }),
		"it expired long ago":   with(func(c *ask.Claims) { c.Expires, c.Issued, c.NotBefore = now-1e6, now-1e6-300, now-1e6-300 }),
		"it is not good yet":    with(func(c *ask.Claims) { c.Expires, c.Issued, c.NotBefore = now+7500, now+7200, now+7200 }),
		"it never ends":         with(func(c *ask.Claims) { c.Expires = now + 1e9 }),
		"another audience":      with(func(c *ask.Claims) { c.Audience = "registry.example.com" }),
		"another issuer":        with(func(c *ask.Claims) { c.Issuer = "registry.example.com" }),
		"no audience":           with(func(c *ask.Claims) { c.Audience = "" }),
		"somebody else's via":   with(func(c *ask.Claims) { c.Via = "htpasswd:root:0123456789abcdef" }),
		"an unknown provider":   with(func(c *ask.Claims) { c.Via = "corp:root" }),
		"an unknown secret":     with(func(c *ask.Claims) { c.Via = "secret:aaaaaaaaaaaaaaaa" }),
		"a kind and no name":    with(func(c *ask.Claims) { c.Subject = "user:" }),
		"a kind that is none":   with(func(c *ask.Claims) { c.Kind, c.Subject = "root", "root:root" }),
		"an unknown claim":      keys.Sign(keys.Header(), strings.TrimSuffix(payload, "}")+`,"only":"on sundays"}`),
		"a claim twice":         keys.Sign(keys.Header(), strings.TrimSuffix(payload, "}")+`,"sub":"user:root"}`),
		"another spelling":      keys.Sign(keys.Header(), " "+payload),
		"no claims":             keys.Sign(keys.Header(), ""),
		"another payload":       parts[0] + "." + part(strings.Replace(payload, `"jti":"`, `"jti":"x`, 1)) + "." + parts[2],
		"another header":        part(`{"typ":"JWT","alg":"EdDSA","kid":"`+keys.ID+`"}`) + "." + parts[1] + "." + parts[2],
		"another signature":     parts[0] + "." + parts[1] + "." + ask.B64(signature),
		"half of a signature":   token[:len(token)-40],
		"an empty signature":    parts[0] + "." + parts[1] + ".",
		"no signature":          parts[0] + "." + parts[1],
		"a fourth part":         token + ".x",
		"padding":               token + "==",
		"algorithm none":        part(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".",
		"algorithm None, a kid": part(`{"alg":"None","kid":"`+keys.ID+`","typ":"JWT"}`) + "." + parts[1] + ".",
		"none, and a signature": keys.Sign(`{"alg":"none","kid":"`+keys.ID+`","typ":"JWT"}`, payload),
		"no algorithm":          keys.Sign(`{"kid":"`+keys.ID+`","typ":"JWT"}`, payload),
		"HS256 by the bytes":    hs256(hs, keys.Public()),
		"HS256 by the text":     hs256(hs, []byte(ask.B64(keys.Public()))),
		"HS256 by the JWK":      hs256(hs, wire.JSON(keys.JWK())),
		"HS256 by the PEM":      hs256(hs, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256 by nothing":      hs256(hs, nil),
		"HS256 by a file":       hs256(`{"alg":"HS256","kid":"../../../../dev/null","typ":"JWT"}`, nil),
		"another's key":         forger.Sign(keys.Header(), payload),
		"another's key and kid": forger.Sign(`{"alg":"EdDSA","kid":"`+strings.Repeat("A", 43)+`","typ":"JWT"}`, payload),
		"no kid":                forger.Sign(`{"alg":"EdDSA","typ":"JWT"}`, payload),
		"a key of its own":      forger.Sign(`{"alg":"EdDSA","jwk":`+jwk+`,"typ":"JWT"}`, payload),
		"a key and the kid":     forger.Sign(`{"alg":"EdDSA","jwk":`+jwk+`,"kid":"`+keys.ID+`","typ":"JWT"}`, payload),
		"a key for a kid":       forger.Sign(`{"alg":"EdDSA","kid":`+jwk+`,"typ":"JWT"}`, payload),
		"keys elsewhere":        forger.Sign(`{"alg":"EdDSA","jku":"`+elsewhere+`","kid":"key-1","typ":"JWT"}`, payload),
		"a chain elsewhere":     forger.Sign(`{"alg":"EdDSA","kid":"`+keys.ID+`","typ":"JWT","x5u":"`+elsewhere+`"}`, payload),
		"something critical":    keys.Sign(`{"alg":"EdDSA","crit":["exp"],"kid":"`+keys.ID+`","typ":"JWT"}`, payload),
		"a revoked key":         retired,
		"a job's, by another":   forger.Sign(forger.Header(), string(wire.JSON(jobClaims("x", "file-admin")))),
		"a job's, too late":     jobToken("x", "job-admin", func(c map[string]any) { c["exp"], c["iat"], c["nbf"] = now-600, now-900, now-900 }),
		"a job's, endless":      jobToken("x", "job-admin", func(c map[string]any) { delete(c, "exp") }),
		"a job's, elsewhere":    jobToken("x", "job-admin", func(c map[string]any) { c["aud"] = "https://other.example.com" }),
		"a job's, unbound":      jobToken("x", "no-such-team"),
		"a job's, with a key":   forger.Sign(`{"alg":"EdDSA","jwk":`+jwk+`,"kid":"key-1","typ":"JWT"}`, string(wire.JSON(jobClaims("x", "job-admin")))),
		"a job's, HS256":        ask.MAC(`{"alg":"HS256","kid":"key-1","typ":"JWT"}`, string(wire.JSON(jobClaims("x", "job-admin"))), jobKey.Public()),
	}
}
