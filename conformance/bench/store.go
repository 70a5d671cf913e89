package main

import (
	"context"
	"fmt"
)

// pushes pushes new blobs, whole or in chunks.
func (s *site) pushes(ctx context.Context, size int64, conns int, chunk, limit int64) (measure, error) {
	from := s.supply(size)
	l := load{conns: conns, time: s.opt.time(1), limit: limit, bytes: size >= mib, do: func(w *worker) (int64, error) {
		return size, w.push(repo, from.next(), chunk)
	}}
	return l.run(ctx, s.server)
}

// pushTags pushes new manifests under new tags.
func (s *site) pushTags(ctx context.Context) (measure, error) {
	l := load{conns: 4, time: s.opt.time(1), do: func(w *worker) (int64, error) {
		return 0, w.tag(repo, fmt.Sprintf("w%d", series.Add(1)), s.img.manifest())
	}}
	return l.run(ctx, s.server)
}

// pushReferrers pushes referrers to one new subject, and then looks whether the server lists all that it took.
func (s *site) pushReferrers(ctx context.Context) (measure, error) {
	if !s.hasReferrers() {
		return nil, errAbsent
	}
	subject := s.img.manifest()
	if err := spread(ctx, s.server, 1, func(c *conn, _ int) error { return c.tag(repo, digest(subject), subject) }); err != nil {
		return nil, err
	}
	taken := make([]int, 4)
	l := load{conns: len(taken), time: s.opt.time(1), do: func(w *worker) (int64, error) {
		m := s.img.referrer(subject)
		if err := w.tag(repo, digest(m), m); err != nil {
			return 0, err
		}
		taken[w.id]++
		return 0, nil
	}}
	m, err := l.run(ctx, s.server)
	if err != nil {
		return nil, err
	}
	want := 0
	for _, n := range taken {
		want += n
	}
	err = spread(ctx, s.server, 1, func(c *conn, _ int) error {
		c.in.keep = true
		got, _, err := listing{target: "/v2/" + repo + "/referrers/" + digest(subject), count: countDescriptors}.walk(c)
		m[lost] = float64(want - got)
		return err
	})
	return m, err
}

// passing looks at the server's memory while 1 GiB is pushed and while it is pulled. The server is new, so that no room is left over
// from earlier work, but has seen a blob of 10 MiB pass, so that what any work takes is not counted.
func (s *site) passing(ctx context.Context) (measure, error) {
	s.stop()
	if _, err := s.start(ctx, s.peer.ready); err != nil {
		return nil, err
	}
	if err := s.addBlob(ctx, 10*mib); err != nil {
		return nil, err
	}
	err := spread(ctx, s.server, 1, func(c *conn, _ int) error {
		_, err := c.expect(200, s.getBlob(10*mib), nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	m := measure{}
	if m[growPush], m[peakPush], err = s.peak(func() error {
		b := s.supply(gib).next()
		return spread(ctx, s.server, 1, func(c *conn, _ int) error { return c.push(repo, b, 0) })
	}); err != nil {
		return nil, err
	}
	m[growPull], m[peakPull], err = s.peak(func() error {
		get := s.getBlob(gib)
		return spread(ctx, s.server, 1, func(c *conn, _ int) error {
			_, err := c.expect(200, get, nil)
			return err
		})
	})
	return m, err
}

// peak returns the most memory that the server held during the work, and by how much that is more than before.
func (s *site) peak(work func() error) (grew, most float64, err error) {
	before, err := memoryOf(s.pid, "VmRSS")
	if err == nil {
		err = resetPeak(s.pid)
	}
	if err == nil {
		err = work()
	}
	if err == nil {
		most, err = memoryOf(s.pid, "VmHWM")
	}
	return most - before, most, err
}
