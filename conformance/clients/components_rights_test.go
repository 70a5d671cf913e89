//go:build clients

package clients

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The people who are there besides those of every guarded registry, with their roles.
var promoters = map[string]struct{ role, on, password string }{
	"max": {"maintainer", "cloud/dmp", "the maintainer's password"},
	"lea": {"domain-lead", "cloud", "the domain lead's password"},
}

// promoted is a guarded registry where max and lea are, and the robot apt-host, which may pull the suite cloud-prod and nothing else.
func promoted(t *testing.T) *guarded {
	t.Helper()
	g := guard(t)
	for name, p := range promoters {
		g.manage(http.MethodPost, "users", map[string]any{"name": name, "password": p.password}, http.StatusCreated)
		g.manage(http.MethodPost, "grants", map[string]any{"who": "user:" + name, "role": p.role, "on": p.on}, http.StatusCreated)
	}
	g.manage(http.MethodPost, "robots", map[string]any{"name": "apt-host", "on": "apt/cloud-prod"}, http.StatusCreated)
	g.manage(http.MethodPost, "grants", map[string]any{"who": "robot:apt-host", "role": "reader", "on": "apt/cloud-prod"}, http.StatusCreated)
	made := g.manage(http.MethodPost, "robots/apt-host/secrets", map[string]any{}, http.StatusCreated)
	g.secrets["apt-host"] = strings.Trim(field(t, made, "value"), `"`)
	return g
}

// secret is what somebody logs in with.
func (g *guarded) secret(name string) string {
	if p, ok := promoters[name]; ok {
		return p.password
	}
	if s, ok := g.secrets[name]; ok {
		return s
	}
	return passwords[name]
}

// maker logs somebody in, with oras and with curl; "" is nobody in particular.
func (g *guarded) maker(name string) *maker {
	g.t.Helper()
	m := &maker{session: newSession(g.t), at: g.addr, base: "https://" + g.addr, trusted: []string{"--ca-file", g.ca}, login: []string{"--silent", "--show-error", "--cacert", g.ca}}
	if name == "" {
		return m
	}
	contains(g.t, m.pipe(g.secret(name), "oras", "login", "--ca-file", g.ca, "--username", name, "--password-stdin", g.addr), "Login Succeeded")
	m.write("curl.conf", `user = "`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name+":"+g.secret(name))+"\"\n")
	m.login = append(m.login, "--config", "curl.conf")
	return m
}

