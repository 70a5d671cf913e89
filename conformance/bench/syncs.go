package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"time"
)

// syncCalls are the calls that make content safe. Files opened with O_SYNC or O_DSYNC sync without them; no peer does so.
const syncCalls = "fsync,fdatasync,sync_file_range,syncfs,msync"

// syncs pushes a small image twice, to a repository that is new and then to the same, and counts the syncs of each step. They are
// counted in what strace wrote between the steps, not in its summary at the end, which would hold those of start and stop too.
func (s *site) syncs(ctx context.Context) (measure, error) {
	m := measure{}
	for _, total := range []metric{syncFirst, syncNext} {
		img := image{config: s.supply(256).next(), layer: s.supply(kib).next()}
		steps := []struct {
			metric metric
			do     func(c *conn) error
		}{
			{syncConfig, func(c *conn) error { return c.push("bench/traced", img.config, 0) }},
			{syncLayer, func(c *conn) error { return c.push("bench/traced", img.layer, 0) }},
			{syncImage, func(c *conn) error { return c.tag("bench/traced", "latest-"+string(total), img.manifest()) }},
		}
		before, err := s.synced()
		if err != nil {
			return nil, err
		}
		start := before
		for _, step := range steps {
			if err := spread(ctx, s.server, 1, func(c *conn, _ int) error { return step.do(c) }); err != nil {
				return nil, err
			}
			after, err := s.synced()
			if err != nil {
				return nil, err
			}
			m[step.metric] = float64(after - before) // the second push's remain
			before = after
		}
		m[total] = float64(before - start)
	}
	return m, nil
}

// synced returns how many syncs strace has seen, once none came for a while.
func (s *site) synced() (int, error) {
	for n, quiet := -1, 0; ; {
		b, err := os.ReadFile(s.trace)
		if err != nil {
			return 0, err
		}
		now := 0
		for l := range bytes.Lines(b) {
			// A call that another thread's output cut in two has a second line, "<... fsync resumed>".
			_, call, _ := strings.Cut(strings.TrimLeft(string(l), " "), " ")
			name, _, isCall := strings.Cut(strings.TrimLeft(call, " "), "(")
			if isCall && strings.Contains(","+syncCalls+",", ","+name+",") {
				now++
			}
		}
		if now == n {
			quiet++
		} else {
			quiet = 0
		}
		if n = now; quiet == 10 {
			return n, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}
