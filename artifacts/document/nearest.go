package document

import "strings"

// Nearest returns the known name that was most likely meant by a wrong one, or nothing. Case, dashes, underscores and full stops do not count: serviceName is
// service_name. A few letters may be wrong, and the beginning or the end of a name may stand for it.
func Nearest(wrong string, known []string) string {
	if len(wrong) > 200 {
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
		b := bare(k)
		if d := distance(w, b); d < least && d < len(b) {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		long, short := w, bare(k)
		if len(long) < len(short) {
			long, short = short, long
		}
		if len(short) > 2 && (strings.HasPrefix(long, short) || strings.HasSuffix(long, short)) { // version for latest_version
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
