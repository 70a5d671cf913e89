package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is work for a server: as many connections, each doing one operation after the other until the time or the operations are used up.
type load struct {
	conns int
	time  time.Duration
	limit int64 // operations at most; 0 is no limit
	bytes bool  // the operations move bytes that are worth a figure
	keep  bool  // the operations look at bodies
	do    func(w *worker) (bytes int64, err error)
}

// worker is one of a load's connections.
type worker struct {
	*conn
	id   int // 0 to conns-1
	done int // operations done so far

	spans []time.Duration
	moved int64
}

// run does the work and measures it. Work without a limit is begun shortly before, unmeasured, so that connections, caches and the
// server's memory have found their shape.
func (l load) run(ctx context.Context, s *server) (measure, error) {
	until := time.Now().Add(2*l.time + 2*time.Minute)
	workers := make([]*worker, l.conns)
	for i := range workers {
		c, err := dial(s.addr, until)
		if err != nil {
			return nil, err
		}
		defer c.close()
		c.in.keep = l.keep
		workers[i] = &worker{conn: c, id: i, spans: make([]time.Duration, 0, 1<<14)}
	}
	if l.limit == 0 {
		warm := l
		warm.time = min(l.time/5, 300*time.Millisecond)
		if _, err := warm.pass(ctx, workers); err != nil {
			return nil, err
		}
		for _, w := range workers {
			w.spans, w.moved = w.spans[:0], 0
		}
	}
	cpu0, err := cpuOf(s.pid)
	if err != nil {
		return nil, err
	}
	var below0 time.Duration
	if s.ground != nil {
		below0 = s.ground.cpu()
	}
	self0 := cpuOfSelf()
	took, err := l.pass(ctx, workers)
	if err != nil {
		return nil, err
	}
	self1 := cpuOfSelf()
	cpu1, err := cpuOf(s.pid)
	if err != nil {
		return nil, err
	}
	m := measure{}
	var below time.Duration
	if s.ground != nil {
		below = s.ground.cpu() - below0
	}
	if m[rss], err = memoryOf(s.pid, "VmRSS"); err != nil {
		return nil, err
	}
	var all []time.Duration
	var moved int64
	for _, w := range workers {
		all, moved = append(all, w.spans...), moved+w.moved
	}
	if len(all) == 0 {
		return nil, errors.New("no operation was done")
	}
	slices.Sort(all)
	n := float64(len(all))
	m[rate] = n / took.Seconds()
	m[cpu] = micros(cpu1-cpu0) / n
	m[generator] = micros(self1-self0) / n
	if s.ground != nil {
		m[cpuBelow] = micros(below) / n
	}
	m[p50], m[p99] = micros(percentile(all, 0.5)), micros(percentile(all, 0.99))
	if l.bytes {
		m[throughput] = float64(moved) / mib / took.Seconds()
	}
	return m, nil
}

// pass lets the workers work once, and returns how long they took together.
func (l load) pass(ctx context.Context, workers []*worker) (time.Duration, error) {
	var (
		wg      sync.WaitGroup
		stop    atomic.Bool
		begun   atomic.Int64
		failure atomic.Pointer[error]
	)
	defer context.AfterFunc(ctx, func() { stop.Store(true) })()
	begin := time.Now()
	for _, w := range workers {
		wg.Go(func() {
			last := time.Now()
			for !stop.Load() && last.Sub(begin) < l.time && (l.limit == 0 || begun.Add(1) <= l.limit) {
				n, err := l.do(w)
				if err != nil {
					failure.CompareAndSwap(nil, &err)
					stop.Store(true)
					return
				}
				now := time.Now()
				w.spans = append(w.spans, now.Sub(last))
				w.moved += n
				w.done++
				last = now
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if err := failure.Load(); err != nil {
		return 0, *err
	}
	return took, ctx.Err()
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// spread does n pieces of work on a few connections, unmeasured: how things are put in place.
func spread(ctx context.Context, s *server, n int, do func(c *conn, i int) error) error {
	l := load{conns: min(8, max(1, n)), time: time.Hour, limit: int64(n)}
	var next atomic.Int64
	l.do = func(w *worker) (int64, error) { return 0, do(w.conn, int(next.Add(1))-1) }
	workers := make([]*worker, l.conns)
	for i := range workers {
		c, err := dial(s.addr, time.Now().Add(time.Hour))
		if err != nil {
			return err
		}
		defer c.close()
		workers[i] = &worker{conn: c, id: i}
	}
	_, err := l.pass(ctx, workers)
	return err
}
