//go:build clients

package clients

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestOrasLogin(t *testing.T) {
	g := guard(t)
	s := newSession(t)
	oras := func(verb ...string) []string { return append(verb, "--ca-file", g.ca) }
	app := g.addr + "/cloud/dmp/app:1"
	s.write("notes.txt", "what changed\n")
	login := func(name string) {
		t.Helper()
		contains(t, s.pipe(passwords[name], "oras", oras("login", "--username", name, "--password-stdin", g.addr)...), "Login Succeeded")
	}
	push := func(repo string) []string { return oras("push", g.addr+"/"+repo+":1", "notes.txt:text/plain") }
	attach := oras("attach", "--artifact-type", "application/vnd.example.notes", app, "notes.txt:text/plain")

	s.run("oras", oras("resolve", g.addr+"/public/app:1")...)
	equal(t, s.run("oras", oras("repo", "ls", g.addr)...), "public/app")
	either(t, s.fails("oras", oras("resolve", app)...), unasked...)
	either(t, s.fails("oras", push("public/stray")...), unasked...)
	g.lacks("public/stray", "1")
	either(t, s.failsWith(wrongPassword, "oras", oras("login", "--username", "dev", "--password-stdin", g.addr)...), unasked...)

	login("reader")
	s.run("oras", oras("resolve", app)...)
	contains(t, s.fails("oras", push("cloud/dmp/refused")...), denied)
	g.lacks("cloud/dmp/refused", "1")
	contains(t, s.fails("oras", attach...), denied)
	lacking(t, s.run("oras", oras("discover", "--format", "json", app)...), "application/vnd.example.notes")
	contains(t, s.fails("oras", oras("manifest", "delete", "--force", app)...), denied)
	contains(t, s.fails("oras", oras("resolve", g.addr+"/cloud/core/app:1")...), "not found")
	equal(t, s.run("oras", oras("repo", "ls", g.addr)...), "cloud/dmp/app\npublic/app")

	login("dev")
	s.run("oras", push("cloud/dmp/notes")...)
	s.run("oras", attach...)
	contains(t, s.run("oras", oras("discover", "--format", "json", app)...), "application/vnd.example.notes")
	s.run("oras", oras("pull", "--output", "pulled", g.addr+"/cloud/dmp/notes:1")...)
	equal(t, s.read("pulled/notes.txt"), "what changed")
	contains(t, s.fails("oras", push("cloud/core/refused")...), hiddenPush)
	g.lacks("cloud/core/refused", "1")
	s.run("oras", "cp", "--recursive", "--from-ca-file", g.ca, "--to-ca-file", g.ca, app, g.addr+"/cloud/dmp/copied:1")

	s.run("oras", "logout", g.addr)
	either(t, s.fails("oras", oras("resolve", app)...), unasked...)
}

func TestHelmLogin(t *testing.T) {
	g := guard(t)
	s := newSession(t)
	s.tooled()
	helm := func(verb ...string) []string { return append(verb, "--ca-file", g.ca) }
	login := helm("registry", "login", "--username", "dev", "--password-stdin", g.addr)
	s.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\ndescription: a chart for a test\nversion: 0.1.0\n")
	s.run("helm", "package", "demo")
	push := func(path string) []string { return helm("push", "demo-0.1.0.tgz", "oci://"+g.addr+"/"+path) }

	either(t, s.fails("helm", push("cloud/dmp/charts")...), unasked...)
	either(t, s.failsWith(wrongPassword, "helm", login...), unasked...)
	either(t, s.fails("helm", push("cloud/dmp/charts")...), unasked...)
	g.lacks("cloud/dmp/charts/demo", "0.1.0")

	s.pipe(passwords["dev"], "helm", login...)
	s.run("helm", push("cloud/dmp/charts")...)
	contains(t, s.run("helm", helm("show", "chart", "oci://"+g.addr+"/cloud/dmp/charts/demo")...), "a chart for a test")
	s.write("pulled/README", "helm wants the folder to be there\n")
	s.run("helm", helm("pull", "--destination", "pulled", "oci://"+g.addr+"/cloud/dmp/charts/demo")...)
	equal(t, s.read("pulled/demo-0.1.0.tgz"), s.read("demo-0.1.0.tgz"))
	contains(t, s.fails("helm", push("cloud/core/charts")...), hiddenPush)
	g.lacks("cloud/core/charts/demo", "0.1.0")

	login = helm("registry", "login", "--username", "reader", "--password-stdin", g.addr)
	s.pipe(passwords["reader"], "helm", login...)
	contains(t, s.fails("helm", push("cloud/dmp/refused")...), denied)
	g.lacks("cloud/dmp/refused/demo", "0.1.0")
	contains(t, s.run("helm", helm("show", "chart", "oci://"+g.addr+"/cloud/dmp/charts/demo")...), "a chart for a test")

	s.run("helm", "registry", "logout", g.addr)
	either(t, s.fails("helm", helm("show", "chart", "oci://"+g.addr+"/cloud/dmp/charts/demo")...), unasked...)
}

// notation takes a name and a password from its environment; what `notation login` keeps it keeps in a credential helper alone.
func TestNotationLogin(t *testing.T) {
	g := guard(t)
	s := newSession(t)
	s.tooled()
	g.trust(s)
	as := func(name string) *session {
		return s.with("NOTATION_USERNAME="+name, "NOTATION_PASSWORD="+passwords[name])
	}
	s.run("notation", "cert", "generate-test", "--default", "ci.example")
	s.write("notation/trustpolicy.json", `{"version":"1.0","trustPolicies":[{"name":"ours","registryScopes":["*"],
"signatureVerification":{"level":"strict"},"trustStores":["ca:ci.example"],"trustedIdentities":["*"]}]}`)
	if err := os.Chmod(s.dir+"/notation/trustpolicy.json", 0o600); err != nil {
		t.Fatal(err)
	}
	app := g.addr + "/cloud/dmp/app@" + g.app.digest.String()
	sign := []string{"sign", "--force-referrers-tag=false", app}

	either(t, s.fails("notation", sign...), unasked...)
	contains(t, as("reader").fails("notation", sign...), denied)
	contains(t, as("nobody").fails("notation", sign...), "not found")
	_, body := g.as("root").ask(t, http.MethodGet, "/v2/cloud/dmp/app/referrers/"+g.app.digest.String(), "", nil)
	equal(t, field(t, body, "manifests"), "[]")

	as("dev").run("notation", sign...)
	contains(t, as("reader").run("notation", "verify", app), "Successfully verified")
	either(t, s.fails("notation", "verify", app), unasked...)

	// With what docker keeps.
	s.write(".docker/config.json", g.dockerConfig("dev"))
	s.run("notation", sign...)
	if n := strings.Count(s.run("notation", "ls", app), "sha256:"); n < 3 {
		t.Fatalf("the image and two signatures were expected, got %d digests", n)
	}
}
