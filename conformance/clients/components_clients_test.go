//go:build clients

package clients

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every client that pushes images tells its user what a component does not take: who has a version already, and which is free.
func TestComponentsTellEveryClient(t *testing.T) {
	r := registry(t)
	s := containers(t, r)
	s.tooled()
	s.write(".config/containers/registries.conf", "[[registry]]\nlocation = \""+r+"\"\ninsecure = true\n")
	m := opened(s, r)
	first, other := newImage(t), newImage(t)
	first.push(t, r, ingestion, "1.0.2", "1.0.3")
	other.layout(t, filepath.Join(s.dir, "layout"), "other")
	s.run("skopeo", "copy", "oci:layout:other", "containers-storage:localhost/other:1")
	s.run("regctl", "registry", "set", r, "--tls", "disabled")

	pushes := map[string]func(tag string) string{
		"skopeo": func(tag string) string {
			return s.fails("skopeo", "copy", "oci:layout:other", "docker://"+m.ref(ingestion, tag))
		},
		"podman": func(tag string) string {
			return s.fails("podman", "push", "localhost/other:1", "docker://"+m.ref(ingestion, tag))
		},
		"buildah": func(tag string) string {
			return s.fails("buildah", "push", "localhost/other:1", "docker://"+m.ref(ingestion, tag))
		},
		"crane": func(tag string) string {
			return s.fails("crane", "push", "--insecure", "layout", m.ref(ingestion, tag))
		},
		"regctl": func(tag string) string {
			return s.fails("regctl", "image", "copy", "ocidir://layout:other", m.ref(ingestion, tag))
		},
		"oras": func(tag string) string {
			return s.fails("oras", "cp", "--from-oci-layout", "--to-plain-http", "layout:other", m.ref(ingestion, tag))
		},
	}
	for name, push := range pushes {
		for tag, want := range map[string][]string{
			"1.0.2":      {"1.0.2 names other content", "1.0.4"},
			"latest":     {"latest follows the highest version that is known good"},
			"cloud.prod": {"this is no version of " + ingestion},
		} {
			in(t, name+" push of "+tag, push(tag), want...)
		}
	}
	for _, tag := range []string{"1.0.2", "1.0.3"} {
		equal(t, m.oras("resolve", m.ref(ingestion, tag)), first.digest.String())
	}
	equal(t, strings.Join(strings.Fields(m.oras("repo", "tags", m.at+"/"+ingestion)), " "), "1.0.2 1.0.3")
}

// Each of them pulls what is deployed and what is the latest, as it pulls any image.
func TestComponentsForEveryClient(t *testing.T) {
	r := registry(t)
	s := containers(t, r)
	s.tooled()
	m := opened(s, r)
	m.owns("cloud/dmp")
	digests := map[string]string{}
	for _, version := range []string{"1.0.2", "1.0.3"} {
		i := newLabelled(t, map[string]string{"org.opencontainers.image.revision": revision, "org.label-schema.schema-version": "1.0"}, "8443/tcp")
		i.push(t, r, ingestion, version)
		digests[version] = i.digest.String()
		m.attaches(ingestion, version, typeBuild, "manifest.yaml", manifestYAML("docker", version, i.digest.Encoded(), time.Now()))
		m.attaches(ingestion, version, typeMetadata, "metadata.yaml", metadataYAML(ingestion, "cloud"))
	}
	m.oras("tag", m.ref(ingestion, "1.0.2"), "cloud.prod")
	s.run("regctl", "registry", "set", r, "--tls", "disabled")
	for tag, want := range map[string]string{"cloud.prod": digests["1.0.2"], "latest": digests["1.0.3"], "commit-" + revision: digests["1.0.2"]} {
		image := m.ref(ingestion, tag)
		equal(t, s.run("crane", "digest", "--insecure", image), want)
		equal(t, s.run("regctl", "image", "digest", image), want)
		equal(t, s.run("skopeo", "inspect", "--format", "{{.Digest}}", "docker://"+image), want)
		s.run("podman", "pull", image)
		equal(t, s.run("podman", "image", "inspect", "--format", "{{.Digest}}", image), want)
		equal(t, s.podmanRun(image), greeting)
	}
	equal(t, s.run("crane", "digest", "--insecure", r+"/components/"+ingestion+":cloud.prod"), digests["1.0.2"])

	// A chart of the service stands beside it, and is a plain repository.
	s.write("ms-ingestion/Chart.yaml", "apiVersion: v2\nname: ms-ingestion\ndescription: a chart for a service\nversion: 1.0.2\n")
	s.run("helm", "package", "ms-ingestion")
	s.run("helm", "push", "--plain-http", "ms-ingestion-1.0.2.tgz", "oci://"+r+"/cloud/dmp/charts")
	contains(t, s.run("helm", "show", "chart", "--plain-http", "oci://"+r+"/cloud/dmp/charts/ms-ingestion"), "a chart for a service")
	lacking(t, m.gets("/index/components.yaml"), "charts")
}

