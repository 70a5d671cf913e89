//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Kubernetes node pulls through its container runtime interface, and a pod of the image runs.
func TestNodePullsAndRunsAPod(t *testing.T) {
	r := registry(t)
	pause, app := newImage(t, "wait"), newImage(t)
	pause.push(t, r, "node/pause", "1")
	app.push(t, r, "node/app", "1")
	s := node(t, r+"/node/pause:1")

	s.run("crictl", "pull", r+"/node/app:1")
	contains(t, s.run("crictl", "inspecti", r+"/node/app:1"), app.digest.String())

	s.write("pod.json", `{"metadata":{"name":"p","namespace":"default","uid":"u"},"log_directory":"`+s.dir+`/logs",`+
		`"linux":{"security_context":{"namespace_options":{"network":2}}}}`) // 2: the host's network, so that no network plugin is needed
	s.write("greet.json", `{"metadata":{"name":"greet"},"image":{"image":"`+r+`/node/app:1"},"log_path":"greet.log"}`)
	s.write("sum.json", `{"metadata":{"name":"sum"},"image":{"image":"`+r+`/node/app:1"},"args":["sum","/big"],"log_path":"sum.log"}`)
	pod := strings.TrimSpace(s.run("crictl", "runp", "pod.json"))
	t.Cleanup(func() {
		// A pod that outlived its containerd would keep its shim running.
		s.run("crictl", "stopp", pod)
		s.run("crictl", "rmp", "--force", pod)
	})
	for name, want := range map[string]string{"greet": greeting, "sum": app.noise.String()} {
		id := strings.TrimSpace(s.run("crictl", "create", "--no-pull", pod, name+".json", "pod.json"))
		s.run("crictl", "start", id)
		within(t, name+" said "+want, func() bool {
			log, _ := os.ReadFile(filepath.Join(s.dir, "logs", name+".log"))
			return strings.Contains(string(log), want)
		})
	}
	contains(t, s.fails("crictl", "pull", r+"/node/app:none"), "not found")
}

// A pull by digest needs no tag: what a deployment pins is what runs.
func TestNodePullsByDigest(t *testing.T) {
	r := registry(t)
	i := newImage(t)
	i.push(t, r, "node/pinned", "1")
	s := node(t, r+"/node/pause:1")
	s.run("crictl", "pull", r+"/node/pinned@"+i.digest.String())
	contains(t, s.run("crictl", "images", "--digests", "--output", "json"), r+"/node/pinned@"+i.digest.String())
}

// A node that has the registry as its mirror asks it for images of another host, and names that host in the query (?ns=).
func TestNodeMirror(t *testing.T) {
	r := registry(t)
	i := newImage(t)
	i.push(t, r, "library/greeter", "1")
	s := node(t, r+"/node/pause:1")
	// With the true Hub as server a miss would be looked for outside; here the registry has the last word.
	s.write("certs.d/docker.io/hosts.toml", `server = "http://`+r+`"
[host."http://`+r+`"]
  capabilities = ["pull", "resolve"]
`)
	s.run("crictl", "pull", "docker.io/library/greeter:1")
	contains(t, s.run("crictl", "inspecti", "docker.io/library/greeter:1"), i.digest.String())
	contains(t, s.fails("crictl", "pull", "docker.io/library/stranger:1"), "not found")
}

// ctr is containerd's own client: it pulls by the hosts files too, and pushes.
func TestContainerdPush(t *testing.T) {
	r := registry(t)
	i := newImage(t)
	i.push(t, r, "ctr/app", "1")
	s := node(t, r+"/node/pause:1")
	s.write("certs.d/registry.test/hosts.toml", `server = "http://`+r+`"
[host."http://`+r+`"]
  capabilities = ["pull", "resolve", "push"]
`)
	s.run("ctr", "images", "pull", "--hosts-dir", s.dir+"/certs.d", "registry.test/ctr/app:1")
	s.run("ctr", "images", "push", "--plain-http", r+"/ctr/again:1", "registry.test/ctr/app:1")
	equal(t, newSession(t).run("crane", "digest", "--insecure", r+"/ctr/again:1"), i.digest.String())
}
