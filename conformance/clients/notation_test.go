//go:build clients

package clients

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// A signature refers to the image it signs: it is found through the referrers API, under no tag.
func TestNotation(t *testing.T) {
	r := registry(t)
	s := newSession(t)
	s.env = append(s.env, "NOTATION_CONFIG="+s.dir+"/notation", "XDG_CONFIG_HOME="+s.dir)
	i, stranger := newImage(t), newImage(t)
	i.push(t, r, "signed/app", "1")
	stranger.push(t, r, "signed/app", "unsigned")

	s.run("notation", "cert", "generate-test", "--default", "ci.example")
	s.write("notation/trustpolicy.json", `{"version":"1.0","trustPolicies":[{"name":"ours","registryScopes":["*"],
"signatureVerification":{"level":"strict"},"trustStores":["ca:ci.example"],"trustedIdentities":["*"]}]}`)
	// Trust must not be for others to write; notation warns otherwise.
	if err := os.Chmod(s.dir+"/notation/trustpolicy.json", 0o600); err != nil {
		t.Fatal(err)
	}
	app := r + "/signed/app@" + i.digest.String()
	// Unless told otherwise notation keeps a list of its own under a tag, for registries that know no referrers.
	s.run("notation", "sign", "--insecure-registry", "--force-referrers-tag=false", app)
	s.run("notation", "sign", "--insecure-registry", "--force-referrers-tag=false", "--signature-format", "cose", app)
	if n := strings.Count(s.run("notation", "ls", "--insecure-registry", app), "sha256:"); n < 3 {
		t.Fatalf("the image and two signatures were expected, got %d digests", n)
	}
	contains(t, s.run("notation", "verify", "--insecure-registry", app), "Successfully verified")
	contains(t, s.fails("notation", "verify", "--insecure-registry", r+"/signed/app@"+stranger.digest.String()), "no signature")

	_, body := asks(t, http.MethodGet, "http://"+r+"/v2/signed/app/referrers/"+i.digest.String())
	if n := strings.Count(body, "application/vnd.cncf.notary.signature"); n != 2 {
		t.Fatalf("the referrers API lists %d signatures, want 2:\n%s", n, body)
	}
	_, body = asks(t, http.MethodGet, "http://"+r+"/v2/signed/app/tags/list")
	equal(t, field(t, body, "tags"), `["1","unsigned"]`)

	// Both ways lead to one list, for those who sign by the older one.
	s.run("notation", "sign", "--insecure-registry", app)
	_, body = asks(t, http.MethodGet, "http://"+r+"/v2/signed/app/referrers/"+i.digest.String())
	if n := strings.Count(body, "application/vnd.cncf.notary.signature"); n != 3 {
		t.Fatalf("the referrers API lists %d signatures, want 3:\n%s", n, body)
	}
	contains(t, s.run("notation", "verify", "--insecure-registry", app), "Successfully verified")
}
