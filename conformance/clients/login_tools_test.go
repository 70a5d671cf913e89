//go:build clients

package clients

import (
	"path/filepath"
	"testing"
)

func TestCraneLogin(t *testing.T) {
	g := guard(t)
	s := newSession(t)
	g.trust(s)
	g.app.layout(t, filepath.Join(s.dir, "layout"), "1")
	at := func(repo string) string { return g.addr + "/" + repo + ":1" }
	login := func(name, secret string) {
		t.Helper()
		s.pipe(secret, "crane", "auth", "login", g.addr, "--username", name, "--password-stdin")
	}

	equal(t, s.run("crane", "digest", at("public/app")), g.app.digest.String())
	equal(t, s.run("crane", "catalog", g.addr), "public/app")
	either(t, s.fails("crane", "manifest", at("cloud/dmp/app")), unasked...)
	either(t, s.fails("crane", "push", "layout", at("public/stray")), unasked...)
	g.lacks("public/stray", "1")
	login("dev", wrongPassword) // crane asks nobody whether it is right
	either(t, s.fails("crane", "manifest", at("cloud/dmp/app")), unasked...)

	for name, secret := range map[string]string{"dev": passwords["dev"], "paper": passwords["paper"], "ci-dmp": g.secrets["ci-dmp"]} {
		login(name, secret)
		s.run("crane", "push", "layout", at("cloud/dmp/"+name))
		s.run("crane", "validate", "--remote", at("cloud/dmp/"+name))
		s.run("crane", "copy", at("cloud/dmp/"+name), at("cloud/dmp/copied/"+name))
		contains(t, s.fails("crane", "push", "layout", at("cloud/core/refused")), hiddenPush)
		g.lacks("cloud/core/refused", "1")
	}
	login("dev", passwords["dev"])
	equal(t, s.run("crane", "catalog", g.addr), "cloud/dmp/app\ncloud/dmp/ci-dmp\ncloud/dmp/copied/ci-dmp\ncloud/dmp/copied/dev\n"+
		"cloud/dmp/copied/paper\ncloud/dmp/dev\ncloud/dmp/paper\npublic/app")

	login("reader", passwords["reader"])
	s.run("crane", "validate", "--remote", at("cloud/dmp/app"))
	contains(t, s.fails("crane", "push", "layout", at("cloud/dmp/refused")), "DENIED", denied)
	contains(t, s.fails("crane", "copy", at("cloud/dmp/app"), at("cloud/dmp/refused")), "DENIED")
	g.lacks("cloud/dmp/refused", "1")
	contains(t, s.fails("crane", "tag", at("cloud/dmp/app"), "newest"), "DENIED")
	contains(t, s.fails("crane", "delete", g.addr+"/cloud/dmp/app@"+g.app.digest.String()), "DENIED")
	contains(t, s.fails("crane", "manifest", at("cloud/core/app")), "NAME_UNKNOWN")
	contains(t, s.fails("crane", "ls", g.addr+"/cloud/core/app"), "NAME_UNKNOWN")

	s.run("crane", "auth", "logout", g.addr)
	either(t, s.fails("crane", "manifest", at("cloud/dmp/app")), unasked...)

	// With what docker keeps.
	s.write(".docker/config.json", g.dockerConfig("dev"))
	s.run("crane", "push", "layout", at("cloud/dmp/token"))
	contains(t, s.fails("crane", "push", "layout", at("cloud/core/refused")), hiddenPush)
}

func TestRegctlLogin(t *testing.T) {
	g := guard(t)
	s := newSession(t, "REGCTL_CONFIG=regctl.json")
	g.trust(s)
	at := func(repo string) string { return g.addr + "/" + repo + ":1" }
	login := func(name string) []string {
		return []string{"registry", "login", g.addr, "--user", name, "--pass-stdin"}
	}
	copied := func(repo string) []string { return []string{"image", "copy", at("public/app"), at(repo)} }

	equal(t, s.run("regctl", "image", "digest", at("public/app")), g.app.digest.String())
	equal(t, s.run("regctl", "repo", "ls", g.addr), "public/app")
	either(t, s.fails("regctl", "manifest", "get", at("cloud/dmp/app")), unasked...)
	either(t, s.fails("regctl", copied("public/stray")...), unasked...)
	g.lacks("public/stray", "1")
	contains(t, s.failsWith(wrongPassword, "regctl", login("dev")...), "unauthorized")

	s.pipe(passwords["dev"], "regctl", login("dev")...)
	s.run("regctl", copied("cloud/dmp/pushed")...)
	equal(t, s.run("regctl", "image", "digest", at("cloud/dmp/pushed")), g.app.digest.String())
	s.pipe("all was well\n", "regctl", "artifact", "put", "--artifact-type", "application/vnd.example.report", "--subject", at("cloud/dmp/app"))
	contains(t, s.run("regctl", "artifact", "tree", at("cloud/dmp/app")), "application/vnd.example.report")
	equal(t, s.run("regctl", "repo", "ls", g.addr), "cloud/dmp/app\ncloud/dmp/pushed\npublic/app")
	contains(t, s.fails("regctl", copied("cloud/core/refused")...), hiddenPush)
	g.lacks("cloud/core/refused", "1")

	s.pipe(passwords["reader"], "regctl", login("reader")...)
	s.run("regctl", "manifest", "get", at("cloud/dmp/app"))
	contains(t, s.fails("regctl", copied("cloud/dmp/refused")...), "403")
	g.lacks("cloud/dmp/refused", "1")
	contains(t, s.fails("regctl", "tag", "rm", at("cloud/dmp/app")), "403")
	contains(t, s.fails("regctl", "manifest", "get", at("cloud/core/app")), "not found")

	s.run("regctl", "registry", "logout", g.addr)
	either(t, s.fails("regctl", "manifest", "get", at("cloud/dmp/app")), unasked...)

	// With what docker keeps.
	s.write(".docker/config.json", g.dockerConfig("dev"))
	s.run("regctl", copied("cloud/dmp/token")...)
	contains(t, s.fails("regctl", copied("cloud/core/refused")...), hiddenPush)
}
