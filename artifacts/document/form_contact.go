package document

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

const host = `[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*`

// mailForm is an addr-spec (RFC 5322, section 3.4.1) without quotes, comments and literals, as mail systems take it.
var mailForm = form{
	is:      "an e-mail address",
	like:    "team@example.com",
	pattern: mailPattern,
	most:    254,
	why:     whyMail,
}

var mailPattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" +
	`[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$`)

var inBrackets = regexp.MustCompile(`<(?:mailto:)?([^<>]+)>$`)

func whyMail(s string) (problem, fix string) {
	meant := strings.TrimPrefix(strings.TrimSpace(s), "mailto:")
	if m := inBrackets.FindStringSubmatch(meant); m != nil {
		meant = m[1]
	}
	switch {
	case mailPattern.MatchString(meant):
		return "is " + quote(s) + ", but it takes the bare address", "write " + meant
	case !strings.Contains(s, "@"):
		return "is " + quote(s) + ", which has no @", ""
	case strings.ContainsAny(s, ",;"):
		return "is more than one address", "write one; a list of people is what a group address is for"
	}
	return "", ""
}

// webForm is the address of a page (RFC 3986) without a user's name or password, for it is shown as a link.
var webForm = form{
	is:      "an address of the web",
	like:    "https://git.example.com/team/project",
	pattern: webPattern,
	most:    2000,
	why:     whyWeb,
}

var webPattern = regexp.MustCompile(`^https?://` + host + `(?::[0-9]{1,5})?(?:[/?#](?:[A-Za-z0-9/?#:@!$&'()*+,;=._~\[\]-]|%[0-9A-Fa-f]{2})*)?$`)

var overSSH = regexp.MustCompile(`^(?:ssh://)?[A-Za-z0-9._-]+@([A-Za-z0-9.-]+)(?::[0-9]+/|[:/])([A-Za-z0-9/._-]+?)(?:\.git)?$`)

func whyWeb(s string) (problem, fix string) {
	if m := overSSH.FindStringSubmatch(s); m != nil {
		return "is an address for ssh, which no browser opens", "write https://" + m[1] + "/" + m[2]
	}
	_, rest, found := strings.Cut(s, "://")
	if !found {
		rest = s
	}
	authority, _, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(authority, "@"):
		// What stands before the @ is likely to be a password, so it is not repeated.
		return "has a user's name or password in it", "remove what stands before the @, and change the password if there was one"
	case !found && webPattern.MatchString("https://"+s) && strings.Contains(s, "."):
		return "is " + quote(s) + ", which has no scheme", "write https://" + s
	case strings.Contains(s, "@"):
		return "is no address of the web", ""
	}
	return "", ""
}

// channelForm is a chat channel.
var channelForm = form{
	is:      "a channel in quotes",
	like:    `"#team-alerts"`,
	pattern: channelPattern,
	most:    longestChannel,
	why:     whyChannel,
	ifNone:  `write it in quotes, like "#team-alerts": without them # begins a comment`,
}

// longestChannel is in characters. The pattern has no number in it: one of so many letters would take each start of the program 4 ms and 5 MB.
const longestChannel = 81

var channelPattern = regexp.MustCompile(`^#[\p{Ll}\p{Lo}\p{M}\p{Nd}._-]+$`)

func whyChannel(s string) (problem, fix string) {
	for _, meant := range []string{"#" + s, strings.ToLower(s), "#" + strings.ToLower(s), strings.ToLower(strings.ReplaceAll(s, " ", "-"))} {
		if channelPattern.MatchString(meant) && utf8.RuneCountInString(meant) <= longestChannel {
			return "is " + quote(s) + ", which is not a channel", "write " + quote(meant)
		}
	}
	return "", ""
}
