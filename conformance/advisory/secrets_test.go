package advisory

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// CVE-2025-48374 (zot), GHSA-prh4 (Harbor): secrets in logs. A secret that a client sends, by whichever header or query it may come,
// on whichever route, is in no line of the log at its most talkative, in no metric and in no error.
func TestSecrets_AreNeverWritten(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			p := program.Start(t, program.Config("log: {level: debug, format: "+format+"}\n"))
			r := wire.At(p.URL)
			repo := wire.Repo(t)
			desc, body := r.PushImage(t, repo, "here")
			blob := r.PushBlob(t, repo, wire.Random(10))
			password, token, cookie, query := "canary-password-5f1c", "canary-bearer-77aa", "canary-cookie-0b3d", "canary-query-91e2"
			basic := base64.StdEncoding.EncodeToString([]byte("canary-user:" + password))
			secrets := []string{password, token, cookie, query, basic, base64.RawURLEncoding.EncodeToString([]byte("canary-user:" + password))}
			for _, authorization := range []string{"Basic " + basic, "basic  " + basic, "Bearer " + token, "bearer " + token, "Basic !!" + password, "Digest " + token, token} {
				for _, c := range [][2]string{
					{"GET", "/v2/"}, {"GET", "/v2/_catalog"}, {"GET", "/v2/" + repo + "/tags/list"}, {"GET", wire.ManifestPath(repo, "here")}, {"HEAD", wire.ManifestPath(repo, desc.Digest)},
					{"GET", wire.BlobPath(repo, blob)}, {"GET", wire.ReferrersPath(repo, desc.Digest)}, {"POST", wire.UploadsPath(repo)}, {"PUT", wire.ManifestPath(repo, "again")},
					{"GET", "/v2/Bad"}, {"GET", "/nonsense"}, {"PATCH", "/v2/"}, {"GET", "/metrics"}, {"GET", "/auth/token"}, {"DELETE", wire.BlobPath(repo, absent())}, {"GET", "/readyz"},
				} {
					got := r.Do(t, c[0], wire.With(c[1], "access_token", query, "password", query), body, "Content-Type", image, "Authorization", authorization,
						"Proxy-Authorization", authorization, "Cookie", "session="+cookie, "X-Registry-Auth", basic, "X-Api-Key", token)
					for _, s := range secrets {
						if strings.Contains(string(got.Body), s) || strings.Contains(fmt.Sprint(got.Header), s) && got.Header.Get("Link") == "" {
							t.Errorf("%s: the reply repeats %s", got.Asked, s)
						}
					}
				}
			}
			// Secrets in an address (http://user:password@host) reach a server as a header; an absolute request line may still hold them.
			_, _ = r.Raw("GET http://canary-user:" + password + "@" + p.Addr + "/v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			metrics := string(r.Do(t, "GET", "/metrics", nil).Body)
			p.Stop()
			log := p.Log()
			if strings.Count(log, "\n") < 5 {
				t.Errorf("the log at debug level is silent, so that this test sees nothing:\n%s", log)
			}
			for _, s := range secrets {
				if at := strings.Index(log, s); at >= 0 {
					t.Errorf("the log holds %s: …%s…", s, log[max(0, at-100):min(len(log), at+100)])
				}
				if strings.Contains(metrics, s) {
					t.Errorf("the metrics hold %s", s)
				}
			}
		})
	}
}

// Metrics have a bounded number of lines, however many repositories and tags were asked for: names of clients are no labels.
func TestMetrics_AreBounded(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	r.Do(t, "GET", wire.ManifestPath("warm/up", "x"), nil)
	r.Do(t, "GET", "/metrics", nil).Want(t, 200)
	before := strings.Count(string(r.Do(t, "GET", "/metrics", nil).Want(t, 200).Body), "\n")
	for i := range 500 {
		r.Do(t, "GET", wire.ManifestPath(fmt.Sprintf("some/repo-%d", i), fmt.Sprintf("tag-%d", i)), nil)
		r.Do(t, "GET", fmt.Sprintf("/nonsense-%d", i), nil)
		r.Do(t, fmt.Sprintf("METHOD%d", i), "/v2/", nil)
	}
	if after := strings.Count(string(r.Do(t, "GET", "/metrics", nil).Want(t, 200).Body), "\n"); after > before+100 {
		t.Errorf("%d lines of metrics became %d", before, after)
	}
}
