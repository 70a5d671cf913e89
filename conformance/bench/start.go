package main

import (
	"context"
	"path/filepath"
)

// starts looks at the server's start, then reads some manifests, and looks at the memory, and counts the files.
func (s *site) starts(ctx context.Context) (measure, error) {
	m, err := s.restarts(ctx, "/v2/"+repo+"/manifests/"+tagName(s.opt.tags/2))
	if err != nil {
		return nil, err
	}
	reads := load{conns: 8, time: s.opt.time(1), limit: 1000, do: func(w *worker) (int64, error) {
		_, err := w.expect(200, s.get("GET", repo, (w.id*1000+w.done)%s.opt.tags), nil)
		return 0, err
	}}
	after, err := reads.run(ctx, s.server)
	if err != nil {
		return nil, err
	}
	m[rss] = after[rss]
	n, err := filesIn(filepath.Join(s.dir, "data"))
	m[files] = float64(n)
	return m, err
}

// restarts starts the server anew, once after the kernel forgot its files and once right after that, each time until it answers for a
// manifest.
func (s *site) restarts(ctx context.Context, target string) (measure, error) {
	m := measure{}
	s.stop()
	forget := []string{s.bin}
	if data := filepath.Join(s.dir, "data"); s.ground == nil {
		forget = append(forget, data)
	}
	if err := evict(forget...); err != nil {
		return nil, err
	}
	took, err := s.start(ctx, target)
	if err != nil {
		return nil, err
	}
	m[cold] = micros(took)
	s.stop()
	if took, err = s.start(ctx, target); err != nil {
		return nil, err
	}
	m[warm] = micros(took)
	m[rssStart], err = memoryOf(s.pid, "VmRSS")
	return m, err
}
