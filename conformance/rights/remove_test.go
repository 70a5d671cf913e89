package rights

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// crew is who works on one repository.
type crew struct {
	repo                         string
	alice, bob                   ask.Caller // developers
	ci, reader, lead, maintainer ask.Caller
	robot                        ask.Caller // a robot that is a developer and is called like alice
}

func newCrew(t *testing.T, repo string) *crew {
	t.Helper()
	path := repo
	c := &crew{
		repo: repo, alice: person(t, "developer", path), bob: person(t, "developer", path), ci: person(t, "ci", path),
		reader: person(t, "reader", path), lead: person(t, "domain-lead", path), maintainer: person(t, "maintainer", path),
	}
	c.robot = robot(t, c.alice.Name[len("user:"):], path)
	grant(t, c.robot, "developer", path)
	return c
}

// remove asks for a tag or a manifest to be removed, and wants it to be gone, or to be there still and the refusal in the envelope.
func (c *crew) remove(t *testing.T, who ask.Caller, what string, may bool, ref string) {
	t.Helper()
	path := wire.ManifestPath(c.repo, ref)
	root.Do(t, "HEAD", path, nil).Want(t, 200)
	before := fmt.Sprint(root.Tags(t, c.repo))
	got := who.Do(t, "DELETE", path, nil)
	if want := map[bool]int{true: 202, false: 403}[may]; got.Status != want {
		t.Errorf("%s: %s is %d, want %d\n%s", what, got.Asked, got.Status, want, got.Excerpt())
		return
	}
	if may {
		root.Do(t, "HEAD", path, nil).Want(t, 404)
		return
	}
	got.Refused(t, "DENIED", 403)
	root.Do(t, "HEAD", path, nil).Want(t, 200)
	if after := fmt.Sprint(root.Tags(t, c.repo)); after != before {
		t.Errorf("%s: tags were %s and are %s", what, before, after)
	}
}

// TestRemove_one_s_own_scratch_tags, and nothing else that means something to others.
func TestRemove_one_s_own_scratch_tags(t *testing.T) {
	c := newCrew(t, component(t)) // where it means something what tags are called
	for _, tag := range []string{"pr-17", "feature-x", "1.0", "test"} {
		c.alice.Put(t, c.repo, tag, ask.List())
		c.remove(t, c.alice, "her own "+tag, true, tag)
		c.bob.Put(t, c.repo, tag, ask.List())
		c.remove(t, c.alice, "bob's "+tag, false, tag)
		c.remove(t, c.robot, "a robot with bob's "+tag, false, tag)
	}
	for _, tag := range []string{"1.0.2", "v1.0.3", "1.0.4-rc.1", "1.0.5_build.7", "commit-0123abc"} {
		c.alice.Put(t, c.repo, tag, ask.List())
		c.remove(t, c.alice, "her own "+tag, false, tag)
	}
	// Whose a tag is, who set it last says.
	c.alice.Put(t, c.repo, "moved", ask.List())
	c.bob.Put(t, c.repo, "moved", ask.List())
	c.remove(t, c.alice, "a tag that bob moved", false, "moved")
	c.alice.Put(t, c.repo, "moved", ask.List())
	c.remove(t, c.bob, "a tag that alice moved back", false, "moved")
	c.remove(t, c.alice, "a tag that she moved back", true, "moved")
	// A robot is not the person of its name.
	c.alice.Put(t, c.repo, "hers", ask.List())
	c.remove(t, c.robot, "a robot that is called like her", false, "hers")
	c.robot.Put(t, c.repo, "its", ask.List())
	c.remove(t, c.alice, "what a robot did that is called like her", false, "its")
	c.remove(t, c.robot, "its own", true, "its")
	// Who may not delete at all, and who may delete everything.
	for _, who := range []ask.Caller{c.ci, c.reader, c.lead} {
		tag := "hers"
		if who.Name == c.ci.Name {
			tag = "own"
			who.Put(t, c.repo, tag, ask.List())
		}
		c.remove(t, who, "it is "+who.Name, false, tag)
	}
	for _, tag := range []string{"hers", "own", "1.0.2", "v1.0.3"} {
		c.remove(t, c.maintainer, "the maintainer", true, tag)
	}
}

