//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The components of the flow. common-utils is what ms-ingestion depends on.
const (
	ingestion = "cloud/dmp/ms-ingestion"
	export    = "cloud/dmp/ms-export"
	utils     = "cloud/dmp/common-utils"
)

// flow is a team's way from a build to production and back, with nothing but plain tools.
type flow struct {
	*maker
	host    *host
	docker  string            // the client's path, for lines of a shell
	images  map[string]string // digests by version
	content map[string]string // of the file /big in each, by version
}

// A service is built, published in three formats with its documents, promoted, installed, upgraded and rolled back, as the design that the registry is made
// for tells it.
func TestSeedsFlow(t *testing.T) {
	r := registry(t)
	s := docker(t, nil)
	s.env = append(s.env, "DOCKER_BUILDKIT=0")
	f := &flow{maker: opened(s, r), host: newHost(t, ""), docker: client(t, "docker"), images: map[string]string{}, content: map[string]string{}}

	f.publishes("1.0.2")
	f.isNotGoodYet()
	f.owns("cloud/dmp")
	f.publishesDeb(utils, "1.2.0", "cloud, core")
	f.publishesFile(export, "3.2.0", "cloud", "export\n")
	f.tellsTheLatest("1.0.2")
	f.hasItsTree("1.0.2")
	f.loadsFromTheTree("1.0.2")

	f.promotesByTag("1.0.2")
	f.promotesByRequest("1.0.2")
	f.runs("1.0.2")
	f.installs("1.0.2")

	f.publishes("1.0.3")
	f.keepsProduction("1.0.2", "1.0.3")
	f.promotesAgain("1.0.3")
	f.upgrades("1.0.3")
	f.rollsBack("1.0.3", "1.0.2")
	f.downgrades("1.0.3", "1.0.2")
	f.tellsWhatHappened()

	f.keepsVersions()
	f.keepsItsOwnTags()
	f.hasTheOtherName()
}

// publishes builds and pushes a version in three formats, each with its manifest.yaml, and the version's metadata.yaml.
func (f *flow) publishes(version string) {
	f.t.Helper()
	f.content[version] = f.buildContext("app", 64<<10)
	f.write("app/Dockerfile", f.read("app/Dockerfile")+"EXPOSE 8443\n")
	f.run("docker", "build", "--network", "none", "--label", "org.opencontainers.image.revision="+revision, "--label", "org.label-schema.schema-version=1.0",
		"-t", f.ref(ingestion, version), "app")
	contains(f.t, f.run("docker", "push", f.ref(ingestion, version)), version+": digest: sha256:")
	f.images[version] = strings.TrimSpace(f.oras("resolve", f.ref(ingestion, version)))

	file := f.builds("ms-ingestion", version, "Depends: common-utils (>= 1.2.0)\n")
	f.oras("push", f.ref(ingestion, "deb-"+version), file)
	f.write("config/ingestion.toml", "version = \""+version+"\"\n")
	f.oras("push", f.ref(ingestion, "generic-"+version), "config/ingestion.toml:application/toml")

	now := time.Now()
	for tag, m := range map[string]struct{ format, sum string }{
		version: {"docker", f.images[version]}, "deb-" + version: {"deb", f.sum(file)}, "generic-" + version: {"generic", f.sum("config/ingestion.toml")},
	} {
		f.attaches(ingestion, tag, typeBuild, "manifest.yaml", manifestYAML(m.format, version, m.sum, now))
	}
	f.attaches(ingestion, version, typeMetadata, "metadata.yaml",
		metadataYAML(ingestion, `"cloud"`, "port_exposed: 8443\n", "dependencies: [\"common-utils >=1.2.0\"]\n"))
}

// isNotGoodYet: without somebody who answers for the group, nothing of it is known good.
func (f *flow) isNotGoodYet() {
	f.t.Helper()
	equal(f.t, f.gets("/index/components.yaml"), "components: []")
	status, body := f.curl("/api/v1/components/" + ingestion + "/latest")
	equal(f.t, status, "404")
	contains(f.t, body, ingestion)
	contains(f.t, f.orasFails("tag", f.ref(ingestion, "1.0.2"), "cloud.staging"), "ownership.yaml is missing", "push an ownership.yaml to cloud/dmp:ownership")
	f.fails("docker", "pull", f.ref(ingestion, "cloud.staging"))
}

