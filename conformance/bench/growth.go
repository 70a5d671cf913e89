package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// growthScenarios are about what grows with what is stored.
var growthScenarios = []*scenario{
	{
		name: "start-large", title: func(o *options) string {
			return fmt.Sprintf("start with %s manifests, until /readyz", number(float64(o.manifests)))
		},
		stock: largeIndex, peers: bases,
		run:   by((*site).startsLarge),
		marks: marks(atMost(ready, 100_000), atMost(ready, 100_000).on(overPostgres)),
	},
	{
		name: "work-large", title: func(o *options) string {
			return fmt.Sprintf("collection, backup and verification of %s manifests", number(float64(o.manifests)))
		},
		stock: largeIndex, peers: bases,
		run: by((*site).worksLarge),
	},
	{
		name: "sweep", title: text("20,000 blobs that nobody holds any more, until all are gone from the disk"), stock: unloved(20_000), peers: []string{ours},
		run:   by((*site).sweeps),
		marks: marks(atLeast(swept, 2000)),
	},
	{
		name: "sweep-s3", title: text("5,000 blobs that nobody holds any more, until all are gone from the bucket"), stock: unloved(5_000), peers: []string{overPostgres},
		run:   by((*site).sweeps),
		marks: marks(atLeast(swept, 500).on(overPostgres)),
	},
}

// startsLarge starts the server again, and looks at its memory, also after some reads.
func (s *site) startsLarge(ctx context.Context) (measure, error) {
	m, err := s.restarts(ctx, s.peer.ready)
	if err != nil {
		return nil, err
	}
	m[ready] = m[warm]
	delete(m, warm)
	reads := load{conns: 8, time: s.opt.time(1), limit: 10_000, do: func(w *worker) (int64, error) {
		name, tag := largeName((w.id*7919 + w.done*104_729) % s.opt.manifests)
		_, err := w.expect(200, request(nil, s.addr, "GET", "/v2/"+name+"/manifests/"+tag, acceptManifest), nil)
		return 0, err
	}}
	after, err := reads.run(ctx, s.server)
	if err != nil {
		return nil, err
	}
	m[rss], m[cpu], m[p50] = after[rss], after[cpu], after[p50]
	if below, ok := after[cpuBelow]; ok {
		m[cpuBelow] = below
	}
	size, err := s.indexSize(ctx)
	m[rowBytes] = float64(size) / float64(s.opt.manifests)
	return m, err
}

// worksLarge has done what an operator does now and then, whose work is as large as the index.
func (s *site) worksLarge(ctx context.Context) (measure, error) {
	m := measure{}
	took := func(what metric, args ...string) error {
		cmd := exec.CommandContext(ctx, s.bin, args...)
		cmd.Dir, cmd.Env = s.dir, os.Environ()
		if s.ground != nil {
			cmd.Env = append(cmd.Env, s.ground.env...)
		}
		begin := time.Now()
		out, err := cmd.CombinedOutput()
		if m[what] = time.Since(begin).Seconds(); err != nil {
			return fmt.Errorf("%s: %w\n%s", args[0], err, out[max(0, len(out)-2000):])
		}
		return nil
	}
	if err := took(collect, "gc", "run", "http://"+s.addr); err != nil {
		return nil, err
	}
	if s.ground == nil { // a database is saved with its own means
		file := filepath.Join(s.dir, "backup")
		defer os.Remove(file)
		if err := took(backup, "backup", "-o", file, "http://"+s.addr); err != nil {
			return nil, err
		}
		size, err := sizeOf(file)
		if err != nil {
			return nil, err
		}
		m[backupBytes] = float64(size) / float64(s.opt.manifests)
	}
	var err error
	if m[rss], err = memoryOf(s.pid, "VmHWM"); err != nil {
		return nil, err
	}
	s.stop()
	if err := took(verify, "verify"); err != nil {
		return nil, err
	}
	_, err = s.start(ctx, s.peer.ready)
	return m, err
}

// unloved are blobs that no manifest names, each too large for the index, in a server that lets go of such at once.
func unloved(n int) *stock {
	return &stock{fmt.Sprintf("%d blobs that no manifest names", n), func(ctx context.Context, s *site) error {
		s.loose = n
		return s.restart(ctx, s.peer.with("ENTREPOT_GC_GRACE=1s", "ENTREPOT_GC_DELAY=10s", "ENTREPOT_GC_EVERY=0s"))
	}}
}

// looseSize is just more than what the index takes.
const looseSize = 20 * kib

// sweeps pushes blobs, waits until their time is over, and has the server delete them: one run lets go of them, and one, when the delay is over, deletes them.
func (s *site) sweeps(ctx context.Context) (measure, error) {
	from := s.supply(looseSize)
	push := load{conns: 8, time: time.Hour, limit: int64(s.loose), do: func(w *worker) (int64, error) { return 0, w.pushAtOnce(repo, from.next()) }}
	if _, err := push.run(ctx, s.server); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.lastWords())
	}
	gone := 0 // the first run deletes as well, when it takes longer than the delay
	run := func(after time.Duration, want func(gcResult) int) (took time.Duration, err error) {
		time.Sleep(after + 500*time.Millisecond) // the grace and the delay, which are no work
		begin := time.Now()
		var why bytes.Buffer
		cmd := exec.CommandContext(ctx, s.bin, "gc", "run", "-o", "json", "http://"+s.addr)
		cmd.Stderr = &why
		out, err := cmd.Output()
		took = time.Since(begin)
		if err != nil {
			return 0, fmt.Errorf("gc run: %w: %s", err, why.Bytes())
		}
		var r gcResult
		if err := json.Unmarshal(out, &r); err != nil {
			return 0, fmt.Errorf("gc run: %w", err)
		}
		gone += r.Reaped.Blobs
		if got := want(r); got < s.loose {
			return 0, fmt.Errorf("gc run: %d blobs went, want %d: %s", got, s.loose, out)
		}
		return took, nil
	}
	cpu0, err := cpuOf(s.pid)
	if err != nil {
		return nil, err
	}
	first, err := run(time.Second, func(r gcResult) int { return r.Swept.Doomed })
	if err != nil {
		return nil, err
	}
	second, err := run(10*time.Second, func(gcResult) int { return gone })
	if err != nil {
		return nil, err
	}
	cpu1, err := cpuOf(s.pid)
	if err != nil {
		return nil, err
	}
	m := measure{
		swept: float64(s.loose) / (first + second).Seconds(), letGo: first.Seconds(), deleted: second.Seconds(), cpu: micros(cpu1-cpu0) / float64(s.loose),
	}
	m[rss], err = memoryOf(s.pid, "VmRSS")
	return m, err
}

// gcResult is what a run of the collector tells.
type gcResult struct {
	Swept  struct{ Doomed int }
	Reaped struct{ Blobs int }
}

// indexSize returns the bytes of the index on its medium.
func (s *site) indexSize(ctx context.Context) (int64, error) {
	if s.ground == nil {
		return sizeOf(filepath.Join(s.dir, "data", "index.db"))
	}
	db, err := s.ground.openDatabase(ctx)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return db.Size(), nil
}
