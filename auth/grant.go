package auth

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Grant gives a role to somebody on a path.
type Grant struct {
	ID      string    `json:"id,omitempty"` // of one kept in the index; "config" and a number for one of the configuration file
	Who     string    `json:"who,omitempty"`
	Role    Role      `json:"role"`
	On      Path      `json:"on"`
	By      string    `json:"by,omitempty"` // who made it
	Created time.Time `json:"created,omitzero"`
}

// Anyone is whom a grant to everybody is for, the anonymous included.
const Anyone = "anyone"

// Check tells what is wrong with a grant, for the person who wrote it.
func (g Grant) Check() error {
	if err := CheckWho(g.Who); err != nil {
		return err
	}
	if !g.Role.Valid() {
		return fmt.Errorf("%q is no role; there are %s", Clip(string(g.Role)), join(Roles()))
	}
	return g.On.Check()
}

// CheckWho tells what is wrong with whom a grant is for.
func CheckWho(who string) error {
	if who == Anyone {
		return nil
	}
	kind, name, found := strings.Cut(who, ":")
	if !found || kind != "group" && !slices.Contains(Kinds, kind) {
		return fmt.Errorf("%q names nobody; write user:NAME, group:NAME, robot:NAME, ci:NAME, workload:NAME, node:NAME or %s", Clip(who), Anyone)
	}
	return CheckName(name)
}

// MaxName is the longest name of somebody, in bytes.
const MaxName = 255

// CheckName tells what is wrong with the name of a user, a robot or a group. Names go into logs, headers and the journal, so they hold nothing
// that could be taken for something else there.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName || strings.TrimSpace(name) != name {
		return fmt.Errorf("%q is no name: it has 1 to %d characters and no space around them", Clip(name), MaxName)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '"' || r == '\\' || r >= 0x80 && r < 0xa0 || r == 0xfffd || r == '\u2028' || r == '\u2029' || isBidi(r) {
			return fmt.Errorf("%q is no name: it holds a character that names cannot have", Clip(name))
		}
	}
	return nil
}

// isBidi tells whether a character turns text around: names must look like what they are.
func isBidi(r rune) bool {
	return r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func join[S ~string](all []S) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
