//go:build clients

package clients

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// A developer logs in once; what docker keeps is no password, and it pushes and pulls with that until it is withdrawn.
func TestDockerLogin(t *testing.T) {
	g := guard(t)
	s := g.docker(t)
	s.run("docker", "import", s.importable(), distant+"/cloud/dmp/pushed:1")

	contains(t, s.failsWith(wrongPassword, "docker", "login", "--username", "dev", "--password-stdin", distant), "unauthorized")
	either(t, s.fails("docker", "push", distant+"/cloud/dmp/pushed:1"), unasked...)
	g.lacks("cloud/dmp/pushed", "1")

	s.dockerLogin("dev", passwords["dev"])
	kept := s.read("cfg/config.json")
	contains(t, field(t, kept, "auths", distant, "identitytoken"), "ent_")
	if name, _ := base64.StdEncoding.DecodeString(strings.Trim(field(t, kept, "auths", distant, "auth"), `"`)); string(name) != "dev:" {
		t.Fatalf("docker keeps %q, want the name and no password", name)
	}
	contains(t, g.logins("dev"), `"purpose":"login"`, `"note":"login of docker"`)

	s.run("docker", "push", distant+"/cloud/dmp/pushed:1")
	s.run("docker", "tag", distant+"/cloud/dmp/pushed:1", distant+"/cloud/dmp/second/pushed:1")
	contains(t, s.run("docker", "push", distant+"/cloud/dmp/second/pushed:1"), "Mounted from cloud/dmp/pushed")
	s.forget()
	s.run("docker", "pull", distant+"/cloud/dmp/second/pushed:1")
	equal(t, s.run("docker", "run", "--rm", "--network", "none", distant+"/cloud/dmp/second/pushed:1", "/hello"), greeting)

	// Logging out here leaves what was kept elsewhere; withdrawing ends it everywhere and at once.
	s.run("docker", "logout", distant)
	lacking(t, s.read("cfg/config.json"), distant)
	s.outside(g)
	s.write("cfg/config.json", kept)
	s.run("docker", "pull", distant+"/cloud/dmp/app:1")
	g.manage(http.MethodPatch, "users/dev", map[string]any{"disabled": true}, http.StatusOK)
	s.forget()
	contains(t, s.fails("docker", "pull", distant+"/cloud/dmp/app:1"), "unauthorized")
}

// outside is docker without a login: it gets what is for anyone, and nothing else.
func (s *session) outside(g *guarded) {
	s.t.Helper()
	s.run("docker", "pull", distant+"/public/app:1")
	s.run("docker", "tag", distant+"/public/app:1", distant+"/public/stray:1")
	either(s.t, s.fails("docker", "push", distant+"/public/stray:1"), unasked...)
	g.lacks("public/stray", "1")
	either(s.t, s.fails("docker", "pull", distant+"/cloud/dmp/app:1"), unasked...)
	either(s.t, s.fails("docker", "pull", distant+"/cloud/core/app:1"), unasked...)
}

// Whoever may not push is told so, and whoever may not know what is there is told that nothing is.
func TestDockerLoginWithoutRights(t *testing.T) {
	g := guard(t)
	s := g.docker(t)
	push := func(repo string) string {
		t.Helper()
		s.run("docker", "tag", distant+"/public/app:1", distant+"/"+repo+":1")
		said := s.fails("docker", "push", distant+"/"+repo+":1")
		g.lacks(repo, "1")
		return said
	}
	s.outside(g)

	s.dockerLogin("reader", passwords["reader"])
	s.run("docker", "pull", distant+"/cloud/dmp/app:1")
	contains(t, push("cloud/dmp/pushed"), denied)
	contains(t, push("public/pushed"), denied)
	contains(t, push("cloud/core/pushed"), hiddenPush)
	contains(t, s.fails("docker", "pull", distant+"/cloud/core/app:1"), hidden)

	s.dockerLogin("nobody", passwords["nobody"])
	s.forget()
	s.run("docker", "pull", distant+"/public/app:1")
	contains(t, push("cloud/dmp/pushed"), hiddenPush)
	said := s.fails("docker", "pull", distant+"/cloud/core/app:1")
	contains(t, said, hidden)
	equal(t, s.fails("docker", "pull", distant+"/cloud/core/none:1"), strings.ReplaceAll(said, "core/app", "core/none"))
}

