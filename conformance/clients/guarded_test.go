//go:build clients

package clients

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/auth/oidc/oidctest"
	"github.com/entrepot/entrepot/conformance/program"
)

// guarded is a registry that knows people, robots and jobs, behind a certificate that no machine trusts. Everybody's role but root's is for
// cloud/dmp; cloud/core is there and hidden from them, and public is for anyone.
type guarded struct {
	t       *testing.T
	addr    string // 127.0.0.1:port
	ca      string // the file of the authority
	http    *http.Client
	program *program.Program
	issuer  *oidctest.Issuer  // of the jobs' tokens
	cluster *oidctest.Issuer  // of the tokens of pods
	secrets map[string]string // of the robots
	app     image             // stands at cloud/dmp/app:1, cloud/core/app:1 and public/app:1
}

// dev's password has all that is taken for something else where it is not written with care: in Basic, in a form, in JSON, in a shell.
var passwords = map[string]string{
	"root": "the admin's password", "paper": "written in a file",
	"dev": `a:b c+d%41&e="ü"`, "reader": "the reader's password", "nobody": "nobody's password",
}

const (
	wrongPassword = "not the password"
	audience      = "https://registry.example.com" // of the tokens of jobs and pods
)

// What the registry says to whoever may not do something, and to whoever may not even know what is there. Most clients repeat it.
const (
	denied = "requested access to the resource is denied"
	hidden = "repository name not known to this registry"

	hiddenPush = hidden // the same for who wants to store something there
)

// What clients say of a registry that wants to know who asks, by its own word or by what they make of the challenge.
var unasked = []string{"unauthorized", "UNAUTHORIZED", "401", "authorization failed", denied}

// guard starts such a registry. root is its admin and paper a developer, both of whom the registry knows from a file. It keeps itself: dev, a developer;
// reader; nobody, to whom nothing was granted; the robots ci-dmp, with the role ci, and kubelet, with the role node. Jobs of the project cloud/dmp
// may push there, and pods in the namespace dmp may pull.
func guard(t *testing.T) *guarded {
	t.Helper()
	s := newSession(t)
	tls, trusting := vouched(t, s)
	g := &guarded{t: t, ca: filepath.Join(s.dir, "ca", "ca.crt"), http: trusting, secrets: map[string]string{},
		issuer: oidctest.Start(t, "RS256"), cluster: oidctest.Start(t, "RS256")}
	lines := ""
	for _, name := range []string{"root", "paper"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(passwords[name]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		lines += name + ":" + string(hash) + "\n"
	}
	g.program = program.Start(t, program.HTTPS(trusting), program.Config(tls+`
auth:
  users: {htpasswd: `+s.write("users", lines)+`}
  grants:
    - {who: user:root, role: admin, on: "**"}
    - {who: user:paper, role: developer, on: cloud/dmp}
    - {who: anyone, role: reader, on: public}
  oidc:
    - name: pipelines
      issuer: `+g.issuer.URL+`
      audience: `+audience+`
      jwksFile: `+s.write("keys.json", string(g.issuer.JWKS()))+`
      bind:
        - {claims: {project_path: cloud/dmp}, role: ci, on: "{project_path}"}
    - name: cluster
      kind: workload
      issuer: `+g.cluster.URL+`
      audience: `+audience+`
      jwksFile: `+s.write("cluster.json", string(g.cluster.JWKS()))+`
      bind:
        - {claims: {kubernetes.io.namespace: dmp}, role: reader, on: cloud/dmp}
`))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of entrepot's log:\n%s", g.program.Tail(40))
		}
	})
	g.addr = g.program.Addr
	for _, name := range []string{"dev", "reader", "nobody"} {
		g.manage(http.MethodPost, "users", map[string]any{"name": name, "password": passwords[name]}, http.StatusCreated)
	}
	for _, name := range []string{"ci-dmp", "kubelet"} {
		g.manage(http.MethodPost, "robots", map[string]any{"name": name, "on": "cloud/dmp"}, http.StatusCreated)
		made := g.manage(http.MethodPost, "robots/"+name+"/secrets", map[string]any{}, http.StatusCreated)
		if err := json.Unmarshal([]byte(field(t, made, "value")), new(string)); err != nil {
			t.Fatal(err)
		}
		g.secrets[name] = strings.Trim(field(t, made, "value"), `"`)
	}
	for who, role := range map[string]string{"user:dev": "developer", "user:reader": "reader", "robot:ci-dmp": "ci", "robot:kubelet": "node"} {
		g.manage(http.MethodPost, "grants", map[string]any{"who": who, "role": role, "on": "cloud/dmp"}, http.StatusCreated)
	}
	g.app = newImage(t)
	for _, repo := range []string{"cloud/dmp/app", "cloud/core/app", "public/app"} {
		g.app.pushAs(t, g.as("root"), repo, "1")
	}
	return g
}

