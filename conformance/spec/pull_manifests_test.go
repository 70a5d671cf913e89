package spec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// A GET of an existing manifest, by tag or by digest, is 200 and gives the bytes as they were pushed.
func TestPullingManifests_GivesTheManifest(t *testing.T) {
	repo := wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "here")
	for _, ref := range []string{"here", desc.Digest.String()} {
		got := reg.Do(t, "GET", wire.ManifestPath(repo, ref), nil).Want(t, 200)
		if !bytes.Equal(got.Body, body) {
			t.Errorf("by %s: the bytes differ from what was pushed", ref)
		}
		if got.Length != int64(len(body)) {
			t.Errorf("by %s: Content-Length %d, want %d", ref, got.Length, len(body))
		}
	}
}

// A successful reply carries the manifest's digest in Docker-Content-Digest.
func TestPullingManifests_TellsTheDigest(t *testing.T) {
	repo := wire.Repo(t)
	desc, _ := reg.PushImage(t, repo, "here")
	for _, ref := range []string{"here", desc.Digest.String()} {
		reg.Do(t, "GET", wire.ManifestPath(repo, ref), nil).Want(t, 200).Has(t, "Docker-Content-Digest", desc.Digest.String())
	}
}

// Content-Type is the type that was pushed, without parameters.
func TestPullingManifests_ContentTypeIsWhatWasPushed(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	body := wire.JSON(manifest)
	reg.Put(t, repo, "typed", image+"; charset=utf-8", body).Want(t, 201)
	reg.Do(t, "GET", wire.ManifestPath(repo, "typed"), nil).Want(t, 200).Has(t, "Content-Type", image)

	idx, _ := reg.PushManifest(t, repo, "many", index, wire.Index(wire.Descriptor(image, body)))
	reg.Do(t, "GET", wire.ManifestPath(repo, idx.Digest), nil).Want(t, 200).Has(t, "Content-Type", index)
}

// A client SHOULD say what it accepts; whatever it says, or if it says nothing, a digest names one manifest and that one is given.
func TestPullingManifests_AcceptDoesNotChangeContent(t *testing.T) {
	repo := wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "here")
	for _, accept := range []string{"", "*/*", image, index + ", " + image, index, "application/json", "text/html", "nonsense"} {
		got := reg.Do(t, "GET", wire.ManifestPath(repo, desc.Digest), nil, "Accept", accept).Want(t, 200)
		if !bytes.Equal(got.Body, body) {
			t.Errorf("Accept %q: the bytes differ", accept)
		}
	}
}

// A manifest that the repository does not have is 404, by tag and by digest, in a repository that exists.
func TestPullingManifests_UnknownIsNotFound(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	reg.Do(t, "GET", wire.ManifestPath(repo, "gone"), nil).Refused(t, "MANIFEST_UNKNOWN", 404)
	reg.Do(t, "GET", wire.ManifestPath(repo, absent()), nil).Refused(t, "MANIFEST_UNKNOWN", 404)
}

// A manifest that only another repository has is not found in this one.
func TestPullingManifests_BelongsToItsRepository(t *testing.T) {
	repo, other := wire.Repo(t), wire.Repo(t)
	desc, _ := reg.PushImage(t, repo, "here")
	reg.PushImage(t, other, "other")
	reg.Do(t, "GET", wire.ManifestPath(other, desc.Digest), nil).Refused(t, "MANIFEST_UNKNOWN", 404)
	reg.Do(t, "GET", wire.ManifestPath(other, "here"), nil).Refused(t, "MANIFEST_UNKNOWN", 404)
}

// Pulling from a repository that does not exist is 404 (section "Pushing Manifests").
func TestPullingManifests_UnknownRepositoryIsNotFound(t *testing.T) {
	reg.Do(t, "GET", wire.ManifestPath(wire.Repo(t), "latest"), nil).Refused(t, "NAME_UNKNOWN|MANIFEST_UNKNOWN", 404)
	reg.Do(t, "GET", wire.BlobPath(wire.Repo(t), absent()), nil).Refused(t, "NAME_UNKNOWN|BLOB_UNKNOWN", 404)
}

// A reference is a digest or a tag and nothing else; a digest that is none is refused.
func TestPullingManifests_ReferenceGrammar(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	for _, ref := range []string{
		"sha256:baddigeststring", "sha256:", "sha256:" + strings.Repeat("a", 63), "sha256:" + strings.Repeat("a", 65),
		"sha256:" + strings.Repeat("A", 64), "sha512:" + strings.Repeat("a", 64), "-dash", ".dot", "a%20b", "a+b", "a@b", "%C3%A4", strings.Repeat("a", 129),
	} {
		reg.Do(t, "GET", wire.ManifestPath(repo, ref), nil).Refused(t, "", 400, 404)
	}
}

