package token

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

// forge returns a token of any header and payload, signed by a key.
func forge(k *key, header string, payload []byte) string {
	other := *k
	other.header = base64url.EncodeToString([]byte(header))
	return other.jws(payload)
}

// goodClaims returns claims of alice's that are good at the start.
func goodClaims() claims {
	c := claims{Issuer: service, Audience: service, Issued: start.Unix(), NotBefore: start.Unix(), Expires: start.Unix() + 300, ID: strings.Repeat("A", lenID)}
	c.describe(alice)
	return c
}

func encode(t testing.TB, c any) []byte {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign has go-jose sign a payload.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, private any, options *jose.SignerOptions, payload []byte) *jose.JSONWebSignature {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: private}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func compact(t *testing.T, algorithm jose.SignatureAlgorithm, private any, options *jose.SignerOptions, payload []byte) string {
	t.Helper()
	raw, err := sign(t, algorithm, private, options, payload).CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// bad is a token that must not be taken.
type bad struct {
	name, raw string
	want      error
	reason    string // a part of the error, so that it is refused for what is wrong with it
}

func refuseAll(t *testing.T, i *Issuer, all []bad) {
	t.Helper()
	for _, c := range all {
		who, until, err := i.Verify(t.Context(), c.raw)
		if !errors.Is(err, c.want) || errors.Is(err, auth.ErrWrong) && errors.Is(err, auth.ErrUnknown) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v, want %v because %q", c.name, err, c.want, c.reason)
		}
		if !who.Anonymous() || who.Via != "" || !until.IsZero() {
			t.Errorf("%s: %+v until %v comes with the error", c.name, who, until)
		}
		if err != nil && len(c.raw) > 20 && (strings.Contains(err.Error(), c.raw) || strings.Contains(err.Error(), c.raw[len(c.raw)-20:])) {
			t.Errorf("%s: the error holds the token: %v", c.name, err)
		}
	}
}

const (
	form    = "no signed token"
	header  = "its header is not"
	spelled = "not written as this service"
	form2   = "cannot be read"
	signer  = "its signature is not"
)

