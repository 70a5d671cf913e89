//go:build clients

package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// secure starts entrepot behind a certificate that only the session's ca/ca.crt vouches for, and returns its host:port.
func secure(t *testing.T, s *session) string {
	t.Helper()
	config, trusting := vouched(t, s)
	return program.Start(t, program.Config(config), program.HTTPS(trusting)).Addr
}

// stranger is what Go's clients say of a certificate that nobody they know vouches for.
const stranger = "certificate signed by unknown authority"

// Clients that know the certificate's authority come in; the others stay out.
func TestTLS(t *testing.T) {
	s := newSession(t)
	r := secure(t, s)
	i := newImage(t)
	i.layout(t, filepath.Join(s.dir, "layout"), "1")
	s.write(".config/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	ca := filepath.Join(s.dir, "ca", "ca.crt")

	contains(t, s.fails("skopeo", "copy", "oci:layout:1", "docker://"+r+"/tls/app:1"), "x509")
	s.run("skopeo", "copy", "--dest-cert-dir", "ca", "oci:layout:1", "docker://"+r+"/tls/app:1")
	equal(t, s.run("skopeo", "inspect", "--cert-dir", "ca", "--format", "{{.Digest}}", "docker://"+r+"/tls/app:1"), i.digest.String())

	contains(t, s.fails("oras", "resolve", r+"/tls/app:1"), stranger)
	equal(t, s.run("oras", "resolve", "--ca-file", ca, r+"/tls/app:1"), i.digest.String())

	contains(t, s.fails("crane", "digest", r+"/tls/app:1"), stranger)
	trusting := &session{t: t, dir: s.dir, env: append([]string{"SSL_CERT_FILE=" + ca, "SSL_CERT_DIR=/nonexistent"}, s.env...)}
	equal(t, trusting.run("crane", "digest", r+"/tls/app:1"), i.digest.String())
	trusting.run("crane", "validate", "--remote", r+"/tls/app:1")

	s.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\nversion: 0.1.0\n")
	s.run("helm", "package", "demo")
	s.run("helm", "push", "--ca-file", ca, "demo-0.1.0.tgz", "oci://"+r+"/charts")
	contains(t, s.run("helm", "show", "chart", "--ca-file", ca, "oci://"+r+"/charts/demo"), "version: 0.1.0")
}

// Docker trusts the loopback network without an authority, and speaks TLS with whoever speaks it there.
func TestDockerTLS(t *testing.T) {
	s := docker(t, nil)
	r := secure(t, s)
	s.run("docker", "import", s.importable(), r+"/tls/imported:1")
	s.run("docker", "push", r+"/tls/imported:1")
	s.run("docker", "rmi", r+"/tls/imported:1")
	s.run("docker", "pull", r+"/tls/imported:1")
	equal(t, s.run("docker", "run", "--rm", "--network", "none", r+"/tls/imported:1", "/hello"), greeting)
}

// A node is told the authority for each host in its hosts file.
func TestNodeTLS(t *testing.T) {
	s := node(t, "registry.test/node/pause:1")
	r := secure(t, s)
	i := newImage(t)
	i.layout(t, filepath.Join(s.dir, "layout"), "1")
	trusting := &session{t: t, dir: s.dir, env: append([]string{"SSL_CERT_FILE=" + filepath.Join(s.dir, "ca", "ca.crt")}, s.env...)}
	trusting.run("crane", "push", "layout", r+"/tls/node:1")

	host := `server = "https://` + r + `"
[host."https://` + r + `"]
  capabilities = ["pull", "resolve"]
`
	s.write("certs.d/registry.test/hosts.toml", host+`  ca = "`+s.dir+"/ca/ca.crt\"\n")
	s.write("certs.d/unknown.test/hosts.toml", host)
	s.run("crictl", "pull", "registry.test/tls/node:1")
	contains(t, s.run("crictl", "inspecti", "registry.test/tls/node:1"), i.digest.String())
	contains(t, s.fails("crictl", "pull", "unknown.test/tls/node:1"), "x509")
	if out := s.run("crictl", "images"); strings.Contains(out, "unknown.test") {
		t.Fatalf("an image came from a stranger:\n%s", out)
	}
}
