package main

import (
	"context"
	"fmt"
)

// sharedScenarios are about an index that several replicas may stand on: the same work over PostgreSQL and over a file, side by side.
var sharedScenarios = []*scenario{
	{
		name: "shared-get", title: text("manifest GET by tag, 64 connections, over a file and over PostgreSQL"), stock: shared(fewThings), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) { return s.manifests(ctx, "GET", 64, repo, 1, 1) },
	},
	{
		name: "shared-push-blob", title: text("push of a blob of 1 KiB, 1 connection, the same"), stock: shared(fewThings), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) { return s.pushes(ctx, kib, 1, 0, 0) },
	},
	{
		name: "shared-push-tag", title: text("push of a manifest with a tag, 1 connection, the same"), stock: shared(fewThings), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) { return s.pushesTags(ctx, 1, 1) },
	},
	{
		name: "shared-push-one", title: text("push of manifests with tags by 16 into one repository, the same"), stock: shared(fewThings), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) { return s.pushesTags(ctx, 16, 1) },
	},
	{
		name: "shared-push-own", title: text("push of manifests with tags by 16, each into its own repository, the same"), stock: shared(fewThings), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) { return s.pushesTags(ctx, 16, 16) },
	},
	{
		name: "shared-tags", title: tagged("all tags of %s in pages of 100, the same"), stock: shared(manyTags), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) {
			return s.walks(ctx, listing{"/v2/" + repo + "/tags/list?n=100", countTags, s.opt.tags, false})
		},
		marks: marks(atMost(p50, 2).of(ours).on(overPostgres)),
	},
	{
		name: "shared-catalog", title: text("catalog of 2,000 in pages of 100, the same"), stock: shared(manyRepos), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) {
			return s.walks(ctx, listing{"/v2/_catalog?n=100", countRepos, catalogSize, false})
		},
		marks: marks(atMost(p50, 2).of(ours).on(overPostgres)),
	},
	{
		name: "shared-referrers", title: text("referrers list of 1,000, the same"), stock: shared(manyReferrers), peers: bases,
		run: func(ctx context.Context, s *site) (measure, error) {
			return s.walks(ctx, listing{"/v2/" + repo + "/referrers/" + s.put["subject"], countDescriptors, referrersSize, true})
		},
		marks: marks(atMost(p50, 2).of(ours).on(overPostgres), atMost(lost, 0).on(overPostgres)),
	},
}

// copies are stocks of servers that other scenarios have no part in: what those push would be in the way.
var copies = map[*stock]*stock{}

func shared(st *stock) *stock {
	if copies[st] == nil {
		copies[st] = &stock{st.name, st.fill}
	}
	return copies[st]
}

// pushesTags pushes new manifests under new tags, into one repository or each connection into one of some.
func (s *site) pushesTags(ctx context.Context, conns, repos int) (measure, error) {
	names := make([]string, repos)
	for i := range names {
		names[i] = fmt.Sprintf("bench/into-%02d", i)
	}
	if err := spread(ctx, s.server, repos, func(c *conn, i int) error { return s.mountImage(c, names[i]) }); err != nil {
		return nil, err
	}
	l := load{conns: conns, time: s.opt.time(1), do: func(w *worker) (int64, error) {
		return 0, w.tag(names[w.id%repos], fmt.Sprintf("w%d", series.Add(1)), s.img.manifest())
	}}
	return l.run(ctx, s.server)
}
