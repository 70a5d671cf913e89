package login

import (
	"net/netip"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// How many attempts may fail before more are not looked at, and how long it takes for one more. A source may be many people behind one address.
const (
	nameBurst   = 10
	namePause   = 6 * time.Second
	sourceBurst = 60
	sourcePause = time.Second
)

// limits counts failed attempts, in bounded memory.
type limits struct {
	now     func() time.Time
	sources *recent[string, bucket]
	names   *recent[string, bucket]
}

func newLimits(now func() time.Time) *limits {
	return &limits{now, newRecent[string, bucket](20_000), newRecent[string, bucket](20_000)}
}

// bucket holds what was taken from a bucket of attempts, as of a moment.
type bucket struct {
	taken float64
	at    time.Time
}

// drained is the bucket as of now: what was taken comes back with time.
func (b bucket) drained(now time.Time, pause time.Duration) bucket {
	if !b.at.IsZero() {
		b.taken = max(0, b.taken-float64(now.Sub(b.at))/float64(pause))
	}
	b.at = now
	return b
}

// attempts are those of one source and one name.
type attempts struct {
	limits       *limits
	source, name string
}

// of returns the attempts from an address under a name. An empty name is not counted. Of IPv6 a whole network of the size that is given to one customer counts
// as one source.
func (l *limits) of(remote, name string) attempts {
	if addr, err := netip.ParseAddr(remote); err == nil && addr.Is6() && !addr.Is4In6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			remote = p.String()
		}
	}
	return attempts{l, remote, strings.ToLower(auth.Clip(name))}
}

// take counts an attempt, or refuses it.
func (a attempts) take() error {
	if wait := a.limits.take(a.limits.sources, a.source, sourceBurst, sourcePause); wait > 0 {
		return &auth.Wait{After: wait, Reason: "too many failed logins from this address; wait, and check the password that your clients have kept"}
	}
	if a.name == "" {
		return nil
	}
	if wait := a.limits.take(a.limits.names, a.name, nameBurst, namePause); wait > 0 {
		a.limits.back(a.limits.sources, a.source, sourcePause)
		return &auth.Wait{After: wait, Reason: "too many failed logins under this name; wait, and check the password that your clients have kept"}
	}
	return nil
}

// giveBack takes back a counted attempt: it did not fail.
func (a attempts) giveBack() {
	a.limits.back(a.limits.sources, a.source, sourcePause)
	if a.name != "" {
		a.limits.back(a.limits.names, a.name, namePause)
	}
}

func (l *limits) take(from *recent[string, bucket], key string, burst float64, pause time.Duration) (wait time.Duration) {
	now := l.now()
	from.edit(key, func(b bucket) bucket {
		b = b.drained(now, pause)
		if b.taken+1 > burst {
			wait = max(time.Millisecond, time.Duration((b.taken+1-burst)*float64(pause)))
			return b
		}
		b.taken++
		return b
	})
	return wait
}

func (l *limits) back(to *recent[string, bucket], key string, pause time.Duration) {
	now := l.now()
	to.edit(key, func(b bucket) bucket {
		b = b.drained(now, pause)
		b.taken = max(0, b.taken-1)
		return b
	})
}
