//go:build clients

package clients

import (
	"net/http"
	"path/filepath"
	"testing"
)

// skopeo moves images between registries, folders and layouts without running any.
func TestSkopeo(t *testing.T) {
	r := registry(t)
	s := containers(t, r)
	i := newImage(t)
	i.layout(t, filepath.Join(s.dir, "layout"), "1")

	s.run("skopeo", "copy", "oci:layout:1", "docker://"+r+"/skopeo/app:1")
	s.run("skopeo", "copy", "docker://"+r+"/skopeo/app:1", "docker://"+r+"/skopeo/app:2")
	s.run("skopeo", "copy", "docker://"+r+"/skopeo/app:1", "docker://"+r+"/skopeo/other:1")
	equal(t, s.run("skopeo", "inspect", "--format", "{{.Digest}}", "docker://"+r+"/skopeo/other:1"), i.digest.String())
	equal(t, s.run("skopeo", "inspect", "--raw", "docker://"+r+"/skopeo/app@"+i.digest.String()), string(i.manifest))
	contains(t, s.run("skopeo", "list-tags", "docker://"+r+"/skopeo/app"), `"1"`, `"2"`)

	// Back to a folder, where the content under each digest is checked again.
	s.run("skopeo", "copy", "docker://"+r+"/skopeo/other:1", "dir:copied")
	equal(t, s.read("copied/manifest.json"), string(i.manifest))

	// A whole repository, tag by tag, to a folder and into another repository.
	s.run("skopeo", "sync", "--src", "docker", "--dest", "dir", r+"/skopeo/app", "synced")
	s.run("skopeo", "sync", "--src", "dir", "--dest", "docker", "synced", r+"/skopeo/synced")
	equal(t, s.run("skopeo", "inspect", "--format", "{{.Digest}}", "docker://"+r+"/skopeo/synced/app:2"), i.digest.String())

	// Docker's schema has other media types and so another digest.
	s.run("skopeo", "copy", "--format", "v2s2", "docker://"+r+"/skopeo/app:1", "docker://"+r+"/skopeo/docker:1")
	contains(t, s.run("skopeo", "inspect", "--raw", "docker://"+r+"/skopeo/docker:1"), "application/vnd.docker.distribution.manifest.v2+json")

	s.run("skopeo", "delete", "docker://"+r+"/skopeo/other:1")
	s.fails("skopeo", "inspect", "docker://"+r+"/skopeo/other:1")
	if status, _ := asks(t, http.MethodHead, "http://"+r+"/v2/skopeo/other/manifests/"+i.digest.String()); status != http.StatusNotFound {
		t.Fatalf("a deleted manifest is answered with %d", status)
	}
	s.run("skopeo", "inspect", "docker://"+r+"/skopeo/app:1")
}
