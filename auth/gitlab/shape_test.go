package gitlab

import (
	"strings"
	"testing"
)

func TestShape(t *testing.T) {
	p := &Provider{prefixes: []string{"acme-"}}
	const rest = "AbCdEfGhIjKlMnOpQrSt"
	for _, c := range []struct {
		name, secret string
		want         kind
	}{
		{"alice", "glpat-" + rest, personal},
		{"", "glpat-" + rest + ".01.0w1z3ptxk", personal},
		{"gitlab-ci-token", "glpat-" + rest, personal},
		{"gitlab+deploy-token-7", "glpat-" + rest, personal},
		{"anybody", "glcbt-64_" + rest, job},
		{"gitlab-ci-token", rest, job},
		{"gitlab-ci-token", "glcbt-eyJh.eyJz." + strings.Repeat("x", 1000), job},
		{"gitlab+deploy-token-7", rest, deploy},
		{"puller", "gldt-" + rest, deploy},
		{"gitlab-ci-token", "gldt-" + rest, deploy},
		{"alice", "acme-glpat-" + rest, personal},
		{"alice", "acme-gldt-" + rest, deploy},
		{"alice", "acme-" + rest, personal},
		{"alice", "Acme-" + rest, unknown},
		{"alice", rest, unknown},
		{"gitlab-ci-token", "hunter2", unknown},
		{"gitlab-ci-token ", rest, unknown},
		{"Gitlab-ci-token", rest, unknown},
		{"gitlab+deploy-token-99999999999999999999", rest, unknown},
	} {
		if got := p.shape(c.name, c.secret); got != c.want {
			t.Errorf("%q, %.40q: %q, want %q", c.name, c.secret, got, c.want)
		}
	}
}

// FuzzShape: nothing is taken for a token unless a prefix or the name says so, and no token can leave its header.
func FuzzShape(f *testing.F) {
	f.Add("alice", "glpat-AbCdEfGhIjKlMnOpQrSt")
	f.Add("gitlab-ci-token", "AbCdEfGhIjKlMnOpQrSt")
	f.Add("gitlab+deploy-token-7", "acme-glcbt-x.y.z=")
	f.Add("alice", "acme-\r\nX: y 0123456789")
	f.Fuzz(func(t *testing.T, name, secret string) {
		p := &Provider{prefixes: []string{"acme-"}}
		if p.shape(name, secret) == unknown {
			return
		}
		said := name == "gitlab-ci-token" || strings.HasPrefix(name, "gitlab+deploy-token-")
		for _, prefix := range []string{"glpat-", "gldt-", "glcbt-", "acme-"} {
			said = said || strings.HasPrefix(secret, prefix)
		}
		if !said || strings.ContainsAny(secret, " \r\n\t\x00:") || len(secret) > maxToken || len(secret) < minToken {
			t.Errorf("%q, %q is taken for a token", name, secret)
		}
	})
}
