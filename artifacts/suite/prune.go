package suite

import (
	"slices"
	"time"
)

const (
	// KeepSnapshots is how many of the last snapshots of a suite stay, however old they are.
	KeepSnapshots = 10
	// KeepFor is for how long a snapshot stays after another one has replaced it, however many there are since.
	KeepFor = 7 * 24 * time.Hour
)

// Past is what Prune wants to know of a snapshot.
type Past struct {
	Date   time.Time
	Hashes []string // of all its files, as Snapshot.Hashes returns them
}

// Prune says what is to stay of a suite's snapshots, the newest first, and which hashes are in none of those: the files by those hashes can go. A host that
// has read one InRelease fetches the lists of it by their hashes, at once or, through a slow mirror or a proxy, much later. So a snapshot stays as long as
// it is one of the last KeepSnapshots, and for KeepFor after hosts could last get it, which is when the next one came, not when it came itself.
func Prune(snapshots []Past, now time.Time) (stay []Past, gone []string) {
	sorted := slices.SortedStableFunc(slices.Values(snapshots), func(a, b Past) int { return b.Date.Compare(a.Date) })
	kept := map[string]bool{}
	n := 0
	for n < len(sorted) && (n < KeepSnapshots || now.Sub(sorted[n-1].Date) < KeepFor) {
		for _, hash := range sorted[n].Hashes {
			kept[hash] = true
		}
		n++
	}
	for _, s := range sorted[n:] {
		for _, hash := range s.Hashes {
			if !kept[hash] {
				gone = append(gone, hash)
			}
		}
	}
	slices.Sort(gone)
	return sorted[:n:n], slices.Compact(gone)
}