// Who builds does not deploy: a developer publishes, a maintainer promotes as far as staging, and a domain lead to production, each by oras and by curl.
func TestComponentsRightsToPromote(t *testing.T) {
	g := promoted(t)
	dev, max, lea, ci, reader := g.maker("dev"), g.maker("max"), g.maker("lea"), g.maker("ci-dmp"), g.maker("reader")
	max.owns("cloud/dmp")
	dev.publishesFile(export, "3.2.0", "cloud", "first\n")
	ci.publishesFile(export, "3.3.0", "cloud", "second\n")
	contains(t, reader.gets("/index/components.yaml"), "latest_version: 3.3.0")
	digests := map[string]string{}
	for _, version := range []string{"3.2.0", "3.3.0"} {
		digests[version] = strings.TrimSpace(reader.oras("resolve", reader.ref(export, "generic-"+version)))
	}
	order := func(version, to string) string {
		return `{"component":"` + export + `","version":"` + version + `","to":"` + to + `"}`
	}
	refused := func(who *maker, version, to string) {
		t.Helper()
		was, _, _ := reader.try("", "oras", "resolve", "--ca-file", g.ca, reader.ref(export, to))
		contains(t, who.orasFails("tag", who.ref(export, "generic-"+version), to), denied)
		contains(t, who.posts("/api/v1/promotions", order(version, to), "403"), denied, "gives")
		contains(t, who.posts("/api/v1/rollbacks", `{"component":"`+export+`","at":"`+to+`"}`, "403"), denied)
		contains(t, who.posts("/api/v1/withdrawals", `{"component":"`+export+`","at":"`+to+`"}`, "403"), denied)
		is, _, _ := reader.try("", "oras", "resolve", "--ca-file", g.ca, reader.ref(export, to))
		equal(t, is, was)
	}
	deployed := func(to, version, by string) {
		t.Helper()
		for _, item := range list(t, reader.gets("/api/v1/components/"+export+"/deployed")) {
			if field(t, item, "domain")+field(t, item, "environment") == `"`+strings.Replace(to, ".", `""`, 1)+`"` {
				equal(t, field(t, item, "version"), `"`+version+`"`)
				equal(t, field(t, item, "by"), `"user:`+by+`"`)
				return
			}
		}
		t.Fatalf("nothing of %s is deployed in %s", export, to)
	}

	for _, who := range []*maker{dev, ci, reader} {
		refused(who, "3.2.0", "cloud.staging")
		refused(who, "3.2.0", "cloud.prod")
	}
	max.oras("tag", max.ref(export, "generic-3.2.0"), "cloud.staging")
	deployed("cloud.staging", "3.2.0", "max")
	max.posts("/api/v1/promotions", order("3.3.0", "cloud.staging"), "201")
	deployed("cloud.staging", "3.3.0", "max")
	refused(max, "3.2.0", "cloud.prod")

	// A domain lead pushes nothing, and promotes to the last environment: the token for that holds promote, and not push.
	lea.write("notes.txt", "third\n")
	contains(t, lea.orasFails("push", lea.ref(export, "generic-3.4.0"), "notes.txt:text/plain"), denied)
	lea.oras("tag", lea.ref(export, "generic-3.2.0"), "cloud.prod")
	deployed("cloud.prod", "3.2.0", "lea")
	lea.posts("/api/v1/promotions", order("3.3.0", "cloud.prod"), "201")
	deployed("cloud.prod", "3.3.0", "lea")
	refused(max, "3.2.0", "cloud.prod")
	refused(dev, "3.2.0", "cloud.prod")
	lea.posts("/api/v1/rollbacks", `{"component":"`+export+`","at":"cloud.prod"}`, "201")
	deployed("cloud.prod", "3.2.0", "lea")
	equal(t, reader.gets("/index/domain-cloud.yaml"), domainYAML(export, "3.2.0"))

	// Whoever asks is told what to log in for.
	_, challenge := g.maker("").curl("/v2/"+export+"/manifests/cloud.prod", "--include", "--request", "PUT", "--data", "{}")
	contains(t, challenge, `scope="repository:`+export+`:pull,promote"`)
	nobody := g.maker("")
	either(t, nobody.orasFails("tag", nobody.ref(export, "generic-3.2.0"), "cloud.prod"), unasked...)
	contains(t, nobody.posts("/api/v1/promotions", order("3.2.0", "cloud.prod"), "401"), "log in")

	// What happened is told with who did it, and those who may not know of the component are told nothing.
	history := reader.gets("/api/v1/promotions?component=" + export)
	contains(t, history, `"by":"user:lea"`, `"by":"user:max"`)
	lacking(t, history, `"by":"user:dev"`, `"by":"robot:ci-dmp"`)
	stranger := &maker{session: reader.session, at: reader.at, base: reader.base, login: append([]string{"--user", "nobody:" + passwords["nobody"]}, nobody.login...)}
	equal(t, field(t, stranger.gets("/api/v1/promotions"), "items"), "[]")
	contains(t, stranger.posts("/api/v1/promotions", order("3.2.0", "cloud.prod"), "404"), hidden)
	// Other content under a version that is taken: who has it is said by name.
	dev.write("notes.txt", "other\n")
	contains(t, dev.orasFails("push", dev.ref(export, "generic-3.3.0"), "notes.txt:text/plain"), "by:robot:ci-dmp", "generic-3.3.1")
	// Nobody deletes what is deployed, not even who may delete.
	status, body := max.curl("/v2/"+export+"/manifests/generic-3.2.0", "--request", "DELETE")
	equal(t, status, "403")
	contains(t, body, "it is deployed in cloud.prod")
}

