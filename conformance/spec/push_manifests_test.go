package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// kept fails the test unless the reference gives exactly these bytes under this type.
func kept(t *testing.T, repo, ref, mediaType string, body []byte) {
	t.Helper()
	got := reg.Do(t, "GET", wire.ManifestPath(repo, ref), nil).Want(t, 200).Has(t, "Content-Type", mediaType)
	if !bytes.Equal(got.Body, body) {
		t.Errorf("%s: the bytes differ from what was pushed", got.Asked)
	}
}

// PUT by tag is 201 with a pullable Location and the digest; the manifest can then be pulled by tag and by digest.
func TestPushingManifests_ByTag(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	d := digest.FromBytes(body).String()
	got := reg.Put(t, repo, "here", image, body).Want(t, 201).Has(t, "Docker-Content-Digest", d)
	pullable(t, got, body)
	kept(t, repo, "here", image, body)
	kept(t, repo, d, image, body)
}

// PUT by digest is the same without a tag.
func TestPushingManifests_ByDigest(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	d := digest.FromBytes(body).String()
	pullable(t, reg.Put(t, repo, d, image, body).Want(t, 201).Has(t, "Docker-Content-Digest", d), body)
	kept(t, repo, d, image, body)
	if tags := tagsOf(t, repo, ""); len(tags) != 0 {
		t.Errorf("a push by digest made the tags %v", tags)
	}
}

// The digest told MUST equal the one the client gave, also when that is a sha512.
func TestPushingManifests_BySha512(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	d := digest.SHA512.FromBytes(body).String()
	pullable(t, reg.Put(t, repo, d, image, body).Want(t, 201).Has(t, "Docker-Content-Digest", d), body)
	kept(t, repo, d, image, body)
	reg.Do(t, "HEAD", wire.ManifestPath(repo, d), nil).Want(t, 200).Has(t, "Docker-Content-Digest", d)
}

// A sha512 all the way down: config, layers, image and index are named by sha512 only.
func TestPushingManifests_Sha512EndToEnd(t *testing.T) {
	repo := wire.Repo(t)
	push := func(mediaType string, content []byte) ocispec.Descriptor {
		d := digest.SHA512.FromBytes(content)
		reg.Close(t, reg.Begin(t, repo, "digest-algorithm", "sha512"), d, content).Want(t, 201)
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	}
	manifest := reg.Image(t, repo)
	manifest.Config = push(ocispec.MediaTypeImageConfig, wire.Config())
	manifest.Layers = []ocispec.Descriptor{push(ocispec.MediaTypeImageLayer, wire.Random(100))}
	body := wire.JSON(manifest)
	child := ocispec.Descriptor{MediaType: image, Digest: digest.SHA512.FromBytes(body), Size: int64(len(body))}
	reg.Put(t, repo, child.Digest.String(), image, body).Want(t, 201)
	list := wire.JSON(wire.Index(child))
	reg.Put(t, repo, digest.SHA512.FromBytes(list).String(), index, list).Want(t, 201)
	kept(t, repo, digest.SHA512.FromBytes(list).String(), index, list)
	kept(t, repo, child.Digest.String(), image, body)
}

// A body that does not match the digest it is pushed by is refused and not kept.
func TestPushingManifests_WrongDigestIsRefused(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	for _, d := range []digest.Digest{absent(), digest.FromBytes(append(slices.Clone(body), ' ')), digest.SHA512.FromString("x")} {
		reg.Put(t, repo, d.String(), image, body).Refused(t, "DIGEST_INVALID", 400)
		reg.Do(t, "GET", wire.ManifestPath(repo, d), nil).Want(t, 404)
	}
	reg.Do(t, "GET", wire.ManifestPath(repo, digest.FromBytes(body)), nil).Want(t, 404)
}

// A reference that is neither tag nor digest is refused.
func TestPushingManifests_ReferenceGrammar(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	for _, ref := range []string{"sha256:baddigeststring", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:", "-dash", ".dot", "a%20b", "a+b", "a@b", "%C3%A4", strings.Repeat("a", 129)} {
		reg.Put(t, repo, ref, image, body).Refused(t, "", 400, 404)
	}
	if tags := tagsOf(t, repo, ""); len(tags) != 0 {
		t.Errorf("a refused push made the tags %v", tags)
	}
}

