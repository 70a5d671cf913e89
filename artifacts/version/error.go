package version

import (
	"fmt"
	"slices"
	"strings"
)

// Error says everything that is wrong with a text.
type Error struct {
	Text   string   // that was read, cut if it is long
	Faults []string // each says what is there and what would be right
}

// Error gives the text and its faults.
func (e *Error) Error() string { return fmt.Sprintf("%q: %s", e.Text, strings.Join(e.Faults, "; ")) }

// wrong makes an error of faults, each of them once, or nil of none.
func wrong(text string, faults ...string) error {
	if len(faults) == 0 {
		return nil
	}
	var once []string
	for _, fault := range faults {
		if !slices.Contains(once, fault) {
			once = append(once, fault)
		}
	}
	return &Error{Text: cutTo(text, 80), Faults: once}
}