func TestVerify_refuses_bad_claims_with_a_good_signature(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	k := i.ring.Load().keys[0]
	now := start.Unix()
	with := func(change func(c *claims)) string {
		c := goodClaims()
		change(&c)
		return k.jws(encode(t, c))
	}
	spelt := func(old, new string) string {
		text := encode(t, goodClaims())
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("no %s in %s", old, text)
		}
		return k.jws(bytes.Replace(text, []byte(old), []byte(new), 1))
	}
	for name, good := range map[string]string{
		"as it is":         with(func(*claims) {}),
		"last second":      with(func(c *claims) { c.Issued, c.NotBefore, c.Expires = now-299, now-299, now+1 }),
		"slow clock":       with(func(c *claims) { c.Issued, c.NotBefore = now+30, now+30 }),
		"longest there is": with(func(c *claims) { c.Expires = c.Issued + 86400 }),
	} {
		if who, _, err := i.Verify(t.Context(), good); err != nil || who.Name != "alice" {
			t.Errorf("%s: %v, %v", name, who, err)
		}
	}
	var many []string
	for range maxList + 1 {
		many = append(many, "g")
	}
	long := strings.Repeat("x", maxText+1)
	refuseAll(t, i, []bad{
		{"ended", with(func(c *claims) { c.Issued, c.NotBefore, c.Expires = now-300, now-300, now }), auth.ErrWrong, "it ended at 2026-03-01T12:00:00Z"},
		{"ended long ago", with(func(c *claims) { c.Issued, c.NotBefore, c.Expires = 0, 0, 1 }), auth.ErrWrong, "it ended at"},
		{"not before later", with(func(c *claims) { c.NotBefore = now + 31 }), auth.ErrWrong, "not good yet"},
		{"issued later", with(func(c *claims) { c.Issued = now + 31 }), auth.ErrWrong, "not good yet"},
		{"ends before it begins", with(func(c *claims) { c.Expires = c.Issued - 1 }), auth.ErrWrong, "no sense"},
		{"ends before it is issued", with(func(c *claims) { c.Issued, c.NotBefore, c.Expires = now+20, now, now+10 }), auth.ErrWrong, "no sense"},
		{"never good", with(func(c *claims) { c.NotBefore = c.Expires }), auth.ErrWrong, "no sense"},
		{"good for too long", with(func(c *claims) { c.Expires = c.Issued + 86401 }), auth.ErrWrong, "no sense"},
		{"before time", with(func(c *claims) { c.Issued = -1 }), auth.ErrWrong, "no sense"},
		{"issued before all time", with(func(c *claims) { c.Issued = -1 << 63 }), auth.ErrWrong, "no sense"},
		{"ends before all time", with(func(c *claims) { c.Expires, c.Issued = -1<<63, 1 }), auth.ErrWrong, "no sense"},
		{"no times", with(func(c *claims) { c.Expires, c.NotBefore, c.Issued = 0, 0, 0 }), auth.ErrWrong, "no sense"},
		{"other audience", with(func(c *claims) { c.Audience = "other.example.com" }), auth.ErrWrong, "another audience"},
		{"no audience", with(func(c *claims) { c.Audience = "" }), auth.ErrWrong, "another audience"},
		{"other issuer", with(func(c *claims) { c.Issuer = "other.example.com" }), auth.ErrUnknown, ""},
		{"no id", with(func(c *claims) { c.ID = "" }), auth.ErrWrong, "its id"},
		{"long id", with(func(c *claims) { c.ID = long }), auth.ErrWrong, "its id"},
		{"subject of another kind", with(func(c *claims) { c.Subject = "robot:alice" }), auth.ErrWrong, "not of its kind"},
		{"subject without a kind", with(func(c *claims) { c.Kind = "" }), auth.ErrWrong, "not of its kind"},
		{"anonymous with a kind", with(func(c *claims) { c.Subject = "anonymous" }), auth.ErrWrong, "not of its kind"},
		{"no subject", with(func(c *claims) { c.Subject = "" }), auth.ErrWrong, "not of its kind"},
		{"no name", with(func(c *claims) { c.Subject = "user:" }), auth.ErrWrong, "is no name"},
		{"no such kind", with(func(c *claims) { c.Subject, c.Kind = "pope:a", "pope" }), auth.ErrWrong, "no kind of caller"},
		{"bad name", with(func(c *claims) { c.Subject = "user:a\nb" }), auth.ErrWrong, "is no name"},
		{"long name", with(func(c *claims) { c.Subject = "user:" + long }), auth.ErrWrong, "is no name"},
		{"bad group", with(func(c *claims) { c.Groups = []string{"a", ""} }), auth.ErrWrong, "group: "},
		{"many groups", with(func(c *claims) { c.Groups = many }), auth.ErrWrong, "more than 1000"},
		{"no such role", with(func(c *claims) { c.Grants = []bound{{"owner", "**"}} }), auth.ErrWrong, "is no role"},
		{"no such path", with(func(c *claims) { c.Grants = []bound{{auth.Reader, "../x"}} }), auth.ErrWrong, "is no path"},
		{"long access", with(func(c *claims) { c.Access = auth.Scope{{Type: "repository", Name: long}} }), auth.ErrWrong, "no scope"},
		{"many actions", with(func(c *claims) { c.Access = auth.Scope{{Type: "repository", Name: "a", Actions: many}} }), auth.ErrWrong, "no scope"},
		{"long via", with(func(c *claims) { c.Via = long }), auth.ErrWrong, "via: "},

		{"two audiences", spelt(`"aud":"`+service+`"`, `"aud":["`+service+`","other"]`), auth.ErrWrong, form2},
		{"a list of one audience", spelt(`"aud":"`+service+`"`, `"aud":["`+service+`"]`), auth.ErrWrong, form2},
		{"half a second", spelt(`"nbf":`, `"nbf":0.5,"x":`), auth.ErrWrong, form2},
		{"a number with an exponent", spelt(fmt.Sprintf(`"exp":%d`, now+300), `"exp":2e9`), auth.ErrWrong, form2},
		{"times as text", spelt(fmt.Sprintf(`"exp":%d`, now+300), `"exp":"2000000000"`), auth.ErrWrong, form2},
		{"no end", spelt(fmt.Sprintf(`"exp":%d,`, now+300), ``), auth.ErrWrong, spelled},
		{"twice the same", spelt(`"kind":"user"`, `"kind":"robot","kind":"user"`), auth.ErrWrong, spelled},
		{"twice the same in another case", spelt(`"kind":"user"`, `"kind":"user","Kind":"user"`), auth.ErrWrong, spelled},
		{"a name in another case", spelt(`"kind":"user"`, `"KIND":"user"`), auth.ErrWrong, spelled},
		{"unknown claim", spelt(`"kind":"user"`, `"kind":"user","cnf":{}`), auth.ErrWrong, spelled},
		{"unknown in a grant", spelt(`{"role":`, `{"who":"user:eve","role":`), auth.ErrWrong, spelled},
		{"access that is null", spelt(`"via":`, `"access":null,"via":`), auth.ErrWrong, spelled},
		{"space", spelt(`,"via":`, `, "via":`), auth.ErrWrong, spelled},
		{"written otherwise", spelt(`"user:alice"`, `"user:\u0061lice"`), auth.ErrWrong, spelled},
		{"lone surrogate", spelt(`"user:alice"`, `"user:\ud800"`), auth.ErrWrong, spelled},
		{"no UTF-8", spelt(`"user:alice"`, "\"user:\xff\""), auth.ErrWrong, spelled},
		{"more behind it", spelt(`session:1"}`, `session:1"}{}`), auth.ErrWrong, form2},
		{"line feed behind it", spelt(`session:1"}`, "session:1\"}\n"), auth.ErrWrong, spelled},
		{"no object", k.jws([]byte(`[]`)), auth.ErrWrong, form2},
		{"null", k.jws([]byte(`null`)), auth.ErrWrong, spelled},
		{"nothing", k.jws(nil), auth.ErrWrong, form2},
		{"deep", k.jws([]byte(strings.Repeat("[", 11000))), auth.ErrWrong, form2},
		{"deep claim", k.jws([]byte(`{"groups":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}")), auth.ErrWrong, form2},
		{"deep unknown claim", k.jws([]byte(`{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}")), auth.ErrWrong, spelled},
		{"too long", k.jws(bytes.Repeat([]byte{' '}, MaxToken)), auth.ErrUnknown, "longer than"},
	})
}

func TestVerify_refuses_other_headers_and_signatures(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	k, foreign := i.ring.Load().keys[0], newKey(start, start)
	payload := encode(t, goodClaims())
	raw := k.jws(payload)
	takes(t, i, raw)
	head, rest, _ := strings.Cut(raw, ".")
	body, mac, _ := strings.Cut(rest, ".")
	own := fmt.Sprintf(`{"alg":"EdDSA","kid":"%s","typ":"JWT"}`, k.id)
	if forge(k, own, payload) != raw {
		t.Fatal("a forged header that is the right one makes another token")
	}
	// signed returns the same token with something in its header, and our own good signature.
	signed := func(old, new string) string {
		if !strings.Contains(own, old) {
			t.Fatalf("no %s in %s", old, own)
		}
		return forge(k, strings.Replace(own, old, new, 1), payload)
	}
	evil := bytes.Replace(payload, []byte("alice"), []byte("carol"), 1)
	publicJWK := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":"%s"}`, base64url.EncodeToString(foreign.public))
	ownJWK := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":"%s"}`, base64url.EncodeToString(k.public))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	kid := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.id)
	another := mint(t, i, alice)
	flipped := []byte(mac)
	if flipped[10] = 'A'; mac[10] == 'A' {
		flipped[10] = 'B'
	}
	refuseAll(t, i, []bad{
		{"other payload", head + "." + base64url.EncodeToString(evil) + "." + mac, auth.ErrWrong, signer},
		{"other signature", head + "." + body + "." + base64url.EncodeToString(make([]byte, 64)), auth.ErrWrong, signer},
		{"one character of the signature", head + "." + body + "." + string(flipped), auth.ErrWrong, signer},
		{"short signature", head + "." + body + "." + mac[:84], auth.ErrWrong, signer},
		{"long signature", raw + "AA", auth.ErrWrong, signer},
		{"signature of another token", head + "." + body + another[strings.LastIndexByte(another, '.'):], auth.ErrWrong, signer},
		{"other header", base64url.EncodeToString([]byte(strings.Replace(own, "JWT", "jwt", 1))) + "." + body + "." + mac, auth.ErrWrong, header},
		{"none", base64url.EncodeToString([]byte(`{"alg":"none"}`)) + "." + body + ".", auth.ErrWrong, form},
		{"none with our kid", signed("EdDSA", "none"), auth.ErrWrong, header},
		{"none in capitals", signed("EdDSA", "NONE"), auth.ErrWrong, header},
		{"no signature", head + "." + body + ".", auth.ErrWrong, form},
		{"no algorithm", signed(`"alg":"EdDSA",`, ""), auth.ErrWrong, form},
		{"Ed25519", signed("EdDSA", "Ed25519"), auth.ErrWrong, header},
		{"eddsa", signed("EdDSA", "eddsa"), auth.ErrWrong, header},
		{"HS256 by the public key", compact(t, jose.HS256, []byte(k.public), kid, payload), auth.ErrWrong, header},
		{"HS256 by the public key's text", compact(t, jose.HS256, []byte(ownJWK), kid, payload), auth.ErrWrong, header},
		{"ES256", compact(t, jose.ES256, ec, kid, payload), auth.ErrWrong, header},
		{"RS256", compact(t, jose.RS256, rsaKey, kid, payload), auth.ErrWrong, header},
		{"go-jose with another's key and our kid", compact(t, jose.EdDSA, foreign.private(), kid, payload), auth.ErrWrong, signer},
		{"our kid, another's key", forge(foreign, own, payload), auth.ErrWrong, signer},
		{"another's kid and key", foreign.jws(payload), auth.ErrWrong, "none of this service"},
		{"another's kid, our key", signed(k.id, foreign.id), auth.ErrWrong, "none of this service"},
		{"another's key within", forge(foreign, strings.Replace(own, `"kid"`, `"jwk":`+publicJWK+`,"kid"`, 1), payload), auth.ErrWrong, header},
		{"another's key within, by go-jose", compact(t, jose.EdDSA, foreign.private(), &jose.SignerOptions{EmbedJWK: true}, payload), auth.ErrWrong, header},
		{"our key within", signed(`"kid"`, `"jwk":`+ownJWK+`,"kid"`), auth.ErrWrong, header},
		{"jku", signed(`"kid"`, `"jku":"https://keys.example.com","kid"`), auth.ErrWrong, header},
		{"x5u", signed(`"}`, `","x5u":"https://keys.example.com"}`), auth.ErrWrong, header},
		{"x5c", signed(`"}`, `","x5c":["AAAA"]}`), auth.ErrWrong, header},
		{"crit", signed(`"alg"`, `"crit":["exp"],"alg"`), auth.ErrWrong, header},
		{"crit of nothing", signed(`"}`, `","crit":[]}`), auth.ErrWrong, header},
		{"b64", signed(`"}`, `","b64":false,"crit":["b64"]}`), auth.ErrWrong, header},
		{"zip", signed(`"}`, `","zip":"DEF"}`), auth.ErrWrong, header},
		{"other type", signed("JWT", "at+jwt"), auth.ErrWrong, header},
		{"no type", signed(`,"typ":"JWT"`, ""), auth.ErrWrong, header},
		{"no kid", signed(`"kid":"`+k.id+`",`, ""), auth.ErrWrong, header},
		{"empty kid", signed(k.id, ""), auth.ErrWrong, header},
		{"long kid", signed(k.id, strings.Repeat("A", 5000)), auth.ErrWrong, header},
		{"kid that is a path", signed(k.id, "../../etc/passwd"), auth.ErrWrong, header},
		{"kid twice", signed(`"kid"`, `"kid":"x","kid"`), auth.ErrWrong, header},
		{"alg twice", signed(`"kid"`, `"alg":"EdDSA","kid"`), auth.ErrWrong, header},
		{"alg in another case", signed(`"alg"`, `"ALG"`), auth.ErrWrong, header},
		{"another order", forge(k, `{"typ":"JWT","alg":"EdDSA","kid":"`+k.id+`"}`, payload), auth.ErrWrong, header},
		{"space in the header", signed(`,`, `, `), auth.ErrWrong, header},
		{"header that is a list", forge(k, `[]`, payload), auth.ErrWrong, form},
		{"header that is no JSON", forge(k, own+"x", payload), auth.ErrWrong, form},
		{"kid that is a number", signed(`"`+k.id+`"`, `1`), auth.ErrWrong, form},
		{"deep header", forge(k, strings.Repeat(`{"alg":`, 1500), payload), auth.ErrWrong, form},
	})
}

func TestVerify_takes_one_spelling_only(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	k := i.ring.Load().keys[0]
	c := goodClaims()
	var raw string
	for n := range 1000 { // until something in the signature differs between the two alphabets
		c.ID = fmt.Sprintf("%022d", n)
		if raw = k.jws(encode(t, c)); strings.ContainsAny(raw[len(raw)-86:], "-_") && len(encode(t, c))%3 != 0 {
			break
		}
		if len(encode(t, c))%3 == 0 {
			c.Via += "x"
		}
	}
	takes(t, i, raw)
	head, rest, _ := strings.Cut(raw, ".")
	body, mac, _ := strings.Cut(rest, ".")
	// odd returns text with other bits behind its last byte, which a careless decoder drops.
	odd := func(text string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := alphabet[strings.IndexByte(alphabet, text[len(text)-1])|1]
		other := text[:len(text)-1] + string(last)
		a, err := base64.RawURLEncoding.DecodeString(text)
		b, err2 := base64.RawURLEncoding.DecodeString(other)
		if err != nil || err2 != nil || !bytes.Equal(a, b) || text == other {
			t.Fatalf("%s is no other spelling of %s", other, text)
		}
		return other
	}
	standard := strings.NewReplacer("-", "+", "_", "/")
	if standard.Replace(mac) == mac {
		t.Fatal("no character that is another one in the standard alphabet")
	}
	resign := func(body string) string {
		signed := head + "." + body
		return signed + "." + base64url.EncodeToString(ed25519.Sign(k.private(), []byte(signed)))
	}
	if resign(body) != raw {
		t.Fatal("signed again, it is another one")
	}
	jws := func(members string) string { return fmt.Sprintf(members, head, body, mac) }
	var all []bad
	for name, spelling := range map[string]string{
		"nothing": "", "one dot": ".", "two dots": "..", "three dots": "...", "words": "a.b.c", "one word": "token", "NUL": "\x00", "space alone": " ",
		"two parts": head + "." + body, "no header": "." + body + "." + mac, "one dot behind": raw + ".", "four parts": raw + "." + mac, "five parts": raw + ".a.b",
		"space before": " " + raw, "space behind": raw + " ", "tab": raw + "\t", "line feed behind": raw + "\n", "line feed before": "\n" + raw,
		"line feed within the signature": raw[:len(raw)-5] + "\n" + raw[len(raw)-5:], "line feed in place of a character": raw[:len(raw)-1] + "\n",
		"CR within the payload": head + "." + body[:8] + "\r\n" + body[8:] + "." + mac, "line feed within the header": head[:4] + "\n" + head[4:] + "." + body + "." + mac,
		"padded": raw + "==", "padded once": raw + "=", "padded payload": resign(body + "="), "padded header": head + "=." + body + "." + mac,
		"standard alphabet": head + "." + body + "." + standard.Replace(mac), "other last bits": head + "." + body + "." + odd(mac),
		"other last bits, signed": resign(odd(body)), "one character more": raw + "A", "scheme": "Bearer " + raw, "quoted": `"` + raw + `"`,
		"other letters": strings.Replace(raw, "e", "е", 1), "twice": raw + raw, "a list": raw + "," + raw,
		"JSON": jws(`{"protected":"%s","payload":"%s","signature":"%s"}`), "JSON of many": jws(`{"payload":"%[2]s","signatures":[{"protected":"%[1]s","signature":"%[3]s"}]}`),
		"detached": head + ".." + mac,
	} {
		all = append(all, bad{name, spelling, auth.ErrWrong, ""})
	}
	refuseAll(t, i, all)
	flat := sign(t, jose.EdDSA, k.private(), (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.id), encode(t, c))
	if same, err := flat.CompactSerialize(); err != nil || same != raw {
		t.Fatalf("go-jose writes %s, want %s (%v)", same, raw, err)
	}
	refuseAll(t, i, []bad{{"JSON by go-jose", flat.FullSerialize(), auth.ErrWrong, form}})
}

func TestVerify_leaves_tokens_of_other_issuers_to_others(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	counted := &counter{DB: db}
	i := open(t, counted, c)
	before := counted.scans.Load()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other := goodClaims()
	other.Issuer = "https://gitlab.example.com"
	payload, foreign := encode(t, other), newKey(start, start)
	oidc := compact(t, jose.RS256, rsaKey, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "1"), []byte(`{"iss":"https://gitlab.example.com","aud":["a","b"]}`))
	takesOdd := func(payload string) string { return foreign.jws([]byte(payload)) }
	refuseAll(t, i, []bad{
		{"RS256", oidc, auth.ErrUnknown, ""},
		{"Ed25519", foreign.jws(payload), auth.ErrUnknown, ""},
		{"our service under another name", open(t, kv.NewMemory(), c).ring.Load().keys[0].jws(payload), auth.ErrUnknown, ""},
		{"spelled oddly", takesOdd(` { "iss" : "a" } `), auth.ErrUnknown, ""},
		{"ours in another case", takesOdd(`{"ISS":"` + service + `","iss":"a"}`), auth.ErrUnknown, ""},

		{"with a space", oidc + " ", auth.ErrWrong, form},
		{"with a line feed", oidc + "\n", auth.ErrWrong, form},
		{"without a signature", oidc[:strings.LastIndexByte(oidc, '.')+1], auth.ErrWrong, form},
		{"header alone", forge(foreign, `"x"`, payload), auth.ErrWrong, form},
		{"no algorithm", forge(foreign, `{}`, payload), auth.ErrWrong, form},
		{"no issuer", takesOdd(`{}`), auth.ErrWrong, "who issued it"},
		{"issuer in another case", takesOdd(`{"ISS":"a"}`), auth.ErrWrong, "who issued it"},
		{"empty issuer", takesOdd(`{"iss":""}`), auth.ErrWrong, "who issued it"},
		{"two issuers", takesOdd(`{"iss":["a"]}`), auth.ErrWrong, "who issued it"},
		{"no object", takesOdd(`[]`), auth.ErrWrong, "who issued it"},
		{"null", takesOdd(`null`), auth.ErrWrong, "who issued it"},
		{"too long", takesOdd(`{"iss":"a","x":"` + strings.Repeat("x", MaxToken) + `"}`), auth.ErrUnknown, "longer"},
	})
	if n := counted.scans.Load() - before; n != 0 {
		t.Errorf("the index was asked %d times for the keys of others", n)
	}
}

// counter counts how often a database is read, and may fail to be.
type counter struct {
	kv.DB
	scans  atomic.Int64
	fail   atomic.Bool
	during atomic.Pointer[func()] // called in the middle of it, if it is set
}

func (d *counter) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	d.scans.Add(1)
	if during := d.during.Load(); during != nil {
		(*during)()
	}
	if d.fail.Load() {
		return func(yield func(kv.Pair, error) bool) { yield(kv.Pair{}, errors.New("the disk is gone")) }
	}
	return d.DB.Scan(ctx, from, to)
}

