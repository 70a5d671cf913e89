package auth

import (
	"regexp"
	"strings"
)

// secrets matches what has the form of a secret of this registry, or of a signed token.
var secrets = regexp.MustCompile(`ent_[a-z2-7]{6,}_[A-Za-z0-9_-]*|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]*`)

// Redact returns a text, that somebody else wrote, for a log or an answer: people put secrets where names belong.
func Redact(s string) string {
	if !strings.Contains(s, "ent_") && !strings.Contains(s, "eyJ") {
		return s
	}
	return secrets.ReplaceAllString(s, "(a secret)")
}
