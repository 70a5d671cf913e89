package main

import "context"

// authScenarios are about whoever shows who it is.
var authScenarios = []*scenario{
	{
		name: "auth-bearer", title: text("manifest GET with a Bearer token, 64 connections, × without it"), stock: tokenGuard, peers: keepers,
		run:   by((*site).withToken),
		marks: marks(atLeast(ratio, 0.85)),
	},
	{
		name: "auth-fresh", title: text("the same, each time with a token not shown before"), stock: tokenGuard, peers: keepers,
		run: by((*site).freshTokens),
	},
	{
		name: "auth-forged", title: text("the same with tokens whose signature is wrong (401)"), stock: tokenGuard, peers: keepers,
		run: by((*site).forgedTokens),
	},
	{
		name: "auth-unknown-key", title: text("the same with tokens of keys that nobody knows (401)"), stock: tokenGuard, peers: keepers,
		run: by((*site).strangeTokens),
	},
	{
		name: "auth-basic-user", title: text("manifest GET with a password (bcrypt, cost 10), 64 connections, × without it"),
		stock: passwordGuard, peers: keepers,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.beside(ctx, repo, repo, s.put[user]) },
		marks: marks(atMost(cpuMore, 10)),
	},
	{
		name: "auth-basic-robot", title: text("manifest GET with a robot's secret, 64 connections, × without it"),
		stock: passwordGuard, peers: []string{ours},
		run:   func(ctx context.Context, s *site) (measure, error) { return s.beside(ctx, repo, repo, s.put[robot]) },
		marks: marks(atMost(cpuMore, 10)),
	},
	{
		name: "auth-token", title: text("a token for a robot's secret, 16 connections"), stock: passwordGuard, peers: []string{ours},
		run:   func(ctx context.Context, s *site) (measure, error) { return s.asks(ctx, 1) },
		marks: marks(atMost(p50, 2000)),
	},
	{
		name: "auth-tokens", title: text("the same, each for another of 4,096 repositories"), stock: passwordGuard, peers: []string{ours},
		run:   func(ctx context.Context, s *site) (measure, error) { return s.asks(ctx, 4096) },
		marks: marks(atMost(p50, 2000)),
	},
	{
		name: "auth-hashing", title: text("manifest GET, 16 connections, while 8 log in (bcrypt, cost 12), × without them"),
		stock: hashGuard, peers: []string{ours},
		run:   by((*site).whileHashing),
		marks: marks(atMost(p99, 20_000), atLeast(ratio, 0.4)),
	},
	{
		name: "auth-start", title: text("start with 10,000 users and as many grants"), stock: accountGuard, peers: []string{ours},
		run:   by((*site).startsWithAccounts),
		marks: marks(atMost(cold, 60_000)),
	},
	{
		name: "auth-grants", title: text("manifest GET with a Bearer token among 10,000 grants, 64 connections, × without it"),
		stock: accountGuard, peers: []string{ours},
		run:   by((*site).withGrant),
		marks: marks(atLeast(ratio, 0.85)),
	},
}
