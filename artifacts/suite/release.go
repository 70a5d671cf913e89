package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// releaseTime is how Release writes times: RFC 1123 in UTC, which is the one zone that every apt knows.
const releaseTime = "Mon, 02 Jan 2006 15:04:05 UTC"

// after returns the Date of a snapshot that follows another.
func after(date time.Time, before *Snapshot) time.Time {
	date = date.UTC().Truncate(time.Second)
	if !before.Date.IsZero() && !date.After(before.Date) {
		return before.Date.UTC().Truncate(time.Second).Add(time.Second)
	}
	return date
}

// release writes the Release file for the lists of a snapshot.
func (s Suite) release(next *Snapshot, components, architectures []string) string {
	var b strings.Builder
	put := func(field, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", field, value)
		}
	}
	put("Origin", s.Origin)
	put("Label", s.Label)
	put("Suite", s.Name)
	put("Codename", s.Name)
	put("Date", next.Date.Format(releaseTime))
	if s.ValidFor > 0 {
		put("Valid-Until", next.Date.Add(s.ValidFor).Format(releaseTime))
	}
	put("Acquire-By-Hash", "yes")
	put("Architectures", strings.Join(architectures, " "))
	put("Components", strings.Join(components, " "))
	put("Description", s.Description)
	b.WriteString("SHA256:\n")
	for _, path := range slices.Sorted(maps.Keys(next.Files)) {
		fmt.Fprintf(&b, " %s %d %s\n", next.Files[path].SHA256, next.Files[path].Size, path)
	}
	return b.String()
}