// tellsTheLatest looks at components.yaml in every way, with the helper of the pipelines among them.
func (f *flow) tellsTheLatest(version string) {
	f.t.Helper()
	want := "components:\n  - name: " + utils + "\n    latest_version: 1.2.0\n  - name: " + export + "\n    latest_version: 3.2.0\n  - name: " +
		ingestion + "\n    latest_version: " + version + "\n"
	f.write("index/README", "a folder\n")
	f.types(client(f.t, "curl") + " -fsS -o index/components.yaml " + f.base + "/index/components.yaml")
	if got := f.read("index/components.yaml"); got != want {
		f.t.Fatalf("components.yaml is\n%s\nwant\n%s", got, want)
	}
	f.oras("pull", "--output", "pulled", f.at+"/index/components:latest")
	equal(f.t, f.read("pulled/components.yaml"), want)

	f.write("get_latest.py", helper)
	for component, latest := range map[string]string{ingestion: version, export: "3.2.0", utils: "1.2.0", "cloud/dmp/unknown": "None", "ms-ingestion": "None"} {
		equal(f.t, f.types("VERSION=$(/usr/bin/python3 get_latest.py "+component+"); echo $VERSION"), latest)
	}
	equal(f.t, field(f.t, f.gets("/api/v1/components/"+ingestion+"/latest"), "version"), `"`+version+`"`)
	_, text := f.curl("/api/v1/components/"+ingestion+"/latest", "--header", "Accept: text/plain")
	equal(f.t, text, version)
	equal(f.t, f.oras("resolve", f.ref(ingestion, "latest")), f.images[version])
	equal(f.t, f.oras("resolve", f.ref(ingestion, "commit-"+revision)), f.images["1.0.2"])

	// Whoever has the file already is told so, and need not take it again.
	head := f.run("curl", "--silent", "--head", f.base+"/index/components.yaml")
	_, tag, found := strings.Cut(strings.ToLower(head), "\netag: ")
	tag, _, _ = strings.Cut(tag, "\r\n")
	if !found || tag == "" {
		f.t.Fatalf("components.yaml has no ETag:\n%s", head)
	}
	status, body := f.curl("/index/components.yaml", "--header", "If-None-Match: "+tag)
	equal(f.t, status+body, "304")
}

// helper is how the pipelines find the latest version.
const helper = `import sys
import yaml

def get_latest_version(component_path):
    with open('index/components.yaml') as f:
        data = yaml.safe_load(f)
        for comp in data['components']:
            if comp['name'] == component_path:
                return comp['latest_version']
    return None

print(get_latest_version(sys.argv[1]))
`

// hasItsTree looks at the folders by which pipelines know a version.
func (f *flow) hasItsTree(version string) {
	f.t.Helper()
	at := "/tree/components/" + ingestion + "/versions/" + version
	for path, want := range map[string]string{
		"/docker/manifest.yaml": "format: docker\nversion: " + version + "\n", "/deb/manifest.yaml": "format: deb\n", "/generic/manifest.yaml": "format: generic\n",
		"/metadata.yaml": "service_name: ms-ingestion\n", "/generic/config/ingestion.toml": "version = \"" + version + "\"\n",
	} {
		contains(f.t, f.gets(at+path), want)
	}
	equal(f.t, f.gets("/tree/components/cloud/dmp/ownership.yaml"), ownershipYAML)
	names := field(f.t, f.gets(at+"/?format=json"), "entries")
	contains(f.t, names, `"docker"`, `"deb"`, `"generic"`, `"metadata.yaml"`)

	// What is in the folder is whole: the sums that the registry knows are those of what it sends.
	curl := client(f.t, "curl")
	if err := os.RemoveAll(filepath.Join(f.dir, "checked")); err != nil {
		f.t.Fatal(err)
	}
	f.types("mkdir -p checked && cd checked && " + curl + " -fsS -o SHA256SUMS " + f.base + at + "/SHA256SUMS && " +
		"sed 's/^[0-9a-f]*  //' SHA256SUMS | while read -r name; do " + curl + " -fsS --create-dirs -o \"$name\" \"" + f.base + at + "/$name\"; done && sha256sum --check --strict SHA256SUMS")
	contains(f.t, f.read("checked/SHA256SUMS"), "  docker/manifest.yaml\n", "  deb/ms-ingestion_"+version+"_", "  generic/config/ingestion.toml\n", "  metadata.yaml\n")

	// The pipelines' job that looks at a manifest.yaml.
	f.types(curl + " -fsS " + f.base + at + "/docker/manifest.yaml | " + curl + " -fsS --data-binary @- -H 'Content-Type: application/yaml' '" +
		f.base + "/api/v1/validate/manifest?component=" + ingestion + "&version=" + version + "&format=docker' | grep '\"valid\":true'")
	contains(f.t, f.oras("discover", "--format", "json", f.ref(ingestion, version)), typeBuild, typeMetadata)
	contains(f.t, f.oras("discover", "--format", "json", f.ref(ingestion, "deb-"+version)), typeBuild)
	f.oras("pull", "--output", "owner", f.ref("cloud/dmp", "ownership"))
	equal(f.t, f.read("owner/ownership.yaml"), ownershipYAML)
}

