package rights

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestCatalog_tells_only_what_one_may_pull, page by page, wherever a page begins.
func TestCatalog_tells_only_what_one_may_pull(t *testing.T) {
	path := area(t)
	var all []string
	for _, c := range "abcdefgh" {
		repo := path + "/" + string(c)
		root.Put(t, repo, "here", ask.List())
		all = append(all, repo)
	}
	hidden, seen := []string{all[0], all[2], all[3], all[5], all[7]}, []string{all[1], all[4], all[6]}
	who := person(t, "reader", seen[0], "developer", seen[1], "maintainer", seen[2], "auditor", hidden[2])
	for _, n := range []string{"", "1", "2", "3", "100"} {
		if got := who.Catalog(t, "", n); !slices.Equal(got, seen) {
			t.Errorf("n=%s: %q, want %q", n, got, seen)
		}
	}
	// Pages that begin at, or between, what is hidden tell nothing of it: neither by what is on them nor by whether they go on.
	for _, last := range slices.Concat(all, []string{path, path + "/", path + "/aa", path + "/cc", path + "/d0", path + "/zz", "zzz", "!", "%zz", strings.Repeat("a", 900)}) {
		want := slices.DeleteFunc(slices.Clone(seen), func(repo string) bool { return repo <= last })
		for _, n := range []string{"", "1", "2"} {
			if got := who.Catalog(t, last, n); !slices.Equal(got, want) {
				t.Errorf("last=%s, n=%s: %q, want %q", last, n, got, want)
			}
		}
		page := who.Get(t, wire.With("/v2/_catalog", "last", last, "n", "1"))
		for _, repo := range hidden {
			if repo != last && strings.Contains(fmt.Sprint(page.Header, string(page.Body)), repo) {
				t.Errorf("last=%s: the page tells of %s: %s %s", last, repo, page.Header, page.Body)
			}
		}
	}
	if got := who.Get(t, "/v2/_catalog?n=0"); string(got.Body) != `{"repositories":[]}`+"\n" || got.Header.Get("Link") != "" {
		t.Errorf("n=0: %s %s", got.Header, got.Body)
	}

	scope := func(repo string) string { return "repository:" + repo + ":pull" }
	for _, c := range []struct {
		scopes []string
		want   []string
	}{
		{[]string{"registry:catalog:*"}, seen},
		{[]string{"registry:catalog:*", scope(seen[1])}, seen[1:2]},
		{[]string{"registry:catalog:*", scope(seen[0]), scope(seen[2])}, []string{seen[0], seen[2]}},
		{[]string{"registry:catalog:*", scope(hidden[0]), scope(hidden[1])}, seen}, // of which nothing is left in the token
	} {
		for _, n := range []string{"", "1"} {
			if got := who.Token(t, c.scopes...).Catalog(t, "", n); !slices.Equal(got, c.want) {
				t.Errorf("a token of %q, n=%s: %q, want %q", c.scopes, n, got, c.want)
			}
		}
	}
	for _, scopes := range [][]string{nil, {scope(seen[0])}, {"registry:catalog:pull"}, {"registry:other:*"}} {
		got := who.Token(t, scopes...).Get(t, "/v2/_catalog")
		got.Refused(t, "UNAUTHORIZED", 401)
		if challenge := got.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `scope="registry:catalog:*",error="insufficient_scope"`) {
			t.Errorf("a token of %q: the challenge is %q", scopes, challenge)
		}
	}
	for _, who := range []ask.Caller{person(t), person(t, "auditor", path)} {
		if got := who.Catalog(t, "", ""); len(got) > 0 {
			t.Errorf("who may pull from nowhere is told of %q", got)
		}
	}
	if got := root.Catalog(t, path+"/", "3"); !slices.Equal(slices.DeleteFunc(got, func(s string) bool { return !strings.HasPrefix(s, path+"/") }), all) {
		t.Errorf("root is told of %q", got)
	}
}

// TestLists_of_what_is_hidden: tags and referrers of a repository that one may not pull from are those of none, on each of their pages.
func TestLists_of_what_is_hidden(t *testing.T) {
	path := area(t)
	repo := path + "/app"
	subject := ask.List()
	d := root.Put(t, repo, "one", subject)
	root.Put(t, repo, "two", ask.List(wire.Descriptor(ocispec.MediaTypeImageIndex, subject)))
	none := strings.Replace(repo, "/app", "/ape", 1)
	for _, who := range []ask.Caller{person(t), person(t, "auditor", path), person(t, "developer", path+"/apps"), person(t, "maintainer", path+"/a")} {
		for _, what := range []string{
			"/tags/list", "/tags/list?n=1", "/tags/list?last=one", "/tags/list?n=x", "/referrers/" + d.String(), "/referrers/" + d.String() + "?n=1",
			"/referrers/x",
		} {
			got, absent := who.Get(t, "/v2/"+repo+what), who.Get(t, "/v2/"+none+what)
			got.Refused(t, "NAME_UNKNOWN", 404)
			if string(got.Body) != strings.ReplaceAll(string(absent.Body), none, repo) || absent.Status != 404 {
				t.Errorf("%s: %s\nand of what is not there: %d %s", got.Asked, got.Body, absent.Status, absent.Body)
			}
		}
	}
	reader := person(t, "reader", path)
	if got := reader.Tags(t, repo); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("tags are %q", got)
	}
	if got := reader.Get(t, wire.ReferrersPath(repo, d)).Want(t, 200); strings.Count(string(got.Body), `"digest"`) != 1 {
		t.Errorf("referrers are %s", got.Body)
	}
	reader.Get(t, wire.ReferrersPath(repo, digest.FromString("none"))).Want(t, 200)
}

// TestScopes_tell_nothing: what is left of a scope in a token is the same for what is hidden and for what is not there.
func TestScopes_tell_nothing(t *testing.T) {
	path := area(t)
	root.Put(t, path+"/hidden/app", "latest", ask.List())
	who := person(t, "developer", path+"/own")
	for _, c := range []struct{ scope, want string }{
		{"repository:" + path + "/hidden/app:pull,push,delete", "[]"}, {"repository:" + path + "/absent/app:pull,push,delete", "[]"},
		{"repository:" + path + "/hidden/app:*", "[]"},
		{"repository:" + path + "/own/absent:*", `[{"type":"repository","name":"` + path + `/own/absent","actions":["pull","push","delete"]}]`},
		{"repository:" + path + ":pull", "[]"}, {"repository:**:pull registry:catalog:*", `[{"type":"registry","name":"catalog","actions":["*"]}]`},
	} {
		token, err := who.Mint(c.scope)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(ask.ClaimsOf(t, token).Access); got != c.want {
			t.Errorf("of %s is left %s, want %s", c.scope, got, c.want)
		}
	}
}
