// Package clients runs real clients against the true program: Docker Engine, containerd, podman, buildah, skopeo, oras, crane,
// regctl, helm, notation, curl and the public conformance suite, each as its user would type it.
//
//	make tools      # the clients that are built with Go; the others come from Debian
//	make clients    # as root: container engines mount file systems
//
// The tests carry the build tag clients, so that `go test ./...` needs neither root nor engines. None of them skips: a client that
// is missing fails its test with the line that installs it. Each test has its own registry, its own engine and a private folder,
// talks to loopback only and ends by its own pid what it started.
//
// The files login_* are about a registry that knows people, behind a certificate of an authority that only the test's clients trust (guard): each
// client logs in, is let in where it may go, and says so where it may not.
//
// CLIENTS_REGISTRY=host:port points the sessions at a registry that already runs, to tell a client's own trouble from ours.
// ENTREPOT_TEST_AS_REPLICAS=3 puts three replicas over a bucket and a database behind a proxy in the place of every registry (see package program), and no test
// knows of it; the few that are about one process say why (program.Alone). It needs PostgreSQL and the S3 server of `make tools` besides.
// CLIENTS_CONTAINERD=2 runs the nodes on containerd 2 (make tools-extra) instead of the packaged release.
package clients