// Parameters of Content-Type are ignored: white space, case and charset make no other type.
func TestPushingManifests_ContentTypeParametersAreIgnored(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	for i, mediaType := range []string{image + "; charset=utf-8", image + ";charset=\"UTF-8\"; q=1", image + " ; a=b"} {
		ref := fmt.Sprint("t", i)
		reg.Put(t, repo, ref, mediaType, body).Want(t, 201)
		kept(t, repo, ref, image, body)
	}
}

// The bytes are kept as they came: white space, order, repeated and unknown fields, non-ASCII, escapes.
func TestPushingManifests_ExactBytes(t *testing.T) {
	repo := wire.Repo(t)
	compact := wire.JSON(reg.Image(t, repo))
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact, "\t", "   "); err != nil {
		t.Fatal(err)
	}
	unknown := func(fields string) []byte { return []byte(strings.Replace(string(compact), "{", "{"+fields+",", 1)) }
	for i, body := range [][]byte{
		indented.Bytes(), append([]byte("\n \r\n\t"), append(compact, "\n\n"...)...),
		unknown(`"x-unknown":{"deep":[1,2.50,1e400,"\u00e4\/"],"null":null}`), unknown("\"ключ\":\"значение 🚢\""), unknown(`"annotations":{"html":"<&>"}`),
	} {
		ref := fmt.Sprint("t", i)
		reg.Put(t, repo, ref, image, body).Want(t, 201)
		kept(t, repo, ref, image, body)
		kept(t, repo, digest.FromBytes(body).String(), image, body)
	}
}

// A manifest may be without layers, or hold the same layer twice.
func TestPushingManifests_NoLayersAndRepeatedLayers(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	layer := manifest.Layers[0]
	manifest.Layers = []ocispec.Descriptor{}
	_, body := reg.PushManifest(t, repo, "none", image, manifest)
	kept(t, repo, "none", image, body)
	manifest.Layers = []ocispec.Descriptor{layer, layer, layer}
	_, body = reg.PushManifest(t, repo, "thrice", image, manifest)
	kept(t, repo, "thrice", image, body)
}

// Content that comes within the descriptor (`data`) is kept with it.
func TestPushingManifests_DataField(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	reg.PushBlob(t, repo, ocispec.DescriptorEmptyJSON.Data)
	manifest.ArtifactType, manifest.Config, manifest.Layers = "application/vnd.example.thing", ocispec.DescriptorEmptyJSON, []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}
	_, body := reg.PushManifest(t, repo, "data", image, manifest)
	kept(t, repo, "data", image, body)
}

// Artifact types, config types and layer types that nobody has heard of are content like any other.
func TestPushingManifests_UnknownArtifactTypes(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	manifest.ArtifactType = "application/vnd.example.never-heard-of.v9+x"
	manifest.Config.MediaType = "application/vnd.example.config"
	manifest.Layers[0].MediaType = "image/x-strange"
	manifest.Annotations = map[string]string{"org.example": "yes", "empty": ""}
	_, body := reg.PushManifest(t, repo, "strange", image, manifest)
	kept(t, repo, "strange", image, body)
}

// A manifest without a mediaType field takes its type from Content-Type.
func TestPushingManifests_WithoutMediaTypeField(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	manifest.MediaType = ""
	_, body := reg.PushManifest(t, repo, "untyped", image, manifest)
	kept(t, repo, "untyped", image, body)
	list := wire.Index(wire.Descriptor(image, body))
	list.MediaType = ""
	_, body = reg.PushManifest(t, repo, "untyped-index", index, list)
	kept(t, repo, "untyped-index", index, body)
}

// A mediaType field that contradicts Content-Type is refused: two readers would see two different things.
func TestPushingManifests_ContradictingMediaType(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	body := wire.JSON(manifest)
	for _, mediaType := range []string{index, dockerManifest, dockerList} {
		reg.Put(t, repo, "bad", mediaType, body).Refused(t, "MANIFEST_INVALID", 400)
	}
	reg.Put(t, repo, "bad", image, wire.JSON(wire.Index(wire.Descriptor(image, body)))).Refused(t, "MANIFEST_INVALID", 400)
	reg.Do(t, "GET", wire.ManifestPath(repo, "bad"), nil).Want(t, 404)
}

