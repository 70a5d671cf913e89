package document

import "strings"

// nearest returns the known name that was most likely meant, or nothing. Case, dashes and underscores do not count: serviceName is service_name.
func nearest(wrong string, known []string) string {
	if len(wrong) > 64 {
		return ""
	}
	bare := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(s))
	}
	w := bare(wrong)
	best, least := "", 2 // letters that may be wrong, and one
	if len(w) > 3 {
		least = 1 + max(2, len(w)/4)
	}
	for _, k := range known {
		if d := distance(w, bare(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" || len(w) < 3 {
		return best
	}
	for _, k := range known {
		if b := bare(k); strings.Contains(b, w) || strings.Contains(w, b) { // version for latest_version
			return k
		}
	}
	return ""
}

// distance counts the letters to add, drop or change to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0]++
		for j := range len(b) {
			keep := corner
			if a[i] != b[j] {
				keep++
			}
			corner = row[j+1]
			row[j+1] = min(keep, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}
