package registry

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"
)

// TestRepositories_do_not_see_into_each_other pushes, mounts, deletes and reads in two repositories in any order, and compares with what each
// should have: what was deleted in one stays deleted there, whoever else has it, and however it was read before (CVE-2026-35172).
func TestRepositories_do_not_see_into_each_other(t *testing.T) {
	contents := [][]byte{[]byte("{}"), octets("middle", 1000), octets("large", smallBlob+7)}
	config := contents[0]
	images := [][]byte{imageOf(config, nil), imageOf(config, [][]byte{contents[1]}), imageOf(config, [][]byte{contents[2]})}
	tags := []string{"one", "two"}

	rapid.Check(t, func(rt *rapid.T) {
		r := open(t)
		type state struct {
			holds map[int]bool
			has   map[int]bool
			tags  map[string]int
		}
		is := map[string]*state{}
		for _, repo := range []string{"a", "b"} {
			is[repo] = &state{map[int]bool{}, map[int]bool{}, map[string]int{}}
		}
		repos := rapid.SampledFrom([]string{"a", "b"})
		which := rapid.IntRange(0, len(contents)-1)
		want := func(err error, ok bool, code string) {
			rt.Helper()
			if ok && err != nil || !ok && Code(err) != code {
				rt.Fatalf("%v, want success: %v, else %s", err, ok, code)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"push": func(rt *rapid.T) {
				repo, i := repos.Draw(rt, "repo"), which.Draw(rt, "blob")
				want(push(t.Context(), r, repo, contents[i]), true, "")
				is[repo].holds[i] = true
			},
			"mount": func(rt *rapid.T) {
				repo, from, i := repos.Draw(rt, "repo"), rapid.SampledFrom([]string{"a", "b", ""}).Draw(rt, "from"), which.Draw(rt, "blob")
				may := rapid.SampledFrom([]string{"a", "b", "", "a b"}).Draw(rt, "may read")
				mounted, err := r.Mount(t.Context(), repo, digest.FromBytes(contents[i]), from, func(s string) bool { return strings.Contains(may, s) })
				source := false
				for _, other := range []string{"a", "b"} {
					source = source || (from == "" || from == other) && strings.Contains(may, other) && is[other].holds[i]
				}
				if err != nil || mounted != source {
					rt.Fatalf("mounted: %v, %v, want %v", mounted, err, source)
				}
				if mounted {
					is[repo].holds[i] = true
				}
			},
			"put": func(rt *rapid.T) {
				repo, i, tag := repos.Draw(rt, "repo"), which.Draw(rt, "image"), rapid.SampledFrom(append(tags, "")).Draw(rt, "tag")
				ref := tag
				if tag == "" {
					ref = string(digest.FromBytes(images[i]))
				}
				_, err := r.PutManifest(t.Context(), Put{Repo: repo, Ref: ref, Body: images[i]})
				ok := is[repo].holds[0] && is[repo].holds[i]
				if want(err, ok, ManifestBlobUnknown); ok {
					if is[repo].has[i] = true; tag != "" {
						is[repo].tags[tag] = i
					}
				}
			},
			"delete blob": func(rt *rapid.T) {
				repo, i := repos.Draw(rt, "repo"), which.Draw(rt, "blob")
				want(r.DeleteBlob(t.Context(), repo, digest.FromBytes(contents[i])), is[repo].holds[i], BlobUnknown)
				delete(is[repo].holds, i)
			},
			"delete manifest": func(rt *rapid.T) {
				repo, i := repos.Draw(rt, "repo"), which.Draw(rt, "image")
				want(r.DeleteManifest(t.Context(), repo, digest.FromBytes(images[i]), nil), is[repo].has[i], ManifestUnknown)
				delete(is[repo].has, i)
				maps.DeleteFunc(is[repo].tags, func(_ string, named int) bool { return named == i })
			},
			"delete tag": func(rt *rapid.T) {
				repo, tag := repos.Draw(rt, "repo"), rapid.SampledFrom(tags).Draw(rt, "tag")
				_, found := is[repo].tags[tag]
				want(r.DeleteTag(t.Context(), repo, tag, nil), found, ManifestUnknown)
				delete(is[repo].tags, tag)
			},
			"rely": func(rt *rapid.T) {
				if i := which.Draw(rt, "blob"); is["a"].holds[i] {
					want(r.Rely(t.Context(), digest.FromBytes(contents[i])), true, "")
				}
			},
			"settle": func(rt *rapid.T) {
				if _, err := r.Settle(t.Context()); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				for repo, s := range is {
					for i, content := range contents {
						got, err := readBlob(t.Context(), r, repo, digest.FromBytes(content))
						if want(err, s.holds[i], BlobUnknown); s.holds[i] && !bytes.Equal(got, content) {
							rt.Fatalf("blob %d of %s: %d other bytes", i, repo, len(got))
						}
						_, _, err = r.Manifest(t.Context(), repo, string(digest.FromBytes(images[i])))
						want(err, s.has[i], ManifestUnknown)
					}
					var listed []string
					for tag, err := range r.Tags(t.Context(), repo, "") {
						if err != nil && Code(err) != NameUnknown {
							rt.Fatal(err)
						}
						if err == nil {
							listed = append(listed, tag)
						}
					}
					if !slices.Equal(listed, slices.Sorted(maps.Keys(s.tags))) {
						rt.Fatalf("tags of %s: %v, want %v", repo, listed, s.tags)
					}
					for tag, i := range s.tags {
						desc, err := r.Resolve(t.Context(), repo, tag)
						if err != nil || desc.Digest != digest.FromBytes(images[i]) {
							rt.Fatalf("%s of %s: %v, %v, want image %d", tag, repo, desc, err, i)
						}
					}
				}
				if _, err := Verify(t.Context(), r.blobs, r.index, func(problem string) { rt.Fatalf("verify: %s", problem) }); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}

// TestMount_looks_at_a_bounded_number_of_holders: however many repositories hold a blob, asking who may be read costs no more than so much.
func TestMount_looks_at_a_bounded_number_of_holders(t *testing.T) {
	r := open(t)
	content := []byte("shared")
	for i := range 150 {
		mustPush(t, r, fmt.Sprintf("held/%03d", i), content)
	}
	asked := 0
	mounted, err := r.Mount(t.Context(), "new", digest.FromBytes(content), "", func(string) bool { asked++; return false })
	if mounted || err != nil || asked > 100 {
		t.Errorf("mounted: %v, %v, after %d questions", mounted, err, asked)
	}
	mounted, err = r.Mount(t.Context(), "new", digest.FromBytes(content), "", func(repo string) bool { return repo == "held/050" })
	if !mounted || err != nil {
		t.Errorf("mounted: %v, %v", mounted, err)
	}
	for _, from := range []string{"A", "", "no/such"} {
		if mounted, err := r.Mount(t.Context(), "new", digest.FromString("no such blob"), from, func(string) bool { return true }); mounted || err != nil {
			t.Errorf("from %q: mounted: %v, %v", from, mounted, err)
		}
	}
	_, err = r.Mount(t.Context(), "A", digest.FromBytes(content), "", nil)
	wantCode(t, err, NameInvalid)
	_, err = r.Mount(t.Context(), "a", "sha256:no", "", nil)
	wantCode(t, err, DigestInvalid)
}
