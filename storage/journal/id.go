package journal

import (
	"math/rand/v2"
	"sync"
	"time"
)

// idLength is the length of an id: 128 bits in characters of 5 bits.
const idLength = 26

// ids gives out ids that sort by time: 48 bits of milliseconds, then 80 random ones. Within a millisecond, and when the clock steps back, the
// last id is counted on, so that the ids of one process always rise.
var ids struct {
	sync.Mutex
	high, low uint64
}

// newID returns the id of something that happens at now, as 26 characters of Crockford's base 32.
func newID(now time.Time) string {
	ids.Lock()
	if millis := uint64(now.UnixMilli()); millis > ids.high>>16 {
		ids.high, ids.low = millis<<16|rand.Uint64()&0xffff, rand.Uint64()
	} else if ids.low++; ids.low == 0 {
		ids.high++
	}
	high, low := ids.high, ids.low
	ids.Unlock()

	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var id [idLength]byte
	for i := idLength - 1; i >= 0; i-- {
		id[i] = alphabet[low&31]
		low, high = low>>5|high<<59, high>>5
	}
	return string(id[:])
}
