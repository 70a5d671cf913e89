package spec

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// tagsOf returns one page of tags, for a query such as "?n=3" or none. A repository that is none, or not yet, has no tags.
func tagsOf(t *testing.T, repo, query string) []string {
	t.Helper()
	target := "/v2/" + repo + "/tags/list" + query
	if reg.Do(t, "GET", target, nil).Status == 404 {
		return nil
	}
	list, _ := tagPage(t, target)
	return list.Tags
}

func tagPage(t *testing.T, target string) (tagList, wire.Reply) {
	t.Helper()
	got := reg.Do(t, "GET", target, nil).Want(t, 200)
	var list tagList
	got.JSON(t, &list)
	return list, got
}

// tagged pushes one image under many tags, in an order that is not theirs, and returns them sorted.
func tagged(t *testing.T, repo string, tags ...string) []string {
	t.Helper()
	body := wire.JSON(reg.Image(t, repo))
	for _, tag := range tags {
		reg.Put(t, repo, tag, image, body).Want(t, 201)
	}
	sorted := slices.Clone(tags)
	slices.Sort(sorted)
	return sorted
}

// The list is 200, JSON with the repository's name, and in order: ASCII or lexical, and here it is ASCII.
func TestListingTags_Sorted(t *testing.T) {
	repo := wire.Repo(t)
	want := tagged(t, repo, "b", "B", "a", "_x", "10", "9", "a.b", "a-b", "Z", "z", "1.10.0", "1.9.0")
	list, got := tagPage(t, "/v2/"+repo+"/tags/list")
	if list.Name != repo || !slices.Equal(list.Tags, want) {
		t.Errorf("%s, want name %s and tags %v", got.Body, repo, want)
	}
	if !strings.HasPrefix(got.Header.Get("Content-Type"), "application/json") || got.Length != int64(len(got.Body)) {
		t.Errorf("Content-Type %q, Content-Length %d of %d bytes", got.Header.Get("Content-Type"), got.Length, len(got.Body))
	}
}

// A repository without tags has an empty list, which is a list and not null.
func TestListingTags_Empty(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "")
	_, got := tagPage(t, "/v2/"+repo+"/tags/list")
	if !bytes.Contains(bytes.ReplaceAll(got.Body, []byte(" "), nil), []byte(`"tags":[]`)) {
		t.Errorf("%s, want an empty list", got.Body)
	}
}

// A repository that does not exist is 404.
func TestListingTags_UnknownRepository(t *testing.T) {
	reg.Do(t, "GET", "/v2/"+wire.Repo(t)+"/tags/list", nil).Refused(t, "NAME_UNKNOWN", 404)
}

// n bounds the list; fewer come only if there are fewer or a Link leads on.
func TestListingTags_N(t *testing.T) {
	repo := wire.Repo(t)
	want := tagged(t, repo, "e", "d", "c", "b", "a")
	for n := 1; n <= 7; n++ {
		list, got := tagPage(t, fmt.Sprintf("/v2/%s/tags/list?n=%d", repo, n))
		if !slices.Equal(list.Tags, want[:min(n, 5)]) {
			t.Errorf("n=%d gives %v", n, list.Tags)
		}
		if link := next(t, got); (link != "") != (n < 5) {
			t.Errorf("n=%d of 5: Link %q", n, link)
		}
	}
}

// n of zero is an empty list without a Link.
func TestListingTags_NIsZero(t *testing.T) {
	repo := wire.Repo(t)
	tagged(t, repo, "a", "b")
	for _, query := range []string{"?n=0", "?n=0&last=a"} {
		list, got := tagPage(t, "/v2/"+repo+"/tags/list"+query)
		if len(list.Tags) != 0 || got.Header.Get("Link") != "" {
			t.Errorf("%s: %s with Link %q", query, got.Body, got.Header.Get("Link"))
		}
	}
}

// n may be larger than any list.
func TestListingTags_NIsHuge(t *testing.T) {
	repo := wire.Repo(t)
	want := tagged(t, repo, "a", "b", "c")
	list, got := tagPage(t, "/v2/"+repo+"/tags/list?n=1000000000")
	if !slices.Equal(list.Tags, want) || got.Header.Get("Link") != "" {
		t.Errorf("%s with Link %q", got.Body, got.Header.Get("Link"))
	}
}

// n that is no number of tags is refused.
func TestListingTags_NIsNoNumber(t *testing.T) {
	repo := wire.Repo(t)
	tagged(t, repo, "a")
	for _, n := range []string{"-1", "abc", "1.5", "0x10", "1e9", "%20", "99999999999999999999999999"} {
		reg.Do(t, "GET", "/v2/"+repo+"/tags/list?n="+n, nil).Refused(t, "", 400)
	}
}

// last begins after a tag, whether that tag exists or not, with n and without.
func TestListingTags_Last(t *testing.T) {
	repo := wire.Repo(t)
	tagged(t, repo, "a", "b", "c", "d")
	for query, want := range map[string]string{
		"?last=b": "[c d]", "?last=bb": "[c d]", "?last=d": "[]", "?last=zzz": "[]", "?last=A": "[a b c d]", "?last=": "[a b c d]",
		"?n=1&last=a": "[b]", "?last=a&n=2": "[b c]", "?n=5&last=c": "[d]", "?n=1&last=d": "[]",
	} {
		if got := fmt.Sprint(tagsOf(t, repo, query)); got != want {
			t.Errorf("%s gives %s, want %s", query, got, want)
		}
	}
}

