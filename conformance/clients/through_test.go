//go:build clients

package clients

import (
	"net/http"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// A cluster pulls Docker Hub's images through the registry: a node by its hosts file (?ns=), docker by its mirror, and anybody by the path. When the Hub is gone they still have
// what was pulled once.
func TestThroughTheRegistry(t *testing.T) {
	hub := program.Start(t)
	i := newImage(t)
	i.push(t, hub.Addr, "library/greeter", "1")
	r := registry(t, program.Config("upstreams:\n  - {name: docker.io, urls: [\"http://"+hub.Addr+"\"], tagTTL: 1s, root: true}\n"))

	s := node(t, r+"/node/pause:1")
	s.write("certs.d/docker.io/hosts.toml", `server = "http://`+r+`"
[host."http://`+r+`"]
  capabilities = ["pull", "resolve"]
`)
	s.run("crictl", "pull", "docker.io/library/greeter:1")
	contains(t, s.run("crictl", "inspecti", "docker.io/library/greeter:1"), i.digest.String())
	contains(t, s.fails("crictl", "pull", "docker.io/library/stranger:1"), "not found")

	// Docker Engine names no registry when it asks its mirror.
	mirrored := docker(t, map[string]any{"registry-mirrors": []string{"http://" + r}})
	mirrored.run("docker", "pull", "greeter:1")
	contains(t, mirrored.run("docker", "image", "inspect", "greeter:1"), i.digest.String())

	hub.Stop()
	s.run("crictl", "rmi", "docker.io/library/greeter:1")
	s.run("crictl", "pull", "docker.io/library/greeter:1")
	_, measured := asks(t, http.MethodGet, "http://"+r+"/metrics")
	contains(t, string(measured), `entrepot_upstream_up{upstream="docker.io"}`)
	contains(t, string(measured), "entrepot_upstream_stale_total")
	d := docker(t, nil)
	d.run("docker", "pull", r+"/docker.io/library/greeter:1")
	equal(t, d.run("docker", "run", "--rm", "--network", "none", r+"/docker.io/library/greeter:1"), greeting)
	equal(t, newSession(t).run("crane", "digest", "--insecure", r+"/docker.io/library/greeter:1"), i.digest.String())
	contains(t, newSession(t).fails("crane", "digest", "--insecure", r+"/docker.io/library/never:1"), "upstream")
}