// A layer is not mounted out of a repository that one may not pull from, even if the engine has it from there; docker then uploads it.
func TestDockerMountsNothingHidden(t *testing.T) {
	g := guard(t)
	s := g.docker(t)
	s.dockerLogin("root", passwords["root"])
	s.run("docker", "pull", distant+"/cloud/core/app:1")
	s.run("docker", "logout", distant)
	g.as("root").send(t, http.MethodDelete, "/v2/cloud/dmp/app/manifests/1", "", nil, http.StatusAccepted)

	s.dockerLogin("dev", passwords["dev"])
	s.run("docker", "tag", distant+"/cloud/core/app:1", distant+"/cloud/dmp/copied:1")
	lacking(t, s.run("docker", "push", distant+"/cloud/dmp/copied:1"), "Mounted from")
	s.forget()
	s.run("docker", "pull", distant+"/cloud/dmp/copied:1")
	equal(t, s.run("docker", "run", "--rm", "--network", "none", distant+"/cloud/dmp/copied:1", "sum", "/big"), g.app.noise.String())
}

// A robot logs in with its secret, and somebody from a file with a password, which docker then has to keep: there is nothing that would end with the
// line in the file.
func TestDockerLoginOfOthers(t *testing.T) {
	g := guard(t)
	s := g.docker(t)
	s.run("docker", "import", s.importable(), distant+"/cloud/dmp/pushed:1")

	contains(t, s.failsWith(g.secrets["kubelet"], "docker", "login", "--username", "ci-dmp", "--password-stdin", distant), "unauthorized")
	s.dockerLogin("ci-dmp", g.secrets["ci-dmp"])
	lacking(t, s.read("cfg/config.json"), g.secrets["ci-dmp"])
	s.run("docker", "push", distant+"/cloud/dmp/pushed:1")

	s.dockerLogin("kubelet", g.secrets["kubelet"])
	s.run("docker", "pull", distant+"/cloud/dmp/app:1")
	s.run("docker", "tag", distant+"/cloud/dmp/pushed:1", distant+"/cloud/dmp/refused:1")
	contains(t, s.fails("docker", "push", distant+"/cloud/dmp/refused:1"), denied)
	g.lacks("cloud/dmp/refused", "1")

	s.dockerLogin("paper", passwords["paper"])
	lacking(t, s.read("cfg/config.json"), "identitytoken")
	s.run("docker", "tag", distant+"/cloud/dmp/pushed:1", distant+"/cloud/dmp/paper:1")
	s.run("docker", "push", distant+"/cloud/dmp/paper:1")
}

// An engine that does not know the authority sends nobody's password anywhere.
func TestDockerLoginToAStranger(t *testing.T) {
	g := guard(t)
	s := docker(t, nil, road(t, g.addr))
	contains(t, s.failsWith(passwords["dev"], "docker", "login", "--username", "dev", "--password-stdin", distant), stranger)
	lacking(t, g.program.Log(), "/auth/token")
	equal(t, g.logins("dev"), "[]")
}

// docker starts an engine that knows the registry's authority, and the registry under the name distant.
func (g *guarded) docker(t *testing.T) *session {
	t.Helper()
	return docker(t, nil, road(t, g.addr), "SSL_CERT_FILE="+g.ca, "SSL_CERT_DIR=/nonexistent")
}

// dockerLogin logs docker in.
func (s *session) dockerLogin(name, secret string) {
	s.t.Helper()
	contains(s.t, s.pipe(secret, "docker", "login", "--username", name, "--password-stdin", distant), "Login Succeeded")
}

// forget removes all images from the engine.
func (s *session) forget() {
	s.t.Helper()
	s.run("docker", "system", "prune", "--all", "--force")
	equal(s.t, s.run("docker", "image", "ls", "--quiet", "--all"), "")
}
