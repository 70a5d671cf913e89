package suite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPrune_keeps_what_a_host_may_be_reading(t *testing.T) {
	day := 24 * time.Hour
	// each makes n snapshots, the last of them a certain time ago, with a pause between any two. Each has a file of its own, and one that all have.
	each := func(n int, last, pause time.Duration) (all []Past) {
		for i := range n {
			all = append(all, Past{Date: noon.Add(-last - time.Duration(i)*pause), Hashes: []string{"all", fmt.Sprint(i)}})
		}
		return all
	}
	for name, c := range map[string]struct {
		snapshots []Past
		stay      int
	}{
		"none":                             {nil, 0},
		"one, of long ago":                 {each(1, 1000*day, 0), 1},
		"ten, of long ago":                 {each(10, 1000*day, day), 10},
		"more, of long ago":                {each(30, 1000*day, day), 10},
		"many of today":                    {each(300, 0, time.Minute), 300},
		"one every hour":                   {each(300, 0, time.Hour), 168 + 1}, // 168 of the week, and the one before, which the first of those replaced
		"one a day":                        {each(30, 0, day), 10},
		"one a day, the last a moment ago": {each(9, time.Second, day), 9},
		"a month's, replaced by a burst just now": {append(each(50, time.Minute, time.Second), Past{Date: noon.Add(-30 * day), Hashes: []string{"month"}}), 51},
		"a month's, replaced a week ago": {append(each(50, 7*day, time.Nanosecond), Past{Date: noon.Add(-30 * day), Hashes: []string{"month"}}),
			10},
		"of a clock that was ahead": {each(30, -365*day, day), 30},
	} {
		shuffled := slices.Clone(c.snapshots)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		stay, gone := Prune(shuffled, noon)
		if len(stay) != c.stay || !slices.IsSortedFunc(stay, func(a, b Past) int { return b.Date.Compare(a.Date) }) {
			t.Errorf("%s: %d stay, want %d, the newest first", name, len(stay), c.stay)
		}
		var want []string
		for _, s := range c.snapshots[min(c.stay, len(c.snapshots)):] {
			want = append(want, s.Hashes[len(s.Hashes)-1])
		}
		slices.Sort(want)
		if !slices.Equal(gone, want) {
			t.Errorf("%s: %q are gone, want %q", name, gone, want)
		}
	}
}
