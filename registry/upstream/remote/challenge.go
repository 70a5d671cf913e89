package remote

import "strings"

// challenge is one way in that a server offers.
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

const maxParams = 16 // of a challenge, and challenges of an answer

// parseChallenges reads WWW-Authenticate headers (RFC 9110, section 11.6.1). What cannot be understood is left out.
func parseChallenges(headers []string) []challenge {
	var all []challenge
	for _, header := range headers {
		for rest := header; len(all) < maxParams; {
			scheme, after := word(strings.TrimLeft(rest, " \t,"))
			if scheme == "" {
				break
			}
			c := challenge{strings.ToLower(scheme), map[string]string{}}
			rest = parseParams(after, c.params)
			all = append(all, c)
		}
	}
	return all
}

// parseParams reads the parameters of one challenge and returns what follows them.
func parseParams(s string, params map[string]string) (rest string) {
	for {
		s = strings.TrimLeft(s, " \t,")
		key, after := word(s)
		after = strings.TrimLeft(after, " \t")
		if key == "" || !strings.HasPrefix(after, "=") {
			return s // the next challenge, or the end
		}
		value, after := value(strings.TrimLeft(strings.TrimLeft(after, "="), " \t"))
		if _, twice := params[strings.ToLower(key)]; !twice && len(params) < maxParams {
			params[strings.ToLower(key)] = value
		}
		s = after
	}
}

// word takes a token (RFC 9110, section 5.6.2), or a token68 without its padding.
func word(s string) (word, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"[]?={}`, r) })
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// value takes a token or a quoted string.
func value(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		return word(s)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "" // the quote has no end
}
