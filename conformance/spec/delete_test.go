package spec

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// DELETE of a tag is 202; then the tag is 404, its manifest and other tags of it are not.
func TestDeletingTags(t *testing.T) {
	repo := wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "gone")
	reg.Put(t, repo, "stays", image, body).Want(t, 201)
	reg.Do(t, "DELETE", wire.ManifestPath(repo, "gone"), nil).Want(t, 202)
	reg.Do(t, "GET", wire.ManifestPath(repo, "gone"), nil).Refused(t, "MANIFEST_UNKNOWN", 404)
	kept(t, repo, "stays", image, body)
	kept(t, repo, desc.Digest.String(), image, body)
	if tags := tagsOf(t, repo, ""); fmt.Sprint(tags) != "[stays]" {
		t.Errorf("tags are %v, want [stays]", tags)
	}
}

// DELETE of a manifest is 202; then its digest and every tag of it are 404.
func TestDeletingManifests(t *testing.T) {
	repo := wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "one")
	reg.Put(t, repo, "two", image, body).Want(t, 201)
	_, other := reg.PushImage(t, repo, "other")
	reg.Do(t, "DELETE", wire.ManifestPath(repo, desc.Digest), nil).Want(t, 202)
	for _, ref := range []string{desc.Digest.String(), "one", "two"} {
		reg.Do(t, "GET", wire.ManifestPath(repo, ref), nil).Refused(t, "MANIFEST_UNKNOWN", 404)
		reg.Do(t, "HEAD", wire.ManifestPath(repo, ref), nil).Want(t, 404)
	}
	kept(t, repo, "other", image, other)
	if tags := tagsOf(t, repo, ""); fmt.Sprint(tags) != "[other]" {
		t.Errorf("tags are %v, want [other]", tags)
	}
}

// What was deleted can be pushed again.
func TestDeletingManifests_PushedAgain(t *testing.T) {
	repo := wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "here")
	for range 3 {
		reg.Do(t, "DELETE", wire.ManifestPath(repo, desc.Digest), nil).Want(t, 202)
		reg.Put(t, repo, "here", image, body).Want(t, 201)
		kept(t, repo, "here", image, body)
	}
}

// DELETE of what is not there is 404: a second time, in a repository that does not exist, of a reference that never was.
func TestDeletingManifests_UnknownIsNotFound(t *testing.T) {
	repo := wire.Repo(t)
	desc, _ := reg.PushImage(t, repo, "here")
	reg.Do(t, "DELETE", wire.ManifestPath(repo, "here"), nil).Want(t, 202)
	reg.Do(t, "DELETE", wire.ManifestPath(repo, "here"), nil).Refused(t, "MANIFEST_UNKNOWN", 404)
	reg.Do(t, "DELETE", wire.ManifestPath(repo, desc.Digest), nil).Want(t, 202)
	reg.Do(t, "DELETE", wire.ManifestPath(repo, desc.Digest), nil).Refused(t, "MANIFEST_UNKNOWN|NAME_UNKNOWN", 404)
	reg.Do(t, "DELETE", wire.ManifestPath(repo, absent()), nil).Refused(t, "MANIFEST_UNKNOWN|NAME_UNKNOWN", 404)
	reg.Do(t, "DELETE", wire.ManifestPath(wire.Repo(t), absent()), nil).Refused(t, "NAME_UNKNOWN|MANIFEST_UNKNOWN", 404)
	reg.Do(t, "DELETE", wire.ManifestPath(wire.Repo(t), "latest"), nil).Refused(t, "NAME_UNKNOWN|MANIFEST_UNKNOWN", 404)
}

// A deletion in one repository leaves the same manifest in another.
func TestDeletingManifests_OtherRepositoriesKeepTheirs(t *testing.T) {
	a, b := wire.Repo(t), wire.Repo(t)
	desc, body := reg.PushImage(t, a, "here")
	for _, d := range blobsOf(t, body) {
		mount(t, b, "mount", d.String(), "from", a).Want(t, 201)
	}
	reg.Put(t, b, "here", image, body).Want(t, 201)
	reg.Do(t, "DELETE", wire.ManifestPath(a, desc.Digest), nil).Want(t, 202)
	kept(t, b, "here", image, body)
	kept(t, b, desc.Digest.String(), image, body)
	for _, d := range blobsOf(t, body) {
		reg.Do(t, "GET", wire.BlobPath(b, d), nil).Want(t, 200)
	}
}

