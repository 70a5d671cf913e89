package retain

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Where path.Match knows the same patterns, it agrees.
func TestProperty_patterns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, s := rapid.StringOf(rapid.SampledFrom([]rune("ab*?"))).Draw(t, "pattern"), rapid.StringOf(rapid.SampledFrom([]rune("ab"))).Draw(t, "s")
		want, err := path.Match(pattern, s)
		if got := matches(pattern, s); err != nil || got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, s, got, want)
		}
	})
}

// A pattern that makes others try everything ends at once.
func TestPatterns_are_quick(t *testing.T) {
	if matches(strings.Repeat("*a", 100)+"b", strings.Repeat("a", 128)) {
		t.Error("it ends with no b")
	}
}
