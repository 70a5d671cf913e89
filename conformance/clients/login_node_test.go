//go:build clients

package clients

import (
	"encoding/base64"
	"testing"
)

// node starts a node that finds the registry under the name registry.test, by the hosts file that says where it is and who vouches for it.
func (g *guarded) node(t *testing.T) *session {
	t.Helper()
	s := node(t, "registry.test/node/pause:1")
	s.write("certs.d/registry.test/hosts.toml", `server = "https://`+g.addr+`"
ca = "`+g.ca+`"
[host."https://`+g.addr+`"]
  capabilities = ["pull", "resolve", "push"]
  ca = "`+g.ca+`"
`)
	return s
}

// absent fails the test if the node has an image.
func (s *session) absent(image string) {
	s.t.Helper()
	lacking(s.t, s.run("crictl", "images", "--output", "json"), image)
}

// What containerd says to a wrong password, and of what is not there for whoever asks. The registry's own words get lost on the way.
const (
	nodeWrong  = "failed to fetch oauth token"
	nodeHidden = "not found"
)

// A node pulls with what its kubelet gives it for one pull, and keeps nothing of that for the next.
func TestNodeLogin(t *testing.T) {
	g := guard(t)
	s := g.node(t)
	const app, core, open = "registry.test/cloud/dmp/app:1", "registry.test/cloud/core/app:1", "registry.test/public/app:1"

	either(t, s.fails("crictl", "pull", app), unasked...)
	contains(t, s.fails("crictl", "pull", "--creds", "kubelet:"+wrongPassword, app), nodeWrong)
	contains(t, s.fails("crictl", "pull", "--creds", "nobody:"+passwords["nobody"], app), nodeHidden)
	contains(t, s.fails("crictl", "pull", "--creds", "kubelet:"+g.secrets["kubelet"], core), nodeHidden)
	s.absent("/app:1")

	s.run("crictl", "pull", open)
	s.run("crictl", "rmi", open)
	for _, creds := range []string{"kubelet:" + g.secrets["kubelet"], "dev:" + passwords["dev"], "paper:" + passwords["paper"]} {
		s.run("crictl", "pull", "--creds", creds, app)
		contains(t, s.run("crictl", "inspecti", app), g.app.digest.String())
		s.run("crictl", "rmi", app)
		s.run("crictl", "pull", "--auth", base64.StdEncoding.EncodeToString([]byte(creds)), app)
		s.run("crictl", "rmi", app)
		either(t, s.fails("crictl", "pull", app), unasked...)
	}
	s.absent("/app:1")
}

// ctr takes credentials by the same rules, and pushes with them.
func TestContainerdLogin(t *testing.T) {
	g := guard(t)
	s := g.node(t)
	pull := func(image string, user ...string) []string {
		return append(append([]string{"images", "pull", "--hosts-dir", s.dir + "/certs.d"}, user...), "registry.test/"+image)
	}
	push := func(image, who string) []string {
		return []string{"images", "push", "--hosts-dir", s.dir + "/certs.d", "--user", who, "registry.test/" + image, "registry.test/cloud/dmp/app:1"}
	}
	dev, reader := "dev:"+passwords["dev"], "reader:"+passwords["reader"]

	either(t, s.fails("ctr", pull("cloud/dmp/app:1")...), unasked...)
	contains(t, s.fails("ctr", pull("cloud/dmp/app:1", "--user", "dev:"+wrongPassword)...), nodeWrong)
	contains(t, s.fails("ctr", pull("cloud/core/app:1", "--user", dev)...), nodeHidden)
	equal(t, s.run("ctr", "images", "ls", "--quiet"), "")
	s.run("ctr", pull("public/app:1")...)
	s.run("ctr", pull("cloud/dmp/app:1", "--user", dev)...)

	s.run("ctr", push("cloud/dmp/pushed:1", dev)...)
	if !g.has("cloud/dmp/pushed", g.app.digest.String()) {
		t.Fatal("ctr pushed something else than it had pulled")
	}
	s.fails("ctr", push("cloud/dmp/refused:1", reader)...)
	g.lacks("cloud/dmp/refused", "1")
	s.fails("ctr", push("cloud/core/refused:1", dev)...)
	g.lacks("cloud/core/refused", "1")
}