// TestRemove_manifests: one's own goes if nothing but one's own scratch tags name it.
func TestRemove_manifests(t *testing.T) {
	c := newCrew(t, component(t))
	ref := func(who ask.Caller, tags ...string) string {
		t.Helper()
		body := ask.List()
		for _, tag := range append([]string{""}, tags...) {
			who.Put(t, c.repo, tag, body)
		}
		return digest.FromBytes(body).String()
	}
	c.remove(t, c.alice, "no tag", true, ref(c.alice))
	c.remove(t, c.alice, "her scratch tags", true, ref(c.alice, "pr-1", "pr-2"))
	c.remove(t, c.alice, "a version of hers", false, ref(c.alice, "pr-3", "1.0.3"))
	c.remove(t, c.alice, "bob's manifest", false, ref(c.bob))
	c.remove(t, c.alice, "bob's tags", false, ref(c.bob, "pr-4"))
	c.remove(t, c.ci, "its own", false, ref(c.ci))
	c.remove(t, c.reader, "a reader", false, ref(c.alice))

	body := ask.List()
	c.alice.Put(t, c.repo, "hers", body)
	c.bob.Put(t, c.repo, "his", body)
	d := digest.FromBytes(body).String()
	c.remove(t, c.alice, "bob's tag names it, too", false, d)
	c.remove(t, c.alice, "her own tag of it", true, "hers")
	c.remove(t, c.alice, "only bob's tag names it", false, d)
	c.remove(t, c.bob, "alice has pushed it", false, d)
	c.remove(t, c.maintainer, "the maintainer", true, d)

	c.bob.Put(t, c.repo, "", body)
	c.alice.Put(t, c.repo, "hers", body)
	c.remove(t, c.alice, "bob has pushed it, and she only tagged it", false, d)

	// A token that is good for deleting makes no difference, and one that is not is not enough.
	token := c.alice.Token(t, "repository:"+c.repo+":delete")
	c.remove(t, token, "bob's, with a token", false, ref(c.bob, "pr-5"))
	c.remove(t, token, "her own, with a token", true, ref(c.alice, "pr-6"))
	own := ref(c.alice, "pr-7")
	c.alice.Token(t, "repository:"+c.repo+":pull,push").Do(t, "DELETE", wire.ManifestPath(c.repo, own), nil).Refused(t, "UNAUTHORIZED", 401)

	blob := c.alice.Push(t, c.repo, wire.Random(30))
	for _, who := range []ask.Caller{c.alice, c.bob, c.ci, c.reader, c.lead} {
		who.Do(t, "DELETE", wire.BlobPath(c.repo, blob), nil).Refused(t, "DENIED", 403)
	}
	root.Do(t, "HEAD", wire.BlobPath(c.repo, blob), nil).Want(t, 200)
}

// TestRemove_what_an_index_needs: one's own manifest that an index names which one may not remove stays, or a version could be taken apart by its pieces.
func TestRemove_what_an_index_needs(t *testing.T) {
	c := newCrew(t, component(t))
	for version, tagger := range map[string]ask.Caller{"1.2.3": c.alice, "1.2.4": c.bob} {
		part := ask.List()
		c.alice.Put(t, c.repo, "", part)
		whole := wire.JSON(wire.Index(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(part), Size: int64(len(part))}))
		tagger.Put(t, c.repo, version, whole)
		c.remove(t, c.alice, "a piece of the version of "+tagger.Name, false, digest.FromBytes(part).String())
		c.maintainer.Do(t, "DELETE", wire.ManifestPath(c.repo, digest.FromBytes(whole)), nil).Want(t, 202)
	}
	// What is all one's own and only scratch goes from the top down.
	part := ask.List()
	c.alice.Put(t, c.repo, "", part)
	whole := wire.JSON(wire.Index(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(part), Size: int64(len(part))}))
	c.alice.Put(t, c.repo, "pr-8", whole)
	c.remove(t, c.alice, "her own index", true, digest.FromBytes(whole).String())
	c.remove(t, c.alice, "a piece of nothing any more", true, digest.FromBytes(part).String())
}

// TestRemove_outside_of_components: where no tag means anything, one's own is one's own whatever it is called.
func TestRemove_outside_of_components(t *testing.T) {
	c := newCrew(t, area(t))
	for _, tag := range []string{"1.0.2", "latest", "pr-1"} {
		c.bob.Put(t, c.repo, tag, ask.List())
		c.remove(t, c.alice, "bob's", false, tag)
		c.alice.Put(t, c.repo, tag, ask.List())
		c.remove(t, c.alice, "her own", true, tag)
	}
}
