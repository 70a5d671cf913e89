//go:build clients

package clients

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// A script asks with a name and a password and knows nothing of tokens. Whatever can be read can be read so, and a robot's secret or a job's
// token is as good as a password.
func TestCurlLogin(t *testing.T) {
	g := guard(t)
	s := newSession(t)
	curl := func(words ...string) (status, body string) {
		t.Helper()
		out := s.run("curl", append([]string{"--silent", "--show-error", "--location", "--cacert", g.ca, "--write-out", "\n%{http_code}"}, words...)...)
		i := strings.LastIndexByte(out, '\n')
		return out[i+1:], out[:i]
	}
	at := "https://" + g.addr
	blob := digest.FromBytes(g.app.blobs[1]).String()
	reads := map[string]string{ // and something that is in the answer
		"/v2/":                                        "",
		"/v2/_catalog":                                "cloud/dmp/app",
		"/v2/cloud/dmp/app/tags/list":                 `"1"`,
		"/v2/cloud/dmp/app/manifests/1":               "layers",
		"/v2/cloud/dmp/app/blobs/" + blob:             "",
		"/api/v1/auth/whoami":                         "",
		"/api/v1/auth/roles":                          "maintainer",
		"/api/v1/auth/can-i?action=pull&on=cloud/dmp": `"allowed":true`,
		"/v2/cloud/dmp/app/manifests/" + g.app.digest.String(): "layers",
		"/v2/cloud/dmp/app/referrers/" + g.app.digest.String(): "manifests",
	}
	for _, user := range []string{
		"dev:" + passwords["dev"], "paper:" + passwords["paper"], "reader:" + passwords["reader"],
		"ci-dmp:" + g.secrets["ci-dmp"], "kubelet:" + g.secrets["kubelet"], "token:" + g.jobToken(nil),
	} {
		for path, part := range reads {
			if status, body := curl("--user", user, at+path); status != "200" || !strings.Contains(body, part) {
				t.Errorf("%s of %s: %s, want 200 and %q\n%s", path, user, status, part, body)
			}
			if status, _ := curl("--user", user, "--head", at+path); strings.HasPrefix(path, "/v2/") && status != "200" {
				t.Errorf("HEAD %s of %s: %s, want 200", path, user, status)
			}
		}
		if status, body := curl("--user", user, at+"/v2/cloud/core/app/manifests/1"); status != "404" || !strings.Contains(body, "NAME_UNKNOWN") {
			t.Errorf("what is hidden from %s: %s, want 404\n%s", user, status, body)
		}
	}
	for path := range reads {
		if status, _ := curl(at + path); status != "401" {
			t.Errorf("%s of nobody in particular: %s, want 401", path, status)
		}
		if status, _ := curl("--user", "token:"+g.jobToken(map[string]any{"project_path": "cloud/core"}), at+path); status != "401" {
			t.Errorf("%s with another job's token: %s, want 401", path, status)
		}
	}
	for user, want := range map[string]string{"dev:" + passwords["dev"]: "200", "ci-dmp:" + g.secrets["ci-dmp"]: "200", "reader:" + passwords["reader"]: "403"} {
		if status, body := curl("--user", user, at+"/api/v1/audit"); status != want {
			t.Errorf("the journal of %s: %s, want %s\n%s", user, status, want, body)
		}
	}
	if status, body := curl("--user", "dev:"+wrongPassword, at+"/v2/public/app/manifests/1"); status != "401" {
		t.Errorf("a wrong password for what is public: %s, want 401\n%s", status, body)
	}
	for user, want := range map[string]string{"reader:" + passwords["reader"]: "403", "kubelet:" + g.secrets["kubelet"]: "403", "ci-dmp:" + g.secrets["ci-dmp"]: "202"} {
		if status, body := curl("--user", user, "--request", http.MethodPost, at+"/v2/cloud/dmp/curl/blobs/uploads/"); status != want {
			t.Errorf("a push of %s: %s, want %s\n%s", user, status, want, body)
		}
	}
	contains(t, s.run("curl", "--silent", "--cacert", g.ca, "--include", at+"/v2/cloud/dmp/app/tags/list"),
		`Bearer realm="https://`+g.addr+`/auth/token",service="entrepot",scope="repository:cloud/dmp/app:pull"`)
	if status, body := curl("--header", "Authorization: Bearer "+g.secrets["ci-dmp"], at+"/api/v1/auth/whoami"); status != "200" || !strings.Contains(body, "ci-dmp") {
		t.Errorf("a secret as a bearer's token: %s\n%s", status, body)
	}
}
