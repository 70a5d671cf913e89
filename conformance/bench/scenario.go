package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// scenario is one row of the table of figures.
type scenario struct {
	name  string
	title func(o *options) string
	stock *stock
	big   bool     // passes 1 GiB, and is left out unless asked for
	peers []string // who takes part; nil is everybody
	trace bool     // the server runs under strace, and one round is enough
	run   func(ctx context.Context, s *site) (measure, error)
	marks func(o *options) []mark
}

// errAbsent says that a peer has nothing that a scenario could measure.
var errAbsent = errors.New("has no such API")

var (
	everybody = []string{ours, distribution, ceiling}
	keepers   = []string{ours, distribution}
	bases     = []string{ours, overPostgres}
)

// scenarios are run in this order, but those that share a stock one after the other; what changes the stock comes last.
var scenarios = slices.Concat(contentScenarios, authScenarios, throughScenarios, sharedScenarios, growthScenarios)

// contentScenarios are about content and names, and need nobody to say who it is.
var contentScenarios = []*scenario{
	{
		name: "manifest-get", title: text("manifest GET by tag, 64 connections"), stock: fewThings,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.manifests(ctx, "GET", 64, repo, 1, 1) },
		marks: marks(atMost(cpu, 25), atLeast(rate, 0.85).of(ceiling), atLeast(rate, 6).of(distribution)),
	},
	{
		name: "manifest-head", title: text("manifest HEAD, 16 connections"), stock: fewThings,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.manifests(ctx, "HEAD", 16, repo, 1, 1) },
		marks: marks(atMost(cpu, 25)),
	},
	{
		name: "blob-get-10m", title: text("blob GET 10 MiB, 8 connections"), stock: fewThings,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.pull(ctx, 10*mib, 8) },
		marks: marks(atMost(cpu, 2000), atLeast(throughput, 1).of(ceiling)),
	},
	{
		name: "push-10m", title: text("push 10 MiB monolithic, 1 connection"), stock: fewThings, peers: keepers,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.pushes(ctx, 10*mib, 1, 0, 100) },
		marks: marks(atLeast(throughput, 1.3).of(distribution)),
	},
	{
		name: "push-10m-chunked", title: text("push 10 MiB chunked by 4 MiB, 1 connection"), stock: fewThings, peers: keepers,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.pushes(ctx, 10*mib, 1, 4*mib, 100) },
		marks: marks(atLeast(throughput, 1.7).of(distribution)),
	},
	{
		name: "push-1k", title: text("push 1 KiB blobs, 16 connections"), stock: fewThings,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.pushes(ctx, kib, 16, 0, 0) },
		marks: marks(atLeast(rate, 4000), atMost(cpu, 400)),
	},
	{
		name: "blob-get-1g", title: text("blob GET 1 GiB, 1 connection"), stock: bigBlob, big: true,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.pull(ctx, gib, 1) },
		marks: marks(atMost(cpu, 330_000)),
	},
	{
		// The ceiling copies all that is before a range, so it takes no part.
		name: "ranges-1g", title: text("64 KiB ranges of 1 GiB, 8 connections"), stock: bigBlob, big: true, peers: keepers,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.ranges(ctx, gib, 64*kib, 8) },
		marks: marks(atMost(cpu, 70)),
	},
	{
		name: "push-1g", title: text("push 1 GiB monolithic, 1 connection"), stock: bigBlob, big: true, peers: keepers,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.pushes(ctx, gib, 1, 0, 1) },
		marks: marks(atLeast(throughput, 1.25).of(distribution)),
	},
	{
		name: "memory-1g", title: text("memory while 1 GiB passes either way"), stock: bigBlob, big: true, peers: keepers,
		run:   by((*site).passing),
		marks: marks(atMost(growPush, 16), atMost(growPull, 16)),
	},
	{
		name: "tag-among", title: tagged("one tag among %s, 64 connections"), stock: manyTags,
		run:   by((*site).tagAmong),
		marks: marks(atMost(against10, 1.15)),
	},
	{
		name: "tags-pages", title: tagged("all tags of %s in pages of 100"), stock: manyTags, peers: keepers,
		run: func(ctx context.Context, s *site) (measure, error) {
			return s.walks(ctx, listing{"/v2/" + repo + "/tags/list?n=100", countTags, s.opt.tags, false})
		},
		marks: func(o *options) []mark {
			return []mark{atMost(p50, 40_000*float64(o.tags)/10_000), atMost(page, 400)}
		},
	},
	{
		name: "tags-page", title: tagged("all tags of %s in one page"), stock: manyTags,
		run: func(ctx context.Context, s *site) (measure, error) {
			return s.walks(ctx, listing{fmt.Sprintf("/v2/%s/tags/list?n=%d", repo, s.opt.tags+1), countTags, s.opt.tags, false})
		},
		marks: func(o *options) []mark { return []mark{atMost(p50, 6_000*float64(o.tags)/10_000)} },
	},
	{
		name: "start", title: tagged("start with %s manifests; memory and files after that"), stock: manyTags, peers: keepers,
		run:   by((*site).starts),
		marks: marks(atMost(cold, 60_000), atMost(warm, 20_000), atMost(rss, 25)),
	},
	{
		name: "push-tags", title: tagged("push of tags, 4 writers, each another manifest, into %s"), stock: manyTags,
		run:   by((*site).pushTags),
		marks: marks(atLeast(rate, 3000), atMost(cpu, 400)),
	},
	{
		name: "catalog-pages", title: text("catalog of 2,000 in pages of 100"), stock: manyRepos, peers: keepers,
		run: func(ctx context.Context, s *site) (measure, error) {
			return s.walks(ctx, listing{"/v2/_catalog?n=100", countRepos, catalogSize, false})
		},
		marks: marks(atMost(p50, 15_000)),
	},
	{
		name: "referrers-list", title: text("referrers list of 1,000"), stock: manyReferrers, peers: keepers,
		run: func(ctx context.Context, s *site) (measure, error) {
			return s.walks(ctx, listing{"/v2/" + repo + "/referrers/" + s.put["subject"], countDescriptors, referrersSize, true})
		},
		marks: marks(atMost(p50, 2000), atMost(lost, 0)),
	},
	{
		name: "push-referrers", title: text("push of referrers to one subject, 4 writers"), stock: manyReferrers, peers: keepers,
		run:   by((*site).pushReferrers),
		marks: marks(atLeast(rate, 2000), atMost(lost, 0)),
	},
	{
		name: "syncs", title: text("syncs of one push of a small image (config, layer, manifest and tag)"), stock: nothing, peers: keepers,
		trace: true,
		run:   by((*site).syncs),
	},
}

