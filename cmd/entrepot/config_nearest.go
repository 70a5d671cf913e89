package main

import (
	"slices"
	"strings"
)

// didYouMean names the known word nearest to a wrong one, or nothing when none is near.
func didYouMean(wrong string, known []string) string {
	if len(wrong) > 200 {
		return ""
	}
	best, least := "", 1+max(2, len(wrong)/4)
	last := func(s string) string { return strings.ToLower(s[strings.LastIndexByte(s, '.')+1:]) }
	for _, k := range known {
		if d := distance(strings.ToLower(wrong), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		// A right name in the wrong section, or a secret itself where there is a key for its file.
		i := slices.IndexFunc(known, func(k string) bool { return last(k) == last(wrong) || last(k) == last(wrong)+"file" })
		if i >= 0 {
			best = known[i]
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance counts the letters to add, drop or change to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