// `layers` and `manifests` in one document is an image to one reader and an index to another: refused under either type.
func TestPushingManifests_ImageAndIndexInOne(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	for _, mediaType := range []string{image, index, dockerManifest, dockerList} {
		both := wire.JSON(map[string]any{
			"schemaVersion": 2, "config": manifest.Config, "layers": manifest.Layers, "manifests": []ocispec.Descriptor{},
		})
		reg.Put(t, repo, "both", mediaType, both).Refused(t, "MANIFEST_INVALID", 400)
	}
	reg.Do(t, "GET", wire.ManifestPath(repo, "both"), nil).Want(t, 404)
}

// What is no manifest is refused, with MANIFEST_INVALID, and never kills anything.
func TestPushingManifests_MalformedIsRefused(t *testing.T) {
	repo := wire.Repo(t)
	good := wire.JSON(reg.Image(t, repo))
	for _, body := range []string{
		"", " ", "nonsense", "null", "[]", "1", `"text"`, "{", string(good[:len(good)/2]), string(good) + "x", string(good) + string(good),
		`{"schemaVersion":2,"layers":"no"}`, `{"schemaVersion":2,"config":[],"layers":[]}`, `{"schemaVersion":2,"layers":[{"digest":"nonsense","size":1}]}`,
		`{"schemaVersion":2,"config":{"digest":"sha256:short"}}`, `{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[]}`,
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
	} {
		reg.Put(t, repo, "bad", image, []byte(body)).Refused(t, "MANIFEST_INVALID|DIGEST_INVALID|UNSUPPORTED", 400)
	}
	reg.Do(t, "GET", wire.ManifestPath(repo, "bad"), nil).Want(t, 404)
}

// A size in a descriptor that cannot be is refused.
func TestPushingManifests_NegativeSizeIsRefused(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	manifest.Layers[0].Size = -1
	reg.Put(t, repo, "bad", image, wire.JSON(manifest)).Refused(t, "MANIFEST_INVALID|SIZE_INVALID", 400)
}

// A manifest that is refused for what it refers to names MANIFEST_BLOB_UNKNOWN, once for each digest that is missing.
func TestPush_UnknownBlobsAreAllNamed(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	missing := []digest.Digest{absent(), absent(), absent()}
	manifest.Config.Digest = missing[0]
	manifest.Layers = append(manifest.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: missing[1], Size: 10},
		ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: missing[2], Size: 10})
	faults := reg.Put(t, repo, "sparse", image, wire.JSON(manifest)).Refused(t, "MANIFEST_BLOB_UNKNOWN", 404, 400)
	all := ""
	for _, f := range faults {
		if f.Code == "MANIFEST_BLOB_UNKNOWN" {
			all += string(f.Detail) + f.Message
		}
	}
	for _, d := range missing {
		if !strings.Contains(all, d.String()) {
			t.Errorf("%s is missing and not named in %s", d, all)
		}
	}
	reg.Do(t, "GET", wire.ManifestPath(repo, "sparse"), nil).Want(t, 404)
}

// A blob that only another repository has is unknown in this one: a manifest is no way to read across repositories.
func TestPush_BlobOfAnotherRepositoryIsUnknown(t *testing.T) {
	repo, other := wire.Repo(t), wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	reg.PushBlob(t, other, wire.Random(10))
	reg.Put(t, other, "here", image, body).Refused(t, "MANIFEST_BLOB_UNKNOWN", 404, 400)
}

// An index may name manifests that were not pushed: platforms that nobody needs here.
func TestPush_SparseIndexIsAccepted(t *testing.T) {
	repo := wire.Repo(t)
	desc, _ := reg.PushImage(t, repo, "")
	gone := ocispec.Descriptor{MediaType: image, Digest: absent(), Size: 1024}
	_, body := reg.PushManifest(t, repo, "sparse", index, wire.Index(desc, gone))
	kept(t, repo, "sparse", index, body)
	reg.Do(t, "GET", wire.ManifestPath(repo, gone.Digest), nil).Want(t, 404)
}

