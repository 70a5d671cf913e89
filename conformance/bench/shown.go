package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
)

// beside reads a manifest by its tag with credentials and, before and after that, another one without, as far as the server lets nobody in
// particular do so.
func (s *site) beside(ctx context.Context, bare, from, credentials string) (measure, error) {
	read := func(from string, headers ...string) (measure, error) {
		return s.manifests(ctx, "GET", 64, from, 1, 0.25, headers...)
	}
	var with, without []measure
	for _, shows := range []bool{false, true, true, false} {
		var m measure
		var err error
		switch {
		case shows:
			m, err = read(from, credentials)
			with = append(with, m)
		case s.peer.name == ours:
			m, err = read(bare)
			without = append(without, m)
		}
		if err != nil {
			return nil, err
		}
	}
	m, base := medians(with), medians(without)
	if base[rate] > 0 {
		m[rateWithout], m[cpuWithout] = base[rate], base[cpu]
		m[ratio], m[cpuMore] = m[rate]/base[rate], m[cpu]-base[cpu]
	}
	return m, nil
}

// withToken is beside with one token that is shown again and again.
func (s *site) withToken(ctx context.Context) (measure, error) {
	tokens, err := s.tokens(ctx, 1)
	if err != nil {
		return nil, err
	}
	return s.beside(ctx, repo, repo, bearer(tokens[0]))
}

// freshTokens shows each token once. They are made before, as many as eight thousand a second would use up, but no more than memory bears.
func (s *site) freshTokens(ctx context.Context) (measure, error) {
	tokens, err := s.tokens(ctx, min(max(500, int(s.opt.seconds*8000)), 200_000))
	if err != nil {
		return nil, err
	}
	return s.shows(ctx, tokens, 200, int64(len(tokens)))
}

// forgedTokens shows tokens that bear the signature of another, so that it takes a verification to find out.
func (s *site) forgedTokens(ctx context.Context) (measure, error) {
	good, err := s.tokens(ctx, 64)
	if err != nil {
		return nil, err
	}
	var forged []string
	for _, a := range good {
		for _, b := range good {
			if a != b {
				forged = append(forged, a[:strings.LastIndexByte(a, '.')]+b[strings.LastIndexByte(b, '.'):])
			}
		}
	}
	return s.shows(ctx, forged, 401, 0)
}

// strangeTokens shows tokens that seem to be signed with keys that were made just now, each with another.
func (s *site) strangeTokens(ctx context.Context) (measure, error) {
	good, err := s.tokens(ctx, 1)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(good[0], ".")
	strange := make([]string, 4096)
	for i := range strange {
		header := fmt.Sprintf(`{"alg":"EdDSA","kid":"%043d","typ":"JWT"}`, series.Add(1))
		strange[i] = base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
	}
	return s.shows(ctx, strange, 401, 0)
}

// shows reads a manifest with one token after the other, and begins anew when all were shown; a limit of as many keeps it from that.
func (s *site) shows(ctx context.Context, tokens []string, status int, limit int64) (measure, error) {
	requests := make([][]byte, len(tokens))
	for i, t := range tokens {
		requests[i] = s.get("GET", repo, 0, bearer(t))
	}
	var next atomic.Int64
	l := load{conns: 64, time: s.opt.time(1), limit: limit, do: func(w *worker) (int64, error) {
		_, err := w.expect(status, requests[int(next.Add(1)-1)%len(requests)], nil)
		return 0, err
	}}
	return l.run(ctx, s.server)
}
