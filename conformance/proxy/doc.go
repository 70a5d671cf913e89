// Package proxy keeps the promises of the pull-through under every fault that an upstream can have.
//
// [TestMatrix] is a table: one row for each fault, and in it what a client gets of a tag that was never pulled (cold), that was pulled and is still fresh (fresh),
// or that has become stale and names something new upstream (stale), and of a blob that is not kept; for one client and for sixteen at once. Each cell looks at the
// answers, counts what the upstream was asked, and then asks the same stores with the upstream cut off what they have kept. One cell:
//
//	go test ./conformance/proxy -run 'TestMatrix/hang_before_headers/stale/16'
//
// The tests beside it are about blobs on their way, names, lists and strangers that an upstream points to.
//
// Everything is real but the program's process: registry, pull-through, API and door stand as cmd/entrepot puts them together, on a disk store and over loopback
// sockets, in front of a programmable upstream. In one process the clock is the test's, the timeouts are short, and the race detector sees all of it.
package proxy
