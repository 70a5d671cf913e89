package oidc

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/entrepot/entrepot/auth"
)

// matcher returns what tells whether a value is as wanted: exactly, or like a pattern if it holds * or ?. It takes time in proportion to the value,
// whatever the pattern.
func matcher(wanted string) (func(string) bool, error) {
	if !strings.ContainsAny(wanted, "*?") {
		return func(value string) bool { return value == wanted }, nil
	}
	re, err := regexp.Compile(expression(wanted))
	if err != nil {
		return nil, fmt.Errorf("%q is no pattern: %w", auth.Clip(wanted), err) // it is not UTF-8
	}
	return re.MatchString, nil
}

// expression returns a pattern as a regular expression.
func expression(pattern string) string {
	var out strings.Builder
	out.WriteString(`\A(?s:`)
	for pattern != "" {
		i := strings.IndexAny(pattern, "*?")
		if i < 0 {
			i = len(pattern)
		}
		out.WriteString(regexp.QuoteMeta(pattern[:i]))
		switch pattern = pattern[i:]; {
		case strings.HasPrefix(pattern, "**"):
			out.WriteString(`.*`)
			pattern = pattern[2:]
		case strings.HasPrefix(pattern, "*"):
			out.WriteString(`[^/]*`)
			pattern = pattern[1:]
		case pattern != "":
			out.WriteString(`[^/]`)
			pattern = pattern[1:]
		}
	}
	out.WriteString(`)\z`)
	return out.String()
}
