//go:build clients

package clients

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
)

// hops is a hub, a registry through which it is seen, and one through which that one is seen.
type hops struct {
	hub, middle, near       *program.Program
	beforeHub, beforeMiddle *witness
}

// newHops lets tags be asked about again after a second.
func newHops(t *testing.T) *hops {
	t.Helper()
	h := &hops{hub: program.Start(t)}
	h.beforeHub = watch(t, h.hub.Addr)
	h.middle = seen(t, "upstreams:\n  - {name: docker.io, urls: [\""+h.beforeHub.URL+"\"], tagTTL: 1s, root: true}\n")
	h.beforeMiddle = watch(t, h.middle.Addr)
	h.near = seen(t, "upstreams:\n  - {name: docker.io, urls: [\""+h.beforeMiddle.URL+"\"], tagTTL: 1s, root: true}\n")
	return h
}

// get asks the near one, or another, for something of a repository of the hub.
func get(t *testing.T, p *program.Program, path string) (*http.Response, string) {
	t.Helper()
	return caller{base: p.URL}.ask(t, http.MethodGet, "/v2/docker.io/library/"+path, "", nil)
}

// A client pulls through two registries. Each keeps what passed, and serves it when what lies behind is gone; a tag that moves is seen at the near end.
func TestThroughTwoHops(t *testing.T) {
	h := newHops(t)
	first, second := newApart(t, runtime.GOARCH), newApart(t, runtime.GOARCH)
	first.push(t, h.hub.Addr, "library/greeter", "1", "still")
	s := drop(t, printed(t, h.near, "podman"))
	const name = "docker.io/library/greeter:1"
	s.run("podman", "pull", name)
	equal(t, s.podmanRun(name, "sum", "/big"), first.noise.String())
	h.beforeHub.fetchedOnce(t, first)
	h.beforeMiddle.fetchedOnce(t, first)

	// Both know by now what they would have to ask again after a while: the tag moves, and both see it.
	second.push(t, h.hub.Addr, "library/greeter", "1")
	within(t, "the near registry sees that the tag has moved", func() bool {
		res, _ := get(t, h.near, "greeter/manifests/1")
		return res.Header.Get("Docker-Content-Digest") == second.digest.String()
	})
	s.run("podman", "pull", name)
	equal(t, s.podmanRun(name, "sum", "/big"), second.noise.String())
	h.beforeHub.forget()
	h.beforeMiddle.forget()

	// The hub stops. The middle one says that what it serves may be old.
	h.hub.Stop()
	h.beforeHub.close()
	serves := func(p *program.Program, warned bool) {
		t.Helper()
		within(t, "what is kept is served with a warning", func() bool {
			res, body := get(t, p, "greeter/manifests/1")
			if res.StatusCode != http.StatusOK || body != string(second.manifest) {
				t.Fatalf("%s, %d bytes, with the upstream gone", res.Status, len(body))
			}
			return !warned || res.Header.Get("Warning") != ""
		})
		for _, b := range second.blobs {
			if _, body := get(t, p, "greeter/blobs/"+digest.FromBytes(b).String()); body != string(b) {
				t.Errorf("%s has other bytes for a blob of %d", p.Addr, len(b))
			}
		}
	}
	serves(h.middle, true)
	serves(h.near, false)
	if res, _ := get(t, h.near, "greeter/manifests/never"); res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusBadGateway {
		t.Errorf("what nobody has, with the hub gone: %s, want that the upstream does not answer", res.Status)
	}

	// The middle one stops too.
	h.middle.Stop()
	h.beforeMiddle.close()
	serves(h.near, true)
	s.run("podman", "rmi", "--all", "--force")
	s.run("podman", "pull", name)
	equal(t, s.podmanRun(name, "sum", "/big"), second.noise.String())
	s.run("podman", "pull", "docker.io/library/greeter@"+first.digest.String())
}

// With the hub gone, what the middle one does not have is no reason for the near one to leave it alone: what it has still comes.
func TestThroughTwoHopsHubGone(t *testing.T) {
	h := newHops(t)
	i := newApart(t, "amd64")
	i.push(t, h.hub.Addr, "library/kept", "1")
	if res, body := get(t, h.middle, "kept/manifests/1"); res.StatusCode != http.StatusOK {
		t.Fatalf("%s\n%s", res.Status, body)
	}
	for _, b := range i.blobs {
		get(t, h.middle, "kept/blobs/"+digest.FromBytes(b).String())
	}
	h.hub.Stop()
	h.beforeHub.close()
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		if res, body := get(t, h.near, "never/manifests/"+tag); res.StatusCode < 500 {
			t.Errorf("what nobody has, with the hub gone: %s\n%s", res.Status, body)
		}
	}
	res, body := get(t, h.near, "kept/manifests/1")
	if res.StatusCode != http.StatusOK || body != string(i.manifest) {
		t.Errorf("what the middle one has, with the hub gone: %s\n%s", res.Status, body)
	}
	for _, b := range i.blobs {
		if res, body := get(t, h.near, "kept/blobs/"+digest.FromBytes(b).String()); body != string(b) {
			t.Errorf("a blob that the middle one has, with the hub gone: %s, %d bytes", res.Status, len(body))
		}
	}
}