// Following Link from page to page gives every tag once, in order, and Link is there exactly as long as there is more.
func TestListingTags_Link(t *testing.T) {
	repo := wire.Repo(t)
	tags := []string{"v1.0.0_rc.1", "UPPER"}
	for i := range 23 {
		tags = append(tags, fmt.Sprintf("tag-%d", i))
	}
	want := tagged(t, repo, tags...)
	for _, n := range []int{1, 5, 24, 25, 26} {
		found, target, pages := []string{}, fmt.Sprintf("/v2/%s/tags/list?n=%d", repo, n), 0
		for ; target != "" && pages < 50; pages++ {
			list, got := tagPage(t, target)
			found = append(found, list.Tags...)
			target = next(t, got)
		}
		if !slices.Equal(found, want) {
			t.Errorf("n=%d: %d pages give %v", n, pages, found)
		}
		if most := (25 + n - 1) / n; pages != most {
			t.Errorf("n=%d: %d pages, want %d", n, pages, most)
		}
	}
}

// Without n the whole list comes, or a Link leads to the rest.
func TestListingTags_WholeList(t *testing.T) {
	repo := wire.Repo(t)
	tags := []string{}
	for i := range 300 {
		tags = append(tags, fmt.Sprintf("t%d", i))
	}
	want := tagged(t, repo, tags...)
	found, target := []string{}, "/v2/"+repo+"/tags/list"
	for pages := 0; target != "" && pages < 400; pages++ {
		list, got := tagPage(t, target)
		found = append(found, list.Tags...)
		target = next(t, got)
	}
	if !slices.Equal(found, want) {
		t.Errorf("%d tags, want %d in order", len(found), len(want))
	}
}

// Tags of one repository are not those of one whose name begins with its name.
func TestListingTags_NeighboursByName(t *testing.T) {
	repo := wire.Repo(t)
	tagged(t, repo, "mine")
	for _, other := range []string{repo + "-x", repo + "/x", repo + "0", repo + ".a"} {
		tagged(t, other, "theirs", "a", "z")
	}
	if got := tagsOf(t, repo, ""); fmt.Sprint(got) != "[mine]" {
		t.Errorf("tags are %v, want [mine]", got)
	}
	if got := tagsOf(t, repo+"/x", "?last=a"); fmt.Sprint(got) != "[theirs z]" {
		t.Errorf("tags are %v, want [theirs z]", got)
	}
}

type catalog struct {
	Repositories []string `json:"repositories"`
}

// The catalog is no part of the specification but every registry's habit: repositories in order, with n, last and Link as for tags.
func TestCatalog_Paging(t *testing.T) {
	unique := wire.Repo(t)
	want := []string{}
	for i := range 12 {
		name := fmt.Sprintf("%s/r%02d", unique, i)
		reg.PushImage(t, name, "here")
		want = append(want, name)
	}
	for _, n := range []int{1, 5, 1000} {
		found, pages := []string{}, 0
		for target := fmt.Sprintf("/v2/_catalog?n=%d&last=%s", n, unique); target != "" && pages < 2000; pages++ {
			var list catalog
			got := reg.Do(t, "GET", target, nil).Want(t, 200)
			got.JSON(t, &list)
			if len(list.Repositories) > n {
				t.Fatalf("n=%d: a page of %d", n, len(list.Repositories))
			}
			found = append(found, list.Repositories...)
			target = next(t, got)
			if len(found) > 0 && !strings.HasPrefix(found[len(found)-1], unique) {
				break
			}
		}
		if !slices.IsSorted(found) {
			t.Errorf("n=%d: the catalog is not in order", n)
		}
		found = slices.DeleteFunc(found, func(s string) bool { return !strings.HasPrefix(s, unique+"/") })
		if !slices.Equal(found, want) {
			t.Errorf("n=%d: %v, want %v", n, found, want)
		}
	}
}

// Its n is held to the same rules.
func TestCatalog_N(t *testing.T) {
	reg.PushImage(t, wire.Repo(t), "here")
	for _, n := range []string{"-1", "abc"} {
		reg.Do(t, "GET", "/v2/_catalog?n="+n, nil).Refused(t, "", 400)
	}
	var list catalog
	got := reg.Do(t, "GET", "/v2/_catalog?n=0", nil).Want(t, 200)
	if got.JSON(t, &list); len(list.Repositories) != 0 || got.Header.Get("Link") != "" {
		t.Errorf("n=0: %s with Link %q", got.Body, got.Header.Get("Link"))
	}
	reg.Do(t, "GET", "/v2/_catalog?n=1000000000", nil).Want(t, 200)
}

// A repository is in the catalog as soon as it holds a manifest.
func TestCatalog_NewRepository(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	var list catalog
	reg.Do(t, "GET", "/v2/_catalog?n=1&last="+repo[:len(repo)-1], nil).Want(t, 200).JSON(t, &list)
	if len(list.Repositories) != 1 {
		t.Fatalf("%v, want one", list.Repositories)
	}
}
