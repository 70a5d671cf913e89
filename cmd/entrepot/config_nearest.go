package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts/document"
)

// didYouMean names the known word nearest to a wrong one, or nothing when none is near.
func didYouMean(wrong string, known []string) string {
	last := func(s string) string { return strings.ToLower(s[strings.LastIndexByte(s, '.')+1:]) }
	// A right name in the wrong section, or a secret itself where there is a key for its file.
	moved := ""
	if i := slices.IndexFunc(known, func(k string) bool { return last(k) == last(wrong) || last(k) == last(wrong)+"file" }); i >= 0 {
		moved = known[i]
	}
	if near := cmp.Or(moved, document.Nearest(wrong, known)); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
