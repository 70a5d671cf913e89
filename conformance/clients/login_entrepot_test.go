//go:build clients

package clients

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// entrepotLogin is what one types to log in with entrepot.
func entrepotLogin(name string) []string {
	return []string{"login", "--username", name, "--password-stdin", distant}
}

// entrepot knows who asks, keeps no password for it, and says what one may not do.
func TestEntrepotLogin(t *testing.T) {
	g := guard(t)
	s := newSession(t, road(t, g.addr), "ENTREPOT_SERVER="+distant)
	g.trust(s)
	equal(t, s.run("entrepot", "ls"), "public/app")
	contains(t, s.fails("entrepot", "tags", "cloud/dmp/app"), "log in with: entrepot login")
	contains(t, s.failsWith(wrongPassword, "entrepot", entrepotLogin("dev")...), "the name or the password is wrong")
	if _, err := os.Stat(filepath.Join(s.dir, ".docker", "config.json")); err == nil {
		lacking(t, s.read(".docker/config.json"), distant)
	}

	contains(t, s.pipe(passwords["dev"], "entrepot", entrepotLogin("dev")...), "user:dev")
	contains(t, field(t, s.read(".docker/config.json"), "auths", distant, "identitytoken"), "ent_")
	contains(t, s.run("entrepot", "auth", "whoami"), "user:dev", "developer on cloud/dmp")
	contains(t, s.run("entrepot", "auth", "can-i", "push", "cloud/dmp/x"), "yes")
	contains(t, s.fails("entrepot", "auth", "can-i", "push", "cloud/core/x"), "no: ")
	contains(t, s.fails("entrepot", "user", "ls"), "refused")
	equal(t, s.run("entrepot", "ls"), "cloud/dmp/app\npublic/app")
	s.run("entrepot", "cp", "cloud/dmp/app:1", "cloud/dmp/copied:1")
	s.fails("entrepot", "cp", "cloud/dmp/app:1", "cloud/core/refused:1")
	g.lacks("cloud/core/refused", "1")
	contains(t, s.fails("entrepot", "inspect", "cloud/core/app:1"), "not found")

	s.pipe(passwords["reader"], "entrepot", entrepotLogin("reader")...)
	s.run("entrepot", "cp", "cloud/dmp/app:1", "oci:copy:1")
	contains(t, s.fails("entrepot", "cp", "oci:copy:1", "cloud/dmp/refused:1"), "refused: no grant")
	g.lacks("cloud/dmp/refused", "1")
	contains(t, s.fails("entrepot", "rm", "cloud/dmp/app:1"), "refused: no grant")
	s.run("entrepot", "logout")

	// A robot by its secret alone; then a robot and a job as their environment says.
	s.pipe(g.secrets["kubelet"], "entrepot", "login", "--token-stdin", distant)
	contains(t, s.run("entrepot", "auth", "whoami"), "robot:kubelet")
	s.run("entrepot", "logout")
	robot := s.with("ENTREPOT_ROBOT=ci-dmp", "ENTREPOT_SECRET="+g.secrets["ci-dmp"])
	contains(t, robot.run("entrepot", "auth", "whoami"), "robot:ci-dmp")
	robot.run("entrepot", "cp", "oci:copy:1", "cloud/dmp/robot:1")
	job := s.with("ENTREPOT_ID_TOKEN=" + g.jobToken(nil))
	job.run("entrepot", "cp", "oci:copy:1", "cloud/dmp/job:1")
	job.fails("entrepot", "cp", "oci:copy:1", "cloud/core/job:1")
	g.lacks("cloud/core/job", "1")
	contains(t, s.fails("entrepot", "tags", "cloud/dmp/app"), "log in with: entrepot login")
}

// entrepot logs in where docker does, so that everybody is logged in who looks there; and logging out ends it, wherever a copy of it lies.
func TestEntrepotLoginIsForAll(t *testing.T) {
	g := guard(t)
	s := g.docker(t)
	s.tooled()
	app := distant + "/cloud/dmp/app:1"
	s.write("notes.txt", "what changed\n")
	s.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\nversion: 0.1.0\n")
	s.run("helm", "package", "demo")
	s.run("docker", "import", s.importable(), distant+"/cloud/dmp/docker:1")

	s.pipe(passwords["dev"], "entrepot", entrepotLogin("dev")...)
	kept := s.read("cfg/config.json")
	s.run("docker", "push", distant+"/cloud/dmp/docker:1")
	s.run("crane", "copy", app, distant+"/cloud/dmp/crane:1")
	s.run("oras", "attach", "--artifact-type", "application/vnd.example.notes", app, "notes.txt:text/plain")
	s.run("helm", "push", "demo-0.1.0.tgz", "oci://"+distant+"/cloud/dmp/helm")
	s.run("skopeo", "copy", "docker://"+app, "docker://"+distant+"/cloud/dmp/skopeo:1")
	s.run("regctl", "image", "copy", app, distant+"/cloud/dmp/regctl:1")
	s.run("notation", "ls", app)
	contains(t, s.run("entrepot", "tree", app), "application/vnd.example.notes")

	s.run("entrepot", "logout", distant)
	lacking(t, s.read("cfg/config.json"), distant)
	s.write("cfg/config.json", kept)
	for _, c := range append(looks(app), []string{"docker", "pull", app}, []string{"helm", "show", "chart", "oci://" + distant + "/cloud/dmp/helm/demo"}) {
		either(t, s.fails(c[0], c[1:]...), append(unasked, "log in with")...)
	}
}

// Whoever needs a name and a password, as a pull secret of Kubernetes is made of, has them kept so.
func TestEntrepotLoginWithAPassword(t *testing.T) {
	g := guard(t)
	n, s := g.node(t), newSession(t)
	s.pipe(g.secrets["kubelet"], "entrepot", "login", "--identity-token=false", "--username", "kubelet", "--password-stdin", "--ca", g.ca, "--tls", g.addr)
	secret := field(t, s.read(".docker/config.json"), "auths", g.addr, "auth")
	n.run("crictl", "pull", "--auth", secret[1:len(secret)-1], "registry.test/cloud/dmp/app:1")
	g.manage(http.MethodPatch, "robots/kubelet", map[string]any{"disabled": true}, http.StatusOK)
	n.run("crictl", "rmi", "registry.test/cloud/dmp/app:1")
	contains(t, n.fails("crictl", "pull", "--auth", secret[1:len(secret)-1], "registry.test/cloud/dmp/app:1"), nodeWrong)
}
