//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// helped lets docker in a session keep its logins to a host with the program, under the name by which docker looks for it.
func (s *session) helped(path string) {
	s.t.Helper()
	shelf := filepath.Join(s.dir, "shelf")
	if err := os.Mkdir(shelf, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(program.Build(s.t), filepath.Join(shelf, "docker-credential-entrepot")); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+shelf+":"+path, "XDG_CONFIG_HOME="+s.dir+"/xdg")
	s.write("cfg/config.json", `{"credHelpers":{"`+distant+`":"entrepot"}}`)
}

// docker asks the helper where it would look into its own file, and keeps there what it would keep in the file.
func TestDockerCredentialHelper(t *testing.T) {
	g := guard(t)
	s := g.docker(t)
	s.tooled()
	s.helped("/usr/sbin:/usr/bin:/sbin:/bin")
	const app, pushed = distant + "/cloud/dmp/app:1", distant + "/cloud/dmp/pushed:1"

	either(t, s.fails("docker", "pull", app), unasked...)
	contains(t, s.failsWith(wrongPassword, "docker", "login", "--username", "dev", "--password-stdin", distant), "unauthorized")
	s.dockerLogin("dev", passwords["dev"])
	lacking(t, s.read("cfg/config.json"), "ent_", "identitytoken")
	contains(t, s.read("xdg/entrepot/credentials.json"), "ent_")
	s.run("docker", "pull", app)
	s.run("docker", "tag", app, pushed)
	s.run("docker", "push", pushed)
	for _, c := range looks(app) {
		s.run(c[0], c[1:]...)
	}
	s.run("docker", "logout", distant)
	lacking(t, s.read("xdg/entrepot/credentials.json"), distant)
	for _, c := range looks(app) {
		either(t, s.fails(c[0], c[1:]...), append(unasked, "log in with")...)
	}

	// In a pipeline there is nothing to keep: the helper answers with what the job was given, for the server that it is for.
	s.run("docker", "tag", app, distant+"/cloud/core/refused:1")
	for _, given := range [][]string{
		{"ENTREPOT_ROBOT=ci-dmp", "ENTREPOT_SECRET=" + g.secrets["ci-dmp"]}, {"ENTREPOT_ID_TOKEN=" + g.jobToken(nil)},
	} {
		job := s.with(append(given, "ENTREPOT_SERVER="+distant)...)
		job.run("docker", "push", pushed)
		contains(t, job.fails("docker", "push", distant+"/cloud/core/refused:1"), hiddenPush)
		g.lacks("cloud/core/refused", "1")
		for _, c := range looks(app) {
			job.run(c[0], c[1:]...)
		}
		either(t, s.with(append(given, "ENTREPOT_SERVER=registry.example.com")...).fails("docker", "push", pushed), unasked...)
	}
}

// notation keeps logins in a helper alone, and this is one.
func TestNotationLoginWithHelper(t *testing.T) {
	g := guard(t)
	s := newSession(t, road(t, g.addr))
	s.tooled()
	g.trust(s)
	s.helped(os.Getenv("PATH"))
	s.write("notation/config.json", `{"credsStore":"entrepot"}`)
	const app = distant + "/cloud/dmp/app:1"
	login := []string{"login", "--username", "dev", "--password-stdin", distant}

	either(t, s.failsWith(wrongPassword, "notation", login...), unasked...)
	either(t, s.fails("notation", "ls", app), unasked...)
	contains(t, s.pipe(passwords["dev"], "notation", login...), "Login Succeeded")
	s.run("notation", "ls", app)
	s.run("notation", "logout", distant)
	either(t, s.fails("notation", "ls", app), unasked...)
}
