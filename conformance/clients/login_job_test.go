//go:build clients

package clients

import (
	"maps"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// jobToken is what the issuer gives a job, with changes to its claims.
func (g *guarded) jobToken(changes map[string]any) string {
	g.t.Helper()
	claims := map[string]any{
		"sub": "project_path:cloud/dmp:ref_type:branch:ref:main", "aud": audience, "project_path": "cloud/dmp", "ref": "main", "ref_protected": "true",
	}
	maps.Copy(claims, changes)
	return g.issuer.Sign(claims)
}

// A job of a pipeline logs in with the token that its issuer gave it, and pushes where its project may.
func TestJobLogin(t *testing.T) {
	g := guard(t)
	s := g.docker(t)
	refused := map[string]string{
		"another project's": g.jobToken(map[string]any{"project_path": "cloud/core"}),
		"a project below":   g.jobToken(map[string]any{"project_path": "cloud/dmp/fork"}),
		"expired":           g.jobToken(map[string]any{"exp": time.Now().Add(-5 * time.Minute).Unix()}),
		"somebody else's":   g.jobToken(map[string]any{"aud": "https://other.example.com"}),
		"changed":           g.jobToken(nil) + "A",
		"unsigned":          g.issuer.SignWith(map[string]any{"alg": "none"}, map[string]any{"sub": "job", "aud": audience, "project_path": "cloud/dmp"}),
	}
	for name, token := range refused {
		t.Run(name, func(t *testing.T) {
			contains(t, s.failsWith(token, "docker", "login", "--username", "token", "--password-stdin", distant), "unauthorized")
		})
	}

	s.dockerLogin("token", g.jobToken(nil))
	lacking(t, s.read("cfg/config.json"), "identitytoken") // the job's token ends by itself, and so does all that rests on it
	s.run("docker", "import", s.importable(), distant+"/cloud/dmp/built:1")
	s.run("docker", "push", distant+"/cloud/dmp/built:1")
	s.run("docker", "pull", distant+"/cloud/dmp/app:1")
	s.run("docker", "tag", distant+"/cloud/dmp/built:1", distant+"/cloud/core/built:1")
	contains(t, s.fails("docker", "push", distant+"/cloud/core/built:1"), hiddenPush)
	g.lacks("cloud/core/built", "1")
	contains(t, s.fails("docker", "pull", distant+"/cloud/core/app:1"), hidden)
}

// A login ends with the token that it was made with, however long docker keeps it.
func TestJobLoginEnds(t *testing.T) {
	g := guard(t)
	s := newSession(t)
	g.trust(s)
	g.app.layout(t, filepath.Join(s.dir, "layout"), "1")
	token := g.jobToken(map[string]any{"exp": time.Now().Add(6 * time.Second).Unix()})
	s.pipe(token, "crane", "auth", "login", g.addr, "--username", "token", "--password-stdin")
	s.run("crane", "push", "layout", g.addr+"/cloud/dmp/built:1")
	within(t, "the job's token has ended", func() bool {
		_, _, err := s.try("", "crane", "manifest", g.addr+"/cloud/dmp/built:1")
		return err != nil
	})
	either(t, s.fails("crane", "push", "layout", g.addr+"/cloud/dmp/late:1"), unasked...)
	g.lacks("cloud/dmp/late", "1")
}

// The clients that a pipeline is likely to have take a job's token, too.
func TestJobLoginOfOtherClients(t *testing.T) {
	g := guard(t)
	s := newSession(t)
	s.tooled()
	g.trust(s)
	g.app.layout(t, filepath.Join(s.dir, "layout"), "1")
	s.write("notes.txt", "what changed\n")
	s.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\nversion: 0.1.0\n")
	s.run("helm", "package", "demo")
	for _, c := range []struct {
		client string
		login  []string
		push   func(path string) []string
	}{
		{"podman", []string{"login", "-u", "token", "--password-stdin", g.addr}, nil},
		{"buildah", []string{"login", "-u", "token", "--password-stdin", g.addr}, nil},
		{"skopeo", []string{"login", "-u", "token", "--password-stdin", g.addr}, func(path string) []string {
			return []string{"copy", "oci:layout:1", "docker://" + g.addr + "/" + path + "/skopeo:1"}
		}},
		{"oras", []string{"login", "-u", "token", "--password-stdin", g.addr}, func(path string) []string {
			return []string{"push", g.addr + "/" + path + "/oras:1", "notes.txt:text/plain"}
		}},
		{"helm", []string{"registry", "login", "-u", "token", "--password-stdin", g.addr}, func(path string) []string {
			return []string{"push", "demo-0.1.0.tgz", "oci://" + g.addr + "/" + path + "/helm"}
		}},
		{"regctl", []string{"registry", "login", g.addr, "-u", "token", "--pass-stdin"}, func(path string) []string {
			return []string{"image", "copy", g.addr + "/cloud/dmp/app:1", g.addr + "/" + path + "/regctl:1"}
		}},
	} {
		t.Run(c.client, func(t *testing.T) {
			s := &session{t: t, dir: s.dir, env: s.env}
			either(t, s.failsWith(g.jobToken(map[string]any{"project_path": "cloud/core"}), c.client, c.login...), append(unasked, "invalid username/password")...)
			s.pipe(g.jobToken(nil), c.client, c.login...)
			if c.push != nil {
				s.run(c.client, c.push("cloud/dmp/job")...)
				s.fails(c.client, c.push("cloud/core/job")...)
			}
		})
	}
	_, all := g.as("root").ask(t, http.MethodGet, "/v2/_catalog", "", nil)
	equal(t, field(t, all, "repositories"), `["cloud/core/app","cloud/dmp/app","cloud/dmp/job/helm/demo","cloud/dmp/job/oras","cloud/dmp/job/regctl","cloud/dmp/job/skopeo","public/app"]`)
}