// as is the test itself, logged in with somebody's password.
func (g *guarded) as(name string) caller {
	return caller{base: "https://" + g.addr, http: g.http, name: name, password: passwords[name]}
}

// manage lets root ask the management of accounts for something, and returns the answer.
func (g *guarded) manage(method, path string, asked any, want int) string {
	g.t.Helper()
	res, text := g.as("root").ask(g.t, method, "/api/v1/auth/"+path, "application/json", encode(g.t, asked))
	if res.StatusCode != want {
		g.t.Fatalf("%s %s: %s, want %d\n%s", method, path, res.Status, want, text)
	}
	return text
}

// has tells whether a repository has something under a tag or digest, as root sees it.
func (g *guarded) has(repo, reference string) bool {
	g.t.Helper()
	res, text := g.as("root").ask(g.t, http.MethodGet, "/v2/"+repo+"/manifests/"+url.PathEscape(reference), "", nil)
	switch res.StatusCode {
	case http.StatusOK:
		return true
	case http.StatusNotFound:
		return false
	}
	g.t.Fatalf("%s:%s: %s\n%s", repo, reference, res.Status, text)
	return false
}

// lacks fails the test if anything of a refused push is there: the tag, or a repository that nothing else made.
func (g *guarded) lacks(repo, tag string) {
	g.t.Helper()
	if g.has(repo, tag) {
		g.t.Fatalf("%s:%s is there, though whoever pushed it was refused", repo, tag)
	}
	if res, _ := g.as("root").ask(g.t, http.MethodGet, "/v2/"+repo+"/tags/list", "", nil); res.StatusCode != http.StatusNotFound {
		g.t.Fatalf("a refused push has made the repository %s (%s)", repo, res.Status)
	}
}

// logins returns what somebody has been given to log in with, by what it is for and who asked for it.
func (g *guarded) logins(name string) string {
	g.t.Helper()
	_, text := g.as(name).ask(g.t, http.MethodGet, "/api/v1/auth/tokens", "", nil)
	return field(g.t, text, "secrets")
}

// trust lets Go's clients in a session trust the registry's authority and no other.
func (g *guarded) trust(s *session) {
	s.env = append(s.env, "SSL_CERT_FILE="+g.ca, "SSL_CERT_DIR=/nonexistent")
}

// tooled lets all clients that keep anything keep it in the session's folder.
func (s *session) tooled() {
	s.env = append(s.env, "HELM_CONFIG_HOME="+s.dir+"/config", "HELM_CACHE_HOME="+s.dir+"/cache", "HELM_DATA_HOME="+s.dir+"/data",
		"REGCTL_CONFIG=regctl.json", "NOTATION_CONFIG="+s.dir+"/notation", "REGISTRY_AUTH_FILE="+s.dir+"/auth.json")
	s.write(".config/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	s.write("auth.json", "{}")
}

// looks are how the clients that use docker's logins look at an image.
func looks(image string) [][]string {
	return [][]string{
		{"crane", "digest", image}, {"oras", "resolve", image}, {"skopeo", "inspect", "docker://" + image}, {"regctl", "manifest", "get", image},
		{"notation", "ls", image}, {"entrepot", "tags", strings.TrimSuffix(image, ":1")},
	}
}

// lacking fails the test if out has one of the texts.
func lacking(t *testing.T, out string, unwanted ...string) {
	t.Helper()
	for _, u := range unwanted {
		if strings.Contains(out, u) {
			t.Fatalf("%q should not be in:\n%s", u, out)
		}
	}
}

// either fails the test unless out has one of the texts: not all releases of a client say it in the same words.
func either(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if strings.Contains(out, w) {
			return
		}
	}
	t.Fatalf("none of %q is in:\n%s", want, out)
}

// dockerConfig logs somebody in as `docker login` does, and returns the config.json that it writes.
func (g *guarded) dockerConfig(name string) string {
	g.t.Helper()
	res, text := g.as(name).ask(g.t, http.MethodGet, "/auth/token?service=entrepot&client_id=docker&offline_token=true&account="+name, "", nil)
	if res.StatusCode != http.StatusOK {
		g.t.Fatalf("%s cannot log in: %s\n%s", name, res.Status, text)
	}
	return `{"auths":{"` + g.addr + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte(name+":")) + `","identitytoken":` + field(g.t, text, "refresh_token") + `}}}`
}
