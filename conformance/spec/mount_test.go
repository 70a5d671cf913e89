package spec

import (
	"bytes"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// mount asks for a mount, with the query given as key, value…
func mount(t *testing.T, repo string, query ...string) wire.Reply {
	t.Helper()
	return reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), query...), []byte{})
}

// A mount from a repository that has the blob is 201 with a pullable Location and the digest.
func TestMountingABlob_From(t *testing.T) {
	from, to := wire.Repo(t), wire.Repo(t)
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		content := wire.Random(1000)
		d := algorithm.FromBytes(content)
		reg.Close(t, reg.Begin(t, from), d, content).Want(t, 201)
		pullable(t, mount(t, to, "mount", d.String(), "from", from).Want(t, 201).Has(t, "Docker-Content-Digest", d.String()), content)
		if got := reg.Do(t, "GET", wire.BlobPath(to, d), nil).Want(t, 200); !bytes.Equal(got.Body, content) {
			t.Error("the mounted blob holds other bytes")
		}
	}
}

// The registry may find the blob by itself: without `from`, what some readable repository holds is mounted.
func TestMountingABlob_WithoutFrom(t *testing.T) {
	from, to := wire.Repo(t), wire.Repo(t)
	content := wire.Random(1000)
	d := reg.PushBlob(t, from, content)
	pullable(t, mount(t, to, "mount", d.String()).Want(t, 201), content)
}

// A blob that is nowhere cannot be mounted: 202 begins an upload, which works.
func TestMountingABlob_UnknownBlobBeginsAnUpload(t *testing.T) {
	from, to := wire.Repo(t), wire.Repo(t)
	reg.PushBlob(t, from, wire.Random(10))
	for _, query := range [][]string{{"from", from}, {"from", wire.Repo(t)}, {}} {
		content := wire.Random(500)
		d := digest.FromBytes(content)
		got := mount(t, to, append([]string{"mount", d.String()}, query...)...).Want(t, 202)
		if loc := reg.Resolve(t, got); !uuid.MatchString(loc) {
			t.Errorf("Location %s holds no UUID", loc)
		}
		pullable(t, reg.Close(t, reg.Resolve(t, got), d, content).Want(t, 201), content)
	}
}

// Whatever the answer is, it is true: after 201 the blob is there, after 202 it is not.
func TestMountingABlob_FromARepositoryWithoutIt(t *testing.T) {
	from, third, to := wire.Repo(t), wire.Repo(t), wire.Repo(t)
	d := reg.PushBlob(t, from, wire.Random(1000))
	reg.PushBlob(t, third, wire.Random(10))
	reg.PushBlob(t, to, wire.Random(10))
	for _, source := range []string{third, wire.Repo(t), "No/Such", ""} {
		got := mount(t, to, "mount", d.String(), "from", source).Want(t, 201, 202, 400)
		if got.Status == 400 {
			got.Refused(t, "NAME_INVALID", 400)
		}
		want := 404
		if got.Status == 201 {
			want = 200
		}
		reg.Do(t, "GET", wire.BlobPath(to, d), nil).Want(t, want)
		if want == 200 {
			reg.Do(t, "DELETE", wire.BlobPath(to, d), nil).Want(t, 202)
		}
	}
}

// A digest that is none is refused.
func TestMountingABlob_InvalidDigest(t *testing.T) {
	for _, d := range []string{"nonsense", "sha256:short", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		mount(t, wire.Repo(t), "mount", d, "from", wire.Repo(t)).Refused(t, "DIGEST_INVALID|UNSUPPORTED", 400)
	}
}

// Mounting where the blob already is, or from the repository itself, is a mount like any other.
func TestMountingABlob_WhatIsThereAlready(t *testing.T) {
	from, to := wire.Repo(t), wire.Repo(t)
	content := wire.Random(1000)
	d := reg.PushBlob(t, from, content)
	mount(t, to, "mount", d.String(), "from", from).Want(t, 201)
	pullable(t, mount(t, to, "mount", d.String(), "from", from).Want(t, 201), content)
	pullable(t, mount(t, to, "mount", d.String(), "from", to).Want(t, 201), content)
}

// The mounted blob stands on its own: it stays when the source's is deleted.
func TestMountingABlob_OutlivesItsSource(t *testing.T) {
	from, to := wire.Repo(t), wire.Repo(t)
	content := wire.Random(1000)
	d := reg.PushBlob(t, from, content)
	mount(t, to, "mount", d.String(), "from", from).Want(t, 201)
	reg.Do(t, "DELETE", wire.BlobPath(from, d), nil).Want(t, 202)
	if got := reg.Do(t, "GET", wire.BlobPath(to, d), nil).Want(t, 200); !bytes.Equal(got.Body, content) {
		t.Error("the mounted blob holds other bytes")
	}
	reg.Do(t, "GET", wire.BlobPath(from, d), nil).Want(t, 404)
}
