package api

import (
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts/document"
)

// TestValidate judges what is not kept, for people, programs and the logs of builds.
func TestValidate(t *testing.T) {
	h := build(t)
	d := h.image(service, "1.0.2", "")
	right := manifestYAML("1.0.2", d)
	wrong := "format: docker\nversion: 1.0.2\nsha256: abc\nbuilt_at: yesterday\nserviceName: x\n"
	v := into[verdict](t, h.do("reader", "POST", "/api/v1/validate/manifest", right).want(t, 200))
	if v.Kind != document.KindManifest || !v.Valid || v.Findings == nil || len(v.Findings) > 0 {
		t.Errorf("%+v", v)
	}
	h.do("reader", "POST", "/api/v1/validate/manifest", wrong).problem(t, 422, "manifest.yaml:3:9: deny: sha256: ").
		says(t, `"line":3,"column":9,"field":"sha256"`, `"rule":"manifest.sha256.form"`, `"rule":"manifest.built_at.form"`, `"valid":false`)
	r := h.do("reader", "POST", "/api/v1/validate/auto?file=build/manifest.yaml", wrong, "Accept", "text/plain").want(t, 422).
		says(t, "build/manifest.yaml:3:9: deny: sha256: ", "build/manifest.yaml:4:11: deny: built_at: ")
	if lines := strings.Count(string(r.body), "\n"); lines < 3 || r.Header.Get("Content-Type") != plainText {
		t.Errorf("%d lines of type %s: %s", lines, r.Header.Get("Content-Type"), r.body)
	}
	if r := h.do("reader", "POST", "/api/v1/validate/manifest", right, "Accept", "text/plain").want(t, 200); len(r.body) > 0 {
		t.Errorf("of what is right it says %q", r.body)
	}
	h.do("reader", "POST", "/api/v1/validate/ownership", "owner_team: a\nsource_repo: https://git.example.com\n").want(t, 200)
	h.do("reader", "POST", "/api/v1/validate/policy", "rules:\n  manifest.nothing: off\n").problem(t, 422, "is no rule")

	for path, words := range map[string]string{
		"auto": "name the file", "auto?file=x.yaml": "name the file", "manifest?component=x": "three parts", "manifest?version=1.0.2": "component",
		"manifest?place=x": "cloud.prod", "manifest?format=rpm": "docker or deb", "manifest?file=a%0ab": "characters", "manifest?kind=x": "knows",
		"manifest?component=" + service + "&version=x": "1.0.2",
	} {
		h.do("reader", "POST", "/api/v1/validate/"+path, right).problem(t, 400, words)
	}
	h.do("reader", "POST", "/api/v1/validate/nothing", right).problem(t, 404, "/schemas/")
	h.do("reader", "POST", "/api/v1/validate/manifest", strings.Repeat("#", 256<<10+1)).problem(t, 413)
	h.send("reader", "POST", "/api/v1/validate/manifest", strings.NewReader(strings.Repeat("#", 256<<10+1))).problem(t, 413)
	h.do("", "POST", "/api/v1/validate/manifest", right).problem(t, 401)
}

// TestValidate_compares a document with what it is about, if the caller may see that.
func TestValidate_compares(t *testing.T) {
	h := build(t)
	d := h.image(service, "1.0.2", "")
	text := manifestYAML("1.0.3", d)
	h.do("reader", "POST", "/api/v1/validate/manifest", text).want(t, 200)
	about := "/api/v1/validate/manifest?component=" + service + "&version=v1.0.2&format=docker"
	h.do("reader", "POST", about, text).problem(t, 422, "write 1.0.2")
	h.do("stranger", "POST", about, text).problem(t, 404)
}

// TestValidate_index: what is proposed must be there and good, and nothing is told of what one may not see.
func TestValidate_index(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", "", "")
	h.good(other, "2.0.0", "", "")
	h.promote(service, "1.0.2", "cloud.prod")
	of := func(repo, number string) string {
		return "components:\n  - name: " + repo + "\n    latest_version: " + number + "\n"
	}
	h.do("root", "POST", "/api/v1/validate/components", of(other, "2.0.0")).want(t, 200)
	h.do("root", "POST", "/api/v1/validate/components", of(other, "3.0.0")).problem(t, 422, "write 2.0.0")
	same := ""
	for _, text := range []string{of(other, "2.0.0"), of(other, "3.0.0"), of("cloud/net/nothing", "2.0.0")} {
		r := h.do("reader", "POST", "/api/v1/validate/components", text, "Accept", "text/plain").want(t, 422).says(t, "components.yaml:3:21: deny: ", "push it first")
		says := strings.NewReplacer("cloud/net/nothing", other, "2.0.0", "3.0.0").Replace(string(r.body))
		if same != "" && says != same {
			t.Errorf("what may not be seen is told apart: %q and %q", same, says)
		}
		same = says
	}
	domain := "components:\n  - name: " + service + "\n    version: 1.0.2\n"
	h.do("reader", "POST", "/api/v1/validate/auto?file=domain-cloud-prod.yaml", domain).want(t, 200)
	h.do("reader", "POST", "/api/v1/validate/domain?place=ran.prod", domain).problem(t, 422, "domains cloud")
	h.do("reader", "POST", "/api/v1/validate/domain", domain+"  - name: "+other+"\n    version: 2.0.0\n").problem(t, 422, "no such version of "+other)
}