// A release is often the very image that its last candidate was: one digest, two versions.
func TestComponentsOfOneDigestAndTwoVersions(t *testing.T) {
	r := registry(t)
	m := opened(newSession(t), r)
	m.owns("cloud/dmp")
	i := newLabelled(t, map[string]string{"org.opencontainers.image.revision": revision, "org.label-schema.schema-version": "1.0"}, "8443/tcp")
	i.push(t, r, ingestion, "1.0.0-rc.1")
	document := func(version string) {
		t.Helper()
		m.attaches(ingestion, version, typeBuild, "manifest.yaml", manifestYAML("docker", version, i.digest.Encoded(), time.Now()))
		m.write("metadata.yaml", metadataYAML(ingestion, "cloud"))
		m.oras("attach", "--artifact-type", typeMetadata, "--annotation", "org.example.for="+version, m.ref(ingestion, version), "metadata.yaml:application/yaml")
	}
	document("1.0.0-rc.1")
	m.oras("tag", m.ref(ingestion, "1.0.0-rc.1"), "cloud.staging")
	m.oras("tag", m.ref(ingestion, "1.0.0-rc.1"), "1.0.0")
	document("1.0.0")
	contains(t, m.gets("/index/components.yaml"), "latest_version: 1.0.0\n")
	m.oras("tag", m.ref(ingestion, "1.0.0"), "cloud.prod")
	equal(t, m.gets("/index/domain-cloud.yaml"), domainYAML(ingestion, "1.0.0"))
	equal(t, m.gets("/index/domain-cloud-staging.yaml"), domainYAML(ingestion, "1.0.0-rc.1"))
	m.posts("/api/v1/promotions", `{"component":"`+ingestion+`","version":"1.0.0-rc.1","to":"cloud.prod"}`, "201")
	equal(t, m.gets("/index/domain-cloud.yaml"), domainYAML(ingestion, "1.0.0-rc.1"))

	// What is attached to the image already is attached to the release that it becomes.
	l := newLabelled(t, map[string]string{"org.opencontainers.image.revision": revision, "org.label-schema.schema-version": "1.0"}, "8443/tcp")
	l.push(t, r, ingestion, "1.0.1-rc.1")
	m.attaches(ingestion, "1.0.1-rc.1", typeMetadata, "metadata.yaml", metadataYAML(ingestion, "cloud"))
	m.oras("tag", m.ref(ingestion, "1.0.1-rc.1"), "1.0.1")
	m.attaches(ingestion, "1.0.1", typeBuild, "manifest.yaml", manifestYAML("docker", "1.0.1", l.digest.Encoded(), time.Now()))
	contains(t, m.oras("discover", "--format", "json", m.ref(ingestion, "1.0.1")), typeMetadata, typeBuild)
	in(t, "components.yaml", m.gets("/index/components.yaml"), "latest_version: 1.0.1\n")

	// The candidate of the next one gets its documents after the release was tagged already.
	n := newLabelled(t, map[string]string{"org.opencontainers.image.revision": revision, "org.label-schema.schema-version": "1.0"}, "8443/tcp")
	n.push(t, r, ingestion, "1.1.0-rc.1", "1.1.0")
	for _, version := range []string{"1.1.0-rc.1", "1.1.0"} {
		m.write("manifest.yaml", manifestYAML("docker", version, n.digest.Encoded(), time.Now()))
		if _, said, err := m.try("", "oras", "attach", "--plain-http", "--artifact-type", typeBuild, m.ref(ingestion, version), "manifest.yaml:application/yaml"); err != nil {
			t.Errorf("the manifest.yaml of %s is refused, since the image is another version as well:\n%s", version, said)
		}
	}
}
