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

// clipped is how much Clip leaves, in bytes.
const clipped = 300

// Clip bounds what of somebody else's words is repeated, in an error, an answer or a log.
func Clip(s string) string { return ClipTo(s, clipped) }

// ClipTo is Clip to another bound, in bytes. It cuts no character in two, and shows that there was more.
func ClipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