// Ownership and policy of a group are set by who governs it.
func TestComponentsRightsToGovern(t *testing.T) {
	g := promoted(t)
	dev, max, reader := g.maker("dev"), g.maker("max"), g.maker("reader")
	for _, who := range []*maker{dev, reader} {
		who.write("ownership.yaml", ownershipYAML)
		contains(t, who.orasFails("push", "--artifact-type", typeOwnership, who.ref("cloud/dmp", "ownership"), "ownership.yaml:application/yaml"), denied)
		who.write("policy.yaml", "rules:\n  version.metadata.missing: off\n")
		contains(t, who.orasFails("push", "--artifact-type", typePolicy, who.ref("cloud/dmp", "policy"), "policy.yaml:application/yaml"), denied)
		status, body := who.curl("/api/v1/groups/cloud/dmp/policy.yaml", "--upload-file", "policy.yaml")
		equal(t, status, "403")
		contains(t, body, denied)
	}
	for _, tag := range []string{"ownership", "policy"} {
		if g.has("cloud/dmp", tag) {
			t.Fatalf("cloud/dmp:%s is there, though whoever pushed it was refused", tag)
		}
	}
	max.owns("cloud/dmp")
	equal(t, reader.gets("/api/v1/groups/cloud/dmp/ownership.yaml"), ownershipYAML)

	dev.write("notes.txt", "text\n")
	dev.oras("push", dev.ref(export, "generic-3.2.0"), "notes.txt:text/plain")
	dev.attaches(export, "generic-3.2.0", typeBuild, "manifest.yaml", manifestYAML("generic", "3.2.0", dev.sum("notes.txt"), time.Now()))
	equal(t, reader.gets("/index/components.yaml"), "components: []")
	max.write("policy.yaml", "rules:\n  version.metadata.missing: \"off\"\n")
	max.oras("push", "--artifact-type", typePolicy, max.ref("cloud/dmp", "policy"), "policy.yaml:application/yaml")
	contains(t, reader.gets("/index/components.yaml"), "latest_version: 3.2.0")
}

// Everybody sees the components of their own groups in the index files, and nothing of others.
func TestComponentsRightsToSee(t *testing.T) {
	g := promoted(t)
	root, reader, lea := g.maker("root"), g.maker("reader"), g.maker("lea")
	const other = "cloud/core/ms-router"
	for _, c := range []string{export, other} {
		root.owns(c[:strings.LastIndexByte(c, '/')])
		root.publishesFile(c, "1.0.0", "cloud, core", "text of "+c+"\n")
		for _, place := range []string{"cloud.prod", "core.prod"} {
			root.oras("tag", root.ref(c, "generic-1.0.0"), place)
		}
	}
	latest := func(names ...string) string {
		text := "components:\n"
		for _, n := range names {
			text += "  - name: " + n + "\n    latest_version: 1.0.0\n"
		}
		return text
	}
	for who, want := range map[*maker]struct{ components, domain string }{
		root:   {latest(other, export), domainYAML(other, "1.0.0", export, "1.0.0")},
		lea:    {latest(other, export), domainYAML(other, "1.0.0", export, "1.0.0")},
		reader: {latest(export), domainYAML(export, "1.0.0")},
	} {
		if got := who.gets("/index/components.yaml"); got != want.components {
			t.Errorf("components.yaml is\n%swant\n%s", got, want.components)
		}
		for _, name := range []string{"domain-cloud", "domain-cloud-prod", "domain-core"} {
			if got := who.gets("/index/" + name + ".yaml"); got != want.domain {
				t.Errorf("%s.yaml is\n%swant\n%s", name, got, want.domain)
			}
		}
	}
	for _, path := range []string{
		"/api/v1/components", "/api/v1/versions", "/api/v1/promotions", "/api/v1/places/cloud.prod", "/api/v1/findings", "/tree/components/cloud/?format=json",
	} {
		lacking(t, reader.gets(path), "core/ms-router", "ms-router")
	}
	for _, path := range []string{
		"/api/v1/components/" + other, "/api/v1/components/" + other + "/latest", "/tree/components/" + other + "/versions/1.0.0/generic/notes.txt",
		"/api/v1/groups/cloud/core/ownership.yaml", "/tree/components/cloud/core/ownership.yaml",
	} {
		status, body := reader.curl(path)
		if status != "404" {
			t.Errorf("%s of the reader: %s, want 404\n%s", path, status, body)
		}
	}
	// As an artifact the index is whole, and for those who may see all of it.
	root.oras("pull", "--output", "pulled", root.at+"/index/components:latest")
	equal(t, root.read("pulled/components.yaml"), latest(other, export))
	contains(t, reader.orasFails("pull", reader.at+"/index/components:latest"), "not found")
	equal(t, g.maker("").gets("/index/components.yaml"), "components: []")
}

