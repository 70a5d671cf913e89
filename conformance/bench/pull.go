package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// manifests reads manifests by tag: the first of them, or any of so many.
func (s *site) manifests(ctx context.Context, method string, conns int, from string, tags int, share float64, headers ...string) (measure, error) {
	// At most this many requests are written beforehand; they are spread over all tags.
	const prepared = 4096
	requests := make([][]byte, min(tags, prepared))
	order := rand.New(rand.NewPCG(seed, 2)).Perm(tags)
	for i := range requests {
		requests[i] = s.get(method, from, order[i], headers...)
	}
	each := max(1, len(requests)/conns)
	l := load{conns: conns, time: s.opt.time(share), do: func(w *worker) (int64, error) {
		res, err := w.expect(200, requests[(w.id*each+w.done)%len(requests)], nil)
		if err != nil {
			return 0, err
		}
		return res.size, nil
	}}
	return l.run(ctx, s.server)
}

// tagAmong reads any of many tags, and for comparison any of ten on the same server.
func (s *site) tagAmong(ctx context.Context) (measure, error) {
	few, err := s.manifests(ctx, "GET", 64, fewRepo, 10, 0.5)
	if err != nil {
		return nil, err
	}
	m, err := s.manifests(ctx, "GET", 64, repo, s.opt.tags, 0.5)
	if err == nil && few[cpu] > 0 {
		m[against10] = m[cpu] / few[cpu]
	}
	return m, err
}

// pull reads a whole blob again and again.
func (s *site) pull(ctx context.Context, size int64, conns int) (measure, error) {
	get := s.getBlob(size)
	l := load{conns: conns, time: s.opt.time(1), bytes: true, do: func(w *worker) (int64, error) {
		res, err := w.expect(200, get, nil)
		if err == nil && res.size != size {
			err = fmt.Errorf("blob of %d bytes came with %d", size, res.size)
		}
		return size, err
	}}
	return l.run(ctx, s.server)
}

// ranges reads pieces of a blob, anywhere in it.
func (s *site) ranges(ctx context.Context, size, piece int64, conns int) (measure, error) {
	r := rand.New(rand.NewPCG(seed, 3))
	requests := make([][]byte, 1024)
	for i := range requests {
		requests[i] = s.getBlob(size, bytesRange(r.Int64N(size-piece), piece))
	}
	each := len(requests) / conns
	l := load{conns: conns, time: s.opt.time(1), bytes: true, do: func(w *worker) (int64, error) {
		res, err := w.expect(206, requests[(w.id*each+w.done)%len(requests)], nil)
		if err == nil && res.size != piece {
			err = fmt.Errorf("range of %d bytes came with %d", piece, res.size)
		}
		return piece, err
	}}
	return l.run(ctx, s.server)
}
