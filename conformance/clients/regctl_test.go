//go:build clients

package clients

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestRegctl(t *testing.T) {
	r := registry(t)
	s := newSession(t)
	s.env = append(s.env, "REGCTL_CONFIG="+s.dir+"/regctl.json")
	s.run("regctl", "registry", "set", r, "--tls", "disabled")
	i := newImage(t)
	i.push(t, r, "regctl/app", "1")

	// An artifact about the image, which a copy with referrers takes along.
	s.pipe("all was well\n", "regctl", "artifact", "put", "--artifact-type", "application/vnd.example.report", "--subject", r+"/regctl/app:1")
	contains(t, s.run("regctl", "artifact", "tree", r+"/regctl/app:1"), "application/vnd.example.report")
	contains(t, s.run("regctl", "artifact", "list", r+"/regctl/app:1"), "application/vnd.example.report")
	s.run("regctl", "image", "copy", "--referrers", r+"/regctl/app:1", r+"/regctl/copied:1")
	equal(t, s.run("regctl", "image", "digest", r+"/regctl/copied:1"), i.digest.String())
	contains(t, s.run("regctl", "artifact", "tree", r+"/regctl/copied:1"), "application/vnd.example.report")
	equal(t, s.run("regctl", "artifact", "get", "--subject", r+"/regctl/copied:1", "--filter-artifact-type", "application/vnd.example.report"), "all was well")

	// An artifact under a tag of its own.
	s.pipe("settings\n", "regctl", "artifact", "put", "--artifact-type", "application/vnd.example.settings", r+"/regctl/settings:1")
	equal(t, s.run("regctl", "artifact", "get", r+"/regctl/settings:1"), "settings")

	s.run("regctl", "image", "export", r+"/regctl/app:1", "app.tar")
	s.run("regctl", "image", "import", r+"/regctl/imported:1", "app.tar")
	equal(t, s.run("regctl", "image", "digest", r+"/regctl/imported:1"), i.digest.String())

	// To Docker's media types and back.
	s.run("regctl", "image", "mod", r+"/regctl/app:1", "--to-docker", "--create", "docker")
	contains(t, s.run("regctl", "manifest", "get", "--format", "raw-body", r+"/regctl/app:docker"), "application/vnd.docker.distribution.manifest.v2+json")
	s.run("regctl", "image", "mod", r+"/regctl/app:docker", "--to-oci", "--create", "oci")
	contains(t, s.run("regctl", "manifest", "get", "--format", "raw-body", r+"/regctl/app:oci"), "application/vnd.oci.image.manifest.v1+json")
	s.run("regctl", "image", "mod", r+"/regctl/app:1", "--annotation", "org.example.reviewed=yes", "--create", "reviewed")
	contains(t, s.run("regctl", "manifest", "get", "--format", "raw-body", r+"/regctl/app:reviewed"), `"org.example.reviewed":"yes"`)

	// A tag goes, its manifest stays.
	s.run("regctl", "tag", "rm", r+"/regctl/app:reviewed")
	equal(t, s.run("regctl", "tag", "ls", r+"/regctl/app"), "1\ndocker\noci")
	contains(t, s.run("regctl", "repo", "ls", r), "regctl/app")
	s.run("regctl", "tag", "rm", r+"/regctl/app:1")
	s.run("regctl", "manifest", "get", r+"/regctl/app@"+i.digest.String())
	s.run("regctl", "manifest", "delete", r+"/regctl/app@"+i.digest.String())
	s.fails("regctl", "manifest", "get", r+"/regctl/app@"+i.digest.String())

	big := string(noise(t, 1<<20))
	put := strings.TrimSpace(s.pipe(big, "regctl", "blob", "put", r+"/regctl/blobs"))
	equal(t, put, digest.FromString(big).String())
	s.run("regctl", "blob", "copy", r+"/regctl/blobs", r+"/regctl/blobs2", put)
	equal(t, digest.FromString(s.run("regctl", "blob", "get", r+"/regctl/blobs2", put)).String(), put)
}
