//go:build clients

package clients

import (
	"net/http"
	"os"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/conformance/program"
)

// users writes a file of users, who have the passwords that all tests know.
func (s *session) users(names ...string) string {
	s.t.Helper()
	lines := ""
	for _, name := range names {
		hash, err := bcrypt.GenerateFromPassword([]byte(passwords[name]), bcrypt.MinCost)
		if err != nil {
			s.t.Fatal(err)
		}
		lines += name + ":" + string(hash) + "\n"
	}
	return s.write("users", lines)
}

// privately starts a registry that lets nobody in without a name: root may everything, and reader may pull below team.
func privately(t *testing.T) *program.Program {
	t.Helper()
	return seen(t, `auth:
  users: {htpasswd: `+newSession(t).users("root", "reader")+`}
  grants:
    - {who: user:root, role: admin, on: "**"}
    - {who: user:reader, role: reader, on: team}
`)
}

// An upstream that lets nobody in without a name is pulled through with a password of a file. A wrong one is told to the client, and a right one works from the
// moment at which it is written there.
func TestThroughPrivateUpstream(t *testing.T) {
	hub := privately(t)
	i := newApart(t, "amd64")
	root := caller{base: hub.URL, name: "root", password: passwords["root"]}
	i.pushAs(t, root, "team/app", "1")
	i.pushAs(t, root, "secret/app", "1")
	w := watch(t, hub.Addr)
	s := newSession(t)
	file := s.write("hub.secret", wrongPassword+"\n")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	p := seen(t, `upstreams:
  - {name: up.example.com, urls: ["`+w.URL+`"], username: reader, passwordFile: `+file+`}
`)
	c := drop(t, printed(t, p, "podman"))
	whole := "docker://" + p.Addr + "/up.example.com/"

	said := c.fails("skopeo", "copy", "--src-tls-verify=false", whole+"team/app:1", "dir:refused")
	either(t, said, unasked...)
	lacking(t, said+p.Log(), wrongPassword)

	if err := os.WriteFile(file, []byte(passwords["reader"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.forget()
	c.run("podman", "pull", "up.example.com/team/app:1")
	w.fetchedOnce(t, i)
	c.run("skopeo", "copy", "--src-tls-verify=false", whole+"team/app:1", "dir:copied")
	equal(t, c.read("copied/manifest.json"), string(i.manifest))

	// What the upstream does not show to this user, nobody sees here.
	said = c.fails("skopeo", "copy", "--src-tls-verify=false", whole+"secret/app:1", "dir:secret")
	either(t, said, "manifest unknown", "name unknown", hidden, "denied")
	equal(t, newSession(t).run("entrepot", "ls", p.Addr), "up.example.com/team/app")
	lacking(t, p.Log(), passwords["reader"])
}

// Who may not pull here has nothing fetched; and what another has had fetched is not there for them.
func TestThroughRights(t *testing.T) {
	hub := program.Start(t)
	i := newApart(t, "amd64")
	for _, repo := range []string{"team/app", "other/app", "closed/app"} {
		i.push(t, hub.Addr, repo, "1")
	}
	w := watch(t, hub.Addr)
	p := seen(t, `auth:
  users: {htpasswd: `+newSession(t).users("root", "reader", "nobody")+`}
  grants:
    - {who: user:root, role: admin, on: "**"}
    - {who: user:reader, role: reader, on: up.example.com/team}
upstreams:
  - {name: up.example.com, urls: ["`+w.URL+`"], deny: [closed/**]}
`)
	s := drop(t, printed(t, p, "podman"))
	copies := func(who, repo string, to ...string) []string {
		from := "docker://" + p.Addr + "/up.example.com/" + repo + ":1"
		return append([]string{"copy", "--src-tls-verify=false", "--src-creds", who + ":" + passwords[who], from}, to...)
	}
	look := func(who string, method, path string) int {
		res, _ := caller{base: p.URL, name: who, password: passwords[who]}.ask(t, method, "/v2/up.example.com/"+path, "", nil)
		return res.StatusCode
	}
	for _, at := range []struct{ who, repo string }{{"nobody", "team/app"}, {"reader", "other/app"}, {"root", "closed/app"}} {
		either(t, s.fails("skopeo", copies(at.who, at.repo, "dir:refused")...), hidden, "denied", "name unknown", "unauthorized")
	}
	either(t, s.fails("skopeo", "copy", "--src-tls-verify=false", "docker://"+p.Addr+"/up.example.com/team/app:1", "dir:refused"), unasked...)
	w.silent(t)
	root := caller{base: p.URL, name: "root", password: passwords["root"]}
	if _, kept := root.ask(t, http.MethodGet, "/v2/_catalog", "", nil); field(t, kept, "repositories") != "[]" {
		t.Errorf("nothing should be kept after refusals: %s", kept)
	}

	s.run("skopeo", copies("reader", "team/app", "dir:copied")...)
	equal(t, s.read("copied/manifest.json"), string(i.manifest))
	w.fetchedOnce(t, i)
	w.forget()
	for path, method := range map[string]string{"manifests/1": http.MethodHead, "manifests/" + i.digest.String(): http.MethodGet,
		"blobs/" + describe("", i.blobs[1]).Digest.String(): http.MethodGet, "tags/list": http.MethodGet} {
		if status := look("nobody", method, "team/app/"+path); status != http.StatusNotFound && status != http.StatusForbidden && status != http.StatusUnauthorized {
			t.Errorf("%s %s by nobody: %d, though nothing was granted", method, path, status)
		}
		// The blob is kept, but not for a repository that may not be pulled.
		if status := look("reader", method, "other/app/"+path); status != http.StatusNotFound && status != http.StatusForbidden && status != http.StatusUnauthorized {
			t.Errorf("%s %s of another repository by reader: %d, though it was not granted", method, path, status)
		}
	}
	w.silent(t)
}