// Tags may hold letters of both cases, digits, underscore, dot and dash, up to 128 characters, and differ by case.
func TestPullingManifests_EveryLegalTag(t *testing.T) {
	repo := wire.Repo(t)
	_, body := reg.PushImage(t, repo, "first")
	tags := []string{"a", "A", "0", "_", "_.-", "v1.0.0_build.5", "UPPER-lower_0.9", strings.Repeat("x", 128), "list", "latest", "manifests", "blobs", "uploads", "tags"}
	for _, tag := range tags {
		reg.Put(t, repo, tag, image, body).Want(t, 201)
		got := reg.Do(t, "GET", wire.ManifestPath(repo, tag), nil).Want(t, 200)
		if !bytes.Equal(got.Body, body) {
			t.Errorf("tag %q gives other bytes", tag)
		}
	}
}

// Every name that the grammar allows is a repository, also when it looks like a part of the API, up to eight levels deep and 229
// characters long.
func TestPullingManifests_EveryLegalName(t *testing.T) {
	unique := strings.ReplaceAll(wire.Repo(t), "/", "-")
	names := []string{
		unique, unique + "/a.b", unique + "/a_b", unique + "/a__b", unique + "/a-b", unique + "/a---b", unique + "/0", unique + "/a.b_c__d-e",
		unique + "/blobs", unique + "/manifests", unique + "/tags", unique + "/tags/list", unique + "/manifests/latest",
		unique + "/blobs/uploads", unique + "/referrers", unique + "/uploads/v2", unique + "/v2",
	}
	for depth := 3; depth <= 8; depth++ {
		names = append(names, unique+strings.Repeat("/deep", depth-1))
	}
	names = append(names, unique+"/"+strings.Repeat("a", 228-len(unique)))
	for i, name := range names {
		desc, body := reg.PushImage(t, name, "here")
		for _, ref := range []string{"here", desc.Digest.String()} {
			if got := reg.Do(t, "GET", wire.ManifestPath(name, ref), nil).Want(t, 200); !bytes.Equal(got.Body, body) {
				t.Errorf("%s by %s gives other bytes", name, ref)
			}
		}
		var list struct {
			Name string
			Tags []string
		}
		reg.Do(t, "GET", "/v2/"+name+"/tags/list", nil).Want(t, 200).JSON(t, &list)
		if list.Name != name || fmt.Sprint(list.Tags) != "[here]" {
			t.Errorf("tags of name %d are %+v, want those of %s", i, list, name)
		}
	}
}

// A name outside the grammar is refused wherever a name stands.
func TestPullingManifests_NameGrammar(t *testing.T) {
	d := absent()
	for _, name := range []string{"Upper", "a/Upper", "-a", "a-", ".a", "a.", "_a", "a_", "a..b", "a___b", "a._b", "a/-b", "a%20b", "%C3%A4", "a:b", "a@b", "a+b", "a~b"} {
		reg.Do(t, "GET", wire.ManifestPath(name, "latest"), nil).Refused(t, "NAME_INVALID", 400, 404)
		reg.Do(t, "GET", wire.BlobPath(name, d), nil).Refused(t, "NAME_INVALID", 400, 404)
		reg.Do(t, "GET", "/v2/"+name+"/tags/list", nil).Refused(t, "NAME_INVALID", 400, 404)
		reg.Do(t, "GET", wire.ReferrersPath(name, d), nil).Refused(t, "NAME_INVALID", 400, 404)
		reg.Do(t, "POST", wire.UploadsPath(name), []byte{}).Refused(t, "NAME_INVALID", 400, 404)
		reg.Put(t, name, "latest", image, []byte("{}")).Refused(t, "NAME_INVALID", 400, 404)
		reg.Do(t, "DELETE", wire.ManifestPath(name, "latest"), nil).Refused(t, "NAME_INVALID", 400, 404)
	}
}

// Clients limit host and name together to 255 characters, so that a name which no client could pull is not worth accepting; one that
// is far beyond is refused.
func TestPullingManifests_NameLength(t *testing.T) {
	for _, n := range []int{256, 1024, 5000} {
		name := strings.Repeat("a", n)
		reg.Do(t, "POST", wire.UploadsPath(name), []byte{}).Refused(t, "NAME_INVALID", 400, 404, 414)
	}
}

// A proxy may ignore `ns` on pulls: with it, local content is served as without; and a namespace is echoed only if it was applied.
func TestRegistryProxying_NamespaceOnPulls(t *testing.T) {
	repo := wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "here")
	for _, ref := range []string{"here", desc.Digest.String()} {
		got := reg.Do(t, "GET", wire.With(wire.ManifestPath(repo, ref), "ns", "127.0.0.1"), nil)
		switch got.Status {
		case 200:
			if !bytes.Equal(got.Body, body) {
				t.Errorf("by %s: the bytes differ", ref)
			}
		case 404: // a namespace is a closed world: one that is not configured has no content
			got.Refused(t, "", 404)
		default:
			t.Errorf("by %s with ns: status %d", ref, got.Status)
		}
		if ns := got.Header.Get("OCI-Namespace"); ns != "" && ns != "127.0.0.1" {
			t.Errorf("OCI-Namespace is %q, asked for 127.0.0.1", ns)
		}
	}
}
