//go:build clients

package clients

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
)

// everywhere are the places of three domains.
var everywhere = []string{"cloud.staging", "cloud.prod", "core.staging", "core.prod", "ran.staging", "ran.prod"}

// What is deployed in many domains is stored once: a domain is said of a version, and no folder that it is copied to.
func TestComponentsAreStoredOnce(t *testing.T) {
	r := registry(t, program.Alone("a replica counts what it stores itself at once, and what the others store once an hour"))
	m := opened(newSession(t), r)
	m.owns("cloud/dmp")
	const domains = "cloud, core, ran"

	// An image: not a byte more, wherever it goes.
	i := newLabelled(t, map[string]string{"org.opencontainers.image.revision": revision, "org.label-schema.schema-version": "1.0"}, "8443/tcp")
	i.push(t, r, ingestion, "1.0.2")
	m.attaches(ingestion, "1.0.2", typeBuild, "manifest.yaml", manifestYAML("docker", "1.0.2", i.digest.Encoded(), time.Now()))
	m.attaches(ingestion, "1.0.2", typeMetadata, "metadata.yaml", metadataYAML(ingestion, domains))
	before := m.stored()
	if before < int64(len(hello(t)))/4 {
		t.Fatalf("%d bytes are stored, less than the image has", before)
	}
	for _, place := range everywhere {
		m.oras("tag", m.ref(ingestion, "1.0.2"), place)
		equal(t, m.oras("resolve", m.ref(ingestion, place)), i.digest.String())
	}
	if after := m.stored(); after != before {
		t.Errorf("an image of %d bytes in six places takes %d bytes more", before, after-before)
	}

	// A package: its suites take the lists that they are made of, and the package itself is the same file in all of them.
	const size = 1 << 20
	m.write("package/usr/share/common-utils/data", string(noise(t, size)))
	m.publishesDeb(utils, "1.2.0", domains)
	before = m.stored()
	for _, place := range everywhere {
		m.posts("/api/v1/promotions", `{"component":"`+utils+`","version":"1.2.0","to":"`+place+`"}`, "201")
	}
	if after := m.stored(); after-before > size/4 {
		t.Errorf("a package of %d bytes in six places takes %d bytes more", size, after-before)
	}
	names := map[string]bool{}
	for _, place := range everywhere {
		list := m.gets("/apt/dists/" + strings.Replace(place, ".", "-", 1) + "/dmp/binary-" + strings.TrimSpace(m.types("dpkg --print-architecture")) + "/Packages")
		found := regexp.MustCompile(`(?m)^Filename: (.*)\nSize: ([0-9]+)\nSHA256: (.*)$`).FindStringSubmatch(list)
		if found == nil {
			t.Fatalf("%s lists no file:\n%s", place, list)
		}
		names[found[1]] = true
		equal(t, digest.FromString(m.gets("/apt/"+found[1])).Encoded(), found[3])
		if n, _ := strconv.Atoi(found[2]); n < size {
			t.Fatalf("%s lists a file of %s bytes", place, found[2])
		}
	}
	if len(names) != 1 {
		t.Errorf("one package is %d files of the pool: %v", len(names), names)
	}
	for _, domain := range []string{"cloud", "core", "ran"} {
		equal(t, m.gets("/index/domain-"+domain+".yaml"), domainYAML(utils, "1.2.0", ingestion, "1.0.2"))
	}
}

