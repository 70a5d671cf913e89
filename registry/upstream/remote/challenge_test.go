package remote

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    string
	}{
		{[]string{`Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push"`},
			`[{bearer map[realm:https://auth.example.com/token scope:repository:a/b:pull,push service:registry.example.com]}]`},
		{[]string{`Basic realm="a b"`}, `[{basic map[realm:a b]}]`},
		{[]string{`BASIC Realm=x`}, `[{basic map[realm:x]}]`},
		{[]string{`Negotiate`, `Basic realm="x"`}, `[{negotiate map[]} {basic map[realm:x]}]`},
		{[]string{`Negotiate, Basic realm="x", Bearer realm=y , service = z`}, `[{negotiate map[]} {basic map[realm:x]} {bearer map[realm:y service:z]}]`},
		{[]string{`Negotiate YWJj==, Basic realm="x"`}, `[{negotiate map[ywjj:]} {basic map[realm:x]}]`},
		{[]string{`Bearer realm="a\"b\\c"`}, `[{bearer map[realm:a"b\c]}]`},
		{[]string{`Bearer realm="first",realm="second"`}, `[{bearer map[realm:first]}]`},
		{[]string{`Bearer realm="has no end`}, `[{bearer map[realm:]}]`},
		{[]string{`Bearer realm=`, `Bearer ,,realm="x",`}, `[{bearer map[realm:]} {bearer map[realm:x]}]`},
		{[]string{"", " ", ",", `"`, "=", `"a"="b"`}, `[]`},
	} {
		if got := fmt.Sprint(parseChallenges(c.headers)); got != c.want {
			t.Errorf("%q\n is %s\nwant %s", c.headers, got, c.want)
		}
	}
	many := parseChallenges([]string{strings.Repeat("Basic ,", 1000), strings.Repeat("a=b,", 1000)})
	params := parseChallenges([]string{"Bearer " + strings.Repeat("a", 3) + "=b," + func() (s string) {
		for i := range 1000 {
			s += fmt.Sprintf("k%d=v,", i)
		}
		return s
	}()})
	if len(many) > maxParams || len(params) != 1 || len(params[0].params) > maxParams {
		t.Errorf("%d challenges, %d parameters", len(many), len(params[0].params))
	}
}

// FuzzParseChallenges: nothing makes it panic or run on; what it finds was there; and what is written by the rules is found.
func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://auth.example.com/token",service="x",scope="repository:a/b:pull"`, "realm")
	f.Add(`Negotiate abc==, Basic realm="a\"b"`, "x y")
	f.Add(`"`, "\\")
	f.Fuzz(func(t *testing.T, header, text string) {
		all := parseChallenges([]string{header, header})
		if len(all) > maxParams {
			t.Errorf("%d challenges", len(all))
		}
		for _, c := range all {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || strings.ContainsAny(c.scheme, " \t,=\"") || len(c.params) > maxParams {
				t.Errorf("%q", c)
			}
			for key, value := range c.params {
				if key == "" || len(key)+len(value) > len(header) {
					t.Errorf("%q: %q", key, value)
				}
			}
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		again := parseChallenges([]string{`Basic x=y, Bearer realm=` + quoted + `, service="s"`})
		if len(again) != 2 || again[1].params["realm"] != text || again[1].params["service"] != "s" {
			t.Errorf("%s is %q", quoted, again)
		}
	})
}
