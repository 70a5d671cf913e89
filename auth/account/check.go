package account

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/entrepot/entrepot/auth"
)

// The limits of what accounts hold.
const (
	MinPassword = 8    // characters
	MaxPassword = 1024 // bytes
	MaxNote     = 500  // bytes
	MaxGroups   = 1000
)

// stopgaps are what programs call themselves that can send nothing but a secret.
var stopgaps = []string{"", "token", "oauth2accesstoken", "<token>"}

// checkLocal tells what is wrong with the name of a local user or a robot: beside what no name holds, nothing that means something in the names of
// others (name@provider, kind:name), in a path, or to those who write robot$name, and nothing that only looks different.
func checkLocal(name string) error {
	if err := auth.CheckName(name); err != nil {
		return &Error{Code: Invalid, Text: err.Error(), Err: err}
	}
	first, _ := utf8.DecodeRuneInString(name)
	switch {
	case strings.ContainsAny(name, ":@/$!") || strings.ContainsFunc(name, unicode.IsSpace):
		return refuse(Invalid, "%q is no name for an account here: leave out spaces and : @ / $ !", name)
	case name != strings.ToLower(name):
		return refuse(Invalid, "%q is no name for an account here: write it in lower case", name)
	case !unicode.IsLetter(first) && !unicode.IsDigit(first) || slices.Contains(stopgaps, name):
		return refuse(Invalid, "%q is no name for an account here: take one that begins with a letter or digit and is not token or oauth2accesstoken", name)
	}
	return nil
}

// checkVouched tells what is wrong with the name of somebody whom a provider vouches for.
func checkVouched(name, provider string) error {
	if err := auth.CheckName(name + "@" + provider); err != nil {
		return &Error{Code: Invalid, Text: err.Error(), Err: err}
	}
	if strings.Contains(name, "!") || name == "" {
		return refuse(Invalid, "%q is no name that a person can have here: let the provider give one without !", name)
	}
	if provider == "" || strings.ContainsAny(provider, ":@/$!") || strings.ContainsFunc(provider, unicode.IsSpace) {
		return refuse(Invalid, "%q is no name for a provider: leave out spaces and : @ / $ !", provider)
	}
	return nil
}

// checkPassword refuses what is too easily guessed or too long. It does not look for a mixture of characters: length is what counts.
func checkPassword(name, password string) error {
	switch {
	case utf8.RuneCountInString(password) < MinPassword:
		return refuse(Invalid, "the password is too short: take at least %d characters", MinPassword)
	case len(password) > MaxPassword:
		return refuse(Invalid, "the password is too long: take at most %d bytes", MaxPassword)
	case strings.EqualFold(password, name):
		return refuse(Invalid, "the password is the user's name: take another one")
	case IsSecret(password):
		return refuse(Invalid, "the password has the form of a secret of this registry: take another one, or use the secret itself to log in")
	}
	return nil
}

// checkGroups returns the groups in order and each once.
func checkGroups(groups []string) ([]string, error) {
	if len(groups) > MaxGroups {
		return nil, refuse(Invalid, "%d groups are too many: give at most %d", len(groups), MaxGroups)
	}
	for _, g := range groups {
		if err := auth.CheckName(g); err != nil {
			return nil, &Error{Code: Invalid, Text: "group " + err.Error(), Err: err}
		}
	}
	return inOrder(groups), nil
}

func inOrder(groups []string) []string {
	groups = slices.Clone(groups)
	slices.Sort(groups)
	return slices.Compact(groups)
}

func checkNote(note string) error {
	if len(note) > MaxNote || !utf8.ValidString(note) || strings.ContainsFunc(note, hidden) {
		return refuse(Invalid, "the note cannot be kept: write one line of at most %d bytes", MaxNote)
	}
	return nil
}

// hidden tells whether a character does something to the text around it instead of being seen.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