// Indexes may be empty, and may hold indexes.
func TestPushingManifests_EmptyAndNestedIndex(t *testing.T) {
	repo := wire.Repo(t)
	empty, body := reg.PushManifest(t, repo, "empty", index, wire.Index())
	kept(t, repo, "empty", index, body)
	desc, _ := reg.PushImage(t, repo, "")
	inner, _ := reg.PushManifest(t, repo, "", index, wire.Index(desc))
	_, body = reg.PushManifest(t, repo, "nested", index, wire.Index(inner, empty))
	kept(t, repo, "nested", index, body)
}

// Layers that must not be distributed, with the places where they are found, need not be pushed.
func TestPushingManifests_NonDistributableLayers(t *testing.T) {
	repo := wire.Repo(t)
	for i, mediaType := range []string{
		// Deprecated, and still pushed with Windows images.
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
	} {
		manifest := reg.Image(t, repo)
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{
			MediaType: mediaType, Digest: absent(), Size: 123456, URLs: []string{"https://store.example.com/layer"},
		})
		ref := fmt.Sprint("t", i)
		_, body := reg.PushManifest(t, repo, ref, image, manifest)
		kept(t, repo, ref, image, body)
	}
}

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Docker's schema 2 and its manifest lists are kept byte for byte under their own types; foreign layers need not be pushed.
func TestPushingManifests_DockerSchema2(t *testing.T) {
	repo := wire.Repo(t)
	manifest := reg.Image(t, repo)
	config, layer := manifest.Config, manifest.Layers[0]
	config.MediaType, layer.MediaType = "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"
	foreign := ocispec.Descriptor{MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: absent(), Size: 99, URLs: []string{"https://store.example.com/layer"}}
	body, err := json.MarshalIndent(map[string]any{
		"schemaVersion": 2, "mediaType": dockerManifest, "config": config, "layers": []ocispec.Descriptor{layer, foreign},
	}, "", "   ")
	if err != nil {
		t.Fatal(err)
	}
	reg.Put(t, repo, "docker", dockerManifest, body).Want(t, 201)
	kept(t, repo, "docker", dockerManifest, body)
	list, err := json.MarshalIndent(map[string]any{
		"schemaVersion": 2, "mediaType": dockerList, "manifests": []map[string]any{{
			"mediaType": dockerManifest, "digest": digest.FromBytes(body), "size": len(body), "platform": map[string]any{"architecture": "amd64", "os": "linux", "features": []string{"sse4"}},
		}},
	}, "", "   ")
	if err != nil {
		t.Fatal(err)
	}
	reg.Put(t, repo, "list", dockerList, list).Want(t, 201)
	kept(t, repo, "list", dockerList, list)
}

// A manifest without a Content-Type, or with one that says nothing, is either known by its mediaType field or refused; never kept as
// something that cannot be pulled again.
func TestPushingManifests_VagueContentType(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	for i, mediaType := range []string{"", "application/json", "text/plain", wire.Octets, "/", ";"} {
		ref := fmt.Sprint("t", i)
		got := reg.Put(t, repo, ref, mediaType, body)
		if got.Status == 201 {
			kept(t, repo, ref, image, body)
			continue
		}
		got.Refused(t, "MANIFEST_INVALID|UNSUPPORTED", 400, 415)
	}
}

// A tag moves to what was pushed last; what it named before stays under its digest.
func TestPushingManifests_TagMoves(t *testing.T) {
	repo := wire.Repo(t)
	first, firstBody := reg.PushImage(t, repo, "moving")
	_, second := reg.PushImage(t, repo, "moving")
	kept(t, repo, "moving", image, second)
	kept(t, repo, first.Digest.String(), image, firstBody)
}

// Pushing the same again changes nothing.
func TestPushingManifests_SameAgain(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	for range 3 {
		reg.Put(t, repo, "here", image, body).Want(t, 201)
		reg.Put(t, repo, digest.FromBytes(body).String(), image, body).Want(t, 201)
	}
	if tags := tagsOf(t, repo, ""); fmt.Sprint(tags) != "[here]" {
		t.Errorf("tags are %v", tags)
	}
}

