//go:build clients

package clients

import (
	"path/filepath"
	"testing"
)

// podman, buildah and skopeo share the file of logins, in which they keep passwords: they know no tokens for logging in.
func TestPodmanLogin(t *testing.T) {
	g := guard(t)
	s := storage(t, "")
	r, ca := g.addr, filepath.Dir(g.ca)
	login := func(name string) []string {
		return []string{"login", "--cert-dir", ca, "--username", name, "--password-stdin", r}
	}
	pull := func(repo string) []string { return []string{"pull", "--cert-dir", ca, r + "/" + repo} }
	push := func(repo string) []string {
		return []string{"push", "--cert-dir", ca, r + "/public/app:1", r + "/" + repo}
	}

	contains(t, s.fails("podman", "pull", r+"/public/app:1"), "x509")
	s.run("podman", pull("public/app:1")...)
	either(t, s.fails("podman", pull("cloud/dmp/app:1")...), unasked...)
	either(t, s.fails("podman", push("public/stray:1")...), unasked...)
	g.lacks("public/stray", "1")

	contains(t, s.failsWith(wrongPassword, "podman", login("dev")...), "invalid username/password")
	equal(t, s.read("auth.json"), "{}")
	contains(t, s.pipe(passwords["dev"], "podman", login("dev")...), "Login Succeeded")
	s.run("podman", pull("cloud/dmp/app:1")...)
	equal(t, s.podmanRun(r+"/cloud/dmp/app:1", "sum", "/big"), g.app.noise.String())
	s.run("podman", push("cloud/dmp/pushed:1")...)
	if !g.has("cloud/dmp/pushed", "1") {
		t.Fatal("podman pushed, and nothing is there")
	}
	contains(t, s.fails("podman", pull("cloud/core/app:1")...), hidden)
	contains(t, s.fails("podman", push("cloud/core/refused:1")...), hiddenPush)
	g.lacks("cloud/core/refused", "1")

	// What one of them is told the others know.
	sum := s.buildContext("build", 64<<10)
	s.write("build/Dockerfile", "FROM "+r+"/cloud/dmp/app:1\nCOPY big /bigger\n")
	s.run("buildah", "bud", "--cert-dir", ca, "--isolation", "chroot", "-t", r+"/cloud/dmp/built:1", "build")
	s.run("buildah", "push", "--cert-dir", ca, r+"/cloud/dmp/built:1")
	s.run("podman", "rmi", "--all", "--force")
	s.run("podman", pull("cloud/dmp/built:1")...)
	equal(t, s.podmanRun(r+"/cloud/dmp/built:1", "sum", "/bigger"), sum)

	s.run("podman", "logout", r)
	s.fails("podman", "login", "--get-login", r)
	either(t, s.fails("podman", pull("cloud/dmp/app:1")...), unasked...)

	s.run("podman", pull("public/app:1")...)
	s.pipe(passwords["reader"], "buildah", login("reader")...)
	contains(t, s.fails("podman", push("cloud/dmp/refused:1")...), denied)
	contains(t, s.fails("buildah", push("cloud/dmp/refused:1")...), denied)
	g.lacks("cloud/dmp/refused", "1")
	s.run("podman", pull("cloud/dmp/app:1")...)
}

func TestSkopeoLogin(t *testing.T) {
	g := guard(t)
	s := storage(t, "")
	g.trust(s)
	at := func(repo string) string { return "docker://" + g.addr + "/" + repo }
	g.app.layout(t, filepath.Join(s.dir, "layout"), "1")

	equal(t, s.run("skopeo", "inspect", "--format", "{{.Digest}}", at("public/app:1")), g.app.digest.String())
	either(t, s.fails("skopeo", "inspect", at("cloud/dmp/app:1")), unasked...)
	either(t, s.fails("skopeo", "list-tags", at("cloud/dmp/app")), unasked...)
	either(t, s.fails("skopeo", "copy", "oci:layout:1", at("public/stray:1")), unasked...)
	g.lacks("public/stray", "1")
	contains(t, s.failsWith(wrongPassword, "skopeo", "login", "-u", "reader", "--password-stdin", g.addr), "invalid username/password")

	s.pipe(passwords["reader"], "skopeo", "login", "-u", "reader", "--password-stdin", g.addr)
	equal(t, s.run("skopeo", "inspect", "--format", "{{.Digest}}", at("cloud/dmp/app:1")), g.app.digest.String())
	contains(t, s.run("skopeo", "list-tags", at("cloud/dmp/app")), `"1"`)
	contains(t, s.fails("skopeo", "copy", "oci:layout:1", at("cloud/dmp/refused:1")), denied)
	contains(t, s.fails("skopeo", "copy", at("cloud/dmp/app:1"), at("cloud/dmp/refused:1")), denied)
	g.lacks("cloud/dmp/refused", "1")
	contains(t, s.fails("skopeo", "delete", at("cloud/dmp/app:1")), denied)
	if !g.has("cloud/dmp/app", "1") {
		t.Fatal("a reader deleted it")
	}
	contains(t, s.fails("skopeo", "inspect", at("cloud/core/app:1")), hidden)
	contains(t, s.fails("skopeo", "list-tags", at("cloud/core/app")), "404 (Not Found)")

	// As somebody else for once, with each side's own credentials.
	creds := "ci-dmp:" + g.secrets["ci-dmp"]
	s.run("skopeo", "copy", "--dest-creds", creds, "oci:layout:1", at("cloud/dmp/robot:1"))
	s.run("skopeo", "copy", "--src-creds", "root:"+passwords["root"], "--dest-creds", "dev:"+passwords["dev"], at("cloud/core/app:1"), at("cloud/dmp/promoted:1"))
	if !g.has("cloud/dmp/robot", "1") || !g.has("cloud/dmp/promoted", "1") {
		t.Fatal("what was copied is not there")
	}
	contains(t, s.fails("skopeo", "copy", "--src-creds", creds, "--dest-creds", creds, at("cloud/core/app:1"), at("cloud/dmp/refused:1")), hidden)
	g.lacks("cloud/dmp/refused", "1")
}