// forgets lets docker know nothing of any image.
func (f *flow) forgets() {
	f.t.Helper()
	f.run("docker", "system", "prune", "--all", "--force")
	equal(f.t, f.run("docker", "image", "ls", "--quiet", "--all"), "")
}

// loadsFromTheTree gives image.tar to docker, podman and skopeo.
func (f *flow) loadsFromTheTree(version string) {
	f.t.Helper()
	tar := f.base + "/tree/components/" + ingestion + "/versions/" + version + "/docker/image.tar"
	config := strings.TrimSpace(f.run("docker", "image", "inspect", "--format", "{{.Id}}", f.ref(ingestion, version)))
	f.forgets()
	loaded := f.types(client(f.t, "curl") + " -fsS " + tar + " | " + f.docker + " load")
	_, name, found := strings.Cut(loaded, "Loaded image: ")
	if !found {
		f.t.Fatalf("docker load says\n%s", loaded)
	}
	name = strings.TrimSpace(name)
	contains(f.t, name, ingestion, version)
	equal(f.t, f.run("docker", "image", "inspect", "--format", "{{.Id}}", name), config)
	equal(f.t, f.run("docker", "run", "--rm", "--network", "none", name, "sum", "/big"), f.content[version])

	s := containers(f.t, f.at)
	s.types(client(f.t, "curl") + " -fsS -o image.tar " + tar)
	contains(f.t, s.run("podman", "load", "--input", "image.tar"), ingestion)
	equal(f.t, s.podmanRun(name, "sum", "/big"), f.content[version])
	for form, to := range map[string]string{"docker-archive:image.tar": "loaded", "oci-archive:image.tar": "packed"} {
		s.run("skopeo", "copy", form, "oci:"+to+":1")
		contains(f.t, s.run("skopeo", "inspect", "--config", "oci:"+to+":1"), revision)
	}
}

// promotesByTag moves cloud.staging by oras, once what the version depends on is there.
func (f *flow) promotesByTag(version string) {
	f.t.Helper()
	said := f.orasFails("tag", f.ref(ingestion, version), "cloud.staging")
	contains(f.t, said, "common-utils >=1.2.0", "cloud.staging")
	contains(f.t, f.orasFails("resolve", f.ref(ingestion, "cloud.staging")), "not found")
	status, _ := f.curl("/index/domain-cloud-staging.yaml")
	equal(f.t, status, "404")

	f.oras("tag", f.ref(utils, "deb-1.2.0"), "cloud.staging")
	f.oras("tag", f.ref(ingestion, version), "cloud.staging")
	equal(f.t, f.oras("resolve", f.ref(ingestion, "cloud.staging")), f.images[version])
	equal(f.t, f.gets("/index/domain-cloud-staging.yaml"), domainYAML(utils, "1.2.0", ingestion, version))
	status, _ = f.curl("/index/domain-cloud.yaml")
	equal(f.t, status, "404")
	// Neither a domain nor an environment that the metadata.yaml does not name.
	contains(f.t, f.orasFails("tag", f.ref(ingestion, version), "ran.staging"), "allows the domains cloud, and not ran")
	contains(f.t, f.orasFails("tag", f.ref(ingestion, version), "cloud.dev"), "allows the environments staging, prod, and not dev")
	contains(f.t, f.orasFails("tag", f.ref(ingestion, version), "cloud.prod"), "common-utils >=1.2.0")
	// What is attached is no version.
	found := f.oras("discover", "--format", "json", "--artifact-type", typeMetadata, f.ref(ingestion, version))
	attached := strings.Trim(field(f.t, strings.Trim(field(f.t, found, "referrers"), "[]"), "digest"), `"`)
	contains(f.t, f.orasFails("tag", f.ref(ingestion, attached), "cloud.staging"), "is no version of "+ingestion)
}

