package advisory

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// CVE-2026-35172 (distribution): a blob deleted in one repository could be read there again through what another one had warmed. Two
// repositories share digests while pushes, mounts, reads and deletes come in random order; each must give exactly what it holds.
func TestDeletedBlob_StaysDeletedWhileAnotherRepositoryReads(t *testing.T) {
	repos := []string{wire.Repo(t), wire.Repo(t), wire.Repo(t)}
	for _, r := range repos {
		reg.PushImage(t, r, "here") // so that each exists whatever becomes of its blobs
	}
	contents := map[digest.Digest][]byte{}
	held := map[string]map[digest.Digest]bool{}
	for _, r := range repos {
		held[r] = map[digest.Digest]bool{}
	}
	var all []digest.Digest
	for range 4 {
		b := wire.Random(500)
		d := digest.FromBytes(b)
		contents[d], all = b, append(all, d)
	}
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, seed))
	t.Logf("seed %d", seed)
	for step := range 1500 {
		repo, d := repos[dice.IntN(len(repos))], all[dice.IntN(len(all))]
		switch dice.IntN(6) {
		case 0:
			reg.PushBlob(t, repo, contents[d])
			held[repo][d] = true
		case 1:
			want := 404
			if held[repo][d] {
				want = 202
			}
			reg.Do(t, "DELETE", wire.BlobPath(repo, d), nil).Want(t, want)
			held[repo][d] = false
		case 2:
			from := repos[dice.IntN(len(repos))]
			got := reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "mount", d.String(), "from", from), []byte{}).Want(t, 201, 202)
			if held[from][d] && got.Status != 201 {
				t.Fatalf("step %d: the source holds it and the mount is %d", step, got.Status)
			}
			held[repo][d] = held[repo][d] || got.Status == 201
		}
		for _, r := range repos { // read through every one, so that whatever is remembered is warm
			method := []string{"GET", "HEAD"}[dice.IntN(2)]
			got := reg.Do(t, method, wire.BlobPath(r, d), nil)
			if want := map[bool]int{true: 200, false: 404}[held[r][d]]; got.Status != want {
				t.Fatalf("step %d: %s is %d, want %d", step, got.Asked, got.Status, want)
			}
			if method == "GET" && got.Status == 200 && !bytes.Equal(got.Body, contents[d]) {
				t.Fatalf("step %d: %s gives other bytes", step, got.Asked)
			}
		}
	}
}

// The same for manifests and their tags.
func TestDeletedManifest_StaysDeletedWhileAnotherRepositoryReads(t *testing.T) {
	a, b := wire.Repo(t), wire.Repo(t)
	body := wire.JSON(wire.Index())
	d := digest.FromBytes(body)
	for range 50 {
		for _, repo := range []string{a, b} {
			reg.Put(t, repo, "here", index, body).Want(t, 201)
			reg.Do(t, "GET", wire.ManifestPath(repo, d), nil).Want(t, 200)
		}
		reg.Do(t, "DELETE", wire.ManifestPath(a, d), nil).Want(t, 202)
		for _, ref := range []string{"here", d.String()} {
			reg.Do(t, "GET", wire.ManifestPath(b, ref), nil).Want(t, 200)
			reg.Do(t, "GET", wire.ManifestPath(a, ref), nil).Want(t, 404)
			reg.Do(t, "HEAD", wire.ManifestPath(a, ref), nil).Want(t, 404)
		}
	}
}

// CVE-2024-39897 (zot): HEAD and mount looked into the whole store. What repository A holds, B does not: not for HEAD, not for GET, not
// through a manifest that B pushes, and not for a mount that names a source which does not hold it.
func TestContentOfAnotherRepository_DoesNotLeak(t *testing.T) {
	a, b := wire.Repo(t), wire.Repo(t)
	secret := append([]byte("a secret of repository a "), wire.Random(16)...)
	d := reg.PushBlob(t, a, secret)
	desc, body := reg.PushImage(t, a, "here")
	reg.PushImage(t, b, "own")
	for _, method := range []string{"HEAD", "GET"} {
		for _, path := range []string{wire.BlobPath(b, d), wire.ManifestPath(b, desc.Digest), wire.BlobPath(b, desc.Digest), wire.ManifestPath(b, d), wire.ManifestPath(b, "here")} {
			if got := reg.Do(t, method, path, nil).Want(t, 404); got.Header.Get("Docker-Content-Digest") != "" || bytes.Contains(got.Body, secret) {
				t.Errorf("%s gives something away: %v", got.Asked, got.Header)
			}
		}
	}
	reg.Put(t, b, "stolen", image, body).Refused(t, "MANIFEST_BLOB_UNKNOWN", 404, 400)
	sparse := reg.Image(t, b)
	sparse.Layers[0].Digest, sparse.Layers[0].Size = d, int64(len(secret))
	reg.Put(t, b, "stolen", image, wire.JSON(sparse)).Refused(t, "MANIFEST_BLOB_UNKNOWN", 404, 400)
	reg.Do(t, "GET", wire.BlobPath(b, d), nil).Want(t, 404)

	// Naming A's manifest in an index of B gives B neither the manifest nor its blobs.
	reg.PushManifest(t, b, "list", index, wire.Index(desc))
	reg.Do(t, "GET", wire.ManifestPath(b, desc.Digest), nil).Want(t, 404)
	reg.Do(t, "GET", wire.BlobPath(b, d), nil).Want(t, 404)
}