// text is a title that is always the same.
func text(s string) func(*options) string { return func(*options) string { return s } }

// tagged is a title that says how many tags there are.
func tagged(format string) func(*options) string {
	return func(o *options) string { return fmt.Sprintf(format, number(float64(o.tags))) }
}

func marks(m ...mark) func(*options) []mark { return func(*options) []mark { return m } }

// mark is what this registry shall reach: a limit, or a multiple of another peer's figure.
type mark struct {
	metric metric
	least  bool
	limit  float64
	peer   string
	who    string // whose figure it is about; empty: ours
}

func atMost(m metric, limit float64) mark  { return mark{metric: m, limit: limit} }
func atLeast(m metric, limit float64) mark { return mark{metric: m, limit: limit, least: true} }

// of makes the limit a multiple of a peer's figure.
func (m mark) of(peer string) mark { m.peer = peer; return m }

// on makes the mark one of another peer, instead of ours.
func (m mark) on(peer string) mark { m.who = peer; return m }

func (m mark) String() string {
	sign, what := "≤", m.metric.label()
	if m.least {
		sign = "≥"
	}
	if m.who != "" {
		what = m.who + "'s " + what
	}
	if m.peer != "" {
		return fmt.Sprintf("%s %s %s × %s's", what, sign, number(m.limit), m.peer)
	}
	return fmt.Sprintf("%s %s %s", what, sign, m.metric.show(m.limit))
}

// judge returns "met", "missed" or, where a figure is wanting, "—".
func (m mark) judge(figures map[string]measure) string {
	got, ok := figures[cmp.Or(m.who, ours)][m.metric]
	limit := m.limit
	if m.peer != "" {
		base, found := figures[m.peer][m.metric]
		limit, ok = limit*base, ok && found
	}
	switch {
	case !ok:
		return "—"
	case m.least && got >= limit, !m.least && got <= limit:
		return "met"
	default:
		return "missed"
	}
}

// by makes a round of a site's method.
func by(f func(*site, context.Context) (measure, error)) func(context.Context, *site) (measure, error) {
	return func(ctx context.Context, s *site) (measure, error) { return f(s, ctx) }
}
