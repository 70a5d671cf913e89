//go:build clients

package clients

import (
	"net/http"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// What does not fit into a quota is refused in the words of the registry, whichever client pushes. What fits still does, also where it is full but for what is there.
func TestClientsAreToldOfQuotas(t *testing.T) {
	r := registry(t, program.Config("quotas:\n  - {on: small, bytes: 3MiB}\n  - {on: few, tags: 1}\n"))
	s := docker(t, nil)
	s.env = append(s.env, "DOCKER_BUILDKIT=0")
	within(t, "the quotas are counted", func() bool {
		_, all := asks(t, http.MethodGet, "http://"+r+"/api/v1/quotas")
		return strings.Count(all, `"counted":true`) == 2
	})
	s.buildContext("large", 8<<20)
	s.run("docker", "build", "--network", "none", "-t", r+"/small/app:1", "large")
	contains(t, s.fails("docker", "push", r+"/small/app:1"), "the quota of small is 3145728 bytes, and this would make it", "delete what is not needed any more, or ask who runs the registry for more")
	s.run("docker", "import", s.importable(), r+"/small/app:2")
	s.run("docker", "push", r+"/small/app:2")

	s.write("data.bin", string(noise(t, 5<<20)))
	contains(t, s.fails("oras", "push", "--plain-http", r+"/small/tool:1", "data.bin"), "the quota of small is 3145728 bytes")
	i := newImage(t)
	i.push(t, r, "few/app", "1")
	s.run("oras", "tag", "--plain-http", r+"/few/app:1", "1")
	contains(t, s.fails("oras", "tag", "--plain-http", r+"/few/app:1", "2"), "the quota of few is 1 tags, and this would make it 2")
	contains(t, s.fails("skopeo", "copy", "--dest-tls-verify=false", "--src-tls-verify=false", "docker://"+r+"/few/app:1", "docker://"+r+"/few/app:3"), "the quota of few is 1 tags")
}
