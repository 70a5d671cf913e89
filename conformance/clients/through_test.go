//go:build clients

package clients

import (
	"io"
	"log"
	"net/http"
	"runtime"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// quiet is for servers of the test's own, whose clients break off on purpose.
var quiet = log.New(io.Discard, "", 0)

// elsewhere is two other registries with an image each, and one through which both are seen: Docker Hub, which is asked for what no name says is elsewhere,
// and another.
type elsewhere struct {
	*program.Program
	hub, other       *program.Program
	atHub, atOther   *witness
	greeter, service image
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{hub: program.Start(t), other: program.Start(t), greeter: newApart(t, runtime.GOARCH), service: newApart(t, runtime.GOARCH)}
	e.greeter.push(t, e.hub.Addr, "library/greeter", "1")
	e.service.push(t, e.other.Addr, "team/service", "1")
	e.atHub, e.atOther = watch(t, e.hub.Addr), watch(t, e.other.Addr)
	e.Program = seen(t, `upstreams:
  - {name: docker.io, urls: ["`+e.atHub.URL+`"], root: true}
  - {name: up.example.com, urls: ["`+e.atOther.URL+`"]}
`)
	return e
}

// gone stops both other registries.
func (e *elsewhere) gone() {
	e.hub.Stop()
	e.other.Stop()
	e.atHub.close()
	e.atOther.close()
}

// What is printed for containerd lets a node pull from two other registries through this one, and from themselves if this one is down.
func TestThroughNode(t *testing.T) {
	e := newElsewhere(t)
	s := node(t, e.Addr+"/node/pause:1")
	s.hosts(printed(t, e.Program, "containerd"))
	images := map[string]image{"docker.io/library/greeter:1": e.greeter, "up.example.com/team/service:1": e.service}
	pull := func() {
		t.Helper()
		for name, i := range images {
			s.run("crictl", "pull", name)
			contains(t, s.run("crictl", "inspecti", name), i.digest.String())
			s.run("crictl", "rmi", name)
		}
	}
	pull()
	e.atHub.fetchedOnce(t, e.greeter)
	e.atOther.fetchedOnce(t, e.service)
	contains(t, s.fails("crictl", "pull", "docker.io/library/stranger:1"), "not found")

	// This registry down: the printed text names where else they are.
	e.atHub.forget()
	e.atOther.forget()
	e.Stop()
	pull()
	if e.atHub.manifests() == 0 || e.atOther.manifests() == 0 {
		t.Errorf("with the registry down, the node asked Docker Hub for %q and the other for %q", e.atHub.all(), e.atOther.all())
	}

	// They down, and it up.
	e.gone()
	e.Restart()
	pull()
	_, measured := asks(t, http.MethodGet, e.URL+"/metrics")
	contains(t, measured, `entrepot_upstream_up{upstream="docker.io"}`, `entrepot_upstream_up{upstream="up.example.com"}`, "entrepot_upstream_stale_total")
}

// What is printed for podman lets it and skopeo pull from both through this one.
func TestThroughPodman(t *testing.T) {
	e := newElsewhere(t)
	s := drop(t, printed(t, e.Program, "podman"))
	for _, name := range []string{"docker.io/library/greeter:1", "up.example.com/team/service:1"} {
		s.run("podman", "pull", name)
		equal(t, s.podmanRun(name), greeting)
	}
	equal(t, s.podmanRun("up.example.com/team/service:1", "sum", "/big"), e.service.noise.String())
	e.atHub.fetchedOnce(t, e.greeter)
	e.atOther.fetchedOnce(t, e.service)

	// What is kept serves the next, whoever that is.
	e.atHub.forget()
	e.atOther.forget()
	s.run("podman", "rmi", "--all", "--force")
	s.run("podman", "pull", "docker.io/library/greeter:1")
	equal(t, s.run("skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", "docker://up.example.com/team/service:1"), e.service.digest.String())
	s.run("skopeo", "copy", "docker://up.example.com/team/service:1", "dir:copied")
	equal(t, s.read("copied/manifest.json"), string(e.service.manifest))
	e.atHub.silent(t)
	e.atOther.silent(t)

	// By the whole name, without a mirror.
	whole := "docker://" + e.Addr + "/up.example.com/team/service"
	contains(t, s.run("skopeo", "list-tags", "--tls-verify=false", whole), `"1"`)
	contains(t, s.fails("skopeo", "inspect", "--tls-verify=false", whole+":2"), "manifest unknown")
	e.gone()
	s.run("skopeo", "copy", "--src-tls-verify=false", whole+":1", "dir:again")
	equal(t, s.read("again/manifest.json"), string(e.service.manifest))
	contains(t, s.fails("crane", "manifest", "--insecure", e.Addr+"/up.example.com/team/never:1"), "up.example.com does not answer")
}

// What is printed for Docker Engine makes this registry its mirror of Docker Hub; the other registry is behind this one's name.
func TestThroughDocker(t *testing.T) {
	e := newElsewhere(t)
	s := docker(t, daemon(t, printed(t, e.Program, "docker")))
	service := e.Addr + "/up.example.com/team/service:1"
	s.run("docker", "pull", "greeter:1")
	s.run("docker", "pull", service)
	contains(t, s.run("docker", "image", "inspect", "greeter:1"), e.greeter.digest.String())
	equal(t, s.run("docker", "run", "--rm", "--network", "none", "greeter:1"), greeting)
	equal(t, s.run("docker", "run", "--rm", "--network", "none", service, "sum", "/big"), e.service.noise.String())
	e.atHub.fetchedOnce(t, e.greeter)
	e.atOther.fetchedOnce(t, e.service)

	// It is a mirror of nothing else, and no place to push what is elsewhere.
	contains(t, s.fails("docker", "push", service), "denied")

	e.gone()
	s.run("docker", "rmi", "greeter:1", service)
	s.run("docker", "system", "prune", "--all", "--force")
	s.run("docker", "pull", "greeter:1")
	s.run("docker", "pull", service)
	equal(t, s.run("docker", "run", "--rm", "--network", "none", "greeter:1"), greeting)
	equal(t, s.run("docker", "run", "--rm", "--network", "none", service), greeting)
}