// domainYAML is a domain's file: pairs of a component and a version.
func domainYAML(pairs ...string) string {
	text := "components:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += "  - name: " + pairs[i] + "\n    version: " + pairs[i+1] + "\n"
	}
	return text
}

// promotesByRequest moves cloud.prod by curl.
func (f *flow) promotesByRequest(version string) {
	f.t.Helper()
	order := func(component, version, more string) string {
		return `{"component":"` + component + `","version":"` + version + `","to":"cloud.prod"` + more + `}`
	}
	in(f.t, "what curl shows of a refusal", f.posts("/api/v1/promotions", order(ingestion, version, ""), "422"),
		"it needs common-utils >=1.2.0, and "+utils+" is not deployed in cloud.prod", `"promotion.dependency"`)
	contains(f.t, f.posts("/api/v1/promotions", order(ingestion, "9.9.9", ""), "404"), "there is no version 9.9.9 of "+ingestion, "push it first")
	f.posts("/api/v1/promotions", order(utils, "1.2.0", ""), "201")
	contains(f.t, f.posts("/api/v1/promotions", order(ingestion, version, `,"expect":"1.0.0"`), "409"), "nothing is deployed there, and not 1.0.0")
	moved := f.posts("/api/v1/promotions", order(ingestion, version, `,"expect":"","reason":"tests passed"`), "201")
	equal(f.t, field(f.t, moved, "to"), `"`+version+`"`)
	equal(f.t, field(f.t, moved, "digest"), `"`+f.images[version]+`"`)
	equal(f.t, f.gets("/index/domain-cloud.yaml"), domainYAML(utils, "1.2.0", ingestion, version))
	equal(f.t, f.gets("/index/domain-cloud-prod.yaml"), f.gets("/index/domain-cloud.yaml"))
	f.oras("pull", "--output", "pulled", f.at+"/index/domain-cloud:latest")
	equal(f.t, f.read("pulled/domain-cloud.yaml"), domainYAML(utils, "1.2.0", ingestion, version))
	contains(f.t, f.gets("/api/v1/components/"+ingestion+"/resolve/cloud.prod"), f.images[version], `"`+version+`"`)
}

// runs lets docker pull and run what is deployed in production.
func (f *flow) runs(version string) {
	f.t.Helper()
	f.forgets()
	f.run("docker", "pull", f.ref(ingestion, "cloud.prod"))
	equal(f.t, f.run("docker", "run", "--rm", "--network", "none", f.ref(ingestion, "cloud.prod"), "sum", "/big"), f.content[version])
	contains(f.t, f.run("docker", "image", "inspect", "--format", "{{.RepoDigests}}", f.ref(ingestion, "cloud.prod")), f.images[version])
}

// installs sets up a host for the suite of production, and installs the service with what it depends on.
func (f *flow) installs(version string) {
	f.t.Helper()
	f.host.isSetUp(f.base, "cloud-prod", "")
	f.host.apt("update")
	contains(f.t, f.host.apt("install ms-ingestion"), "common-utils")
	f.host.has("ms-ingestion", version)
	f.host.has("common-utils", "1.2.0")
}

