//go:build clients

package clients

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// oras publishes files as artifacts, attaches others to them and copies the whole family.
func TestOras(t *testing.T) {
	r := registry(t)
	s := newSession(t)
	data := string(noise(t, 256<<10))
	s.write("data.bin", data)
	s.write("notes.txt", "what changed\n")
	s.write("manifest.yaml", "format: generic\n")
	s.write("readme.md", "read me\n")

	s.run("oras", "push", "--plain-http", "--artifact-type", "application/vnd.example.package", "--annotation", "org.example.by=tests",
		r+"/oras/tool:1.0.0", "data.bin:application/octet-stream", "notes.txt:text/plain")
	d := strings.TrimSpace(s.run("oras", "resolve", "--plain-http", r+"/oras/tool:1.0.0"))
	contains(t, s.run("oras", "manifest", "fetch", "--plain-http", r+"/oras/tool@"+d), `"artifactType":"application/vnd.example.package"`, `"org.example.by":"tests"`)

	// Two referrers, one of which is described in its turn.
	s.run("oras", "attach", "--plain-http", "--artifact-type", "application/vnd.example.manifest", r+"/oras/tool:1.0.0", "manifest.yaml:application/yaml")
	s.run("oras", "attach", "--plain-http", "--artifact-type", "application/vnd.example.readme", r+"/oras/tool:1.0.0", "readme.md:text/markdown")
	family := s.run("oras", "discover", "--plain-http", "--format", "json", r+"/oras/tool:1.0.0")
	contains(t, family, "application/vnd.example.manifest", "application/vnd.example.readme")
	only := s.run("oras", "discover", "--plain-http", "--format", "json", "--artifact-type", "application/vnd.example.readme", r+"/oras/tool:1.0.0")
	contains(t, only, "application/vnd.example.readme")
	if strings.Contains(only, "application/vnd.example.manifest") {
		t.Fatalf("a referrer of another type was listed:\n%s", only)
	}
	referrer := field(t, strings.Trim(field(t, only, "referrers"), "[]"), "digest")
	s.run("oras", "attach", "--plain-http", "--artifact-type", "application/vnd.example.seal", r+"/oras/tool@"+strings.Trim(referrer, `"`), "notes.txt:text/plain")

	s.run("oras", "pull", "--plain-http", "--output", "pulled", r+"/oras/tool:1.0.0")
	equal(t, s.read("pulled/notes.txt"), "what changed")
	equal(t, digest.FromString(s.read("pulled/data.bin")).String(), digest.FromString(data).String())

	// The copy brings along all that refers, however far.
	s.run("oras", "cp", "--recursive", "--from-plain-http", "--to-plain-http", r+"/oras/tool:1.0.0", r+"/oras/copied:1.0.0")
	equal(t, s.run("oras", "resolve", "--plain-http", r+"/oras/copied:1.0.0"), d)
	contains(t, s.run("oras", "discover", "--plain-http", "--format", "tree", r+"/oras/copied:1.0.0"),
		"application/vnd.example.manifest", "application/vnd.example.readme", "application/vnd.example.seal")
	// The same to a layout on disk.
	s.run("oras", "cp", "--recursive", "--from-plain-http", "--to-oci-layout", r+"/oras/tool:1.0.0", "layout:1.0.0")

	s.run("oras", "tag", "--plain-http", r+"/oras/tool:1.0.0", "stable", "newest")
	equal(t, s.run("oras", "resolve", "--plain-http", r+"/oras/tool:stable"), d)
	equal(t, s.run("oras", "repo", "tags", "--plain-http", r+"/oras/tool"), "1.0.0\nnewest\nstable")
	contains(t, s.run("oras", "repo", "ls", "--plain-http", r+"/oras/"), "tool", "copied")
	contains(t, s.run("oras", "repo", "ls", "--plain-http", r), "oras/tool", "oras/copied")

	s.run("oras", "manifest", "delete", "--plain-http", "--force", r+"/oras/copied@"+d)
	contains(t, s.fails("oras", "resolve", "--plain-http", r+"/oras/copied@"+d), "not found")
	s.run("oras", "resolve", "--plain-http", r+"/oras/tool:1.0.0")
}

// Blobs and manifests one by one, as scripts build artifacts by hand.
func TestOrasBlobs(t *testing.T) {
	r := registry(t)
	s := newSession(t)
	text := "a blob of its own\n"
	s.write("blob.txt", text)
	d := digest.FromString(text).String()
	s.run("oras", "blob", "push", "--plain-http", r+"/oras/blobs@"+d, "blob.txt")
	equal(t, s.run("oras", "blob", "fetch", "--plain-http", "--output", "-", r+"/oras/blobs@"+d), text)
	contains(t, s.run("oras", "blob", "fetch", "--plain-http", "--descriptor", r+"/oras/blobs@"+d), d)
	contains(t, s.fails("oras", "blob", "fetch", "--plain-http", "--output", "-", r+"/oras/elsewhere@"+d), "not found")

	// A wrong digest leaves nothing behind.
	wrong := digest.FromString("something else").String()
	s.fails("oras", "blob", "push", "--plain-http", r+"/oras/blobs@"+wrong, "blob.txt")
	s.fails("oras", "blob", "fetch", "--plain-http", "--output", "-", r+"/oras/blobs@"+wrong)

	// An index of two artifacts, made and read again.
	for _, tag := range []string{"a", "b"} {
		s.write(tag+".txt", tag)
		s.run("oras", "push", "--plain-http", r+"/oras/blobs:"+tag, tag+".txt")
	}
	s.run("oras", "manifest", "index", "create", "--plain-http", r+"/oras/blobs:both", "a", "b")
	contains(t, s.run("oras", "manifest", "fetch", "--plain-http", r+"/oras/blobs:both"), "application/vnd.oci.image.index.v1+json")

	s.run("oras", "blob", "delete", "--plain-http", "--force", r+"/oras/blobs@"+d)
	s.fails("oras", "blob", "fetch", "--plain-http", "--output", "-", r+"/oras/blobs@"+d)
}
