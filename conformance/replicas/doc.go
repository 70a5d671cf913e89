// Package replicas looks at several registries over one bucket and one database: real programs, a real S3 server, a real PostgreSQL.
//
//	make tools && go test -tags backends ./conformance/replicas/
//
// Most tests speak to the replicas through a proxy that sends each request to the next one, so that hardly two requests of a client meet the same replica:
// what holds through it holds behind every load balancer. Tests that need a server of their own to stop, or a way to it to cut, start one.
//
// How long pushes and sweeps of the same content run side by side is said by a flag:
//
//	go test -tags backends ./conformance/replicas/ -run Sweep_beside -args -sweep.for=5m
//
// What one registry promises is looked at elsewhere; here is that many are as good as one, also while one of them dies or is cut off.
package replicas
