package oidc

import (
	"strings"
	"testing"
	"time"
)

func TestMatcher(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"", []string{""}, []string{"a"}},
		{"main", []string{"main"}, []string{"", "Main", "main ", "main\n", "xmain", "mainx"}},
		{"a.c", []string{"a.c"}, []string{"abc"}},
		{"[a]{1}", []string{"[a]{1}"}, []string{"a"}},
		{"*", []string{"", "a", "ä", "a b\n"}, []string{"/", "a/b"}},
		{"**", []string{"", "/", "a/b\nc"}, nil},
		{"***", []string{"", "/", "a/b"}, nil},
		{"?", []string{"a", "ä", "\n"}, []string{"", "/", "ab"}},
		{"a/*", []string{"a/", "a/b"}, []string{"a", "a/b/c", "b/a/b"}},
		{"a/**", []string{"a/", "a/b", "a/b/c"}, []string{"a", "b/a/c"}},
		{"a/*/c", []string{"a//c", "a/b/c"}, []string{"a/c", "a/b/b/c"}},
		{"a/**/c", []string{"a//c", "a/b/b/c"}, []string{"a/c"}},
		{"*.x", []string{".x", "a.x", "a.x.x"}, []string{"ax", "a/b.x", "a.xx"}},
		{"release/v?.*", []string{"release/v1.", "release/v1.2.3"}, []string{"release/v12.3", "release/v1.2/3"}},
		{`\*`, []string{`\`, `\a`}, []string{"*", "a"}},
		{"(?i)a*", []string{"(xi)aB"}, []string{"A", "a", "(/i)a"}},
		{"a|b*", []string{"a|b", "a|bc"}, []string{"a", "b"}},
	} {
		is, err := matcher(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range c.yes {
			if !is(v) {
				t.Errorf("%q does not match %q", c.pattern, v)
			}
		}
		for _, v := range c.no {
			if is(v) {
				t.Errorf("%q matches %q", c.pattern, v)
			}
		}
	}
	if _, err := matcher("a\xff*"); err == nil {
		t.Error("a pattern that is not UTF-8 is taken")
	}
}

func TestMatcher_takes_no_time_for_bad_patterns(t *testing.T) {
	is, err := matcher(strings.Repeat("**a", maxPattern/3))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if is(strings.Repeat("a", maxToken) + "b") {
		t.Error("it matches")
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// plain is another way to match, by trying.
func plain(pattern, value []rune) bool {
	if len(pattern) == 0 {
		return len(value) == 0
	}
	some := len(value) > 0
	switch {
	case len(pattern) > 1 && pattern[0] == '*' && pattern[1] == '*':
		return plain(pattern[2:], value) || some && plain(pattern, value[1:])
	case pattern[0] == '*':
		return plain(pattern[1:], value) || some && value[0] != '/' && plain(pattern, value[1:])
	case pattern[0] == '?':
		return some && value[0] != '/' && plain(pattern[1:], value[1:])
	}
	return some && value[0] == pattern[0] && plain(pattern[1:], value[1:])
}

func FuzzMatcher(f *testing.F) {
	for _, c := range [][2]string{{"a/*", "a/b"}, {"**", "a/b"}, {"a?c*", "abcd"}, {"***", ""}, {`\E*`, `\E`}, {"*ä?", "ää"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if len(pattern) > 12 || len(value) > 16 {
			return // trying takes too long
		}
		is, err := matcher(pattern)
		if err != nil {
			if strings.ToValidUTF8(pattern, "") == pattern {
				t.Error(err)
			}
			return
		}
		value = strings.ToValidUTF8(value, "\ufffd") // as JSON is read
		if got, want := is(value), plain([]rune(pattern), []rune(value)); strings.ToValidUTF8(pattern, "") == pattern && got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, value, got, want)
		}
	})
}