func TestVerify_asks_for_unknown_keys_once_a_second(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	counted := &counter{DB: db}
	i, other := open(t, counted, c), open(t, db, c)
	payload := encode(t, goodClaims())
	invent := func() {
		t.Helper()
		for range 20 {
			refuses(t, i, newKey(start, start).jws(payload))
		}
	}
	before := counted.scans.Load()
	invent()
	if n := counted.scans.Load() - before; n != 1 {
		t.Errorf("20 invented keys: the index was read %d times, want once", n)
	}
	if err := other.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	raw, old := mint(t, other, alice), mint(t, i, alice)
	refuses(t, i, raw)
	takes(t, i, old)
	c.pass(time.Second)
	gone, cancel := context.WithCancel(t.Context())
	leave := func() { cancel() }
	counted.during.Store(&leave)
	if _, _, err := i.Verify(gone, raw); err != nil {
		t.Errorf("a caller who goes away spoils the look: %v", err)
	}
	takes(t, i, raw)
	refuses(t, i, old)
	invent()
	if n := counted.scans.Load() - before; n > 2 {
		t.Errorf("the index was read %d times in two seconds, want twice", n)
	}
}

func TestVerify_tells_a_broken_index_from_a_bad_token(t *testing.T) {
	db, c := kv.NewMemory(), new(clock)
	broken := &counter{DB: db}
	i, other := open(t, broken, c), open(t, db, c)
	known := mint(t, i, alice)
	if err := other.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	raw := mint(t, other, alice)
	broken.fail.Store(true)
	for range 2 { // within a second the answer is the same
		if _, _, err := i.Verify(t.Context(), raw); err == nil || errors.Is(err, auth.ErrWrong) || errors.Is(err, auth.ErrUnknown) ||
			!strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("%v, want that the index cannot be read", err)
		}
	}
	takes(t, i, known)
	broken.fail.Store(false)
	c.pass(time.Second)
	takes(t, i, raw)
}

func TestVerify_does_not_wait_longer_than_its_caller(t *testing.T) {
	i := open(t, kv.NewMemory(), new(clock))
	if err := i.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer i.leave()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := i.Verify(ctx, newKey(start, start).jws(encode(t, goodClaims()))); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if err := i.reload(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	takes(t, i, mint(t, i, alice)) // known keys wait for nobody
}