// keepsProduction: a newer version is the latest, and production stays as it is until somebody promotes that.
func (f *flow) keepsProduction(deployed, latest string) {
	f.t.Helper()
	f.tellsTheLatest(latest)
	equal(f.t, f.gets("/index/domain-cloud.yaml"), domainYAML(utils, "1.2.0", ingestion, deployed))
	equal(f.t, f.gets("/index/domain-cloud-staging.yaml"), domainYAML(utils, "1.2.0", ingestion, deployed))
	equal(f.t, f.oras("resolve", f.ref(ingestion, "cloud.prod")), f.images[deployed])
	f.runs(deployed)
	f.host.apt("update")
	contains(f.t, f.host.apt("dist-upgrade"), "0 upgraded")
	f.host.has("ms-ingestion", deployed)
}

// promotesAgain promotes another version to staging and to production.
func (f *flow) promotesAgain(version string) {
	f.t.Helper()
	f.posts("/api/v1/promotions", `{"component":"`+ingestion+`","version":"`+version+`","to":"cloud.staging"}`, "201")
	f.oras("tag", f.ref(ingestion, version), "cloud.prod")
	// It is so already, and stays so.
	f.oras("tag", f.ref(ingestion, version), "cloud.prod")
	equal(f.t, f.gets("/index/domain-cloud.yaml"), domainYAML(utils, "1.2.0", ingestion, version))
	equal(f.t, f.gets("/index/domain-cloud-staging.yaml"), domainYAML(utils, "1.2.0", ingestion, version))
	f.runs(version)
}

func (f *flow) upgrades(version string) {
	f.t.Helper()
	f.host.apt("update")
	contains(f.t, f.host.apt("upgrade"), "1 upgraded")
	f.host.has("ms-ingestion", version)
}

// rollsBack goes back to what was there before: image and package together, by one request.
func (f *flow) rollsBack(from, to string) {
	f.t.Helper()
	moved := f.posts("/api/v1/rollbacks", `{"component":"`+ingestion+`","at":"cloud.prod","expect":"`+from+`","reason":"it leaks"}`, "201")
	equal(f.t, field(f.t, moved, "to"), `"`+to+`"`)
	equal(f.t, f.oras("resolve", f.ref(ingestion, "cloud.prod")), f.images[to])
	equal(f.t, f.gets("/index/domain-cloud.yaml"), domainYAML(utils, "1.2.0", ingestion, to))
	f.runs(to)
	// A new host gets what is deployed now; staging and the latest are as they were.
	fresh := newHost(f.t, "")
	fresh.isSetUp(f.base, "cloud-prod", "")
	fresh.apt("update")
	fresh.apt("install ms-ingestion")
	fresh.has("ms-ingestion", to)
	equal(f.t, f.gets("/index/domain-cloud-staging.yaml"), domainYAML(utils, "1.2.0", ingestion, from))
	f.tellsTheLatest(from)
}

// downgrades: apt goes back by itself never, and with a pin file it does.
func (f *flow) downgrades(from, to string) {
	f.t.Helper()
	f.host.apt("update")
	f.host.apt("dist-upgrade")
	f.host.has("ms-ingestion", from)
	f.host.types(client(f.t, "curl") + " -fsS -o etc/apt/preferences.d/entrepot-cloud-prod.pref " + f.base + "/apt/pin/cloud-prod")
	contains(f.t, f.host.apt("dist-upgrade --allow-downgrades"), "1 downgraded")
	f.host.has("ms-ingestion", to)
	f.host.has("common-utils", "1.2.0")
}

// tellsWhatHappened reads who deployed what.
func (f *flow) tellsWhatHappened() {
	f.t.Helper()
	var all []string
	for _, item := range list(f.t, f.gets("/api/v1/components/"+ingestion+"/history?place=cloud.prod")) {
		all = append(all, strings.Trim(field(f.t, item, "kind"), `"`)+" "+strings.Trim(field(f.t, item, "to"), `"`))
	}
	equal(f.t, strings.Join(all, ", "), "rollback 1.0.2, promote 1.0.3, promote 1.0.2")
	contains(f.t, f.gets("/api/v1/promotions?component="+ingestion+"&place=cloud.prod"), "it leaks", "tests passed")
}