// stored is how many bytes of content the registry keeps, as it tells those who watch it.
func (m *maker) stored() int64 {
	m.t.Helper()
	found := regexp.MustCompile(`(?m)^entrepot_store_bytes (\S+)$`).FindStringSubmatch(m.gets("/metrics"))
	if found == nil {
		m.t.Fatal("/metrics does not tell entrepot_store_bytes")
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return int64(n)
}

// The latest version is the highest that is known good, and what is deployed stays what it is, whatever is the latest.
func TestComponentsFollowVersions(t *testing.T) {
	m := opened(newSession(t), registry(t))
	m.owns("cloud/dmp")
	latest := func(want string) {
		t.Helper()
		text := "components: []"
		if want != "" {
			text = "components:\n  - name: " + export + "\n    latest_version: " + want
		}
		equal(t, m.gets("/index/components.yaml"), text)
	}
	latest("")
	m.publishesFile(export, "1.0.9", "cloud", "nine\n")
	latest("1.0.9")
	m.oras("tag", m.ref(export, "generic-1.0.9"), "cloud.prod")
	m.publishesFile(export, "1.0.10", "cloud", "ten\n")
	latest("1.0.10")
	m.publishesFile(export, "1.1.0-rc.1", "cloud", "soon\n")
	latest("1.0.10")

	// One without its documents is not good; its manifest.yaml alone does not make it so.
	m.write("notes.txt", "eleven\n")
	m.oras("push", m.ref(export, "generic-1.0.11"), "notes.txt:text/plain")
	latest("1.0.10")
	contains(t, m.orasFails("tag", m.ref(export, "generic-1.0.11"), "cloud.prod"), "1.0.11 is not known good: manifest.yaml is missing", "metadata.yaml is missing")
	m.attaches(export, "generic-1.0.11", typeBuild, "manifest.yaml", manifestYAML("generic", "1.0.11", m.sum("notes.txt"), time.Now()))
	latest("1.0.10")
	m.attaches(export, "generic-1.0.11", typeMetadata, "metadata.yaml", metadataYAML(export, "cloud"))
	latest("1.0.11")
	equal(t, m.gets("/index/domain-cloud.yaml"), domainYAML(export, "1.0.9"))

	// Documents may come before what they are about.
	m.write("notes.txt", "early\n")
	m.run("oras", "push", "--oci-layout", "layout:early", "notes.txt:text/plain")
	d := strings.TrimSpace(m.run("oras", "resolve", "--oci-layout", "layout:early"))
	m.write("metadata.yaml", metadataYAML(export, "cloud"))
	m.run("oras", "attach", "--oci-layout", "--artifact-type", typeMetadata, "layout@"+d, "metadata.yaml:application/yaml")
	m.write("manifest.yaml", manifestYAML("generic", "2.0.0", m.sum("notes.txt"), time.Now()))
	m.run("oras", "attach", "--oci-layout", "--artifact-type", typeBuild, "layout@"+d, "manifest.yaml:application/yaml")
	found := m.run("oras", "discover", "--oci-layout", "--format", "json", "layout@"+d)
	for _, attached := range regexp.MustCompile(`"reference": "layout@(sha256:[0-9a-f]+)"`).FindAllStringSubmatch(found, -1) {
		if attached[1] != d {
			m.run("oras", "cp", "--from-oci-layout", "--to-plain-http", "layout@"+attached[1], m.at+"/"+export)
		}
	}
	latest("1.0.11")
	m.run("oras", "cp", "--from-oci-layout", "--to-plain-http", "layout@"+d, m.ref(export, "generic-2.0.0"))
	latest("2.0.0")

	// What is deleted is the latest no more.
	m.requests("DELETE", "/v2/"+export+"/manifests/generic-2.0.0", "202")
	latest("1.0.11")
	equal(t, m.gets("/index/domain-cloud.yaml"), domainYAML(export, "1.0.9"))
}

// A file of a domain that somebody proposes, as in a merge request, is looked at before it is merged.
func TestComponentsValidateProposals(t *testing.T) {
	m := opened(newSession(t), registry(t))
	m.owns("cloud/dmp")
	m.publishesFile(utils, "1.2.0", "cloud", "utils\n")
	m.publishesFile(export, "3.2.0", "cloud", "export\n", "dependencies: [\"common-utils >=1.2.0\"]\n")
	m.write("notes.txt", "not sealed\n")
	m.oras("push", m.ref(export, "generic-3.3.0"), "notes.txt:text/plain")

	judge := func(path, text, status string, want ...string) {
		t.Helper()
		m.write("proposed.yaml", text)
		got, body := m.curl(path, "--data-binary", "@proposed.yaml", "--header", "Content-Type: application/yaml", "--header", "Accept: text/plain")
		if got != status {
			t.Errorf("%s of\n%s%s, want %s\n%s", path, text, got, status, body)
		}
		in(t, path, body, want...)
		if status == "200" {
			equal(t, body, "")
		}
		// As a pipeline's job, it fails exactly if the file is refused.
		_, err := m.shell(client(t, "curl") + " -fsS --data-binary @proposed.yaml -H 'Content-Type: application/yaml' '" + m.base + path + "'")
		if (err == nil) != (status == "200") {
			t.Errorf("%s: the job ends with %v, and the answer is %s", path, err, status)
		}
	}
	const domain = "/api/v1/validate/domain?place=cloud.prod&file=index/domain-cloud.yaml"
	judge(domain, domainYAML(utils, "1.2.0", export, "3.2.0"), "200")
	judge(domain, domainYAML(utils, "1.2.0", export, "3.3.0"), "422", "index/domain-cloud.yaml:5:14: deny: components[1].version: names a version that is not known good; ",
		"3.3.0 is not known good: manifest.yaml is missing; attach a manifest.yaml to generic-3.3.0")
	judge(domain, domainYAML(utils, "1.2.0", export, "9.9.9"), "422",
		"index/domain-cloud.yaml:5:14: deny: components[1].version: names 9.9.9, and there is no such version of "+export+"; push it first, or write 3.2.0")
	judge(domain, domainYAML("cloud/dmp/unknown", "1.0.0"), "422", "there is no such version of cloud/dmp/unknown")
	judge(domain, domainYAML(export, "3.2.0"), "422", "common-utils >=1.2.0")
	judge(domain, domainYAML(utils, "1.2.0", utils, "1.2.0"), "422", "index/domain-cloud.yaml:4:")
	judge(domain, domainYAML(utils, "latest"), "422", "index/domain-cloud.yaml:3:14: deny: ")
	judge(domain, "components:\n  - name: "+utils+"\n    latest_version: 1.2.0\n", "422", "latest_version")
	// What metadata.yaml says of domains and what a domain's file says must agree.
	judge("/api/v1/validate/domain?place=ran.prod&file=domain-ran.yaml", domainYAML(utils, "1.2.0"), "422",
		"domain-ran.yaml:3:14: deny: components[0].version: its metadata.yaml allows the domains cloud, and not ran")
	judge("/api/v1/validate/domain?place=cloud.dev", domainYAML(utils, "1.2.0"), "422", "allows the environments staging, prod, and not dev")

	const components = "/api/v1/validate/components"
	judge(components, m.gets("/index/components.yaml"), "200")
	judge(components, "components:\n  - name: "+export+"\n    latest_version: 9.9.9\n", "422", "components.yaml:3:21: deny: components[0].latest_version: names 9.9.9")
	judge(components, "components:\n  - name: "+export+"\n    latest_version: 3.3.0\n", "422", "not known good")

	judge("/api/v1/validate/ownership", ownershipYAML, "200")
	judge("/api/v1/validate/ownership", strings.Replace(ownershipYAML, `"#cloud-dmp-alerts"`, "cloud-dmp-alerts", 1), "422", `write "#cloud-dmp-alerts"`)
	about := "?component=" + export + "&version=3.2.0"
	judge("/api/v1/validate/metadata"+about, m.gets("/tree/components/"+export+"/versions/3.2.0/metadata.yaml"), "200")
	judge("/api/v1/validate/metadata"+about, metadataYAML("cloud/dmp/other", "cloud"), "422", "service_name: is other, but the repository is "+export)
	judge("/api/v1/validate/manifest"+about+"&format=generic", manifestYAML("generic", "3.2.0", strings.Repeat("ab", 32), time.Now()), "422",
		"sha256: is not the digest of what it is attached to; write sha256:"+digest.FromString("export\n").Encoded())
	judge("/api/v1/validate/nothing", ownershipYAML, "404", "/schemas/")

	// Nothing of this is deployed, and what is proposed is not pushed either.
	status, _ := m.curl("/index/domain-cloud.yaml")
	equal(t, status, "404")
}
