package spec

import (
	"testing"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// A HEAD of existing content is 200 with its digest and its size, and has no body.
func TestCheckingIfContentExists_Head(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(1234)
	blob := reg.PushBlob(t, repo, content)
	desc, body := reg.PushImage(t, repo, "here")
	for _, c := range []struct {
		path, digest string
		size         int
	}{
		{wire.BlobPath(repo, blob), blob.String(), len(content)},
		{wire.ManifestPath(repo, "here"), desc.Digest.String(), len(body)},
		{wire.ManifestPath(repo, desc.Digest), desc.Digest.String(), len(body)},
	} {
		got := reg.Do(t, "HEAD", c.path, nil).Want(t, 200).Has(t, "Docker-Content-Digest", c.digest)
		if got.Length != int64(c.size) || len(got.Body) != 0 {
			t.Errorf("%s: Content-Length %d with a body of %d, want %d and none", got.Asked, got.Length, len(got.Body), c.size)
		}
	}
}

// A HEAD answers with the headers of the GET (RFC 9110, 9.3.2).
func TestCheckingIfContentExists_HeadIsGetWithoutBody(t *testing.T) {
	repo := wire.Repo(t)
	blob := reg.PushBlob(t, repo, wire.Random(1234))
	desc, _ := reg.PushImage(t, repo, "here")
	for _, path := range []string{wire.BlobPath(repo, blob), wire.ManifestPath(repo, "here"), wire.ManifestPath(repo, desc.Digest)} {
		sameHeaders(t, reg.Do(t, "GET", path, nil).Want(t, 200), reg.Do(t, "HEAD", path, nil).Want(t, 200))
	}
}

// A HEAD of what is not there is 404.
func TestCheckingIfContentExists_UnknownIsNotFound(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	for _, path := range []string{
		wire.BlobPath(repo, absent()), wire.ManifestPath(repo, "gone"), wire.ManifestPath(repo, absent()),
		wire.BlobPath(wire.Repo(t), absent()), wire.ManifestPath(wire.Repo(t), "latest"),
	} {
		if got := reg.Do(t, "HEAD", path, nil).Want(t, 404); len(got.Body) != 0 {
			t.Errorf("%s: a body of %d bytes", got.Asked, len(got.Body))
		}
	}
}

// What HEAD says exists, GET can give: a HEAD that knows more than GET sends clients round in circles.
func TestCheckingIfContentExists_NeverMoreThanGetGives(t *testing.T) {
	repo, other := wire.Repo(t), wire.Repo(t)
	blob := reg.PushBlob(t, repo, wire.Random(100))
	desc, _ := reg.PushImage(t, repo, "here")
	for _, r := range []string{repo, other} {
		for _, path := range []string{wire.BlobPath(r, blob), wire.ManifestPath(r, "here"), wire.ManifestPath(r, desc.Digest)} {
			if head, get := reg.Do(t, "HEAD", path, nil), reg.Do(t, "GET", path, nil); head.Status != get.Status {
				t.Errorf("%s is %d, GET %d", head.Asked, head.Status, get.Status)
			}
		}
	}
}