// A host installs from a closed suite with a robot's secret, and is told what is missing without one.
func TestComponentsRightsOfAptHosts(t *testing.T) {
	g := promoted(t)
	root := g.maker("root")
	root.owns("cloud/dmp")
	root.publishesDeb(utils, "1.2.0", "cloud")
	root.oras("tag", root.ref(utils, "deb-1.2.0"), "cloud.prod")
	root.oras("tag", root.ref(utils, "deb-1.2.0"), "cloud.staging")
	h := newHost(t, g.ca)
	curl := "--cacert " + g.ca

	// Everybody gets the script; it says what to write where.
	said := h.refuses(client(t, "curl") + " -fsS " + curl + " '" + root.base + "/apt/setup.sh?suite=cloud-prod' | sh")
	contains(t, said, "401", "/etc/apt/auth.conf.d/entrepot.conf", "machine "+root.base+"/apt", "login NAME")
	login := func(name, secret string) {
		t.Helper()
		h.write("etc/apt/auth.conf.d/entrepot.conf", "machine "+root.base+"/apt\nlogin "+name+"\npassword "+secret+"\n")
	}
	login("apt-host", g.secrets["apt-host"])
	h.isSetUp(root.base, "cloud-prod", curl)
	lacking(t, h.read(h.source("cloud-prod")), g.secrets["apt-host"])
	h.apt("update")
	h.apt("install common-utils")
	h.has("common-utils", "1.2.0")

	// It is for this suite and nothing else.
	machine := &maker{session: h.session, at: g.addr, base: root.base, login: append([]string{"--user", "apt-host:" + g.secrets["apt-host"]}, g.maker("").login...)}
	for path, want := range map[string]string{
		"/apt/dists/cloud-prod/InRelease": "200", "/apt/dists/cloud-staging/InRelease": "404", "/v2/" + utils + "/manifests/deb-1.2.0": "404",
		"/tree/components/" + utils + "/versions/1.2.0/metadata.yaml": "404",
	} {
		if status, body := machine.curl(path); status != want {
			t.Errorf("%s of the host: %s, want %s\n%s", path, status, want, body)
		}
	}

	// Without it, with a wrong one and after it was withdrawn there is a 401, with words that a person can read.
	fresh := newHost(t, g.ca)
	fresh.types("cp -r " + h.dir + "/etc/apt/sources.list.d " + h.dir + "/etc/apt/keyrings etc/apt/")
	contains(t, fresh.refuses("apt-get update"), "401  Unauthorized")
	status, body := g.maker("").curl("/apt/dists/cloud-prod/InRelease", "--include")
	equal(t, status, "401")
	contains(t, strings.ToLower(body), "content-type: text/plain", "www-authenticate: basic realm=", "\n401 authentication required: ")
	login("apt-host", wrongPassword[:3])
	contains(t, h.refuses("apt-get update"), "401  Unauthorized")
	login("apt-host", g.secrets["apt-host"])
	h.apt("update")
	g.manage(http.MethodDelete, "robots/apt-host", nil, http.StatusNoContent)
	contains(t, h.refuses("apt-get update"), "401  Unauthorized")
	if err := os.RemoveAll(h.dir + "/var/cache/apt/archives"); err != nil {
		t.Fatal(err)
	}
	h.write("var/cache/apt/archives/partial/README", "")
	contains(t, h.refuses("apt-get download common-utils"), "401  Unauthorized")
}
