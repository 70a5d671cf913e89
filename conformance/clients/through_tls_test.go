//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// What is printed of a registry with a certificate names it by https. Whoever has an authority of their own tells it to the engine besides: to containerd by a
// line in each file, to podman by a folder.
func TestThroughTLS(t *testing.T) {
	hub := program.Start(t)
	i := newApart(t, "amd64")
	i.push(t, hub.Addr, "library/greeter", "1")
	w := watch(t, hub.Addr)
	s := node(t, "registry.test/node/pause:1")
	config, trusting := vouched(t, s)
	p := seen(t, config+"upstreams:\n  - {name: docker.io, urls: [\""+w.URL+"\"], root: true}\n", program.HTTPS(trusting))
	ca := filepath.Join(s.dir, "ca", "ca.crt")

	s.hosts(printed(t, p, "containerd"))
	const hosts = "certs.d/docker.io/hosts.toml"
	text := s.read(hosts)
	contains(t, text, `[host."https://`+p.Addr+`"]`)
	text = regexp.MustCompile(`(?m)^\s*ca = .*\n?`).ReplaceAllString(text, "") // where it lies is printed as it would be on a node
	s.write(hosts, strings.TrimSuffix(text, "\n")+"\n  ca = \""+ca+"\"\n")
	s.run("crictl", "pull", "docker.io/library/greeter:1")
	contains(t, s.run("crictl", "inspecti", "docker.io/library/greeter:1"), i.digest.String())
	w.fetchedOnce(t, i)
	w.forget()

	c := drop(t, printed(t, p, "podman"))
	lacking(t, printed(t, p, "podman")+printed(t, p, "docker"), "insecure", "http:")
	authority, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	c.write(".config/containers/certs.d/"+p.Addr+"/ca.crt", string(authority))
	c.run("podman", "pull", "docker.io/library/greeter:1")
	w.silent(t)
}
