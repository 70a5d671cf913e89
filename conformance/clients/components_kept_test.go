//go:build clients

package clients

import (
	"net/http"
	"strings"
	"time"
)

// keepsVersions: a version is the same for ever, for every client.
func (f *flow) keepsVersions() {
	f.t.Helper()
	for _, tag := range []string{"deb-1.0.2", "generic-1.0.2"} {
		was := f.oras("resolve", f.ref(ingestion, tag))
		f.oras("pull", "--output", "again", f.ref(ingestion, tag))
		file := strings.TrimSpace(f.types("cd again && find . -type f -printf '%P\\n'"))
		media := map[string]string{"deb-1.0.2": "", "generic-1.0.2": ":application/toml"}[tag]
		// The same content again is no change, though oras makes another manifest of it.
		f.types("cd again && " + client(f.t, "oras") + " push --plain-http " + f.ref(ingestion, tag) + " " + file + media)
		equal(f.t, f.oras("resolve", f.ref(ingestion, tag)), was)
		// Other content is refused.
		f.types("rm -r again")
		if tag == "generic-1.0.2" {
			f.write("config/ingestion.toml", "other = true\n")
			said := f.orasFails("push", f.ref(ingestion, tag), "config/ingestion.toml:application/toml")
			contains(f.t, said, "generic-1.0.2 names other content", "by:anonymous")
			in(f.t, "the next version that is free", said, "generic-1.0.4")
		} else {
			other := f.builds("ms-ingestion", "1.0.2", "Depends: common-utils (>= 1.2.0)\nX-Other: 1\n")
			said := f.orasFails("push", f.ref(ingestion, tag), other)
			contains(f.t, said, "deb-1.0.2 names other content", "by:anonymous")
			in(f.t, "the next version that is free", said, "deb-1.0.4")
		}
		equal(f.t, f.oras("resolve", f.ref(ingestion, tag)), was)
	}

	f.run("docker", "pull", f.ref(ingestion, "1.0.2"))
	f.run("docker", "push", f.ref(ingestion, "1.0.2"))
	f.buildContext("other", 1<<10)
	f.run("docker", "build", "--network", "none", "-t", f.ref(ingestion, "1.0.2"), "other")
	said := f.fails("docker", "push", f.ref(ingestion, "1.0.2"))
	equal(f.t, f.oras("resolve", f.ref(ingestion, "1.0.2")), f.images["1.0.2"])
	in(f.t, "docker push of other content", said, "1.0.2 names other content", "anonymous", "1.0.4")
	f.run("docker", "tag", f.ref(ingestion, "1.0.2"), f.ref(ingestion, "v1.0.2"))
	in(f.t, "docker push of another spelling", f.fails("docker", "push", f.ref(ingestion, "v1.0.2")), "1.0.2 is the same version")

	// What is deployed cannot be deleted, and a number that is deleted never comes back as something else.
	contains(f.t, f.orasFails("manifest", "delete", "--force", f.ref(ingestion, f.images["1.0.2"])), "deployed in cloud.prod")
	f.publishesFile(export, "3.3.0", "cloud", "once\n")
	f.requests(http.MethodDelete, "/v2/"+export+"/manifests/generic-3.3.0", "202")
	f.write("notes.txt", "twice\n")
	contains(f.t, f.orasFails("push", f.ref(export, "generic-3.3.0"), "notes.txt:text/plain"), "generic-3.3.0 was deleted, and named other content")
	contains(f.t, f.gets("/index/components.yaml"), "  - name: "+export+"\n    latest_version: 3.2.0\n")
}

// keepsItsOwnTags: what the registry moves itself is not pushed, and docker says so in words that one can do something with.
func (f *flow) keepsItsOwnTags() {
	f.t.Helper()
	for tag, want := range map[string]string{
		"latest": "latest follows the highest version that is known good", "cloud.prod": "this is no version of " + ingestion, "deb-4.0.0": "this is of kind docker; push it under 4.0.0",
	} {
		was, _, _ := f.try("", "oras", "resolve", "--plain-http", f.ref(ingestion, tag))
		f.run("docker", "tag", f.ref(ingestion, "1.0.2"), f.ref(ingestion, tag))
		said := f.fails("docker", "push", f.ref(ingestion, tag))
		contains(f.t, said, "denied")
		in(f.t, "docker push of "+tag, said, want)
		is, _, _ := f.try("", "oras", "resolve", "--plain-http", f.ref(ingestion, tag))
		equal(f.t, is, was)
	}
	f.write("notes.txt", "text\n")
	contains(f.t, f.orasFails("push", f.ref(ingestion, "latest"), "notes.txt"), "latest follows the highest version that is known good")
	contains(f.t, f.orasFails("push", f.ref(ingestion, "cloud.prod"), "notes.txt"), "this is no version of "+ingestion)
	contains(f.t, f.orasFails("push", f.ref(ingestion, "4.0.0"), "notes.txt"), "this is of kind generic; push it under generic-4.0.0")
	contains(f.t, f.orasFails("push", f.at+"/index/components:latest", "notes.txt"), "made by the registry itself")
	contains(f.t, f.orasFails("push", f.at+"/apt/cloud-prod:x", "notes.txt"), "made by the registry itself")
}

// hasTheOtherName: the paths of the folders are names of repositories as well.
func (f *flow) hasTheOtherName() {
	f.t.Helper()
	f.run("docker", "tag", f.ref(ingestion, "1.0.2"), f.at+"/components/"+ingestion+":pr-17")
	f.run("docker", "push", f.at+"/components/"+ingestion+":pr-17")
	plain := f.oras("resolve", f.ref(ingestion, "pr-17"))
	equal(f.t, f.oras("resolve", f.at+"/components/"+ingestion+":pr-17"), plain)
	f.run("docker", "pull", f.at+"/components/"+ingestion+":cloud.prod")
	contains(f.t, f.run("docker", "image", "inspect", "--format", "{{.RepoDigests}}", f.at+"/components/"+ingestion+":cloud.prod"), f.images["1.0.2"])
	f.write("notes.txt", "alias\n")
	f.oras("push", f.at+"/components/"+export+":generic-3.4.0", "notes.txt:text/plain")
	f.write("manifest.yaml", manifestYAML("generic", "3.4.0", f.sum("notes.txt"), time.Now()))
	f.oras("attach", "--artifact-type", typeBuild, f.at+"/components/"+export+":generic-3.4.0", "manifest.yaml:application/yaml")
	f.write("metadata.yaml", metadataYAML(export, "cloud"))
	f.oras("attach", "--artifact-type", typeMetadata, f.at+"/components/"+export+":generic-3.4.0", "metadata.yaml:application/yaml")
	f.oras("pull", "--output", "aliased", f.ref(export, "generic-3.4.0"))
	equal(f.t, f.read("aliased/notes.txt"), "alias")
	equal(f.t, field(f.t, f.gets("/api/v1/components/"+export+"/latest"), "version"), `"3.4.0"`)
	lacking(f.t, f.oras("repo", "ls", f.at), "components/")
}