// largeLayer is what takes long enough to be killed in the middle of.
const largeLayer = 200 << 20

// The middle one of two is killed while a large layer passes, and is there again at once. The client has the right bytes in the end, and so has each registry.
func TestThroughMiddleKilled(t *testing.T) {
	h := newHops(t)
	i := newLargeImage(t, largeLayer)
	i.push(t, h.hub.Addr, "library/large", "1")
	s := drop(t, printed(t, h.near, "podman"))
	g := h.beforeHub.hold(80 << 20)
	pulled := s.starts("skopeo", "copy", "docker://docker.io/library/large:1", "dir:copied")
	arrives(t, g.reached)
	h.middle.Kill()
	close(g.open)
	h.middle.Restart()
	if err := <-pulled; err != nil {
		t.Logf("the client has to come again: %v", err)
		within(t, "the client has all of it", func() bool {
			_, _, err := s.try("", "skopeo", "copy", "docker://docker.io/library/large:1", "dir:copied")
			return err == nil
		})
	}
	s.copied(i)
	for _, p := range []*program.Program{h.middle, h.near} {
		has(t, p, i)
	}
}

// The middle one is killed, and stays away until the near one leaves it alone for a while. The near one goes on from where it stood when it is there again,
// and its client notices nothing.
func TestThroughMiddleAway(t *testing.T) {
	h := newHops(t)
	i := newLargeImage(t, 20<<20)
	i.push(t, h.hub.Addr, "library/large", "1")
	s := drop(t, printed(t, h.near, "podman"))
	g := h.beforeHub.hold(8 << 20)
	pulled := s.starts("skopeo", "copy", "docker://docker.io/library/large:1", "dir:copied")
	arrives(t, g.reached)
	h.middle.Kill()
	close(g.open)
	within(t, "the near registry leaves the middle one alone", func() bool { return strings.Contains(h.near.Log(), "left alone for a while") })
	h.middle.Restart()
	if err := <-pulled; err != nil {
		t.Fatalf("the client noticed that a registry behind its own was away for a moment: %v", err)
	}
	s.copied(i)
	has(t, h.near, i)
	if n := h.beforeMiddle.resumed(); n == 0 {
		t.Errorf("the near registry did not go on from where it stood: %q", h.beforeMiddle.all())
	}
}

// The registry that a client pulls from is killed while a large layer passes. The client comes again and gets the right bytes.
func TestThroughKilled(t *testing.T) {
	hub := program.Start(t)
	i := newLargeImage(t, largeLayer)
	i.push(t, hub.Addr, "library/large", "1")
	w := watch(t, hub.Addr)
	p := seen(t, "upstreams:\n  - {name: docker.io, urls: [\""+w.URL+"\"], root: true}\n")
	s := docker(t, daemon(t, printed(t, p, "docker")))
	g := w.hold(80 << 20)
	pulled := s.starts("docker", "pull", "large:1")
	arrives(t, g.reached)
	p.Kill()
	close(g.open)
	p.Restart()
	if err := <-pulled; err != nil {
		t.Fatalf("the client did not come again: %v", err)
	}
	contains(t, s.run("docker", "image", "inspect", "large:1"), i.digest.String())
	has(t, p, i)
	p.Stop()
	if out, err := p.CLI("verify", "--config", "config.yml"); err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
}

// starts types a command that goes on while the test does something else; what comes of it is told when it has ended.
func (s *session) starts(name string, args ...string) <-chan error {
	s.t.Helper()
	client(s.t, name)
	ended := make(chan error, 1)
	go func() {
		_, all, err := s.try("", name, args...)
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, all)
		}
		ended <- err
	}()
	return ended
}

// copied fails the test unless skopeo has copied the image's manifest and its layer.
func (s *session) copied(i image) {
	s.t.Helper()
	equal(s.t, s.read("copied/manifest.json"), string(i.manifest))
	layer := digest.FromBytes(i.blobs[1])
	if got := digest.FromString(s.read("copied/" + layer.Encoded())); got != layer {
		s.t.Errorf("the client has %s, want %s", got, layer)
	}
}

// has fails the test unless the registry serves the image's layer.
func has(t *testing.T, p *program.Program, i image) {
	t.Helper()
	layer := digest.FromBytes(i.blobs[1])
	if res, body := get(t, p, "large/blobs/"+layer.String()); digest.FromString(body) != layer {
		t.Errorf("%s: %s, and %d bytes that are not those of the layer", p.Addr, res.Status, len(body))
	}
}

// arrives waits until a blob stands at its gate.
func arrives(t *testing.T, reached <-chan struct{}) {
	t.Helper()
	select {
	case <-reached:
	case <-time.After(patience):
		t.Fatal("the blob did not come as far as it should")
	}
}