// Deleting a tag of an index, or the index, leaves the manifests it names.
func TestDeletingManifests_ChildrenStay(t *testing.T) {
	repo := wire.Repo(t)
	child, body := reg.PushImage(t, repo, "")
	parent, _ := reg.PushManifest(t, repo, "many", index, wire.Index(child))
	reg.Do(t, "DELETE", wire.ManifestPath(repo, parent.Digest), nil).Want(t, 202)
	kept(t, repo, child.Digest.String(), image, body)
}

// A child of an index may be deleted too; the index is then a sparse one.
func TestDeletingManifests_ChildOfAnIndex(t *testing.T) {
	repo := wire.Repo(t)
	child, _ := reg.PushImage(t, repo, "")
	_, body := reg.PushManifest(t, repo, "many", index, wire.Index(child))
	reg.Do(t, "DELETE", wire.ManifestPath(repo, child.Digest), nil).Want(t, 202)
	reg.Do(t, "GET", wire.ManifestPath(repo, child.Digest), nil).Want(t, 404)
	kept(t, repo, "many", index, body)
}

// DELETE of a reference that is none is refused.
func TestDeletingManifests_ReferenceGrammar(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	for _, ref := range []string{"sha256:short", "-dash", "a%20b", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		reg.Do(t, "DELETE", wire.ManifestPath(repo, ref), nil).Refused(t, "", 400, 404)
	}
	if tags := tagsOf(t, repo, ""); fmt.Sprint(tags) != "[here]" {
		t.Errorf("tags are %v", tags)
	}
}

// DELETE of a blob is 202, then 404; a second time 404; pushed again it is there again.
func TestDeletingBlobs(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(1000)
	for _, d := range []digest.Digest{digest.FromBytes(content), digest.SHA512.FromBytes(content)} {
		for range 2 {
			reg.Close(t, reg.Begin(t, repo), d, content).Want(t, 201)
			reg.Do(t, "DELETE", wire.BlobPath(repo, d), nil).Want(t, 202)
			reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Refused(t, "BLOB_UNKNOWN", 404)
			reg.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 404)
			reg.Do(t, "DELETE", wire.BlobPath(repo, d), nil).Refused(t, "BLOB_UNKNOWN", 404)
		}
	}
	reg.Do(t, "DELETE", wire.BlobPath(repo, absent()), nil).Refused(t, "BLOB_UNKNOWN", 404)
	reg.Do(t, "DELETE", wire.BlobPath(wire.Repo(t), absent()), nil).Refused(t, "BLOB_UNKNOWN|NAME_UNKNOWN", 404)
	reg.Do(t, "DELETE", "/v2/"+repo+"/blobs/nonsense", nil).Refused(t, "DIGEST_INVALID", 400, 404)
}

// A deletion in one repository leaves the blob in another, pushed there or mounted.
func TestDeletingBlobs_OtherRepositoriesKeepTheirs(t *testing.T) {
	a, b, c := wire.Repo(t), wire.Repo(t), wire.Repo(t)
	content := wire.Random(1000)
	d := reg.PushBlob(t, a, content)
	reg.PushBlob(t, b, content)
	mount(t, c, "mount", d.String(), "from", a).Want(t, 201)
	reg.Do(t, "DELETE", wire.BlobPath(a, d), nil).Want(t, 202)
	reg.Do(t, "GET", wire.BlobPath(a, d), nil).Want(t, 404)
	for _, repo := range []string{b, c} {
		if got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200); digest.FromBytes(got.Body) != d {
			t.Errorf("%s: other bytes", repo)
		}
	}
}

// Deletion may be switched off; then each is 405 (or 400) and nothing changes.
func TestContentManagement_Disabled(t *testing.T) {
	p := program.Start(t, program.Config("deletes: false\n"))
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	desc, _ := r.PushImage(t, repo, "here")
	d := r.PushBlob(t, repo, wire.Random(100))
	for _, path := range []string{wire.ManifestPath(repo, "here"), wire.ManifestPath(repo, desc.Digest), wire.BlobPath(repo, d)} {
		r.Do(t, "DELETE", path, nil).Refused(t, "UNSUPPORTED", 405, 400)
		r.Do(t, "GET", path, nil).Want(t, 200)
	}
}