// A push by digest may name its tags: ten or more at once, and OCI-Tag tells each that was made.
func TestPushingManifests_TagParameters(t *testing.T) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		repo := wire.Repo(t)
		body := wire.JSON(reg.Image(t, repo))
		d := algorithm.FromBytes(body).String()
		target, want := wire.ManifestPath(repo, d), []string{}
		for i := range 12 {
			tag := fmt.Sprintf("tag-%02d", i)
			target, want = wire.With(target, "tag", tag), append(want, tag)
		}
		got := reg.Do(t, "PUT", target, body, "Content-Type", image).Want(t, 201).Has(t, "Docker-Content-Digest", d)
		told := []string{}
		for _, line := range got.Header.Values("OCI-Tag") {
			for tag := range strings.SplitSeq(line, ",") {
				told = append(told, strings.TrimSpace(tag))
			}
		}
		slices.Sort(told)
		if !slices.Equal(told, want) {
			t.Errorf("OCI-Tag tells %v, want %v", told, want)
		}
		for _, tag := range want {
			kept(t, repo, tag, image, body)
			reg.Do(t, "HEAD", wire.ManifestPath(repo, tag), nil).Want(t, 200).Has(t, "Docker-Content-Digest", d)
		}
		if tags := tagsOf(t, repo, ""); !slices.Equal(tags, want) {
			t.Errorf("tags are %v, want %v", tags, want)
		}
	}
}

// One tag that is none refuses the whole push: half of it would be worse than nothing.
func TestPushingManifests_InvalidTagParameter(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	d := digest.FromBytes(body).String()
	for _, bad := range []string{"-dash", "a b", "a/b", "../x", strings.Repeat("a", 129), "sha256:abc"} {
		reg.Do(t, "PUT", wire.With(wire.ManifestPath(repo, d), "tag", "good", "tag", bad), body, "Content-Type", image).
			Refused(t, "", 400)
	}
	if tags := tagsOf(t, repo, ""); len(tags) != 0 {
		t.Errorf("a refused push made the tags %v", tags)
	}
	reg.Do(t, "GET", wire.ManifestPath(repo, d), nil).Want(t, 404)
}

// More tags than the registry will take at once may be refused as too long, and are then not made by half.
func TestPushingManifests_TooManyTagParameters(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	target := wire.ManifestPath(repo, digest.FromBytes(body))
	for i := range 2000 {
		target = wire.With(target, "tag", fmt.Sprintf("tag-%04d", i))
	}
	got := reg.Do(t, "PUT", target, body, "Content-Type", image).Want(t, 201, 400, 414, 431)
	made := len(tagsOf(t, repo, ""))
	if want := map[bool]int{true: 2000}[got.Status == 201]; made != want {
		t.Errorf("status %d and %d tags", got.Status, made)
	}
}

// A manifest of exactly four megabytes is taken.
func TestPushingManifests_FourMegabytes(t *testing.T) {
	repo := wire.Repo(t)
	body := padded(t, repo, 4<<20)
	reg.Put(t, repo, "large", image, body).Want(t, 201)
	kept(t, repo, "large", image, body)
}

// One that is larger is 413, whether it tells its length or not, and is not kept.
func TestPushingManifests_LargerIsRefused(t *testing.T) {
	repo := wire.Repo(t)
	body := padded(t, repo, 4<<20+1)
	reg.Put(t, repo, "large", image, body).Refused(t, "MANIFEST_INVALID|SIZE_INVALID", 413)
	reg.Stream(t, "PUT", wire.ManifestPath(repo, "large"), struct{ *bytes.Buffer }{bytes.NewBuffer(body)}, "Content-Type", image).
		Refused(t, "MANIFEST_INVALID|SIZE_INVALID", 413)
	reg.Do(t, "GET", wire.ManifestPath(repo, "large"), nil).Want(t, 404)
	reg.Do(t, "GET", wire.ManifestPath(repo, digest.FromBytes(body)), nil).Want(t, 404)
}

// padded returns an image manifest of exactly n bytes.
func padded(t *testing.T, repo string, n int) []byte {
	t.Helper()
	manifest := reg.Image(t, repo)
	manifest.Annotations = map[string]string{"padding": ""}
	manifest.Annotations["padding"] = strings.Repeat("A", n-len(wire.JSON(manifest)))
	return wire.JSON(manifest)
}
