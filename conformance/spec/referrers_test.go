package spec

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// referrers asks for one page of referrers and checks what is true of every page.
func referrers(t *testing.T, target string) (ocispec.Index, wire.Reply) {
	t.Helper()
	got := reg.Do(t, "GET", target, nil).Want(t, 200).Has(t, "Content-Type", index)
	var list ocispec.Index
	got.JSON(t, &list)
	if list.SchemaVersion != 2 || list.MediaType != index || list.Manifests == nil {
		t.Errorf("%s: schemaVersion %d, mediaType %q, manifests nil: %v", got.Asked, list.SchemaVersion, list.MediaType, list.Manifests == nil)
	}
	return list, got
}

var linkNext = regexp.MustCompile(`^\s*<([^>]*)>\s*;\s*rel="?next"?\s*$`)

// next returns the absolute URL of the reply's Link, or "".
func next(t *testing.T, a wire.Reply) string {
	t.Helper()
	links := a.Header.Values("Link")
	if len(links) == 0 {
		return ""
	}
	m := linkNext.FindStringSubmatch(links[0])
	if len(links) != 1 || m == nil {
		t.Fatalf("%s: Link %q is not one link with rel=\"next\"", a.Asked, links)
	}
	base, err := url.Parse(reg.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// referrer returns a manifest that refers to a subject; its config and layer are the empty document.
func referrer(repo *testing.T, name string, subject ocispec.Descriptor, artifactType string) ocispec.Manifest {
	repo.Helper()
	reg.PushBlob(repo, name, ocispec.DescriptorEmptyJSON.Data)
	empty := ocispec.DescriptorEmptyJSON
	empty.Data = nil
	m := ocispec.Manifest{MediaType: image, ArtifactType: artifactType, Config: empty, Layers: []ocispec.Descriptor{empty}, Subject: &subject,
		Annotations: map[string]string{"unique": digest.FromBytes(wire.Random(16)).Encoded()}}
	m.SchemaVersion = 2
	return m
}

func digests(list ocispec.Index) []string {
	all := []string{}
	for _, d := range list.Manifests {
		all = append(all, d.Digest.String())
	}
	slices.Sort(all)
	return all
}

// A manifest with a subject is answered with OCI-Subject, an image as well as an index, by tag as well as by digest.
func TestPushingManifestsWithSubject_OCISubject(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	m := wire.JSON(referrer(t, repo, subject, "application/vnd.example.a"))
	reg.Put(t, repo, "tagged", image, m).Want(t, 201).Has(t, "OCI-Subject", subject.Digest.String())
	reg.Put(t, repo, digest.FromBytes(m).String(), image, m).Want(t, 201).Has(t, "OCI-Subject", subject.Digest.String())
	list := wire.Index()
	list.Subject = &subject
	reg.Put(t, repo, "index", index, wire.JSON(list)).Want(t, 201).Has(t, "OCI-Subject", subject.Digest.String())
}

// A manifest without a subject has no such header.
func TestPushingManifestsWithSubject_NoneWithoutSubject(t *testing.T) {
	repo := wire.Repo(t)
	got := reg.Put(t, repo, "plain", image, wire.JSON(reg.Image(t, repo))).Want(t, 201)
	if s := got.Header.Get("OCI-Subject"); s != "" {
		t.Errorf("OCI-Subject %q for a manifest without a subject", s)
	}
}

// A subject that does not exist is accepted, and the referrer is listed at once and after the subject has come.
func TestPush_MissingSubjectIsAccepted(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	subject := wire.Descriptor(image, body)
	desc, _ := reg.PushManifest(t, repo, "", image, referrer(t, repo, subject, "application/vnd.example.a"))
	for range 2 {
		if list, _ := referrers(t, wire.ReferrersPath(repo, subject.Digest)); fmt.Sprint(digests(list)) != "["+desc.Digest.String()+"]" {
			t.Errorf("referrers are %v, want %s", digests(list), desc.Digest)
		}
		reg.Put(t, repo, "subject", image, body).Want(t, 201)
	}
}

// A subject whose digest is none is refused.
func TestPushingManifestsWithSubject_InvalidSubject(t *testing.T) {
	repo := wire.Repo(t)
	m := referrer(t, repo, ocispec.Descriptor{MediaType: image, Digest: "sha256:short", Size: 1}, "application/vnd.example.a")
	reg.Put(t, repo, "bad", image, wire.JSON(m)).Refused(t, "MANIFEST_INVALID|DIGEST_INVALID", 400)
}

// No referrers is 200 with an empty list, for a manifest without any and for one that does not exist, in a repository that exists and
// in one that does not: never 404.
func TestListingReferrers_EmptyList(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "alone")
	for _, target := range []string{wire.ReferrersPath(repo, subject.Digest), wire.ReferrersPath(repo, absent()), wire.ReferrersPath(wire.Repo(t), absent()),
		wire.ReferrersPath(repo, digest.SHA512.FromString("nothing"))} {
		list, got := referrers(t, target)
		if len(list.Manifests) != 0 || !bytes.Contains(got.Body, []byte(`"manifests"`)) {
			t.Errorf("%s: %s, want an empty list", got.Asked, got.Excerpt())
		}
	}
}

// A digest that is none is 400.
func TestListingReferrers_InvalidDigest(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	for _, d := range []string{"latest", "sha256:short", "sha256:" + strings.Repeat("A", 64), "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + strings.Repeat("a", 65), "here"} {
		reg.Do(t, "GET", "/v2/"+repo+"/referrers/"+d, nil).Refused(t, "DIGEST_INVALID|UNSUPPORTED", 400)
	}
}

// Each descriptor tells mediaType, size, digest, the manifest's own artifactType and its annotations.
func TestListingReferrers_Descriptor(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	m := referrer(t, repo, subject, "application/vnd.example.sbom.v1")
	m.Annotations = map[string]string{ocispec.AnnotationCreated: "2022-01-01T14:42:55Z", "org.example.sbom.format": "json", "org.example.empty": "", "org.example.text": "ä <&> \"\n"}
	desc, _ := reg.PushManifest(t, repo, "", image, m)
	list, _ := referrers(t, wire.ReferrersPath(repo, subject.Digest))
	if len(list.Manifests) != 1 {
		t.Fatalf("%d referrers, want 1", len(list.Manifests))
	}
	got := list.Manifests[0]
	if got.MediaType != image || got.Digest != desc.Digest || got.Size != desc.Size || got.ArtifactType != m.ArtifactType {
		t.Errorf("descriptor is %+v, want %+v with %s", got, desc, m.ArtifactType)
	}
	if fmt.Sprint(got.Annotations) != fmt.Sprint(m.Annotations) {
		t.Errorf("annotations are %v, want %v", got.Annotations, m.Annotations)
	}
}

// Without an artifactType an image's is its config's media type.
func TestListingReferrers_ArtifactTypeFromConfig(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	m := reg.Image(t, repo)
	m.Subject, m.Config.MediaType = &subject, "application/vnd.example.config.v1+json"
	reg.PushManifest(t, repo, "", image, m)
	list, _ := referrers(t, wire.ReferrersPath(repo, subject.Digest))
	if len(list.Manifests) != 1 || list.Manifests[0].ArtifactType != "application/vnd.example.config.v1+json" {
		t.Errorf("referrers are %+v", list.Manifests)
	}
	filtered, _ := referrers(t, wire.With(wire.ReferrersPath(repo, subject.Digest), "artifactType", "application/vnd.example.config.v1+json"))
	if len(filtered.Manifests) != 1 {
		t.Errorf("the filter does not find the config's type")
	}
}

// An index's is its own, and omitted if it has none.
func TestListingReferrers_ArtifactTypeOfIndexes(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	with, without := wire.Index(), wire.Index()
	with.Subject, without.Subject = &subject, &subject
	with.ArtifactType = "application/vnd.example.index"
	with.Annotations, without.Annotations = map[string]string{"which": "with"}, map[string]string{"which": "without"}
	reg.PushManifest(t, repo, "", index, with)
	reg.PushManifest(t, repo, "", index, without)
	got := reg.Do(t, "GET", wire.ReferrersPath(repo, subject.Digest), nil).Want(t, 200)
	var list struct{ Manifests []map[string]any }
	got.JSON(t, &list)
	if len(list.Manifests) != 2 {
		t.Fatalf("%d referrers, want 2: %s", len(list.Manifests), got.Body)
	}
	for _, d := range list.Manifests {
		artifactType, told := d["artifactType"]
		switch which := d["annotations"].(map[string]any)["which"]; {
		case d["mediaType"] != index:
			t.Errorf("mediaType is %v", d["mediaType"])
		case which == "with" && artifactType != "application/vnd.example.index":
			t.Errorf("artifactType is %v", artifactType)
		case which == "without" && told:
			t.Errorf("artifactType %v of an index that has none", artifactType)
		}
	}
}

// A filter by artifactType gives those alone and says in OCI-Filters-Applied that it was applied, also when nothing is left.
func TestListingReferrers_Filter(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	kinds := []string{"application/vnd.example.a", "application/vnd.example.a.longer", "application/vnd.example+b;v=1", "application/vnd.example.a"}
	want := map[string][]string{"application/vnd.example.none": {}, "application/vnd.example": {}}
	for _, kind := range kinds {
		desc, _ := reg.PushManifest(t, repo, "", image, referrer(t, repo, subject, kind))
		want[kind] = append(want[kind], desc.Digest.String())
	}
	for kind, expected := range want {
		list, got := referrers(t, wire.With(wire.ReferrersPath(repo, subject.Digest), "artifactType", kind))
		got.Has(t, "OCI-Filters-Applied", "artifactType")
		slices.Sort(expected)
		if !slices.Equal(digests(list), expected) {
			t.Errorf("filter %s gives %v, want %v", kind, digests(list), expected)
		}
	}
	_, got := referrers(t, wire.ReferrersPath(repo, subject.Digest))
	if h := got.Header.Get("OCI-Filters-Applied"); h != "" {
		t.Errorf("OCI-Filters-Applied %q without a filter", h)
	}
}

// The list names each referrer once, however often it was pushed.
func TestListingReferrers_NoDuplicates(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	body := wire.JSON(referrer(t, repo, subject, "application/vnd.example.a"))
	for _, ref := range []string{digest.FromBytes(body).String(), "one", "two", "one"} {
		reg.Put(t, repo, ref, image, body).Want(t, 201)
	}
	if list, _ := referrers(t, wire.ReferrersPath(repo, subject.Digest)); len(list.Manifests) != 1 {
		t.Errorf("%d referrers, want 1", len(list.Manifests))
	}
}

// Referrers belong to their repository.
func TestListingReferrers_OfThisRepositoryOnly(t *testing.T) {
	repo, other := wire.Repo(t), wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	reg.PushManifest(t, repo, "", image, referrer(t, repo, subject, "application/vnd.example.a"))
	reg.PushImage(t, other, "other")
	if list, _ := referrers(t, wire.ReferrersPath(other, subject.Digest)); len(list.Manifests) != 0 {
		t.Errorf("%d referrers of another repository", len(list.Manifests))
	}
}

// A deleted referrer is listed no more; one whose subject is deleted still is, because it still refers to it.
func TestListingReferrers_AfterDeletes(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	gone, _ := reg.PushManifest(t, repo, "", image, referrer(t, repo, subject, "application/vnd.example.a"))
	stays, _ := reg.PushManifest(t, repo, "", image, referrer(t, repo, subject, "application/vnd.example.a"))
	reg.Do(t, "DELETE", wire.ManifestPath(repo, gone.Digest), nil).Want(t, 202)
	if list, _ := referrers(t, wire.ReferrersPath(repo, subject.Digest)); fmt.Sprint(digests(list)) != "["+stays.Digest.String()+"]" {
		t.Errorf("referrers are %v", digests(list))
	}
	reg.Do(t, "DELETE", wire.ManifestPath(repo, subject.Digest), nil).Want(t, 202)
	if list, _ := referrers(t, wire.ReferrersPath(repo, subject.Digest)); fmt.Sprint(digests(list)) != "["+stays.Digest.String()+"]" {
		t.Errorf("referrers of a deleted subject are %v", digests(list))
	}
}

// A subject named by sha512 has its referrers under that digest.
func TestListingReferrers_Sha512(t *testing.T) {
	repo := wire.Repo(t)
	body := wire.JSON(reg.Image(t, repo))
	d := digest.SHA512.FromBytes(body)
	reg.Put(t, repo, d.String(), image, body).Want(t, 201)
	m := wire.JSON(referrer(t, repo, ocispec.Descriptor{MediaType: image, Digest: d, Size: int64(len(body))}, "application/vnd.example.a"))
	reg.Put(t, repo, digest.SHA512.FromBytes(m).String(), image, m).Want(t, 201).Has(t, "OCI-Subject", d.String())
	list, _ := referrers(t, wire.ReferrersPath(repo, d))
	if len(list.Manifests) != 1 || list.Manifests[0].Digest != digest.SHA512.FromBytes(m) {
		t.Errorf("referrers are %+v", list.Manifests)
	}
}

// Manifests that a client listed by hand, in an index under the referrers tag, are listed by the API too, once each.
func TestEnablingTheReferrersAPI_ListsWhatTheTagSchemaLists(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	desc, _ := reg.PushManifest(t, repo, "", image, referrer(t, repo, subject, "application/vnd.example.a"))
	reg.PushManifest(t, repo, "sha256-"+subject.Digest.Encoded(), index, wire.Index(desc))
	if list, _ := referrers(t, wire.ReferrersPath(repo, subject.Digest)); fmt.Sprint(digests(list)) != "["+desc.Digest.String()+"]" {
		t.Errorf("referrers are %v, want %s", digests(list), desc.Digest)
	}
}

// Five thousand referrers, pushed by many at once, are all listed: none lost, none twice, page by page through Link if they do not fit
// one reply, with and without a filter.
func TestListingReferrers_FiveThousandByLink(t *testing.T) {
	repo := wire.Repo(t)
	subject, _ := reg.PushImage(t, repo, "subject")
	base := referrer(t, repo, subject, "")
	const all, writers = 5000, 16
	want, odd := make([]string, all), []string{}
	bodies := make([][]byte, all)
	for i := range all {
		m := base
		m.ArtifactType = fmt.Sprintf("application/vnd.example.kind-%d", i%2)
		m.Annotations = map[string]string{"number": fmt.Sprint(i), "padding": strings.Repeat("x", 100)}
		bodies[i] = wire.JSON(m)
		want[i] = digest.FromBytes(bodies[i]).String()
		if i%2 == 1 {
			odd = append(odd, want[i])
		}
	}
	var pushing sync.WaitGroup
	for w := range writers {
		pushing.Go(func() {
			for i := w; i < all; i += writers {
				got, err := reg.Try("PUT", wire.ManifestPath(repo, want[i]), bytes.NewReader(bodies[i]), "Content-Type", image)
				if err != nil || got.Status != 201 {
					t.Errorf("push %d: status %d, %v %s", i, got.Status, err, got.Excerpt())
					return
				}
			}
		})
	}
	pushing.Wait()
	slices.Sort(want)
	slices.Sort(odd)
	for query, expected := range map[string][]string{"": want, "application/vnd.example.kind-1": odd} {
		target := wire.ReferrersPath(repo, subject.Digest)
		if query != "" {
			target = wire.With(target, "artifactType", query)
		}
		found, pages := []string{}, 0
		for target != "" && pages <= all {
			list, got := referrers(t, target)
			if len(got.Body) > 8<<20 {
				t.Errorf("a page of %d bytes, more than clients read of a manifest", len(got.Body))
			}
			if query != "" {
				got.Has(t, "OCI-Filters-Applied", "artifactType")
			}
			found = append(found, digests(list)...)
			target = next(t, got)
			pages++
		}
		slices.Sort(found)
		if !slices.Equal(found, expected) {
			t.Errorf("filter %q: %d referrers in %d pages, want %d", query, len(found), pages, len(expected))
		}
	}
}
