package remote

import (
	"context"
	"sync"
	"time"
)

// pace keeps the bytes of all bodies within a rate: a bucket of a quarter of a second. The zero value has no limit.
type pace struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	free time.Time // when all that was taken is paid for
}

// chunk is how much should be read at once.
func (p *pace) chunk(most int) int {
	if p.rate == 0 {
		return most
	}
	return min(most, int(min(max(p.rate/8, 512), 1<<20)))
}

// take books n bytes and returns how long to wait for them.
func (p *pace) take(n int, now time.Time) time.Duration {
	if p.rate == 0 || n == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if full := now.Add(-time.Second / 4); p.free.Before(full) {
		p.free = full
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return p.free.Sub(now)
}

// wait books n bytes and waits for them.
func (p *pace) wait(ctx context.Context, n int) error {
	pause := p.take(n, time.Now())
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