// A manifest is no blob until somebody pushed it as one, and a blob is no manifest.
func TestManifestsAndBlobs_AreNotEachOther(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	d := reg.PushBlob(t, repo, body) // the bytes of a manifest, pushed as a blob
	reg.Do(t, "GET", wire.ManifestPath(repo, d), nil).Want(t, 404)
	reg.Do(t, "HEAD", wire.ManifestPath(repo, d), nil).Want(t, 404)
}

// CVE-2026-32589 (Quay): an upload begun in one repository could be used through another. Every method through B is 404, and A's
// upload goes on as if nothing had happened.
func TestUploadOfAnotherRepository_IsUnknown(t *testing.T) {
	a, b := wire.Repo(t), wire.Repo(t)
	reg.PushImage(t, b, "here")
	content := wire.Random(200)
	d := digest.FromBytes(content)
	loc := reg.Begin(t, a)
	reg.Patch(t, loc, 0, content[:100]).Want(t, 202)
	foreign := strings.Replace(loc, "/v2/"+a+"/", "/v2/"+b+"/", 1)
	id := loc[strings.LastIndex(loc, "/")+1:]
	for _, target := range []string{foreign, reg.URL + wire.UploadsPath(b) + id, reg.URL + wire.UploadsPath(a+"/x") + id, reg.URL + wire.UploadsPath("check") + id} {
		reg.Do(t, "GET", target, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Do(t, "HEAD", target, nil).Want(t, 404, 405)
		reg.Patch(t, target, 100, content[100:]).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Close(t, target, d, content[100:]).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Do(t, "DELETE", target, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
	}
	reg.Do(t, "GET", loc, nil).Want(t, 204).Has(t, "Range", "0-99")
	reg.Close(t, loc, d, content[100:]).Want(t, 201)
	reg.Do(t, "GET", wire.BlobPath(b, d), nil).Want(t, 404)
}

// Ids of uploads cannot be guessed from one another.
func TestUploadIDs_AreNotGuessable(t *testing.T) {
	repo := wire.Repo(t)
	var ids []string
	for range 64 {
		loc := reg.Begin(t, repo)
		ids = append(ids, loc[strings.LastIndex(loc, "/")+1:])
	}
	for place := range ids[0] { // a place that never changes carries no chance; a third of them must
		same := true
		for _, id := range ids[1:] {
			same = same && place < len(id) && id[place] == ids[0][place]
		}
		if same {
			ids[0] = ids[0][:place] + "\x00" + ids[0][place+1:]
		}
	}
	if free := len(ids[0]) - strings.Count(ids[0], "\x00"); free < 20 {
		t.Errorf("only %d characters of an upload's id vary", free)
	}
}

// CVE-2021-41190: one document that is an image to one reader and an index to another, or a type that contradicts the document, is
// refused under every type.
func TestManifestIndexConfusion(t *testing.T) {
	repo := wire.Repo(t)
	m := reg.Image(t, repo)
	dockerManifest, dockerList := "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json"
	children := `[{"mediaType":"` + image + `","size":10,"digest":"` + absent().String() + `"}]`
	fields := map[string]string{
		"config": `"config":` + string(wire.JSON(m.Config)), "layers": `"layers":` + string(wire.JSON(m.Layers)),
		"LAYERS": `"LAYERS":` + string(wire.JSON(m.Layers)), "manifests": `"manifests":` + children, "Manifests": `"Manifests":` + children,
	}
	// encoding/json matches field names without regard to case and lets the last of two win; other readers do not.
	for _, mix := range [][]string{
		{"config", "layers", "manifests"}, {"manifests", "layers"}, {"manifests", "config"}, {"config", "layers", "Manifests"}, {"manifests", "LAYERS"},
		{"config", "layers", "layers"}, {"manifests", "manifests"},
	} {
		for _, mediaType := range []string{image, index, dockerManifest, dockerList} {
			for _, declared := range []string{"", `"mediaType":"` + mediaType + `",`} {
				body := `{"schemaVersion":2,` + declared
				for _, f := range mix {
					body += fields[f] + ","
				}
				if got := reg.Put(t, repo, "confused", mediaType, []byte(strings.TrimSuffix(body, ",")+"}")); got.Status == 201 {
					t.Errorf("%v as %s (declared %q): accepted", mix, mediaType, declared)
					reg.Do(t, "DELETE", wire.ManifestPath(repo, "confused"), nil)
				} else {
					got.Refused(t, "MANIFEST_INVALID", 400)
				}
			}
		}
	}
	good := string(wire.JSON(m))
	for _, mediaType := range []string{index, dockerManifest, dockerList} {
		reg.Put(t, repo, "confused", mediaType, []byte(good)).Refused(t, "MANIFEST_INVALID", 400)
	}
	twice := strings.Replace(good, `"mediaType":"`+image+`"`, `"mediaType":"`+index+`","mediaType":"`+image+`"`, 1)
	reg.Put(t, repo, "confused", image, []byte(twice)).Refused(t, "MANIFEST_INVALID", 400)
	reg.Do(t, "GET", wire.ManifestPath(repo, "confused"), nil).Want(t, 404)
}
