package remote

import (
	"sync"
	"time"
)

// breaker leaves a URL alone that does not work. It is closed at first; failures in a row open it; when its cooldown is over, one request probes.
type breaker struct {
	limits Breaker

	mu       sync.Mutex
	failures int
	until    time.Time // open until then, and half open from then on; zero: closed
	cooldown time.Duration
	probing  bool
	reason   string
	answered time.Time
}

// allow tells whether the URL may be asked, and whether that is the one probe; if not, when to come again.
func (b *breaker) allow(now time.Time) (ok, probe bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return true, false, 0
	case now.Before(b.until):
		return false, false, b.until.Sub(now)
	case b.probing:
		return false, false, time.Second
	}
	b.probing = true
	return true, true, 0
}

// answers is told when headers came. That closes the breaker on trial: only an answer that is complete counts for more.
func (b *breaker) answers(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.until.IsZero() {
		b.failures = b.limits.Failures - 1
	}
	b.until, b.probing, b.answered = time.Time{}, false, now
}

// complete is told when an answer came to its end.
func (b *breaker) complete() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.cooldown, b.reason = 0, 0, ""
}

// fails is told of a failure. It returns for how long the URL is left alone from now on, if this one is why.
func (b *breaker) fails(now time.Time, probe bool, reason string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	b.reason = reason
	if !probe && (!b.until.IsZero() || b.failures < b.limits.Failures) {
		return 0 // not enough, or not news
	}
	b.cooldown = min(max(2*b.cooldown, b.limits.Cooldown), b.limits.Longest)
	b.until, b.probing = now.Add(b.cooldown), false
	return b.cooldown
}

// abandons is told when nothing was learnt.
func (b *breaker) abandons(probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
}

// URLHealth is how one URL of an upstream is.
type URLHealth struct {
	URL      string
	Open     bool      // it is left alone
	Until    time.Time // until then
	Failures int       // in a row
	Reason   string    // of the last failure, if there was one since the last good answer
	Answered time.Time // when it last answered; zero if it never did
}

func (b *breaker) health(url string, now time.Time) URLHealth {
	b.mu.Lock()
	defer b.mu.Unlock()
	return URLHealth{URL: url, Open: now.Before(b.until), Until: b.until, Failures: b.failures, Reason: b.reason, Answered: b.answered}
}
