//go:build clients

package clients

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// signs lets notation sign and verify in the session.
func (s *session) signs() {
	s.t.Helper()
	s.env = append(s.env, "NOTATION_CONFIG="+s.dir+"/notation", "XDG_CONFIG_HOME="+s.dir)
	s.run("notation", "cert", "generate-test", "--default", "ci.example")
	policy := s.write("notation/trustpolicy.json", `{"version":"1.0","trustPolicies":[{"name":"ours","registryScopes":["*"],
"signatureVerification":{"level":"strict"},"trustStores":["ca:ci.example"],"trustedIdentities":["*"]}]}`)
	if err := os.Chmod(policy, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// What refers to an image comes through as well: signatures that are found by the referrers API or by a tag made of the digest, and what they refer to in turn.
// When the upstream is gone, an image that was verified once can be verified again.
func TestThroughReferrers(t *testing.T) {
	hub := program.Start(t)
	i := newApart(t, "amd64")
	i.push(t, hub.Addr, "team/app", "1")
	w := watch(t, hub.Addr)
	p := seen(t, "upstreams:\n  - {name: up.example.com, urls: [\""+w.URL+"\"]}\n")
	there, here := hub.Addr+"/team/app@"+i.digest.String(), p.Addr+"/up.example.com/team/app@"+i.digest.String()

	s := newSession(t)
	s.signs()
	s.run("notation", "sign", "--insecure-registry", "--force-referrers-tag=false", there)
	s.write("sbom.json", `{"packages":[]}`)
	s.run("oras", "attach", "--plain-http", "--artifact-type", "application/vnd.example.sbom", there, "sbom.json:application/json")
	sbom := referrer(t, s, there, "application/vnd.example.sbom")
	s.write("seal.txt", "seen and sealed\n")
	s.run("oras", "attach", "--plain-http", "--artifact-type", "application/vnd.example.seal", hub.Addr+"/team/app@"+sbom, "seal.txt:text/plain")
	// Signers that know no referrers put what they have to say under a tag made of the digest.
	signature := strings.Replace(i.digest.String(), ":", "-", 1) + ".sig"
	other := newApart(t, "amd64")
	other.push(t, hub.Addr, "team/app", signature)

	contains(t, s.run("notation", "verify", "--insecure-registry", here), "Successfully verified")
	tree := s.run("oras", "discover", "--plain-http", "--format", "tree", here)
	contains(t, tree, "application/vnd.example.sbom", "application/vnd.example.seal", "application/vnd.cncf.notary.signature")
	equal(t, referrer(t, s, here, "application/vnd.example.sbom"), sbom)
	s.run("oras", "pull", "--plain-http", "--output", "pulled", p.Addr+"/up.example.com/team/app@"+sbom)
	equal(t, s.read("pulled/sbom.json"), `{"packages":[]}`)
	equal(t, s.run("crane", "digest", "--insecure", p.Addr+"/up.example.com/team/app:"+signature), other.digest.String())
	s.run("oras", "cp", "--recursive", "--from-plain-http", "--to-oci-layout", here, "layout:1")
	contains(t, s.run("oras", "discover", "--oci-layout", "--format", "tree", "layout:1"), "application/vnd.example.seal")

	hub.Stop()
	w.close()
	contains(t, s.run("notation", "verify", "--insecure-registry", here), "Successfully verified")
	contains(t, s.run("oras", "discover", "--plain-http", "--format", "tree", here), "application/vnd.example.sbom", "application/vnd.example.seal",
		"application/vnd.cncf.notary.signature")
	s.run("oras", "pull", "--plain-http", "--output", "again", p.Addr+"/up.example.com/team/app@"+sbom)
	equal(t, s.run("crane", "digest", "--insecure", p.Addr+"/up.example.com/team/app:"+signature), other.digest.String())
}

// referrer is the digest of the one manifest of a type that refers to another.
func referrer(t *testing.T, s *session, to, artifactType string) string {
	t.Helper()
	out := s.run("oras", "discover", "--plain-http", "--format", "json", "--depth", "1", "--artifact-type", artifactType, to)
	return strings.Trim(field(t, strings.Trim(field(t, out, "referrers"), "[]"), "digest"), `"`)
}

// A chart comes through, by its version, by a range of versions, and when its registry is gone.
func TestThroughHelm(t *testing.T) {
	hub := program.Start(t)
	w := watch(t, hub.Addr)
	p := seen(t, "upstreams:\n  - {name: up.example.com, urls: [\""+w.URL+"\"]}\n")
	s := newSession(t)
	s.tooled()
	for _, version := range []string{"0.1.0", "0.2.0"} {
		s.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\ndescription: a chart for a test\nversion: "+version+"\n")
		s.run("helm", "package", "demo")
		s.run("helm", "push", "--plain-http", "demo-"+version+".tgz", "oci://"+hub.Addr+"/charts")
	}
	chart := "oci://" + p.Addr + "/up.example.com/charts/demo"
	s.write("pulled/README", "helm wants the folder to be there\n")
	s.run("helm", "pull", "--plain-http", "--version", "0.1.0", "--destination", "pulled", chart)
	equal(t, s.read("pulled/demo-0.1.0.tgz"), s.read("demo-0.1.0.tgz"))
	contains(t, s.run("helm", "show", "chart", "--plain-http", chart), "version: 0.2.0")
	contains(t, s.run("helm", "template", "mine", "--plain-http", "--version", "~0.1", chart), "")
	s.fails("helm", "pull", "--plain-http", "--version", "9.9.9", chart)
	contains(t, s.fails("helm", "push", "--plain-http", "demo-0.1.0.tgz", "oci://"+p.Addr+"/up.example.com/charts"), "denied")
	if status, _ := asks(t, http.MethodGet, hub.URL+"/v2/charts/demo/tags/list"); status != http.StatusOK {
		t.Fatalf("the hub answers %d", status)
	}

	w.forget()
	s.run("helm", "pull", "--plain-http", "--version", "0.2.0", "--destination", "pulled", chart)
	if n := w.manifests(); n > 0 {
		t.Errorf("a chart that is kept was fetched again: %q", w.all())
	}
	hub.Stop()
	w.close()
	s.run("helm", "pull", "--plain-http", "--version", "0.1.0", "--destination", "pulled", chart)
	equal(t, s.read("pulled/demo-0.1.0.tgz"), s.read("demo-0.1.0.tgz"))
	contains(t, s.run("helm", "show", "chart", "--plain-http", chart), "version: 0.2.0")
}
