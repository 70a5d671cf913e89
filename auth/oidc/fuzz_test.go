package oidc

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// pen is an issuer that is the same in every process, as those of a fuzzer have to agree.
type pen struct{ key ed25519.PrivateKey }

const penIssuer = "https://pen.example.com"

var penTime = time.Unix(1_800_000_000, 0)

func newPen() pen { return pen{ed25519.NewKeyFromSeed([]byte(strings.Repeat("seed", 8)))} }

func (p pen) sign(header, payload string) string {
	text := base64.RawURLEncoding
	input := text.EncodeToString([]byte(header)) + "." + text.EncodeToString([]byte(payload))
	return input + "." + text.EncodeToString(ed25519.Sign(p.key, []byte(input)))
}

func (p pen) provider(t testing.TB) *Provider {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	x := base64.RawURLEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))
	replace(t, path, fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, x))
	made, err := New(Config{
		Name: "pen", Issuer: penIssuer, JWKSFile: path, Audience: audience, Now: func() time.Time { return penTime },
		Bind: []Binding{{map[string]string{"sub": "**"}, auth.CIRole, "fixed/{sub}"}, {map[string]string{"a.b": "*"}, auth.Reader, "fixed/x/{a.b}/y"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// penClaims are good claims, with more behind them.
func penClaims(more string) string {
	return fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":%d%s}`, penIssuer, audience, penTime.Unix()+60, more)
}

var penHeaders = []string{
	`{"alg":"EdDSA","kid":"k"}`, `{"alg":"EdDSA"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":"k"}`, `{"alg":"EdDSA","kid":"x","jku":"https://a.example.com"}`,
	`{"alg":"EdDSA","kid":"k","crit":["b64"],"b64":false}`, `{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}}`,
}

// FuzzVerify shows whatever there is, and wants that nothing is believed that was not signed.
func FuzzVerify(f *testing.F) {
	pen := newPen()
	p := pen.provider(f)
	signed := map[string]bool{}
	for _, header := range penHeaders {
		for _, more := range []string{`,"sub":"a"`, `,"sub":"a","a":{"b":"c"}`} {
			token := pen.sign(header, penClaims(more))
			signed[token] = true
			f.Add(token)
		}
	}
	f.Add("")
	f.Add("..")
	if _, _, err := p.Verify(f.Context(), pen.sign(penHeaders[0], penClaims(`,"sub":"a"`))); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		who, until, err := p.Verify(t.Context(), token)
		switch {
		case err == nil && !signed[token]:
			t.Errorf("taken for %s, though nobody signed it", who)
		case err != nil && (outcome(err) == "fault" || who.Kind != "" || !until.IsZero()):
			t.Errorf("%v, and %+v until %s", err, who, until)
		}
	})
}

// FuzzVerify_signed lets the issuer itself say whatever there is, and wants that nobody gets out of the place that the bindings name.
func FuzzVerify_signed(f *testing.F) {
	pen := newPen()
	p := pen.provider(f)
	for _, more := range []string{
		"", `,"sub":"a"`, `,"sub":"../a"`, `,"sub":"**"`, `,"sub":"A/b"`, `,"sub":"a","a":{"b":["c","**"]}`, `,"sub":1.5e1,"a.b":"x/y"`, `,"sub":null,"azp":"b"`,
		`,"sub":"\u212a"`, `,"sub":"a","exp":1e10`, `,"sub":"a","nbf":"x"`, `,"sub":"a","aud":["b"]`, `,"sub":{"sub":"a"}`,
	} {
		f.Add(penClaims(more))
	}
	f.Fuzz(func(t *testing.T, payload string) {
		who, until, err := p.Verify(t.Context(), pen.sign(penHeaders[0], payload))
		if err != nil {
			if outcome(err) == "fault" || who.Kind != "" {
				t.Errorf("%v, and %+v", err, who)
			}
			return
		}
		named := auth.CheckName(who.Name) == nil && strings.HasSuffix(who.Name, "@pen")
		if !json.Valid([]byte(payload)) || !until.After(penTime) || !named || len(who.Grants) == 0 {
			t.Errorf("%s is %+v until %s", payload, who, until)
		}
		for _, g := range who.Grants {
			if g.On.Check() != nil || !g.On.Within("fixed") || g.On.Covers("fixed") || g.Role != auth.CIRole && g.Role != auth.Reader {
				t.Errorf("%s is granted %+v", payload, g)
			}
		}
	})
}
