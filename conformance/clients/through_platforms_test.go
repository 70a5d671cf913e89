//go:build clients

package clients

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
)

// Of an index of two platforms only what a client asks for is fetched, and each once; everything it names can be had even so.
func TestThroughPlatforms(t *testing.T) {
	const foreign = "s390x" // no machine of a test's
	images := map[string]image{runtime.GOARCH: newApart(t, runtime.GOARCH), foreign: newApart(t, foreign)}
	hub := program.Start(t)
	index := pushIndex(t, hub.Addr, "library/both", "1", images)
	w := watch(t, hub.Addr)
	p := seen(t, "upstreams:\n  - {name: docker.io, urls: [\""+w.URL+"\"]}\n")
	s := drop(t, printed(t, p, "podman"))

	fetched := func(i image) (n int) {
		for _, b := range i.blobs {
			n += w.count(http.MethodGet, "/blobs/"+digest.FromBytes(b).String())
		}
		return n
	}
	want := func(own, other int) {
		t.Helper()
		if a, b := fetched(images[runtime.GOARCH]), fetched(images[foreign]); a != own || b != other {
			t.Errorf("%d blobs of the machine's platform were fetched and %d of the other's, want %d and %d", a, b, own, other)
		}
	}
	s.run("podman", "pull", "docker.io/library/both:1")
	equal(t, s.podmanRun("docker.io/library/both:1", "sum", "/big"), images[runtime.GOARCH].noise.String())
	want(3, 0)
	if n := w.count(http.MethodGet, "/manifests/"+images[foreign].digest.String()); n != 0 {
		t.Errorf("the other platform's manifest was fetched %d times, and nobody wanted it", n)
	}
	s.run("podman", "pull", "docker.io/library/both@"+index.String())
	want(3, 0)
	s.run("podman", "pull", "--platform", "linux/"+foreign, "docker.io/library/both:1")
	want(3, 3)

	// All of it to a folder, as a mirror of an air-gapped place is made: nothing is fetched twice, and nothing of it is asked of the hub when it is gone.
	from := "docker://" + p.Addr + "/docker.io/library/both:1"
	s.run("skopeo", "copy", "--all", "--src-tls-verify=false", from, "dir:all")
	want(3, 3)
	hub.Stop()
	w.close()
	s.run("skopeo", "copy", "--all", "--src-tls-verify=false", from, "dir:again")
	equal(t, s.read("again/manifest.json"), s.read("all/manifest.json"))
	equal(t, digest.FromString(s.read("again/manifest.json")).String(), index.String())
}
